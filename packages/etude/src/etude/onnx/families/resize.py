"""Images in another size: Resize and Upsample.

Each axis is resized by itself. What an output pixel takes from the pixels of an axis is a row of
a matrix, worked out with NumPy; the matrix product is Etude's, and so is the gradient. Where one
pixel alone counts ("nearest"), it is picked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude import functional as F
from etude.core.shapes import int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, reads
from etude.onnx.values import axes_of, host, ints, like, one_of

# ------------------------------------------------------------------ From ONNX

Array = np.ndarray[Any, Any]


@dataclass
class Rule:
    """How pixels are found and weighed, from the attributes of a node."""

    mode: str
    place: str  # coordinate_transformation_mode
    nearest: str
    cubic: float
    smooth: bool  # antialias
    inside: bool  # exclude_outside
    beyond: float  # extrapolation_value


@reads("Resize", since=11)
def _resize(node: Node, x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None,
            sizes: Tensor | None = None) -> Any:
    rule = Rule(
        one_of(node, "mode", "nearest", "nearest", "linear", "cubic"),
        one_of(node, "coordinate_transformation_mode", "half_pixel", "half_pixel",
               "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
               "tf_crop_and_resize"),
        one_of(node, "nearest_mode", "round_prefer_floor", "round_prefer_floor",
               "round_prefer_ceil", "floor", "ceil"),
        node.get("cubic_coeff_a", -0.75), bool(node.get("antialias", 0)),
        bool(node.get("exclude_outside", 0)), node.get("extrapolation_value", 0.0))
    given = node.get("axes")
    dims = tuple(range(x.ndim)) if given is None else axes_of(node, x, given)
    policy = one_of(node, "keep_aspect_ratio_policy", "stretch", "stretch", "not_larger",
                    "not_smaller")
    crop = rule.place == "tf_crop_and_resize"
    cuts = [(0.0, 1.0)] * len(dims)
    if crop and roi is not None:
        ends = [float(v) for v in host(roi)]
        cuts = list(zip(ends[: len(dims)], ends[len(dims) :], strict=True))
    lengths = [x.shape[d] for d in dims]
    if sizes is not None and sizes.numel():
        wanted = ints(sizes)
        factors = [w / n for w, n in zip(wanted, lengths, strict=True)]
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            wanted = [math.floor(factor * n + 0.5) for n in lengths]
            factors = [factor] * len(dims)
    elif scales is not None:
        factors = [float(v) for v in host(scales)]
        wanted = [math.floor(n * (b - a) * f) for n, (a, b), f in zip(
            lengths, cuts, factors, strict=True)]
    else:
        raise Refused("neither scales nor sizes")
    for d, factor, new, cut in zip(dims, factors, wanted, cuts, strict=True):
        x = _axis(x, d, new, factor, cut, rule)
    return x


@reads("Upsample", since=9, to=9)
def _upsample(node: Node, x: Tensor, scales: Tensor) -> Any:
    mode = one_of(node, "mode", "nearest", "nearest", "linear")
    rule = Rule(mode, "asymmetric", "floor", -0.75, False, False, 0.0)
    for d, factor in enumerate(host(scales)):
        x = _axis(x, d, math.floor(x.shape[d] * float(factor)), float(factor), (0.0, 1.0), rule)
    return x


def _axis(x: Any, d: int, new: int, factor: float, cut: tuple[float, float], rule: Rule) -> Any:
    """x with ``new`` pixels along one axis."""
    n = x.shape[d]
    if new == n and factor == 1 and rule.place != "tf_crop_and_resize":
        return x
    at = _places(np.arange(new), n, new, factor, cut, rule.place)
    outside = (at < 0) | (at > n - 1) if rule.place == "tf_crop_and_resize" else None
    if rule.mode == "nearest":
        y = F.index_select(x, d, like(x, np.clip(_rounded(at, rule.nearest), 0, n - 1), int64))
    else:
        weights = like(x, _weights(at, n, factor, rule))
        order = [*[i for i in range(x.ndim) if i != d], d]
        y = F.linear(x.permute(order), weights).permute([order.index(i) for i in range(x.ndim)])
    if outside is None or not outside.any():
        return y
    shape = [new if i == d else 1 for i in range(x.ndim)]
    return F.where(like(x, outside, bool).reshape(shape), rule.beyond, y)


def _places(i: Array, n: int, new: int, factor: float, cut: tuple[float, float], mode: str
            ) -> Array:
    """Where each new pixel lies on the old axis. The formulas are ONNX's."""
    width = factor * n
    if mode == "align_corners":
        return i * (n - 1) / (width - 1) if width != 1 else i * 0.0
    if mode == "asymmetric":
        return i / factor
    if mode == "tf_crop_and_resize":
        first, span = cut[0] * (n - 1), (cut[1] - cut[0]) * (n - 1)
        return i * span / (new - 1) + first if new != 1 else i * 0.0 + span / 2 + first
    if mode == "pytorch_half_pixel" and new == 1:
        return i - 0.5
    at = (i + 0.5) / factor - 0.5
    if mode == "half_pixel_symmetric":
        at = at + n / 2 * (1 - new / width)
    return at


def _rounded(at: Array, mode: str) -> Array:
    found = {"round_prefer_floor": np.ceil(at - 0.5), "round_prefer_ceil": np.floor(at + 0.5),
             "floor": np.floor(at), "ceil": np.ceil(at)}[mode]
    return found.astype(np.int64)


def _weights(at: Array, n: int, factor: float, rule: Rule) -> Array:
    """(new, n): what each new pixel takes of each old one. Beyond the edge lies the edge again."""
    shrink = min(factor, 1.0) if rule.smooth else 1.0
    reach = {"linear": 1, "cubic": 2}[rule.mode]
    least = math.floor(-reach / shrink) + 1
    near = np.floor(at).astype(np.int64)[:, None] + np.arange(least, 2 - least)
    away = np.abs(near - at[:, None]) * shrink
    if rule.mode == "linear":
        share = np.clip(1 - away, 0, 1)
    else:
        a = rule.cubic
        inner = (a + 2) * away**3 - (a + 3) * away**2 + 1
        outer = a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
        share = np.where(away <= 1, inner, np.where(away < 2, outer, 0.0))
    if rule.inside:
        share = np.where((near >= 0) & (near < n), share, 0.0)
    if rule.inside or rule.smooth:
        share = share / share.sum(1, keepdims=True)
    found = np.zeros((len(at), n))
    np.add.at(found, (np.arange(len(at))[:, None], np.clip(near, 0, n - 1)), share)
    return found


# ------------------------------------------------------------------ To ONNX
