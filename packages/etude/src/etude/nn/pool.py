"""MaxPool2d, AvgPool2d and AdaptiveAvgPool2d.

The ops: ``max_pool2d``, ``avg_pool2d`` and ``adaptive_avg_pool2d`` in ``ops/pool2d.py``.

Legend: N images, C channels, H x W pixels, OH x OW output. Sizes are one integer or two.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.given import whole
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.nn.conv import Size, short
from etude.nn.module import Module

#: The settings that ``repr`` shows where they are not these.
PLAIN = {"padding": (0, 0), "dilation": (1, 1), "return_indices": False, "ceil_mode": False,
         "count_include_pad": True, "divisor_override": None}


class _Pool(Module):
    """What the pools over windows share: window, stride (the window by default), padding."""

    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    ceil_mode: bool

    def start(self, kernel_size: Size, stride: Size | None, padding: Size, ceil_mode: bool) -> None:
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        text = short(self.kernel_size)
        if self.stride != self.kernel_size:
            text += f", stride={short(self.stride)}"
        for name, plain in PLAIN.items():
            value = getattr(self, name, plain)
            if value != plain:
                text += f", {name}={short(value) if isinstance(value, tuple) else value}"
        return text


class MaxPool2d(_Pool):
    """The largest value of each window.  x: (N, C, H, W) or (C, H, W); y: (N, C, OH, OW).

    OH = floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1, with ``ceil_mode`` ceil, if that window
    starts within the image or the padding before it. With ``return_indices`` y comes with where
    its values were, (N, C, OH, OW) int64, counted through H W. Raises ShapeError for a window
    larger than the image.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 dilation: Size = 1, return_indices: bool = False, ceil_mode: bool = False) -> None:
        self.start(kernel_size, stride, padding, ceil_mode)
        self.dilation = pair("MaxPool2d", "dilation", dilation, 1)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(input, kernel_size=self.kernel_size, stride=self.stride,
                            padding=self.padding, dilation=self.dilation,
                            ceil_mode=self.ceil_mode, return_indices=self.return_indices)


class AvgPool2d(_Pool):
    """The mean of each window.  x: (N, C, H, W) or (C, H, W); y: (N, C, OH, OW), as MaxPool2d's.

    The zeros outside count, unless ``count_include_pad`` is False; ``divisor_override`` is what
    the sum is divided by in place of their number.
    """

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0,
                 ceil_mode: bool = False, count_include_pad: bool = True,
                 divisor_override: int | None = None) -> None:
        self.start(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Any:
        return F.avg_pool2d(input, kernel_size=self.kernel_size, stride=self.stride,
                            padding=self.padding, ceil_mode=self.ceil_mode,
                            count_include_pad=self.count_include_pad,
                            divisor_override=self.divisor_override)


class AdaptiveAvgPool2d(Module):
    """The means of ``output_size`` bins that cover the image, whatever its size.

    x: (N, C, H, W) or (C, H, W); y: (N, C, OH, OW). ``AdaptiveAvgPool2d(1)`` is the mean of the
    image; None in place of a size keeps that of the image.
    """

    def __init__(self, output_size: int | tuple[int | None, int | None] | None) -> None:
        both = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * 2
        pair("AdaptiveAvgPool2d", "output_size", [1 if n is None else n for n in both], 1)
        self.output_size = tuple([None if n is None else whole(n) for n in both])

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        return short(self.output_size)
