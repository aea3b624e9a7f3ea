"""Losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.families.arithmetic import log_of_more
from etude.onnx.record import expands
from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("cross_entropy", "SoftmaxCrossEntropyLoss has no label smoothing",
        "has it, and refuses labels outside", "handled: written by its definition in other ops")

expands("cross_entropy")


def _reduced(loss: str, call: Call, build: Build) -> str:
    """The mean or the sum of losses, or the losses themselves."""
    kind = {"mean": "ReduceMean", "sum": "ReduceSum"}.get(call.attrs["reduction"])
    return loss if kind is None else build.reduce(kind, loss, range(len(call.shapes[0])))


@writes("mse_loss")
def mse_loss(call: Call, build: Build) -> str:
    off = build.node("Sub", *call.inputs)
    return _reduced(build.node("Mul", off, off), call, build)


@writes("l1_loss")
def l1_loss(call: Call, build: Build) -> str:
    return _reduced(build.node("Abs", build.node("Sub", *call.inputs)), call, build)


@writes("binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits(call: Call, build: Build) -> str:
    (x, target), dtype = call.inputs, call.dtype
    zero, size = build.constant(0, dtype), build.node("Abs", x)
    up = build.node("Greater", x, zero)
    w = build.node("Where", up, build.node("Sub", build.constant(1, dtype), target), target)
    cost = build.node("Mul", size, w)
    if not build.finite:  # 0 times infinity
        cost = build.node("Where", build.node("Equal", w, zero), zero, cost)
    rest = log_of_more(build.node("Exp", build.node("Neg", size)), np.dtype(dtype), build)
    return _reduced(build.node("Add", cost, rest), call, build)
