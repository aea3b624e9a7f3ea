"""Embedding: a row of numbers for each token. The op: ``embedding`` in ``ops/index.py``."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.creation import zeros
from etude.core.tensor import Tensor
from etude.nn.init import normal_
from etude.nn.module import Module, Parameter


class Embedding(Module):
    """y[...] = weight[x[...]].  x: (...) int64 in 0 .. V-1; weight: (V, D); y: (..., D).

    The weight starts normal with deviation 1. Raises IndexError for a token out of range.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, dtype: Any = "float32") -> None:
        self.weight = Parameter(zeros(num_embeddings, embedding_dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        normal_(self.weight.detach())

    def forward(self, x: Tensor) -> Any:
        return F.embedding(x, self.weight)

    def extra_repr(self) -> str:
        num_embeddings, embedding_dim = self.weight.shape
        return f"{num_embeddings}, {embedding_dim}"
