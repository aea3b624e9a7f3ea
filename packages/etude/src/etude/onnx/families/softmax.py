"""Softmax and its kin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.onnx.table import writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX


@writes("softmax")
def softmax(call: Call, build: Build) -> str:
    return build.node("Softmax", call.inputs[0], axis=call.attrs["dim"])


@writes("log_softmax")
def log_softmax(call: Call, build: Build) -> str:
    return build.node("LogSoftmax", call.inputs[0], axis=call.attrs["dim"])
