"""MaxPool2d, AvgPool2d and AdaptiveAvgPool2d.

The ops: ``max_pool2d``, ``avg_pool2d`` and ``adaptive_avg_pool2d`` in ``ops/pool2d.py``.

Legend: N images, C channels, H x W pixels, OH x OW output. Sizes are one integer or two.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.nn.conv import Size, short
from etude.nn.module import Module


class _Pool(Module):
    """What the pools over windows share: window, stride (the window by default), padding."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)

    def extra_repr(self) -> str:
        text = short(self.kernel_size)
        if self.stride != self.kernel_size:
            text += f", stride={short(self.stride)}"
        if self.padding != (0, 0):
            text += f", padding={short(self.padding)}"
        return text


class MaxPool2d(_Pool):
    """The largest value of each window.  x: (N, C, H, W); y: (N, C, OH, OW).

    Raises ShapeError for a window larger than the image.
    """

    def forward(self, x: Tensor) -> Any:
        return F.max_pool2d(x, kernel_size=self.kernel_size, stride=self.stride,
                            padding=self.padding)


class AvgPool2d(_Pool):
    """The mean of each window, zeros outside counted.  x: (N, C, H, W); y: (N, C, OH, OW)."""

    def forward(self, x: Tensor) -> Any:
        return F.avg_pool2d(x, kernel_size=self.kernel_size, stride=self.stride,
                            padding=self.padding)


class AdaptiveAvgPool2d(Module):
    """The means of ``output_size`` bins that cover the image, whatever its size.

    x: (N, C, H, W); y: (N, C, OH, OW). ``AdaptiveAvgPool2d(1)`` is the mean of the image.
    """

    def __init__(self, output_size: Size) -> None:
        self.output_size = pair("AdaptiveAvgPool2d", "output_size", output_size, 1)

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return short(self.output_size)
