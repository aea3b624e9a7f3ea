"""Normalisation: over a batch, a layer, an instance, groups, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.families.activation import exact
from etude.onnx.record import expands
from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("layer_norm", "LayerNormalization: from opset 17 on, and in float32 inside",
        "from opset 13 on, float64 in float64",
        "handled: written out below opset 17, when that is asked for, and for float64")
differs("batch_norm_eval", "epsilon is a float32", "eps is a float64",
        "handled: float64 is written out where eps is no float32")
differs("rms_norm", "RMSNormalization: from opset 23 on", "from opset 13 on",
        "handled: written out")
differs("batch_norm", "BatchNormalization in training is another op to runtimes",
        "the statistics of the batch, where a layer keeps none",
        "handled: written out")

expands("rms_norm")
expands("layer_norm", lambda arrays, attrs, opset: arrays[0].dtype != np.float32 or (
    opset is not None and opset < 17))


@writes("batch_norm")
def batch_norm(call: Call, build: Build) -> list[str]:
    """Sums divided by counts: of an empty batch a mean is 0 in ONNX, and here NaN."""
    x, weight, bias = (*call.inputs, None, None)[:3]
    dims = [0, *range(2, len(call.shapes[0]))]
    count = build.count([call.shapes[0][d] for d in dims], call.dtype)
    mean = build.node("Div", build.reduce("ReduceSum", x, dims, True), count)
    centred = build.node("Sub", x, mean)
    squares = build.reduce("ReduceSum", build.node("Mul", centred, centred), dims, True)
    var = build.node("Div", squares, count)
    y = _normed(centred, var, weight, bias, call, build)
    return [y, build.squeeze(mean, *dims), build.squeeze(var, *dims)]


def _normed(centred: str, var: str, weight: str | None, bias: str | None, call: Call,
            build: Build) -> str:
    """centred / sqrt(var + eps) weight + bias, channel by channel."""
    deviation = build.node("Add", var, build.constant(call.attrs["eps"], call.dtype))
    y = build.node("Div", centred, build.node("Sqrt", deviation))
    if weight is not None:
        y = build.node("Mul", y, _column(weight, call, build))
    return y if bias is None else build.node("Add", y, _column(bias, call, build))


def _column(vector: str, call: Call, build: Build) -> str:
    """(C) lined up with the channels of x: (N, C, ...)."""
    rest = range(1, len(call.shapes[0]) - 1)
    return build.unsqueeze(vector, *rest) if len(rest) else vector


@writes("batch_norm_eval")
def batch_norm_eval(call: Call, build: Build) -> str:
    x, mean, var, weight, bias = (*call.inputs, None, None)[:5]
    channels = call.shapes[1]
    if not exact(call.attrs["eps"], call.dtype):
        centred = build.node("Sub", x, _column(mean, call, build))
        return _normed(centred, _column(var, call, build), weight, bias, call, build)
    if weight is None:
        weight = build.constant(np.ones(channels), call.dtype)
    if bias is None:
        bias = build.constant(np.zeros(channels), call.dtype)
    return build.node("BatchNormalization", x, weight, bias, mean, var,
                      epsilon=float(call.attrs["eps"]))


@writes("layer_norm", since=17)
def layer_norm(call: Call, build: Build) -> str:
    x, weight, bias = (*call.inputs, None, None)[:3]
    size = call.attrs["normalized_shape"]
    if weight is None:
        weight = build.constant(np.ones(size), call.dtype)
    return build.node("LayerNormalization", x, weight, bias, axis=-len(size),
                      epsilon=float(call.attrs["eps"]))
