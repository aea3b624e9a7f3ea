"""Embedding: a row of numbers for each token. The op: ``embedding`` in ``ops/index.py``."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.given import integer, whole
from etude.core.shapes import Spec, int64
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.functional.calls import as_tensor
from etude.nn.init import normal_, zeros_
from etude.nn.module import Module, Parameter, parameter, tensor_of


class Embedding(Module):
    """y[...] = weight[x[...]].  x: (...) int64 in 0 .. V-1; weight: (V, D); y: (..., D).

    The weight starts normal with deviation 1. The row ``padding_idx``, counted from the end if
    negative, starts at 0 and gets no gradient: the token that only fills up. Raises IndexError for
    a token out of range.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 device: Any = None, dtype: Any = None) -> None:
        V = integer("Embedding: num_embeddings", num_embeddings, 0, ShapeError)
        D = integer("Embedding: embedding_dim", embedding_dim, 0, ShapeError)
        self.padding_idx = _row(padding_idx, V)
        self.weight = parameter(V, D, device=device, dtype=dtype)
        self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True,
                        padding_idx: int | None = None) -> Embedding:
        """A layer with ``embeddings`` (V, D) as its weight, in the same memory, which is trained
        unless ``freeze``.
        """
        embeddings = tensor_of("Embedding: the weight", embeddings)
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding: the weight must be (V, D), got {list(embeddings.shape)}")
        layer = cls.__new__(cls)
        layer.padding_idx = _row(padding_idx, embeddings.shape[0])
        layer.weight = Parameter(embeddings, requires_grad=not freeze)
        return layer

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        normal_(self.weight.detach())
        if self.padding_idx is not None:
            with no_grad():
                zeros_(self.weight[self.padding_idx])

    def forward(self, input: Tensor) -> Any:
        return F.embedding(input, self.weight, padding_idx=self.padding_idx)

    def misfit(self, input: Any) -> str:
        x, (count, width) = as_tensor(input), self.weight.shape
        text = f"Embedding(num_embeddings={count}, embedding_dim={width})"
        if x.dtype != int64:
            return (f"{text} got an input {Spec(x.shape, x.dtype)}; it takes the numbers of "
                    f"tokens, int64: x.long()")
        outside = [n for n in x.flatten().tolist() if not 0 <= n < count]
        if not outside:
            return ""
        return (f"{text} got the token {outside[0]}; its tokens run from 0 to {count - 1}. Make "
                f"the layer with num_embeddings=, the size of the vocabulary")

    def extra_repr(self) -> str:
        num_embeddings, embedding_dim = self.weight.shape
        text = f"{num_embeddings}, {embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"


def _row(padding_idx: Any, count: int) -> int | None:
    """The number of the row that only fills up, from the front. IndexError if it is none."""
    if padding_idx is None:
        return None
    found = whole(padding_idx)
    if found is None or not -count <= found < count:
        raise IndexError(f"Embedding: padding_idx must be one of the rows 0 to {count - 1}, or "
                         f"counted from the end -{count} to -1, got {padding_idx!r}")
    return found % count
