"""Pooling: the largest or the mean of a window."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.families.conv import Window, as_image, window
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads, writes
from etude.onnx.values import filled, ints, like
from etude.ops import pool2d

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _windows(node: Node, x: Tensor) -> tuple[Window, tuple[int, int]]:
    """The windows of a pooling, and how far the last ones reach beyond the padded image where
    ``ceil_mode`` rounds their number up. None begins in the padding behind the image.
    """
    w = window(node, x, tuple(node.get("kernel_shape"))).planar()
    sizes, up = as_image(x).shape[2:], node.get("ceil_mode", 0)
    beyond = []
    for n, k, s, d, a, b in zip(sizes, w.kernel, w.strides, w.apart, w.before, w.after,
                                strict=True):
        room, reach = n + a + b, d * (k - 1) + 1
        count = (-(-(room - reach) // s) if up else (room - reach) // s) + 1
        if up and (count - 1) * s >= n + a:
            count -= 1
        beyond.append(max((count - 1) * s + reach - room, 0))
    return w, (beyond[0], beyond[1])


def _bordered(x: Any, w: Window, beyond: tuple[int, int], value: float) -> Any:
    """An image with its padding, and with what the last windows need beyond it."""
    (top, left), (bottom, right) = w.before, w.after
    sides = (left, right + beyond[1], top, bottom + beyond[0])
    return F.pad(x, sides, value=value) if any(sides) else x


@reads("MaxPool")
def _max_pool(node: Node, x: Tensor) -> Any:
    down = node.get("storage_order", 0)
    w, beyond = _windows(node, x)
    image = as_image(x if x.dtype.kind == "f" else x.double())
    y, places = F.max_pool2d(_bordered(image, w, beyond, -math.inf), w.kernel, w.strides, 0,
                             w.apart, return_indices=True)
    if not node.wants(1):
        return _as_given(y, x)
    height, width = image.shape[2:]
    wide = width + w.before[1] + w.after[1] + beyond[1]
    rows, columns = F.floor_divide(places, wide) - w.before[0], F.remainder(places, wide)
    columns = columns - w.before[1]
    flat = columns * height + rows if down else rows * width + columns
    planes = like(x, np.arange(image.shape[0] * image.shape[1]) * (height * width), np.int64)
    index = flat + planes.reshape(*image.shape[:2], 1, 1)
    return _as_given(y, x), index.squeeze(2) if x.ndim == 3 else index


def _as_given(y: Any, x: Tensor) -> Any:
    y = y if x.dtype.kind == "f" else y.to(x.dtype)
    return y.squeeze(2) if x.ndim == 3 else y


differs("MaxPool, GlobalMaxPool of NaN", "not said: onnxruntime drops NaN", "NaN",
        "handled: NaN, as in onnx's reference evaluator")
differs("MaxPool with indices", "of the whole array, of the unpadded image", "of a plane",
        "handled: counted anew; `storage_order` too")


def _sums(image: Any, w: Window) -> Any:
    """The sum over each window, as a convolution with ones, plane by plane."""
    planes = image.reshape(-1, 1, *image.shape[2:])
    ones = filled(image, (1, 1, *w.kernel), 1.0)
    y = F.conv2d(planes, ones, None, w.strides, 0, w.apart)
    return y.reshape(*image.shape[:2], *y.shape[2:])


@reads("AveragePool", since=7)
def _average_pool(node: Node, x: Tensor) -> Any:
    whole = node.get("count_include_pad", 0)
    w, beyond = _windows(node, x)
    image = as_image(x)
    if w.apart == (1, 1) and not any((*w.before, *w.after, *beyond)):
        return _as_given(F.avg_pool2d(image, w.kernel, w.strides), x)
    ones = filled(x, (1, 1, *image.shape[2:]), 1.0)
    padded = _bordered(ones, w, (0, 0), 1.0 if whole else 0.0)
    counted = _sums(F.pad(padded, (0, beyond[1], 0, beyond[0])), w)
    return _as_given(_sums(_bordered(image, w, beyond, 0.0), w) / counted, x)


differs("AveragePool", "padding counts where `count_include_pad` is 1; the default is 0",
        "the default of `avg_pool2d` is to count it", "handled: sums are divided by what counts; "
        "what `ceil_mode` adds beyond the padding never does")


@reads("LpPool", since=2)
def _lp_pool(node: Node, x: Tensor) -> Any:
    p = float(node.get("p", 2))
    w, beyond = _windows(node, x)
    powers = F.pow(F.abs(as_image(x)), p)
    return _as_given(F.pow(_sums(_bordered(powers, w, beyond, 0.0), w), 1.0 / p), x)


def _over_planes(fn: Any) -> Any:
    return lambda node, x: fn(node, x, tuple(range(2, x.ndim)))


reads("GlobalAveragePool")(_over_planes(lambda node, x, dims: F.mean(x, dims, True)))
reads("GlobalMaxPool")(_over_planes(lambda node, x, dims: F.amax(x, dims, True)))
reads("GlobalLpPool", since=2)(
    _over_planes(lambda node, x, dims: F.norm(x, node.get("p", 2), dims, True)))


@reads("MaxUnpool", since=9)
def _max_unpool(node: Node, x: Tensor, index: Tensor, shape: Tensor | None = None) -> Any:
    """Each value where MaxPool found it, 0 elsewhere. The places are those of the smaller output
    that the kernel implies, which a larger ``output_shape`` has in its first corner.
    """
    w = window(node, x, tuple(node.get("kernel_shape")))
    least = [(n - 1) * s + k - a - b for n, s, k, a, b in zip(
        x.shape[2:], w.strides, w.kernel, w.before, w.after, strict=True)]
    small = (*x.shape[:2], *least)
    zeros = filled(x, (math.prod(small),), 0.0)
    y = F.scatter_add(zeros, 0, index.reshape(-1), x.reshape(-1)).reshape(small)
    if shape is None:
        return y
    more = [wanted - n for wanted, n in zip(ints(shape), small, strict=True)]
    return F.pad(y, [m for n in reversed(more) for m in (0, n)])


# ------------------------------------------------------------------ To ONNX

differs("max_pool2d", "says nothing of NaN in MaxPool; runtimes drop it", "NaN counts as largest",
        "handled: a second MaxPool over IsNaN(x) says where one was, unless finite=True")
differs("max_pool2d", "Indices count through the whole tensor", "index counts through H x W",
        "handled: taken modulo H W")
differs("max_pool2d, avg_pool2d",
        "ceil_mode: versions differ in windows that begin in the padding",
        "a window that begins behind the image is left out",
        "handled: ceil_mode is not used; the padding at the end is made longer")
differs("avg_pool2d", "what ceil_mode adds counts or not, by version",
        "what sticks out behind the padding never counts, and divisor_override",
        "handled: the windows' sums are divided by constants")
differs("adaptive_avg_pool2d", "has no such op, but for one bin", "bins of any number",
        "handled: AveragePool where bins are equal; else means of slices")


GEOMETRY: Any = pool2d  # the reference, which says where windows and bins are


def _pads(call: Call, dilation: tuple[int, int]) -> tuple[list[int], bool]:
    """(the pads of a pool, whether the end's are longer than ``padding``): what ceil_mode means."""
    from etude.onnx.build import numbers

    attrs = call.attrs
    size = numbers(call.shapes[0][2:], "the size of the image")
    ends = []
    for n, k, s, p, d in zip(size, attrs["kernel_size"], attrs["stride"], attrs["padding"],
                             dilation, strict=True):
        last = (GEOMETRY._count(n, k, s, p, d, attrs["ceil_mode"]) - 1) * s - p + d * (k - 1) + 1
        ends.append(max(p, last - n))
    return [*attrs["padding"], *ends], tuple(ends) != tuple(attrs["padding"])


@writes("max_pool2d")
def max_pool2d(call: Call, build: Build) -> list[str]:
    (x,), attrs = call.inputs, call.attrs
    pads, _ = _pads(call, attrs["dilation"])
    how = {"kernel_shape": list(attrs["kernel_size"]), "strides": list(attrs["stride"]),
           "pads": pads}
    if tuple(attrs["dilation"]) != (1, 1):
        how["dilations"] = list(attrs["dilation"])
    indexed = call.used[1]
    made = build.several("MaxPool", x, outputs=2 if indexed else 1, **how)
    y, index = made[0], made[-1]
    if not build.finite:
        # One MaxPool of flags: where a window has a NaN, and its first one. Where it has none,
        # all flags are 0, so the index is that of its first pixel.
        flags = build.cast(build.node("IsNaN", x), np.float32)
        seen = build.several("MaxPool", flags, outputs=2 if indexed else 1, **how)
        some = build.node("Greater", seen[0], build.constant(0, np.float32))
        y = build.node("Where", some, build.constant(np.nan, call.dtype), y)
        if indexed:
            least = build.node("Equal", made[0], build.constant(-np.inf, call.dtype))
            first = build.node("Or", some, least)
            index = build.node("Where", first, seen[1], index)
    if not indexed:
        return [y]
    plane = build.count(call.shapes[0][2:], np.int64)
    return [y, build.node("Mod", index, plane)]


@writes("avg_pool2d")
def avg_pool2d(call: Call, build: Build) -> str:
    (x,), attrs = call.inputs, call.attrs
    pads, longer = _pads(call, (1, 1))
    counted = attrs["count_include_pad"]
    how = {"kernel_shape": list(attrs["kernel_size"]), "strides": list(attrs["stride"])}
    if attrs["divisor_override"] is None and not longer:
        return build.node("AveragePool", x, pads=pads, count_include_pad=int(counted), **how)
    if any(pads):
        top, left, below, right = pads
        amounts = build.ints(0, 0, top, left, 0, 0, below, right)
        x = build.node("Pad", x, amounts, build.constant(0, call.dtype))
    mean = build.node("AveragePool", x, **how)
    by = GEOMETRY._divisors(
        call.shapes[0][2:], attrs["kernel_size"], attrs["stride"], attrs["padding"],
        attrs["ceil_mode"], counted, attrs["divisor_override"])
    whole = attrs["kernel_size"][0] * attrs["kernel_size"][1]
    return build.node("Mul", mean, build.constant(whole / np.asarray(by, np.float64), call.dtype))


@writes("adaptive_avg_pool2d")
def adaptive_avg_pool2d(call: Call, build: Build) -> str:
    from etude.onnx.build import numbers

    (x,), wanted = call.inputs, call.attrs["output_size"]
    size = numbers(call.shapes[0][2:], "the size of the image")
    if tuple(wanted) == (1, 1):
        return build.node("GlobalAveragePool", x)
    if 0 not in wanted and all(n % count == 0 for n, count in zip(size, wanted, strict=True)):
        window = [n // count for n, count in zip(size, wanted, strict=True)]
        return build.node("AveragePool", x, kernel_shape=window, strides=window)
    y: str = x
    for axis, n, count in zip((2, 3), size, wanted, strict=True):
        y = _binned(y, axis, GEOMETRY._bins(n, count), build)
    return y


def _binned(x: str, axis: int, bins: list[slice], build: Build) -> str:
    """The mean of each bin along one axis: a mean over a rectangle is a mean of means."""
    where = build.ints(axis)
    parts = [build.node("Slice", x, build.ints(b.start), build.ints(b.stop), where) for b in bins]
    return build.node("Concat", *[build.reduce("ReduceMean", part, [axis], True)
                                  for part in parts], axis=axis)
