"""Dropout. The op: ``dropout`` in ``ops/random.py``."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.given import real
from etude.core.random import Generator
from etude.core.tensor import Tensor
from etude.functional.calls import refused
from etude.nn.activations import INPLACE
from etude.nn.module import Module


class Dropout(Module):
    """In training, set a share ``p`` of the elements to 0 and scale the others by 1 / (1 - p).

    x, y: any shape, float. In ``eval()`` it does nothing. The choice comes from ``generator``, or
    from the one that ``etude.manual_seed`` sets. Source: Srivastava et al. 2014, Dropout.
    """

    def __init__(self, p: float = 0.5, inplace: bool = False, *,
                 generator: Generator | None = None) -> None:
        refused("Dropout", INPLACE, inplace=(inplace, False))
        p = real("Dropout: p", p)
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p is the share of elements dropped, 0 <= p <= 1, got {p}")
        self.p = p
        self.generator = generator

    def forward(self, input: Tensor) -> Any:
        return F.dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
