"""Linear, Identity and Flatten. The op: ``linear`` in ``ops/matmul.py``."""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.shapes import Shape
from etude.core.tensor import Tensor
from etude.nn.init import default_
from etude.nn.module import Module, parameter, spec_given, tensor_of


class Linear(Module):
    """y = x W^T + b.  x: (..., in_features); y: (..., out_features).

    weight: (out_features, in_features); bias: (out_features) or None; both start uniform in
    +-1/sqrt(in_features). Raises ShapeError for an x with another last dimension.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        out_features = integer("Linear: out_features", out_features, 0, ShapeError)
        in_features = integer("Linear: in_features", in_features, 0, ShapeError)
        place = {"device": device, "dtype": dtype}
        self.weight = parameter(out_features, in_features, **place)
        self.bias = parameter(out_features, **place) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        default_(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def forward(self, input: Tensor) -> Any:
        return F.linear(input, self.weight, self.bias)

    def misfit(self, input: Any) -> str:
        return misfit_of_linear("Linear", self.weight.shape, input)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        text = f"{in_features}, {out_features}"
        return text if self.bias is not None else text + ", bias=False"


def misfit_of_linear(kind: str, shape: Shape, input: Any) -> str:
    """``misfit`` of a linear layer whose weight has this shape."""
    x, (out_features, in_features) = spec_given(input), shape
    if x.shape[-1:] == (in_features,):
        return ""
    text = f"{kind}(in_features={in_features}, out_features={out_features}) got an input {x}"
    if not x.shape:
        return f"{text}, which has no dimensions; it takes (..., {in_features})"
    text += f", whose last size is {x.shape[-1]} and not {in_features}"
    if math.prod(x.shape[1:]) == in_features:
        return f"{text}. Flatten it first: nn.Flatten() before the layer, or x.flatten(1)"
    return (f"{text}. Make the layer with in_features={x.shape[-1]}, or change what comes "
            f"before it")


class Identity(Module):
    """y = x. It takes a place where nothing is to be done; settings of any kind mean nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """Merge the axes from ``start_dim`` to ``end_dim``: (N, C, H, W) becomes (N, C H W)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        x = tensor_of("Flatten: input", input)
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        if (self.start_dim, self.end_dim) == (1, -1):
            return ""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
