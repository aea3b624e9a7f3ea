"""Normalisation: over a batch, a layer, an instance, groups, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.record import expands
from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("layer_norm", "LayerNormalization: from opset 17 on, and in float32 inside",
        "from opset 13 on, float64 in float64",
        "handled: written out below opset 17, when that is asked for, and for float64")
differs("rms_norm", "RMSNormalization: from opset 23 on", "from opset 13 on",
        "handled: written out")
differs("batch_norm", "BatchNormalization in training is another op to runtimes",
        "the statistics of the batch, where a layer keeps none",
        "handled: written out; its statistics as results are refused")

expands("batch_norm")
expands("rms_norm")
expands("layer_norm", lambda arrays, attrs, opset: arrays[0].dtype != np.float32 or (
    opset is not None and opset < 17))


@writes("batch_norm_eval")
def batch_norm_eval(call: Call, build: Build) -> str:
    x, mean, var, weight, bias = (*call.inputs, None, None)[:5]
    channels = call.shapes[1]
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
