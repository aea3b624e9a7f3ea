"""Conv1d, Conv2d and ConvTranspose2d. The op: ``conv2d`` in ``ops/conv2d.py``.

Legend: N images, C channels, H x W pixels (L of a sequence); O output channels, G groups,
KH x KW kernel, OH x OW output; S stride, P padding, D dilation.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.given import integer, whole
from etude.core.shapes import pair
from etude.core.tensor import Tensor
from etude.nn.init import default_
from etude.nn.module import Module, Parameter, parameter, spec_given, tensor_of

Size = int | tuple[int, int]
Size1 = int | tuple[int]

#: The settings that ``repr`` shows where they are not these.
PLAIN = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1,
         "padding_mode": "'zeros'"}
MODES = ("zeros", "reflect", "replicate", "circular")


class _Conv(Module):
    """What the convolutions share: a weight, a bias, what is around the image, ``repr``."""

    groups: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[int, ...] | str
    padding_mode: str
    weight: Parameter
    bias: Parameter | None

    def start(self, shape: tuple[int, ...], out_channels: int, bias: bool, device: Any,
              dtype: Any) -> None:
        """Make weight and bias, and draw their first values."""
        self.weight = parameter(*shape, device=device, dtype=dtype)
        self.bias = parameter(out_channels, device=device, dtype=dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first values again: uniform in +-1/sqrt(fan-in)."""
        default_(self.weight.detach(), None if self.bias is None else self.bias.detach())

    def channels(self) -> tuple[int, int]:
        """(in, out), read off the weight."""
        return self.weight.shape[1] * self.groups, self.weight.shape[0]

    def surround(self, x: Tensor) -> tuple[Tensor, Any]:
        """x with its padding, and the padding of zeros that is left for the op."""
        if self.padding_mode == "zeros":
            return x, self.padding
        sizes = [(n, n) for n in self.padding if not isinstance(n, str)]
        if self.padding == "valid":
            sizes = []
        elif self.padding == "same":  # all that a window of stride 1 lacks
            lacks = [d * (k - 1) for d, k in zip(self.dilation, self.weight.shape[2:])]
            sizes = [(n // 2, n - n // 2) for n in lacks]
        amounts = [n for both in reversed(sizes) for n in both]  # the last axis comes first
        return F.pad(x, amounts, self.padding_mode), 0

    def misfit(self, input: Any, output_size: Any = None) -> str:
        x, (channels, _out), axes = spec_given(input), self.channels(), self.weight.ndim - 2
        layout = "C, L" if axes == 1 else "C, H, W"
        text = f"{type(self).__name__}(in_channels={channels}, ...) got an input {x}"
        if x.ndim not in (axes + 1, axes + 2):
            return f"{text}; it takes (N, {layout}) or ({layout})"
        given = x.shape[-axes - 1]
        if given == channels:
            return ""
        text += f", ({layout if x.ndim == axes + 1 else f'N, {layout}'}) with C = {given}"
        if x.ndim == axes + 1 and channels == 1:
            return f"{text}. If the first axis counts samples, x.unsqueeze(1) adds one of channels"
        if x.shape[-1] == channels:
            order = [*range(x.ndim - axes - 1), x.ndim - 1, *range(x.ndim - axes - 1, x.ndim - 1)]
            return (f"{text}. The channels stand before the other axes of an image: "
                    f"x.permute({', '.join(map(str, order))})")
        return f"{text}. Make the layer with in_channels={given}, or change what comes before it"

    def extra_repr(self) -> str:
        in_channels, out_channels = self.channels()
        text = f"{in_channels}, {out_channels}, kernel_size={short(self.weight.shape[2:])}"
        for name, plain in PLAIN.items():
            value = getattr(self, name, plain)  # only one of the layers has output_padding
            shown = short(value) if isinstance(value, tuple) else (
                repr(value) if isinstance(value, str) else str(value))
            if shown != str(plain):
                text += f", {name}={shown}"
        return text if self.bias is not None else text + ", bias=False"


class Conv2d(_Conv):
    """Every output pixel is a weighted sum over a window of the input, plus a bias.

    x: (N, C, H, W) or (C, H, W), with ``padding`` around it; y: (N, O, OH, OW),
    OH = floor((H + 2 PH - DH (KH - 1) - 1) / SH) + 1. ``padding`` is one size or two, "valid" for
    none or "same" for as much as keeps H and W; ``padding_mode`` fills it: "zeros", "reflect",
    "replicate" or "circular" (as ``functional.pad``). weight: (O, C/G, KH, KW); bias: (O) or None;
    both start uniform in +-1/sqrt(C/G KH KW). Sizes are one integer or two. Raises ShapeError for
    other channels, or a kernel larger than the image.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size | str = 0, dilation: Size = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        groups, in_channels, out_channels = divides("Conv2d", groups, in_channels, out_channels)
        self.groups = groups
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.padding = _padding("Conv2d", padding, self.stride, pair)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding_mode = _mode("Conv2d", padding_mode, MODES)
        kernel = pair("Conv2d", "kernel_size", kernel_size, 1)
        shape = (out_channels, in_channels // groups, *kernel)
        self.start(shape, out_channels, bias, device, dtype)

    def forward(self, input: Tensor) -> Any:
        x, padding = self.surround(input)
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=padding,
                        dilation=self.dilation, groups=self.groups)


class Conv1d(_Conv):
    """Conv2d along one axis.  x: (N, C, L) or (C, L); weight: (O, C/G, K); y: (N, O, OL)."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size1, stride: Size1 = 1,
                 padding: Size1 | str = 0, dilation: Size1 = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:
        groups, in_channels, out_channels = divides("Conv1d", groups, in_channels, out_channels)
        self.groups = groups
        self.stride = single("Conv1d", "stride", stride, 1)
        self.padding = _padding("Conv1d", padding, self.stride, single)
        self.dilation = single("Conv1d", "dilation", dilation, 1)
        self.padding_mode = _mode("Conv1d", padding_mode, MODES)
        kernel = single("Conv1d", "kernel_size", kernel_size, 1)
        shape = (out_channels, in_channels // groups, *kernel)
        self.start(shape, out_channels, bias, device, dtype)

    def forward(self, input: Tensor) -> Any:
        x, padding = self.surround(input)
        return F.conv1d(x, self.weight, self.bias, stride=self.stride, padding=padding,
                        dilation=self.dilation, groups=self.groups)


class ConvTranspose2d(_Conv):
    """The transpose of Conv2d: every pixel of x spreads over a window of the output.

    x: (N, C, H, W) or (C, H, W); weight: (C, O/G, KH, KW); bias: (O) or None; y: (N, O, OH, OW)
    with OH = (H - 1) SH - 2 PH + DH (KH - 1) + output_padding + 1, where output_padding is less
    than the larger of stride and dilation. ``forward(x, output_size=None)`` takes (OH, OW) in its
    place. Only zeros are around the image.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Size, stride: Size = 1,
                 padding: Size = 0, output_padding: Size = 0, groups: int = 1, bias: bool = True,
                 dilation: Size = 1, padding_mode: str = "zeros", device: Any = None,
                 dtype: Any = None) -> None:
        name = "ConvTranspose2d"
        groups, in_channels, out_channels = divides(name, groups, in_channels, out_channels)
        self.groups = groups
        self.stride = pair(name, "stride", stride, 1)
        self.padding: tuple[int, int] = pair(name, "padding", padding, 0)
        self.output_padding = pair(name, "output_padding", output_padding, 0)
        self.dilation = pair(name, "dilation", dilation, 1)
        self.padding_mode = _mode(name, padding_mode, ("zeros",))
        kernel = pair(name, "kernel_size", kernel_size, 1)
        shape = (in_channels, out_channels // groups, *kernel)
        self.start(shape, out_channels, bias, device, dtype)

    def channels(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1] * self.groups

    def forward(self, input: Tensor, output_size: tuple[int, ...] | None = None) -> Any:
        extra = self.output_padding if output_size is None else self._lacking(input, output_size)
        return F.conv_transpose2d(input, self.weight, self.bias, stride=self.stride,
                                  padding=self.padding, output_padding=extra, groups=self.groups,
                                  dilation=self.dilation)

    def _lacking(self, x: Tensor, output_size: tuple[int, ...]) -> tuple[int, ...]:
        """The output_padding that makes the output ``output_size``, of which H and W count."""
        x = tensor_of("ConvTranspose2d: input", x)
        least = [(n - 1) * s - 2 * p + d * (k - 1) + 1 for n, s, p, d, k in zip(
            x.shape[-2:], self.stride, self.padding, self.dilation, self.weight.shape[2:])]
        most = [n + max(s, d) - 1 for n, s, d in zip(least, self.stride, self.dilation)]
        given = list(output_size) if isinstance(output_size, (tuple, list)) else [output_size]
        wanted = [n for n in map(whole, given[-2:]) if n is not None]
        if len(wanted) != 2 or not all(a <= n <= b for a, n, b in zip(least, wanted, most)):
            raise ShapeError(f"ConvTranspose2d: from x {list(x.shape)} an output_size is between "
                             f"{least} and {most}, got {given}")
        return tuple([n - a for n, a in zip(wanted, least)])


def single(name: str, arg: str, value: Any, least: int) -> tuple[int]:
    """A setting along one axis: an integer, or a tuple of one."""
    one = value[0] if isinstance(value, (tuple, list)) and len(value) == 1 else value
    return (integer(f"{name}: {arg}", one, least, ShapeError),)


def _padding(name: str, given: Any, stride: tuple[int, ...], sizes: Any) -> Any:
    """``padding`` as sizes or a word. ValueError for a word it is not, and "same" with a stride."""
    if not isinstance(given, str):
        return sizes(name, "padding", given, 0)
    if given not in ("same", "valid"):
        raise ValueError(f"{name}: padding is a size, 'same' or 'valid', got {given!r}")
    if given == "same" and set(stride) != {1}:
        raise ValueError(f"{name}: padding='same' keeps the size of the image, which a stride of "
                         f"{short(stride)} does not; give the padding as a number")
    return given


def _mode(name: str, given: str, allowed: tuple[str, ...]) -> str:
    """``padding_mode``. ValueError for one that the layer does not have."""
    if given not in allowed:
        raise ValueError(f"{name}: padding_mode must be {' or '.join(map(repr, allowed))}, got "
                         f"{given!r}")
    return given


def divides(name: str, groups: Any, inside: Any, outside: Any) -> tuple[int, int, int]:
    """The three as Python's integers. ValueError unless ``groups`` divides the other two."""
    C = integer(f"{name}: in_channels", inside, 0)
    O = integer(f"{name}: out_channels", outside, 0)  # noqa: E741 - the legend's name
    G = whole(groups)
    if G is None or G < 1 or C % G or O % G:
        raise ValueError(f"{name}: groups={groups} must divide in_channels and out_channels, got "
                         f"{C} and {O}")
    return G, C, O


def short(size: tuple[int | None, ...]) -> str:
    """A size for ``repr``: one number where all its numbers are the same."""
    return str(size[0]) if len(set(size)) == 1 else str(size)
