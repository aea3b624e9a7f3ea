"""Softmax and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("log_softmax", "LogSoftmax of float64 passes over NaN in onnxruntime", "the row is NaN",
        "handled: float64 is written out, unless finite=True")


@writes("softmax")
def softmax(call: Call, build: Build) -> str:
    return build.node("Softmax", call.inputs[0], axis=call.attrs["dim"])


@writes("log_softmax")
def log_softmax(call: Call, build: Build) -> str:
    (x,), axis = call.inputs, call.axis(call.attrs["dim"])
    if call.dtype == np.float32 or build.finite:
        return build.node("LogSoftmax", x, axis=call.attrs["dim"])
    shifted = build.node("Sub", x, build.reduce("ReduceMax", x, [axis], True))
    whole = build.reduce("ReduceSum", build.node("Exp", shifted), [axis], True)
    return build.node("Sub", shifted, build.node("Log", whole))
