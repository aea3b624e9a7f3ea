"""Conv1d, Conv2d and ConvTranspose2d. The op: ``conv2d`` in ``ops/conv2d.py``.

Legend: N images, C channels, H x W pixels (L of a sequence); O output channels, G groups,
KH x KW kernel, OH x OW output; S stride, P padding, D dilation.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.creation import zeros
from etude.core.errors import ShapeError
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.nn.init import default_
from etude.nn.module import Module, Parameter

Size = int | tuple[int, int]


class _Conv(Module):
    """What the convolutions share: a weight, a bias, and settings that ``repr`` shows."""

    settings: dict[str, Any]  # keyword arguments of the function, by their names
    weight: Parameter
    bias: Parameter | None

    def start(self, shape: tuple[int, ...], out_channels: int, bias: bool, dtype: Any) -> None:
        self.weight = Parameter(zeros(shape, dtype=dtype))
        self.bias = Parameter(zeros(out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again: uniform in +-1/sqrt(fan-in)."""
        default_(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def channels(self) -> tuple[int, int]:
        """(in, out), read off the weight."""
        return self.weight.shape[1] * self.settings["groups"], self.weight.shape[0]

    def extra_repr(self) -> str:
        text = "{}, {}, ".format(*self.channels()) + f"kernel_size={short(self.weight.shape[2:])}"
        plain = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1}
        for name, value in self.settings.items():
            shown = short(value) if isinstance(value, tuple) else str(value)
            text += "" if shown == str(plain[name]) else f", {name}={shown}"
        return text + ("" if self.bias is not None else ", bias=False")


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
        divides("Conv2d", groups, in_channels, out_channels)
        self.settings = {"stride": pair("Conv2d", "stride", stride, 1),
                         "padding": pair("Conv2d", "padding", padding, 0),
                         "dilation": pair("Conv2d", "dilation", dilation, 1), "groups": groups}
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.start((out_channels, in_channels // groups, *kernel), out_channels, bias, dtype)

    def forward(self, x: Tensor) -> Any:
        return F.conv2d(x, self.weight, self.bias, **self.settings)


class Conv1d(_Conv):
    """Conv2d along one axis.  x: (N, C, L); weight: (O, C/G, K); y: (N, O, OL)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1,
                 padding: int = 0, dilation: int = 1, groups: int = 1, bias: bool = True,
                 dtype: Any = "float32") -> None:
        divides("Conv1d", groups, in_channels, out_channels)
        given = {"kernel_size": (kernel_size, 1), "stride": (stride, 1), "padding": (padding, 0),
                 "dilation": (dilation, 1)}
        for name, (value, least) in given.items():
            if not isinstance(value, int) or value < least:
                raise ShapeError(f"Conv1d: {name} must be an integer >= {least}, got {value!r}")
        self.settings = {"stride": stride, "padding": padding, "dilation": dilation,
                         "groups": groups}
        self.start((out_channels, in_channels // groups, kernel_size), out_channels, bias, dtype)

    def forward(self, x: Tensor) -> Any:
        return F.conv1d(x, self.weight, self.bias, **self.settings)


class ConvTranspose2d(_Conv):
    """The transpose of Conv2d: every pixel of x spreads over a window of the output.

    x: (N, C, H, W); weight: (C, O/G, KH, KW); bias: (O) or None; y: (N, O, OH, OW) with
    OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1; output_padding < stride.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size = 0, output_padding: Size = 0, groups: int = 1, bias: bool = True,
                 dilation: Size = 1, dtype: Any = "float32") -> None:
        divides("ConvTranspose2d", groups, in_channels, out_channels)
        two = {"stride": (stride, 1), "padding": (padding, 0), "output_padding":
               (output_padding, 0), "dilation": (dilation, 1)}
        self.settings = {k: pair("ConvTranspose2d", k, v, least) for k, (v, least) in two.items()}
        self.settings["groups"] = groups
        kernel = pair("ConvTranspose2d", "kernel_size", kernel_size, 1)
        self.start((in_channels, out_channels // groups, *kernel), out_channels, bias, dtype)

    def channels(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1] * self.settings["groups"]

    def forward(self, x: Tensor) -> Any:
        return F.conv_transpose2d(x, self.weight, self.bias, **self.settings)


def divides(name: str, groups: int, *channels: int) -> None:
    """ValueError unless ``groups`` divides each number of channels."""
    if groups < 1 or any(n % groups for n in channels):
        raise ValueError(f"{name}: groups={groups} must divide in_channels and out_channels, got "
                         f"{channels[0]} and {channels[1]}")


def short(size: tuple[int, ...]) -> str:
    """One number where all are the same, for ``repr``."""
    return str(size[0]) if len(set(size)) == 1 else str(size)
