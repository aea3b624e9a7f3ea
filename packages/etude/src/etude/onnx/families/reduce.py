"""Reductions along axes, positions of extremes, and running sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("amax, amin", "says nothing of NaN in ReduceMax and ReduceMin; runtimes drop it",
        "NaN", "handled: the NaN of x are added to the result, unless finite=True")
differs("argmax, argmin", "says nothing of NaN; runtimes pass over it",
        "the place of the first NaN",
        "handled: it is looked for in IsNaN(x) first, unless finite=True")
differs("logsumexp", "ReduceLogSumExp says nothing of infinities", "inf and -inf as the limits are",
        "handled: written with ReduceMax, Exp, ReduceSum and Log")
differs("all, any", "reductions of bools begin in opset 20", "from opset 13 on",
        "handled: counted by ReduceSum of int64")
differs("sum, mean, prod, var, cumsum", "adds in the dtype of x", "adds float32 up in float64",
        "handled: within the bound of a sum in float32, n 2^-24 sum |x|; exact sums stay exact")


def _reduction(op: str, kind: str) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        axes = call.axes(call.attrs["dim"])
        return build.reduce(kind, call.inputs[0], axes, call.attrs["keepdim"])


for _op, _kind in {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd"}.items():
    _reduction(_op, _kind)


def extreme(kind: str, x: str, axes: Sequence[int], keepdims: bool, dtype: np.dtype[np.generic],
            build: Build) -> str:
    """The largest or the smallest, and NaN if there is one."""
    y = build.reduce(kind, x, axes, keepdims)
    if build.finite or dtype.kind != "f" or not axes:
        return y
    only = build.node("Where", build.node("IsNaN", x), x, build.constant(0, dtype))
    return build.node("Add", y, build.reduce("ReduceSum", only, axes, keepdims))


@writes("amax")
def amax(call: Call, build: Build) -> str:
    axes = call.axes(call.attrs["dim"])
    return extreme("ReduceMax", call.inputs[0], axes, call.attrs["keepdim"], call.dtype, build)


@writes("amin")
def amin(call: Call, build: Build) -> str:
    axes = call.axes(call.attrs["dim"])
    return extreme("ReduceMin", call.inputs[0], axes, call.attrs["keepdim"], call.dtype, build)


@writes("var")
def var(call: Call, build: Build) -> str:
    (x,), axes, keepdim = call.inputs, call.axes(call.attrs["dim"]), call.attrs["keepdim"]
    centred = build.node("Sub", x, build.reduce("ReduceMean", x, axes, True))
    squares = build.reduce("ReduceSum", build.node("Mul", centred, centred), axes, keepdim)
    count = build.count([call.shapes[0][d] for d in axes], call.dtype)
    fewer = build.node("Sub", count, build.constant(call.attrs["correction"], call.dtype))
    return build.node("Div", squares, fewer)


@writes("logsumexp")
def logsumexp(call: Call, build: Build) -> str:
    (x,), axes, keepdim = call.inputs, call.axes(call.attrs["dim"]), call.attrs["keepdim"]
    top = build.reduce("ReduceMax", x, axes, True)
    if not build.finite:  # inf - inf would be NaN
        usual = build.node("Less", build.node("Abs", top), build.constant(np.inf, call.dtype))
        top = build.node("Where", usual, top, build.constant(0, call.dtype))
    whole = build.reduce("ReduceSum", build.node("Exp", build.node("Sub", x, top)), axes, True)
    y = build.node("Add", top, build.node("Log", whole))
    return y if keepdim or not axes else build.squeeze(y, *axes)


def _place(op: str, kind: str) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        (x,), dim, keepdim = call.inputs, call.attrs["dim"], call.attrs["keepdim"]
        if call.dtype.kind == "b":
            x = build.cast(x, np.int64)
        if dim is None or not call.shapes[0]:  # of all elements, in order
            y = _first(kind, build.node("Reshape", x, build.ints(-1)), 0, False, call.dtype, build)
            return build.reshape(y, call.out[0])
        return _first(kind, x, call.axis(dim), keepdim, call.dtype, build)


for _op, _kind in {"argmax": "ArgMax", "argmin": "ArgMin"}.items():
    _place(_op, _kind)


def _first(kind: str, x: str, axis: int, keepdims: bool, dtype: np.dtype[np.generic],
           build: Build) -> str:
    """Where the extreme stands, or the first NaN."""
    y = build.node(kind, x, axis=axis, keepdims=int(keepdims))
    if build.finite or dtype.kind != "f":
        return y
    flags = build.cast(build.node("IsNaN", x), np.float32)
    place = build.node("ArgMax", flags, axis=axis, keepdims=int(keepdims))
    number = build.reduce("ReduceSum", flags, [axis], keepdims)
    some = build.node("Greater", number, build.constant(0, np.float32))
    return build.node("Where", some, place, y)


@writes("all")
def all_(call: Call, build: Build) -> str:
    wrong = build.cast(build.node("Not", call.inputs[0]), np.int64)
    count = build.reduce("ReduceSum", wrong, call.axes(call.attrs["dim"]), call.attrs["keepdim"])
    return build.node("Equal", count, build.constant(0, np.int64))


@writes("any")
def any_(call: Call, build: Build) -> str:
    right = build.cast(call.inputs[0], np.int64)
    count = build.reduce("ReduceSum", right, call.axes(call.attrs["dim"]), call.attrs["keepdim"])
    return build.node("Greater", count, build.constant(0, np.int64))


@writes("cumsum")
def cumsum(call: Call, build: Build) -> str:
    axis = build.constant(call.axis(call.attrs["dim"]), np.int64)
    return build.node("CumSum", call.inputs[0], axis)
