"""Softmax and its kin."""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.shapes import axis
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads

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
