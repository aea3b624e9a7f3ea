"""LayerNorm. The op: ops/layer_norm.py."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.creation import ones, zeros
from etude.nn.module import Module, Parameter
from etude.tensor import Tensor


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) weight + bias over the last axes.  x, y: (..., D).

    D stands for ``normalized_shape``, one integer or several; weight and bias have that shape
    and start at 1 and 0. Source: Ba, Kiros and Hinton 2016, Layer Normalization, section 3.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True, dtype: Any = "float32"
                 ) -> None:
        self.normalized_shape = ((normalized_shape,) if isinstance(normalized_shape, int)
                                 else tuple(normalized_shape))
        self.eps = eps
        self.weight = (Parameter(ones(self.normalized_shape, dtype=dtype))
                       if elementwise_affine else None)
        self.bias = (Parameter(zeros(self.normalized_shape, dtype=dtype))
                     if elementwise_affine and bias else None)

    def forward(self, x: Tensor) -> Any:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        size = self.normalized_shape
        text = f"{size[0] if len(size) == 1 else size}, eps={self.eps}"
        if self.weight is None:
            return text + ", elementwise_affine=False"
        return text + ("" if self.bias is not None else ", bias=False")
