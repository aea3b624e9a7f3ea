"""Softmax and its kin."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _along(node: Node, x: Tensor, fn: Any) -> Any:
    """Since opset 13: along one axis, the last by default."""
    return fn(x, node.get("axis", -1))


def _flattened(node: Node, x: Tensor, fn: Any) -> Any:
    """Below opset 13: over all axes from one on, the second by default, as if they were one."""
    first = node.get("axis", 1)
    d = x.ndim if first == x.ndim else axis(node.op, first, x.ndim)
    rows = x.reshape(math.prod(x.shape[:d]), math.prod(x.shape[d:]))
    return fn(rows, -1).reshape(x.shape)


def _hardmax(x: Tensor, dim: int) -> Any:
    """1 at the first largest element along an axis, else 0."""
    places = F.one_hot(F.argmax(x, dim), x.shape[dim]).to(x.dtype)
    d = dim % x.ndim
    order = list(range(x.ndim - 1))
    return places.permute([*order[:d], x.ndim - 1, *order[d:]])


for _op, _fn in {"Softmax": F.softmax, "LogSoftmax": F.log_softmax, "Hardmax": _hardmax}.items():
    reads(_op, to=12)(lambda node, x, _fn=_fn: _flattened(node, x, _fn))
    reads(_op, since=13)(lambda node, x, _fn=_fn: _along(node, x, _fn))

differs("Softmax, LogSoftmax, Hardmax below opset 13",
        "over all axes from `axis` on together, `axis` being 1", "along one axis",
        "handled: these axes are flattened into one")


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
