"""Activations as layers. The ops: ``ops/map.py``, ``ops/activation.py``, ``ops/softmax.py``.

x, y: any shape, float32 or float64.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.functional.calls import refused
from etude.nn.module import Module

#: Why PyTorch's ``inplace``, which lets a layer overwrite x to save memory, is refused.
INPLACE = "a layer changes nothing it is given; the values are the same without"


class ReLU(Module):
    """y = max(x, 0)."""

    def __init__(self, inplace: bool = False) -> None:
        refused("ReLU", INPLACE, inplace=(inplace, False))

    def forward(self, input: Tensor) -> Any:
        return F.relu(input)


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function, or its tanh approximation."""

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Any:
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Tanh(Module):
    """y = tanh(x)."""

    def forward(self, input: Tensor) -> Any:
        return F.tanh(input)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Any:
        return F.sigmoid(input)


class SiLU(Module):
    """y = x / (1 + exp(-x)), also called swish."""

    def __init__(self, inplace: bool = False) -> None:
        refused("SiLU", INPLACE, inplace=(inplace, False))

    def forward(self, input: Tensor) -> Any:
        return F.silu(input)


class LeakyReLU(Module):
    """y = x where x > 0, else negative_slope x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        refused("LeakyReLU", INPLACE, inplace=(inplace, False))
        self.negative_slope = negative_slope

    def forward(self, input: Tensor) -> Any:
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """y = x where x > 0, else alpha (exp(x) - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        refused("ELU", INPLACE, inplace=(inplace, False))
        self.alpha = alpha

    def forward(self, input: Tensor) -> Any:
        return F.elu(input, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class Softplus(Module):
    """y = ln(1 + exp(beta x)) / beta, and x itself where beta x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Any:
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """y_i = exp(x_i) / sum_j exp(x_j) along ``dim``; if not given the last, where PyTorch warns."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, input: Tensor) -> Any:
        return F.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """y_i = x_i - ln sum_j exp(x_j) along ``dim``."""

    def forward(self, input: Tensor) -> Any:
        return F.log_softmax(input, self.dim)
