"""Elementwise functions as layers: ReLU, GELU, Tanh, Sigmoid. The ops: ops/map.py.

x, y: any shape, float32 or float64.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.nn.module import Module
from etude.tensor import Tensor


class ReLU(Module):
    """y = max(x, 0)."""

    def forward(self, x: Tensor) -> Any:
        return F.relu(x)


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function, or its tanh approximation."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Tensor) -> Any:
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Tanh(Module):
    """y = tanh(x)."""

    def forward(self, x: Tensor) -> Any:
        return F.tanh(x)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Any:
        return F.sigmoid(x)
