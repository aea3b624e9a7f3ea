"""Runs at several batch sizes as one graph, whose sizes are numbers or depend on the batch.

The model runs at three sizes of the batch. A size, a length or an attribute that is the same in
all of them is a number of the graph; one that grows evenly with the batch is a ``Size``; and for
anything else there is an error that names the op. Two runs would suffice to find the slope. The
third one finds what only looks even, such as half of the batch, rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.onnx.record import Recorded, Ref, Run, as_numpy
from etude.onnx.table import Refused


@dataclass(frozen=True)
class Size:
    """``per`` times the batch, and ``plus``."""

    per: int
    plus: int = 0

    def __str__(self) -> str:
        of_batch = "batch" if self.per == 1 else f"{self.per}*batch"
        return f"{of_batch}{self.plus:+d}" if self.plus else of_batch


Dims = tuple[int | Size, ...]


@dataclass
class Value:
    """An array of the graph. A constant has its numbers in ``data``."""

    shape: Dims
    dtype: np.dtype[Any]
    name: str = ""  # of an input or a parameter
    data: Any = None


@dataclass
class Graph:
    """Calls over values, which are known by number."""

    values: list[Value]
    calls: list[Recorded]
    inputs: list[int]
    results: list[tuple[str, int]]
    weights: dict[str, np.ndarray[Any, Any]]  # parameters and buffers, by name


class _Uneven(Exception):  # noqa: N818 - caught here, where the op is known
    pass


def merged(runs: Sequence[Run], batches: Sequence[int], inputs: int) -> Graph:
    """The graph of ``runs``, made at these sizes of the batch. ``inputs``: how many values come
    from outside; the next ones are parameters.
    """
    first = runs[0]
    _alike(runs, batches)
    values = [_value(runs, batches, i) for i in range(len(first.arrays))]
    calls = []
    for same in zip(*[run.calls for run in runs], strict=True):
        try:
            attrs = {key: _even([call.attrs[key] for call in same], batches)
                     for key in same[0].attrs}
            operands = tuple([_even(list(xs), batches)
                              for xs in zip(*[call.inputs for call in same], strict=True)])
            if any(isinstance(x, Size) for x in operands):
                raise _Uneven("a number that it is given")
        except _Uneven as what:
            raise Refused(f"{what} depends on the batch size in a way that a graph cannot say, in "
                          f"{words(same[0], values)}. dynamic=False exports the model for the "
                          f"batch size of the example alone") from None
        calls.append(Recorded(same[0].op, operands, attrs, same[0].outputs, same[0].place))
    for name, number in first.results:
        if number in first.hidden:
            raise Refused(f"the result {name} is a hidden output of {first.hidden[number]}")
    weights = {name: as_numpy(first, i) for i, name in first.names.items() if i >= inputs}
    graph = Graph(values, calls, list(range(inputs)), first.results, weights)
    _fold(graph, first)
    _prune(graph)
    return graph


def _alike(runs: Sequence[Run], batches: Sequence[int]) -> None:
    """Refused unless all runs did the same ops with the same values."""
    first = runs[0]
    for run, n in zip(runs[1:], batches[1:], strict=True):
        for a, b in zip(first.calls, run.calls, strict=False):
            wired = (a.op, a.outputs, len(a.inputs), [x for x in a.inputs if isinstance(x, Ref)])
            other = (b.op, b.outputs, len(b.inputs), [x for x in b.inputs if isinstance(x, Ref)])
            if wired != other:
                raise Refused(f"the model does other ops at other batch sizes: {a.op} at "
                              f"{batches[0]} where it does {b.op} at {n}, at {b.place}. "
                              f"dynamic=False exports it for the batch size of the example alone")
        if len(run.calls) != len(first.calls) or len(run.results) != len(first.results) or (
                len(run.arrays) != len(first.arrays)):
            raise Refused(f"the model does {len(first.calls)} op calls at batch size "
                          f"{batches[0]} and {len(run.calls)} at {n}. dynamic=False exports it "
                          f"for the batch size of the example alone")


def _value(runs: Sequence[Run], batches: Sequence[int], number: int) -> Value:
    first = runs[0]
    arrays = [run.arrays[number] for run in runs]
    try:
        shape = _even([tuple(x.shape) for x in arrays], batches)
    except _Uneven:
        op = next((c for c in first.calls if number in c.outputs), None)
        what = f"a result of {op.op}, at {op.place}" if op else "a constant"
        raise Refused(f"the shape of {what} does not grow evenly with the batch: "
                      f"{[list(x.shape) for x in arrays]} at batch sizes {list(batches)}. "
                      f"dynamic=False exports the model for that of the example alone") from None
    value = Value(shape, arrays[0].dtype, first.names.get(number, ""))
    if value.name or number in first.made or number in first.hidden or _is_alias(first, number):
        return value
    value.data = as_numpy(first, number)
    for run in runs[1:]:
        other = as_numpy(run, number)
        if other.shape != value.data.shape or not np.array_equal(
                value.data, other, equal_nan=other.dtype.kind == "f"):
            reader = next((c for c in first.calls if Ref(number) in c.inputs), None)
            where = f"{reader.op} at {reader.place} reads" if reader else "the model returns"
            raise Refused(f"{where} numbers that Python made, and that are others at another "
                          f"batch size. dynamic=False exports the model for that of the example "
                          f"alone")
    return value


def _is_alias(run: Run, number: int) -> bool:
    """Whether an array is only kept alive here: its elements are another value's."""
    return run.number(run.arrays[number]) != number


