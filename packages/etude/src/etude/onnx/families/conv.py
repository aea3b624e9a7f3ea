"""Convolutions, and the backward of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def window(node: Node, x: Tensor, kernel: tuple[int, ...]) -> Window:
    """The attributes of a convolution or a pooling as numbers for each axis.

    Read together because SAME_UPPER and SAME_LOWER follow from all of them.
    """
    n = len(kernel)
    strides = node.get("strides", (1,) * n)
    apart = node.get("dilations", (1,) * n)
    pads = node.get("pads", (0,) * (2 * n))
    how = one_of(node, "auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if len(strides) != n or len(apart) != n or len(pads) != 2 * n or x.ndim != n + 2:
        raise ShapeError(f"{node.op}: kernel {list(kernel)}, strides {list(strides)}, dilations "
                         f"{list(apart)} and pads {list(pads)} do not fit x {list(x.shape)}")
    before, after = list(pads[:n]), list(pads[n:])
    if how != "NOTSET":
        before, after = [0] * n, [0] * n
    for i in range(n if how.startswith("SAME") else 0):
        size = x.shape[2 + i]
        total = (-(-size // strides[i]) - 1) * strides[i] + apart[i] * (kernel[i] - 1) + 1 - size
        small, large = max(total, 0) // 2, -(-max(total, 0) // 2)
        before[i], after[i] = (small, large) if how == "SAME_UPPER" else (large, small)
    return Window(tuple(kernel), tuple(strides), tuple(apart), tuple(before), tuple(after))


@dataclass
class Window:
    """For each spatial axis."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    apart: tuple[int, ...]  # dilations
    before: tuple[int, ...]  # padding
    after: tuple[int, ...]

    def planar(self) -> Window:
        """As for an image: one axis more, of size 1, for what has a single one."""
        if len(self.kernel) == 2:
            return self
        if len(self.kernel) != 1:
            raise Refused(f"{len(self.kernel)} spatial axes; Etude has one and two")
        return Window((1, *self.kernel), (1, *self.strides), (1, *self.apart), (0, *self.before),
                      (0, *self.after))


def as_image(x: Tensor) -> Any:
    """(N, C, L) as (N, C, 1, L)."""
    return x.unsqueeze(2) if x.ndim == 3 else x


def padded(x: Any, w: Window, value: float = 0.0) -> tuple[Any, tuple[int, int]]:
    """An image with what Etude's ops cannot pad themselves, and what is left for them to pad:
    they take one number for both sides of an axis.
    """
    if w.before == w.after and min(w.before) >= 0:
        return x, (w.before[0], w.before[1])
    (top, left), (bottom, right) = w.before, w.after
    return F.pad(x, (left, right, top, bottom), value=value), (0, 0)


@reads("Conv")
def _conv(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    kernel = node.get("kernel_shape", weight.shape[2:])
    if tuple(kernel) != weight.shape[2:]:
        raise ShapeError(f"Conv: kernel_shape {list(kernel)} is not that of the weight "
                         f"{list(weight.shape)}")
    w = window(node, x, weight.shape[2:]).planar()
    image, around = padded(as_image(x), w)
    y = F.conv2d(image, as_image(weight), bias, w.strides, around, w.apart, node.get("group", 1))
    return y.squeeze(2) if x.ndim == 3 else y


differs("Conv, pooling", "padding may differ on the two sides, or be SAME_UPPER or SAME_LOWER",
        "one number for both sides", "handled: `pad` does what is uneven")
differs("Conv, pooling of volumes", "any number of spatial axes", "one and two",
        "refused: three and more")


@reads("ConvTranspose")
def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """The whole output, of which ``pads`` are cut off; ``output_padding`` adds to its end."""
    n, kernel = x.ndim - 2, weight.shape[2:]
    group, given = node.get("group", 1), node.get("kernel_shape", kernel)
    more, shape = node.get("output_padding", (0,) * n), node.get("output_shape")
    how = one_of(node, "auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pads = node.get("pads", (0,) * (2 * n))
    strides, apart = node.get("strides", (1,) * n), node.get("dilations", (1,) * n)
    if tuple(given) != kernel:
        raise ShapeError(f"ConvTranspose: kernel_shape {list(given)} is not that of the weight "
                         f"{list(weight.shape)}")
    w = Window(kernel, tuple(strides), tuple(apart), (0,) * n, (0,) * n).planar()
    y = F.conv_transpose2d(as_image(x), as_image(weight), None, w.strides, 0, 0, group, w.apart)
    y = y.squeeze(2) if x.ndim == 3 else y
    cut = []
    for i in range(n):
        if shape is not None or how.startswith("SAME"):
            wanted = shape[-n:][i] if shape is not None else x.shape[2 + i] * strides[i]
            total = y.shape[2 + i] + more[i] - wanted
            small = total // 2
            before = small if how == "SAME_UPPER" else total - small
            cut.append((-before, wanted - y.shape[2 + i] + before))
        elif how == "VALID":
            cut.append((0, more[i]))
        else:
            cut.append((-pads[i], more[i] - pads[n + i]))
    y = F.pad(y, [m for pair in reversed(cut) for m in pair])
    return y if bias is None else y + bias.reshape(-1, *[1] * n)


@reads("ConvInteger", since=10)
def _conv_integer(node: Node, x: Tensor, weight: Tensor, x_zero: Tensor | None = None,
                  weight_zero: Tensor | None = None) -> Any:
    """In float64, which holds every sum of products of bytes that memory can hold."""
    a = x.double() if x_zero is None else (x - x_zero).double()
    b = weight if weight_zero is None else weight - (
        weight_zero.reshape(-1, *[1] * (weight.ndim - 1)) if weight_zero.ndim else weight_zero)
    return _conv(node, a, b.double()).long()


# ------------------------------------------------------------------ To ONNX


@writes("conv2d")
def conv2d(call: Call, build: Build) -> str:
    attrs = call.attrs
    return build.node("Conv", *call.inputs, kernel_shape=list(call.shapes[1][2:]),
                      strides=list(attrs["stride"]), pads=[*attrs["padding"], *attrs["padding"]],
                      dilations=list(attrs["dilation"]), group=attrs["groups"])
