"""Reductions along axes, positions of extremes, and running sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis, bool_, int64, reduced
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import axes_of, filled, number

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _empty(value: float) -> Any:
    """What a reduction gives of no elements at all, where Etude's op refuses."""
    return lambda x, dims, keep: filled(x, reduced(x.shape, dims, keep), value)


def _bool_as_numbers(op: Any) -> Any:
    """amax or amin, of bools too."""
    def rule(x: Tensor, dim: Any, keepdim: bool) -> Any:
        if x.dtype == bool_:
            return op(x.long(), dim, keepdim).to(bool_)
        return op(x, dim, keepdim)

    return rule


def _norm(x: Tensor, dim: Any, keepdim: bool) -> Any:
    if x.dtype == int64:
        return F.norm(x.double(), 2, dim, keepdim).to(int64)
    return F.norm(x, 2, dim, keepdim)


def _log_sum(x: Tensor, dim: Any, keepdim: bool) -> Any:
    return F.log(F.sum(x, dim, keepdim))


def _log_sum_exp(x: Tensor, dim: Any, keepdim: bool) -> Any:
    return F.logsumexp(x, dim, keepdim)


def _mean(x: Tensor, dim: Any, keepdim: bool) -> Any:
    if x.dtype == int64:
        raise Refused("the mean of integers, whose rounding ONNX does not define")
    return F.mean(x, dim, keepdim)


#: Op -> the function, and what it gives of an empty axis where that function refuses one.
REDUCTIONS: dict[str, tuple[Any, Any]] = {
    "ReduceSum": (F.sum, None), "ReduceProd": (F.prod, None),
    "ReduceMean": (_mean, _empty(0.0)),
    "ReduceMax": (_bool_as_numbers(F.amax), _empty(-math.inf)),
    "ReduceMin": (_bool_as_numbers(F.amin), _empty(math.inf)),
    "ReduceL1": (lambda x, dim, keepdim: F.sum(F.abs(x), dim, keepdim), None),
    "ReduceL2": (_norm, None),
    "ReduceSumSquare": (lambda x, dim, keepdim: F.sum(F.square(x), dim, keepdim), None),
    "ReduceLogSum": (_log_sum, None),
    "ReduceLogSumExp": (_log_sum_exp, _empty(-math.inf)),
}


def _reduced(node: Node, x: Tensor, axes: Any) -> Any:
    fn, empty = REDUCTIONS[node.op]
    keep, noop = bool(node.get("keepdims", 1)), node.get("noop_with_empty_axes", 0)
    numbers = () if axes is None else axes_of(node, x, axes)
    if not numbers and noop:
        return fn(x.unsqueeze(-1), x.ndim, False)  # a reduction of single elements
    dims = numbers or tuple(range(x.ndim))
    if empty is not None and any(x.shape[d] == 0 for d in dims):
        if x.dtype == int64 or x.dtype == bool_:
            raise Refused(f"{node.op} of no elements of {x.dtype.name}, which have no infinity")
        return empty(x, dims, keep)
    return fn(x, dims, keep)


def _by_attribute(node: Node, x: Tensor) -> Any:
    return _reduced(node, x, node.get("axes"))


def _by_input(node: Node, x: Tensor, axes: Tensor | None = None) -> Any:
    return _reduced(node, x, axes)


for _op in REDUCTIONS:
    _change = 13 if _op == "ReduceSum" else 18  # from here on the axes are an input
    reads(_op, to=_change - 1)(_by_attribute)
    reads(_op, since=_change)(_by_input)

differs("ReduceMean, ReduceMax, ... of an empty axis", "0, -inf, inf, -inf (log-sum-exp)",
        "ShapeError", "handled: the reader gives ONNX's values; integers are refused")
differs("ReduceMax, ReduceMin of NaN", "not said: onnxruntime drops NaN unless it is first",
        "NaN", "handled: NaN, as in onnx's reference evaluator")


def _extreme(op: Any) -> Any:
    def rule(node: Node, x: Tensor) -> Any:
        dim, keep = node.get("axis", 0), bool(node.get("keepdims", 1))
        if not node.get("select_last_index", 0):
            return op(x, dim, keep)
        return F.neg(op(F.flip(x, axis(node.op, dim, x.ndim)), dim, keep)) + (x.shape[dim] - 1)

    return rule


