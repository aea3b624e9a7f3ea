"""If, Loop and Scan: nodes that hold graphs, which run as often as the data says.

Etude has no such ops: a model of its own would use Python's. So does this: the model runs the
inner graph, which sees the values around it, and gradients flow through whatever ran.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude import functional as F
from etude.core.shapes import axis
from etude.core.tensor import tensor
from etude.onnx.graph import Graph, Node
from etude.onnx.table import Refused, differs
from etude.onnx.values import Known, host

#: Runs a graph among the values around it, with its inputs: the module's own method.
Run = Callable[..., list[Any]]


def _if(run: Run, node: Node, given: list[Any], values: dict[str, Any]) -> list[Any]:
    return run(node.get("then_branch" if bool(host(given[0])) else "else_branch"), values)


def _loop(run: Run, node: Node, given: list[Any], values: dict[str, Any]) -> list[Any]:
    """Run the body while its condition holds and for at most so many times."""
    most, go_on, carried = given[0], given[1], given[2:]
    body: Graph = node.get("body")
    rows: list[list[Any]] = [[] for _ in body.outputs[1 + len(carried) :]]
    times, condition = 0, go_on is None or bool(host(go_on))
    while condition and (most is None or times < int(host(most))):
        turn = Known(tensor(times).array)
        found = run(body, values, turn, Known(tensor(True).array), *carried)
        condition, carried = bool(host(found[0])), found[1 : 1 + len(carried)]
        for row, y in zip(rows, found[1 + len(carried) :], strict=True):
            row.append(y)
        times += 1
    if rows and not times:
        raise Refused("a loop that never runs has scan outputs, whose shape nobody knows")
    return [*carried, *[F.stack(row) for row in rows]]


def _scan(run: Run, node: Node, given: list[Any], values: dict[str, Any]) -> list[Any]:
    """Run the body on one slice after another; its first results are the states of the next run."""
    if node.opset < 9:
        raise Refused("Scan below opset 9, which goes through a batch as well")
    body: Graph = node.get("body")
    count = node.get("num_scan_inputs")
    states, scanned = given[: len(given) - count], given[len(given) - count :]
    slices = [_slices(x, node, i, count) for i, x in enumerate(scanned)]
    rows: list[list[Any]] = [[] for _ in body.outputs[len(states) :]]
    for parts in zip(*slices, strict=True):
        found = run(body, values, *states, *parts)
        states = found[: len(states)]
        for row, y in zip(rows, found[len(states) :], strict=True):
            row.append(y)
    if rows and not slices[0]:
        raise Refused("a scan over nothing, whose results have a shape that nobody knows")
    dims = node.get("scan_output_axes", (0,) * len(rows))
    backwards = node.get("scan_output_directions", (0,) * len(rows))
    return [*states, *[F.stack(row[::-1] if back else row, dim)
                       for row, dim, back in zip(rows, dims, backwards, strict=True)]]


def _slices(x: Any, node: Node, i: int, count: int) -> tuple[Any, ...]:
    """The slices of one scanned input, in the order in which they are seen."""
    dim = axis("Scan", node.get("scan_input_axes", (0,) * count)[i], x.ndim)
    if node.get("scan_input_directions", (0,) * count)[i]:
        x = F.flip(x, dim)
    found: tuple[Any, ...] = F.unbind(x, dim)
    return found


FLOW = {"If": _if, "Loop": _loop, "Scan": _scan}

differs("Loop, Scan with scan outputs", "an empty array where nothing runs",
        "(no op)", "refused: a loop that never runs, because nobody knows the shape")
