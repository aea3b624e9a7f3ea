"""Conv1d, Conv2d and ConvTranspose2d. The op: ``conv2d`` in ``ops/conv2d.py``.

Legend: N images, C channels, H x W pixels (L of a sequence); O output channels, G groups,
KH x KW kernel, OH x OW output; S stride, P padding, D dilation.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.creation import zeros
from etude.core.errors import ShapeError
from etude.core.given import integer, whole
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.nn.init import default_
from etude.nn.module import Module, Parameter

Size = int | tuple[int, int]


#: The settings that ``repr`` shows where they are not these.
PLAIN = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}


class _Conv(Module):
    """What the convolutions share: a weight, a bias, and how they are shown."""

    groups: int
    weight: Parameter
    bias: Parameter | None

    def start(self, shape: tuple[int, ...], out_channels: int, bias: bool, dtype: Any) -> None:
        """Make weight and bias, and draw their first values."""
        self.weight = Parameter(zeros(shape, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again: uniform in +-1/sqrt(fan-in)."""
        default_(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def channels(self) -> tuple[int, int]:
        """(in, out), read off the weight."""
        return self.weight.shape[1] * self.groups, self.weight.shape[0]

    def extra_repr(self) -> str:
        in_channels, out_channels = self.channels()
        text = f"{in_channels}, {out_channels}, kernel_size={short(self.weight.shape[2:])}"
        for name, plain in PLAIN.items():
            value = getattr(self, name, plain)  # only one of the layers has output_padding
            shown = short(value) if isinstance(value, tuple) else str(value)
            if shown != str(plain):
                text += f", {name}={shown}"
        return text if self.bias is not None else text + ", bias=False"


class Conv2d(_Conv):
    """Every output pixel is a weighted sum over a window of the input, plus a bias.

    x: (N, C, H, W), taken as 0 outside; y: (N, O, OH, OW),
    OH = floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1. weight: (O, C/G, KH, KW); bias: (O) or
    None; both start uniform in +-1/sqrt(C/G KH KW). Sizes are one integer or two. Raises
    ShapeError for other channels, or a kernel larger than the image.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
                 dtype: Any = "float32") -> None:
        groups, in_channels, out_channels = divides("Conv2d", groups, in_channels, out_channels)
        self.groups = groups
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = pair("Conv2d", "padding", padding, 0)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.start((out_channels, in_channels // groups, *kernel), out_channels, bias, dtype)

    def forward(self, x: Tensor) -> Any:
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                        dilation=self.dilation, groups=self.groups)


class Conv1d(_Conv):
    """Conv2d along one axis.  x: (N, C, L); weight: (O, C/G, K); y: (N, O, OL)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
                 padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = True,
                 dtype: Any = "float32") -> None:
        groups, in_channels, out_channels = divides("Conv1d", groups, in_channels, out_channels)
        self.groups = groups
        self.stride = integer("Conv1d: stride", stride, 1, ShapeError)
        self.padding = integer("Conv1d: padding", padding, 0, ShapeError)
        self.dilation = integer("Conv1d: dilation", dilation, 1, ShapeError)
        kernel = integer("Conv1d: kernel_size", kernel_size, 1, ShapeError)
        self.start((out_channels, in_channels // groups, kernel), out_channels, bias, dtype)

    def forward(self, x: Tensor) -> Any:
        return F.conv1d(x, self.weight, self.bias, stride=self.stride, padding=self.padding,
                        dilation=self.dilation, groups=self.groups)


class ConvTranspose2d(_Conv):
    """The transpose of Conv2d: every pixel of x spreads over a window of the output.

    x: (N, C, H, W); weight: (C, O/G, KH, KW); bias: (O) or None; y: (N, O, OH, OW) with
    OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1; output_padding < stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size = 0, output_padding: Size = 0, groups: int = 1, bias: bool = True,
                 dilation: Size = 1, dtype: Any = "float32") -> None:
        name = "ConvTranspose2d"
        groups, in_channels, out_channels = divides(name, groups, in_channels, out_channels)
        self.groups = groups
        self.stride = pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        self.output_padding = pair(name, "output_padding", output_padding, 0)
        self.dilation = pair(name, "dilation", dilation, 1)
        kernel = pair(name, "kernel_size", kernel_size, 1)
        self.start((in_channels, out_channels // groups, *kernel), out_channels, bias, dtype)

    def channels(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1] * self.groups

    def forward(self, x: Tensor) -> Any:
        return F.conv_transpose2d(x, self.weight, self.bias, stride=self.stride,
                                  padding=self.padding, output_padding=self.output_padding,
                                  groups=self.groups, dilation=self.dilation)


def divides(name: str, groups: Any, inside: Any, outside: Any) -> tuple[int, int, int]:
    """The three as Python's integers. ValueError unless ``groups`` divides the other two."""
    C = integer(f"{name}: in_channels", inside, 0)
    O = integer(f"{name}: out_channels", outside, 0)  # noqa: E741 - the legend's name
    G = whole(groups)
    if G is None or G < 1 or C % G or O % G:
        raise ValueError(f"{name}: groups={groups} must divide in_channels and out_channels, got "
                         f"{C} and {O}")
    return G, C, O


def short(size: tuple[int, ...]) -> str:
    """A size for ``repr``: one number where all its numbers are the same."""
    return str(size[0]) if len(set(size)) == 1 else str(size)
