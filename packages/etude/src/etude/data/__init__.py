"""Data: datasets, the loader that makes batches of them, and the sets that come with Etude."""

from etude.data.dataset import Dataset, TensorDataset
from etude.data.digits import digits
from etude.data.loader import DataLoader

__all__ = ["DataLoader", "Dataset", "TensorDataset", "digits"]
