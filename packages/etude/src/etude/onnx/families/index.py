"""Elements by position: gather, scatter, one-hot, top k, triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("topk", "says nothing of NaN", "NaN counts as largest, the first one first",
        "handled: sorted twice, by value and then by IsNaN, unless finite=True")
differs("tril, triu", "Trilu begins in opset 14", "from opset 13 on",
        "handled: below a constant mask, and by Trilu where the matrix grows with the batch")


@writes("index_select")
def index_select(call: Call, build: Build) -> str:
    return build.node("Gather", *call.inputs, axis=call.axis(call.attrs["dim"]))


@writes("embedding")
def embedding(call: Call, build: Build) -> str:
    index, weight = call.inputs
    return build.node("Gather", weight, index, axis=0)


@writes("gather")
def gather(call: Call, build: Build) -> str:
    return build.node("GatherElements", *call.inputs, axis=call.axis(call.attrs["dim"]))


@writes("scatter_add", since=16)
def scatter_add(call: Call, build: Build) -> str:
    x, index, src = call.inputs
    shape = call.shapes[1]
    if call.shapes[2] != shape:  # ours may be larger than the index, and then its corner is meant
        src = build.node("Slice", src, build.ints(*[0] * len(shape)), build.shape(shape))
    return build.node("ScatterElements", x, index, src, axis=call.axis(call.attrs["dim"]),
                      reduction="add")


@writes("one_hot")
def one_hot(call: Call, build: Build) -> str:
    depth = build.constant(call.attrs["num_classes"], np.int64)
    if call.shapes[0]:
        return build.node("OneHot", call.inputs[0], depth, build.ints(0, 1))
    one = build.unsqueeze(call.inputs[0], 0)  # ONNX has no OneHot of a single number
    return build.squeeze(build.node("OneHot", one, depth, build.ints(0, 1)), 0)


@writes("topk")
def topk(call: Call, build: Build) -> list[str]:
    (x,), axis, largest = call.inputs, call.axis(call.attrs["dim"]), call.attrs["largest"]
    k, how = build.shape([call.attrs["k"]]), {"axis": axis, "largest": int(largest)}
    if build.finite or call.dtype.kind != "f":
        return build.node("TopK", x, k, outputs=2, **how)
    # Both sorts keep the order of equals, so the second one moves NaN and leaves the rest.
    is_nan = build.node("IsNaN", x)
    numbers = build.node("Where", is_nan, build.constant(0, call.dtype), x)
    everything = build.shape([call.shapes[0][axis]])
    order = build.node("TopK", numbers, everything, outputs=2, **how)[1]
    flags = build.node("GatherElements", build.cast(is_nan, np.float32), order, axis=axis)
    again = build.node("TopK", flags, k, outputs=2, **how)[1]
    index = build.node("GatherElements", order, again, axis=axis)
    return [build.node("GatherElements", x, index, axis=axis), index]


def _triangle(op: str, upper: int) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        (x,), diagonal = call.inputs, call.attrs["diagonal"]
        sides = call.shapes[0][-2:]
        if not all(isinstance(n, int) for n in sides):
            build.needs(14)
            return build.node("Trilu", x, build.constant(diagonal, np.int64), upper=upper)
        ones = np.ones(sides, np.bool_)
        kept = build.constant(np.triu(ones, diagonal) if upper else np.tril(ones, diagonal), bool)
        if call.dtype.kind == "b":
            return build.node("And", kept, x)
        return build.node("Where", kept, x, build.constant(0, call.dtype))


_triangle("tril", 0)
_triangle("triu", 1)
