"""Pooling: the largest or the mean of a window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.families.conv import Window, as_image, window
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads
from etude.onnx.values import ints, like

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
    ones = F.full((1, 1, *w.kernel), 1.0, image.dtype, device=image.device)
    y = F.conv2d(planes, ones, None, w.strides, 0, w.apart)
    return y.reshape(*image.shape[:2], *y.shape[2:])


@reads("AveragePool", since=7)
def _average_pool(node: Node, x: Tensor) -> Any:
    whole = node.get("count_include_pad", 0)
    w, beyond = _windows(node, x)
    image = as_image(x)
    if w.apart == (1, 1) and not any((*w.before, *w.after, *beyond)):
        return _as_given(F.avg_pool2d(image, w.kernel, w.strides), x)
    ones = F.full((1, 1, *image.shape[2:]), 1.0, x.dtype, device=x.device)
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
    zeros = F.full((math.prod(small),), 0.0, x.dtype, device=x.device)
    y = F.scatter_add(zeros, 0, index.reshape(-1), x.reshape(-1)).reshape(small)
    if shape is None:
        return y
    more = [wanted - n for wanted, n in zip(ints(shape), small, strict=True)]
    return F.pad(y, [m for n in reversed(more) for m in (0, n)])


# ------------------------------------------------------------------ To ONNX