reads("ArgMax")(_extreme(F.argmax))
reads("ArgMin")(_extreme(F.argmin))


@reads("CumSum", since=11)
def _cumsum(node: Node, x: Tensor, dim: Tensor) -> Any:
    return _running(node, x, dim, lambda z, d: F.cumsum(z, d), 0)


@reads("CumProd", since=26)
def _cumprod(node: Node, x: Tensor, dim: Tensor) -> Any:
    def scan(z: Tensor, d: int) -> Any:
        rows = list(F.unbind(z, d))
        for i in range(1, len(rows)):
            rows[i] = rows[i - 1] * rows[i]
        return F.stack(rows, d) if rows else z

    return _running(node, x, dim, scan, 1)


def _running(node: Node, x: Tensor, dim: Tensor, scan: Any, first: int) -> Any:
    """A scan along an axis, in either direction; "exclusive" ones begin with nothing."""
    exclusive, reverse = node.get("exclusive", 0), node.get("reverse", 0)
    d = axis(node.op, number(dim), x.ndim)
    x = F.flip(x, d) if reverse else x
    if exclusive and x.shape[d]:
        ahead = x[(*[slice(None)] * d, slice(0, 1))] * 0 + first
        x = F.cat([ahead, x[(*[slice(None)] * d, slice(0, x.shape[d] - 1))]], d)
    y = scan(x, d)
    return F.flip(y, d) if reverse else y


# ------------------------------------------------------------------ To ONNX

differs("amax, amin", "says nothing of NaN in ReduceMax and ReduceMin; runtimes drop it",
        "NaN", "handled: the NaN of x are added to the result, unless finite=True")
differs("argmax, argmin", "says nothing of NaN; runtimes pass over it",
        "the place of the first NaN",
        "handled: it is looked for in IsNaN(x) first, unless finite=True")
differs("logsumexp", "ReduceLogSumExp says nothing of infinities", "inf and -inf as the limits are",
        "handled: written with ReduceMax, Exp, ReduceSum and Log")
#: Terms of 32 bits whose sum a float64 holds.
MOST_INTS = 2**21

differs("sum", "ReduceSum of int64 adds in float64 in onnxruntime", "exact, modulo 2^64",
        "handled: high and low halves are added up apart, unless finite=True")
differs("all, any", "reductions of bools begin in opset 20", "from opset 13 on",
        "handled: counted by ReduceSum of int64")
differs("sum, mean, prod, var, cumsum", "adds in the dtype of x", "adds float32 up in float64",
        "handled: within the bound of a sum in float32, n 2^-24 sum |x|; exact sums stay exact")


def _reduction(op: str, kind: str) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        axes = call.axes(call.attrs["dim"])
        return build.reduce(kind, call.inputs[0], axes, call.attrs["keepdim"])


for _op, _kind in {"mean": "ReduceMean", "prod": "ReduceProd"}.items():
    _reduction(_op, _kind)


@writes("sum")
def sum_(call: Call, build: Build) -> str:
    """Of int64 in two halves of 32 bits: a sum of each is exact in float64 too."""
    (x,), axes, keepdim = call.inputs, call.axes(call.attrs["dim"]), call.attrs["keepdim"]
    if build.finite or call.dtype.kind == "f" or not axes:
        return build.reduce("ReduceSum", x, axes, keepdim)
    fixed = [n for n in (call.shapes[0][d] for d in axes) if isinstance(n, int)]
    if math.prod(fixed) > MOST_INTS:
        raise Refused(f"runtimes add int64 up in float64, which is wrong beyond {MOST_INTS} terms")
    half = build.constant(2**32, call.dtype)
    low = build.node("Mod", x, half)
    high = build.node("Div", build.node("Sub", x, low), half)
    sums = [build.reduce("ReduceSum", part, axes, keepdim) for part in (high, low)]
    return build.node("Add", build.node("Mul", sums[0], half), sums[1])


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
