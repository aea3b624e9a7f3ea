"""Elements by position: gather, scatter, one-hot, top k, triangles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis, bool_, int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import filled, host, ints, like, number, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _counted(index: Tensor, size: int) -> Any:
    """Indices from the front: ONNX lets them count from the end too."""
    return F.where(index < 0, index + size, index)


differs("Gather, GatherElements, GatherND, Scatter...", "an index may count from the end",
        "it counts from the front", "handled: the size is added; others raise IndexError")


@reads("Gather")
def _gather(node: Node, x: Tensor, index: Tensor) -> Any:
    d = axis("Gather", node.get("axis", 0), x.ndim)
    places = _counted(index, x.shape[d])
    if d == 0 and x.ndim == 2 and x.dtype.kind == "f":
        return F.embedding(places, x)
    y = F.index_select(x, d, places.reshape(-1))
    return y.reshape(*x.shape[:d], *index.shape, *x.shape[d + 1 :])


@reads("GatherElements", since=11)
def _gather_elements(node: Node, x: Tensor, index: Tensor) -> Any:
    d = axis("GatherElements", node.get("axis", 0), x.ndim)
    return F.gather(x, d, _counted(index, x.shape[d]))


def _rows(x: Tensor, index: Tensor, batch: int) -> Any:
    """Index tuples along the last axis as numbers of rows of x, which is (rows, width) then."""
    depth = index.shape[-1]
    sizes = x.shape[batch : batch + depth]
    strides = [math.prod(sizes[i + 1 :]) for i in range(depth)]
    found: Any = like(x, np.zeros(index.shape[:-1]), int64)
    for i, (n, stride) in enumerate(zip(sizes, strides, strict=True)):
        one = F.index_select(index, -1, like(x, [i], int64)).squeeze(-1)
        one = _counted(one, n)
        if one.numel() and not 0 <= int(one.amin().item()) <= int(one.amax().item()) < n:
            raise IndexError(f"an index tuple reaches beyond the axis {batch + i} of "
                             f"{list(x.shape)}")
        found = found + one * stride
    if batch:
        lead = math.prod(x.shape[:batch])
        first = like(x, np.arange(lead), int64).reshape(*x.shape[:batch],
                                                        *[1] * (found.ndim - batch))
        found = found + first * math.prod(sizes)
    return found


@reads("GatherND", since=11)
def _gather_nd(node: Node, x: Tensor, index: Tensor) -> Any:
    batch = node.get("batch_dims", 0)
    rest = x.shape[batch + index.shape[-1] :]
    places = _rows(x, index, batch)
    table = x.reshape(-1 if x.numel() else 0, math.prod(rest))
    return F.index_select(table, 0, places.reshape(-1)).reshape(*places.shape, *rest)


# ---- scatter


def _scattered(node: Node, x: Any, rows: Any, new: Any, how: str) -> Any:
    """x (N, W) with ``new`` (M, W) at the rows, put there, added, multiplied and so on.

    A row that comes twice is done in a second round. Where it is put there, ONNX leaves open which
    of the two stays, and that is refused.
    """
    numbers = np.array(ints(rows))
    if how == "add":
        return F.scatter_add(x, 0, rows.unsqueeze(1).expand(new.shape), new)
    order = np.argsort(numbers, kind="stable")
    same = numbers[order]
    begins = np.flatnonzero(np.r_[True, same[1:] != same[:-1]][: len(same)])
    nth = np.empty(len(numbers), np.int64)
    nth[order] = np.arange(len(numbers)) - np.repeat(begins, np.diff(np.r_[begins, len(numbers)]))
    if how == "none" and nth.any():
        raise Refused("an index that comes twice; ONNX does not say which value stays")
    join = {"none": lambda old, new: new, "mul": F.mul, "max": F.maximum, "min": F.minimum}[how]
    for turn in range(int(nth.max(initial=-1)) + 1):
        picked = like(x, np.flatnonzero(nth == turn), int64)
        at = F.index_select(rows, 0, picked)
        values = join(F.index_select(x, 0, at), F.index_select(new, 0, picked))
        x = _put(x, at, values)
    return x


def _put(x: Any, rows: Any, values: Any) -> Any:
    """x with these rows in place of its own, each at most once."""
    if x.dtype == bool_:
        return _put(x.long(), rows, values.long()).to(bool_)
    there = F.scatter_add(like(x, np.zeros(x.shape[0]), int64), 0, rows,
                          like(x, np.ones(rows.shape), int64)).to(bool_).unsqueeze(1)
    zeros = filled(x, x.shape, 0)
    places = rows.unsqueeze(1).expand(values.shape)
    return F.where(there, F.scatter_add(zeros, 0, places, values), x)


@reads("ScatterND", since=11)
def _scatter_nd(node: Node, x: Tensor, index: Tensor, updates: Tensor) -> Any:
    how = one_of(node, "reduction", "none", "none", "add", "mul", "max", "min")
    width = math.prod(x.shape[index.shape[-1] :])
    count = math.prod(x.shape[: index.shape[-1]])
    rows = _rows(x, index, 0).reshape(-1)
    table = _scattered(node, x.reshape(count, width), rows,
                       updates.reshape(rows.shape[0], width), how)
    return table.reshape(x.shape)


@reads("Scatter", since=9, to=10)
@reads("ScatterElements", since=11)
def _scatter_elements(node: Node, x: Tensor, index: Tensor, updates: Tensor) -> Any:
    how = one_of(node, "reduction", "none", "none", "add", "mul", "max", "min")
    d = axis(node.op, node.get("axis", 0), x.ndim)
    strides = [math.prod(x.shape[i + 1 :]) for i in range(x.ndim)]
    own = np.indices(index.shape, sparse=True)
    base = sum((g * s for i, (g, s) in enumerate(zip(own, strides, strict=True)) if i != d),
               np.zeros(index.shape, np.int64))
    along = _counted(index, x.shape[d])
    if along.numel() and not 0 <= int(along.amin().item()) <= int(along.amax().item()) < x.shape[d]:
        raise IndexError(f"{node.op}: an index is outside axis {d} of {list(x.shape)}")
    places = along * strides[d] + like(x, base, int64)
    flat = _scattered(node, x.reshape(x.numel(), 1), places.reshape(-1),
                      updates.reshape(updates.numel(), 1), how)
    return flat.reshape(x.shape)


differs("ScatterElements, ScatterND", "of two values for one place either may stay",
        "(no op)", "refused: an index that comes twice, unless values are added, multiplied or "
        "compared")


@reads("TensorScatter", since=24)
def _tensor_scatter(node: Node, past: Tensor, update: Tensor, at: Tensor | None = None) -> Any:
    """A cache with new rows from a place on, which differs from sample to sample."""
    mode = one_of(node, "mode", "linear", "linear", "circular")
    d = axis("TensorScatter", node.get("axis", -2), past.ndim)
    order = [0, d, *[i for i in range(1, past.ndim) if i != d]]
    cache, new = past.permute(order), update.permute(order)
    batch, length = cache.shape[:2]
    first = [0] * batch if at is None else ints(at)
    steps = np.array(first).reshape(-1, 1) + np.arange(new.shape[1])
    if mode == "circular":
        steps = steps % length
    elif steps.size and not 0 <= steps.min() <= steps.max() < length:
        raise IndexError(f"TensorScatter: writes at {steps.max()} of a cache of {length}")
    rows = like(past, steps + np.arange(batch)[:, None] * length, int64).reshape(-1)
    width = math.prod(cache.shape[2:])
    y = _scattered(node, cache.reshape(batch * length, width), rows,
                   new.reshape(rows.shape[0], width), "none")
    return y.reshape(cache.shape).permute([order.index(i) for i in range(past.ndim)])


# ---- order, choice, triangles


@reads("OneHot", since=9)
def _one_hot(node: Node, index: Tensor, depth: Tensor, values: Tensor) -> Any:
    """values[1] where the new axis is at the index, else values[0]; outside there is neither."""
    count, d = int(number(depth)), axis("OneHot", node.get("axis", -1), index.ndim + 1)
    whole = index.to(int64)
    places = _counted(whole, count).unsqueeze(d)
    along = like(index, np.arange(count), int64).reshape(
        [count if i == d else 1 for i in range(index.ndim + 1)])
    off, on = F.unbind(values.reshape(2), 0)
    return F.where(F.eq(places, along), on, off)


@reads("TopK", since=11)
def _top_k(node: Node, x: Tensor, k: Tensor) -> Any:
    node.get("sorted", 1)  # ours are, in any case
    found = F.topk(x, int(number(k)), node.get("axis", -1), bool(node.get("largest", 1)))
    return found.values, found.indices


@reads("TopK", since=10, to=10)
def _top_k_10(node: Node, x: Tensor, k: Tensor) -> Any:
    found = F.topk(x, int(number(k)), node.get("axis", -1))
    return found.values, found.indices


differs("TopK", "of equal elements the lower index first; NaN is not mentioned",
        "of equal elements the lower index first; NaN is largest", "handled: they agree")


@reads("Trilu", since=14)
def _trilu(node: Node, x: Tensor, k: Tensor | None = None) -> Any:
    fn = F.triu if node.get("upper", 1) else F.tril
    return fn(x, int(number(k, 0)))


@reads("Compress", since=9)
def _compress(node: Node, x: Tensor, condition: Tensor) -> Any:
    """The rows for which the condition holds: how many there are depends on the data."""
    d = node.get("axis")
    y = x.reshape(-1) if d is None else x
    places = np.flatnonzero(host(condition))
    return F.index_select(y, 0 if d is None else d, like(x, places, int64))


@reads("NonZero", since=9)
def _non_zero(node: Node, x: Tensor) -> Any:
    return like(x, np.array(np.nonzero(host(x))), int64)


@reads("Unique", since=11)
def _unique(node: Node, x: Tensor) -> Any:
    d, is_sorted = node.get("axis"), node.get("sorted", 1)
    values = host(x)
    _, first, inverse, counts = np.unique(values, True, True, True, axis=d)
    inverse = inverse.reshape(-1)
    if not is_sorted:  # in the order in which they come first
        order = np.argsort(first, kind="stable")
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    y = F.index_select(x.reshape(-1) if d is None else x, d or 0, like(x, first, int64))
    return (y, *[like(x, part, int64) for part in (first, inverse, counts)])


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
        return build.several("TopK", x, k, outputs=2, **how)
    # Both sorts keep the order of equals, so the second one moves NaN and leaves the rest.
    is_nan = build.node("IsNaN", x)
    numbers = build.node("Where", is_nan, build.constant(0, call.dtype), x)
    everything = build.shape([call.shapes[0][axis]])
    order = build.several("TopK", numbers, everything, outputs=2, **how)[1]
    flags = build.node("GatherElements", build.cast(is_nan, np.float32), order, axis=axis)
    again = build.several("TopK", flags, k, outputs=2, **how)[1]
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
