"""Models, each a page of code."""

from etude.models.lenet import lenet
from etude.models.mlp import mlp

__all__ = ["lenet", "mlp"]
