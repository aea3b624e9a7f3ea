"""Pooling: the largest or the mean of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import differs, writes
from etude.ops.pool2d import _bins, _count, _divisors

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












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


def _pads(call: Call, dilation: tuple[int, int]) -> tuple[list[int], bool]:
    """(the pads of a pool, whether the end's are longer than ``padding``): what ceil_mode means."""
    from etude.onnx.build import numbers

    attrs = call.attrs
    size = numbers(call.shapes[0][2:], "the size of the image")
    ends = []
    for n, k, s, p, d in zip(size, attrs["kernel_size"], attrs["stride"], attrs["padding"],
                             dilation, strict=True):
        last = (_count(n, k, s, p, d, attrs["ceil_mode"]) - 1) * s - p + d * (k - 1) + 1
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
    made = build.node("MaxPool", x, outputs=2 if indexed else 1, **how)
    y, index = made[0], made[-1]
    if not build.finite:
        # One MaxPool of flags: where a window has a NaN, and its first one. Where it has none,
        # all flags are 0, so the index is that of its first pixel.
        flags = build.cast(build.node("IsNaN", x), np.float32)
        seen = build.node("MaxPool", flags, outputs=2 if indexed else 1, **how)
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
    by = _divisors(call.shapes[0][2:], attrs["kernel_size"], attrs["stride"], attrs["padding"],
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
    for axis, n, count in zip((2, 3), size, wanted, strict=True):
        x = _binned(x, axis, _bins(n, count), build)
    return x


def _binned(x: str, axis: int, bins: list[slice], build: Build) -> str:
    """The mean of each bin along one axis: a mean over a rectangle is a mean of means."""
    where = build.ints(axis)
    parts = [build.node("Slice", x, build.ints(b.start), build.ints(b.stop), where) for b in bins]
    return build.node("Concat", *[build.reduce("ReduceMean", part, [axis], True)
                                  for part in parts], axis=axis)
