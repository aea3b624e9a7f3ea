"""Conv2d and MaxPool2d. The ops: ops/conv2d.py, ops/pool2d.py.

Legend: N images, C channels, H x W pixels; O output channels, KH x KW kernel, OH x OW output.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.creation import zeros
from etude.nn.init import default_
from etude.nn.module import Module, Parameter
from etude.shapes import pair
from etude.tensor import Tensor

Size = int | tuple[int, int]


class Conv2d(Module):
    """Every output pixel is a weighted sum over a window of the input, plus a bias.

    x: (N, C, H, W), taken as 0 outside; y: (N, O, OH, OW), OH = floor((H + 2 PH - KH) / SH) + 1.
    weight: (O, C, KH, KW); bias: (O) or None; both start uniform in +-1/sqrt(C KH KW). Sizes are
    one integer or two. Raises ShapeError for other channels, or a kernel larger than the image.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size = 0, bias: bool = True, dtype: Any = "float32") -> None:
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.weight = Parameter(zeros(out_channels, in_channels, *self.kernel_size, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again."""
        default_(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def forward(self, x: Tensor) -> Any:
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        out_channels, in_channels = self.weight.shape[:2]
        text = f"{in_channels}, {out_channels}, kernel_size={_short(self.kernel_size)}"
        text += "" if self.stride == (1, 1) else f", stride={_short(self.stride)}"
        text += "" if self.padding == (0, 0) else f", padding={_short(self.padding)}"
        return text + ("" if self.bias is not None else ", bias=False")


class MaxPool2d(Module):
    """The largest value of each window.  x: (N, C, H, W); y: (N, C, OH, OW).

    The stride is the window by default. Raises ShapeError for a window larger than the image.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size = pair("MaxPool2d", "kernel_size", kernel_size, 1)
        self.stride = (self.kernel_size if stride is None
                       else pair("MaxPool2d", "stride", stride, 1))
        self.padding = pair("MaxPool2d", "padding", padding, 0)

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(x, kernel_size=self.kernel_size, stride=self.stride,
                            padding=self.padding)

    def extra_repr(self) -> str:
        text = _short(self.kernel_size)
        text += "" if self.stride == self.kernel_size else f", stride={_short(self.stride)}"
        return text + ("" if self.padding == (0, 0) else f", padding={_short(self.padding)}")


def _short(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else str(size)
