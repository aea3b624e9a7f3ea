"""Data: data sets, the loader that makes batches of them, transforms, text and tokenizers.

``digits``, ``names`` and ``shakespeare`` come inside the package; ``mnist`` and
``fashion_mnist`` from a folder or a checked download; ``ImageFolder`` and ``CSVDataset`` read
files of your own.
"""

from etude.data.dataset import Dataset, TensorDataset
from etude.data.digits import digits
from etude.data.folder import ImageFolder
from etude.data.idx import read_idx
from etude.data.loader import DataLoader
from etude.data.mnist import fashion_mnist, mnist
from etude.data.sequences import MaskTokens, PadCollate, PadTo, Truncate
from etude.data.subset import Subset, random_split
from etude.data.table_file import CSVDataset
from etude.data.text import LanguageModelDataset, names, shakespeare, text_split
from etude.data.tokenizers import BPETokenizer, CharTokenizer
from etude.data.transforms import (
    Compose,
    Normalize,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    ToFloat,
)

__all__ = [
    "BPETokenizer", "CSVDataset", "CharTokenizer", "Compose", "DataLoader", "Dataset",
    "ImageFolder", "LanguageModelDataset", "MaskTokens", "Normalize", "PadCollate", "PadTo",
    "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomRotation", "Subset",
    "TensorDataset", "ToFloat", "Truncate", "digits", "fashion_mnist", "mnist", "names",
    "random_split", "read_idx", "shakespeare", "text_split",
]