def _even(found: Sequence[Any], batches: Sequence[int]) -> Any:
    """What is the same at all batch sizes, or grows evenly with them. Looks into tuples."""
    first = found[0]
    if isinstance(first, tuple):
        if any(len(x) != len(first) for x in found):
            raise _Uneven("a number of dimensions")
        return tuple([_even(parts, batches) for parts in zip(*found, strict=True)])
    if all(type(x) is type(first) and (x == first or (x != x and first != first)) for x in found):
        return first
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in found):
        raise _Uneven(f"the value {first!r}")
    per, rest = divmod(found[1] - first, batches[1] - batches[0])
    size = Size(per, first - per * batches[0])
    if rest or any(size.per * n + size.plus != x
                   for n, x in zip(batches, found, strict=True)):
        raise _Uneven(f"a number, {', '.join(map(str, found))} at batch sizes "
                      f"{', '.join(map(str, batches))},")
    return size


def _fold(graph: Graph, run: Run) -> None:
    """Calls that read constants alone give constants: a causal mask is one. Parameters are none,
    since they keep their names.
    """
    kept = []
    for call in graph.calls:
        known = all(graph.values[x.number].data is not None
                    for x in call.inputs if isinstance(x, Ref))
        plain = all(isinstance(n, int) for y in call.outputs for n in graph.values[y].shape)
        if known and plain and not call.op.startswith("nn.") and not _random(call.op):
            for y in call.outputs:
                graph.values[y].data = as_numpy(run, y)
        else:
            kept.append(call)
    graph.calls = kept


def _random(op: str) -> bool:
    return op in ("rand", "randn", "dropout")


def _prune(graph: Graph) -> None:
    """Only what the results need stays."""
    wanted = {number for _, number in graph.results}
    kept = []
    for call in reversed(graph.calls):
        if wanted.intersection(call.outputs):
            kept.append(call)
            wanted.update(x.number for x in call.inputs if isinstance(x, Ref))
    graph.calls = kept[::-1]


def words(call: Recorded, values: Sequence[Value]) -> str:
    """A call as people read it: "conv2d(float32[batch, 3, 8, 8], ...) at model.py:12"."""
    parts = []
    for x in call.inputs:
        if isinstance(x, Ref):
            v = values[x.number]
            parts.append(f"{v.dtype.name}[{', '.join(map(str, v.shape))}]")
        else:
            parts.append(repr(x))
    parts += [f"{key}={value!r}" for key, value in call.attrs.items()]
    return f"{call.op}({', '.join(parts)}) at {call.place}"
