"""Weights of another program into a model of ours: all of them, each in its place, or none.

The model says which weights it needs; a layout (``layouts.py``) says how each is called there, and
whether it is stored transposed. What is missing, left over or of another shape is told in one
table, and then the model is as it was.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from etude.core.shapes import STORED
from etude.nn.module import Module
from etude.train.checkpoint import CheckpointError
from etude.weights.layouts import Layout, Row, layouts, shape_there

Array = np.ndarray[Any, Any]
WRAPPERS = ("module.", "_orig_mod.")  # DataParallel's, and torch.compile's
LINES = 24  # of a table, before it says how many more there are


def fitted(where: str, found: Mapping[str, Array], model: Module,
           names: str | Mapping[str, str] | None) -> dict[str, Array]:
    """The state of ``model`` that ``found`` is, under our names. CheckpointError if it is none."""
    found = _unwrapped(found)
    candidates = layouts(model, names)
    if not candidates:
        raise CheckpointError(f"{where}: the layout {names!r} has no place for the weights of this "
                              f"{type(model).__name__}. Without names= they are found out")
    state = model.state_dict()
    wanted = {k: tuple(t.shape) for k, t in state.items()}
    layout, rows = max(candidates, key=lambda c: _score(c[1], wanted, found))
    found = _copies_used(layout, rows, found)
    lines = _differences(layout, rows, wanted, found)
    if lines:
        raise CheckpointError(_told(where, model, layout, lines, wanted, found))
    _check_copies(where, layout, rows, found)
    return {row.ours: _converted(where, row, found[row.theirs], np.dtype(state[row.ours].dtype))
            for row in rows}


def _unwrapped(found: Mapping[str, Array]) -> Mapping[str, Array]:
    """Without the prefix that a wrapper gives to every name."""
    for wrapper in WRAPPERS:
        if found and all(name.startswith(wrapper) for name in found):
            return _unwrapped({k.removeprefix(wrapper): a for k, a in found.items()})
    return found


def _score(rows: list[Row], wanted: Mapping[str, Any], found: Mapping[str, Array]
           ) -> tuple[int, int]:
    """How well a layout describes what was found: weights that fit, then names that are there."""
    there = [row for row in rows if row.theirs in found]
    fit = [r for r in there if found[r.theirs].shape == shape_there(r, wanted[r.ours])]
    return len(fit), len(there)


def _copies_used(layout: Layout, rows: list[Row], found: Mapping[str, Array]) -> dict[str, Array]:
    """With a shared weight under the name that the model asks for: safetensors writes it once,
    under either name.
    """
    theirs = {row.ours: row.theirs for row in rows}
    twins = {theirs[ours]: copy for copy, ours in layout.copies.items() if copy in found}
    return {name: found[copy] for name, copy in twins.items()} | dict(found)


def _check_copies(where: str, layout: Layout, rows: list[Row], found: Mapping[str, Array]) -> None:
    """CheckpointError where a weight that this model has once has two values there."""
    theirs = {row.ours: row.theirs for row in rows}
    for copy, ours in layout.copies.items():
        if copy in found and not np.array_equal(found[copy], found[theirs[ours]], equal_nan=True):
            raise CheckpointError(f"{where}: {copy} and {theirs[ours]} differ, and here they are "
                                  f"one weight, {ours}: the model of this file has an output layer "
                                  f"of its own, which gpt has not. Nothing was loaded")


def _converted(where: str, row: Row, array: Array, kind: np.dtype[Any]) -> Array:
    """The array in the layout and dtype of the model. A dtype that would lose digits is refused."""
    small = kind in STORED and array.dtype == np.int64 and np.array_equal(array, array.astype(kind))
    if not small and not np.can_cast(array.dtype, kind, "safe"):
        hint = ("Convert the model first: model.double()" if array.dtype == np.float64 else
                "Convert it in the program that it comes from")
        raise CheckpointError(f"{where}: {row.theirs} is {array.dtype}, and {row.ours} of the "
                              f"model is {kind}, which would lose digits. {hint}. Nothing was "
                              f"loaded")
    return np.array(array.T if row.transposed else array, kind, order="C")


# ------------------------------------------------------------------ what does not fit, as a table


def _differences(layout: Layout, rows: list[Row], wanted: Mapping[str, Any],
                 found: Mapping[str, Array]) -> list[tuple[str, str, str]]:
    """Lines of (what, name, more), weights of another shape first."""
    used = {row.theirs for row in rows}
    nothing = re.compile(layout.nothing)
    unexpected = [k for k in found
                  if not (k in used or k in layout.copies or nothing.fullmatch(k))]
    shapes, missing = [], []
    for row in rows:
        shape = shape_there(row, wanted[row.ours])
        if row.theirs not in found:
            missing.append(("missing", row.theirs, _like(row.theirs, shape, unexpected, found)))
        elif found[row.theirs].shape != shape:
            shapes.append(("shape", row.theirs, f"{list(shape)} in the model, "
                           f"{list(found[row.theirs].shape)} there"))
    more = [("unexpected", k, str(list(found[k].shape))) for k in unexpected]
    return shapes + missing + more


def _like(name: str, shape: tuple[int, ...], others: Iterable[str], found: Mapping[str, Array]
          ) -> str:
    """The shape of a missing weight, and a name there that is written alike and has this shape."""
    alike = [k for k in others if found[k].shape == shape]
    close = difflib.get_close_matches(name, alike, n=1)
    return f"{list(shape)}" + (f"; is it {close[0]}?" if close else "")


def _told(where: str, model: Module, layout: Layout, lines: list[tuple[str, str, str]],
          wanted: Mapping[str, Any], found: Mapping[str, Array]) -> str:
    wide = max(len(name) for _, name, _ in lines[:LINES])
    table = [f"  {what:<10}  {name:<{wide}}  {more}" for what, name, more in lines[:LINES]]
    if len(lines) > LINES:
        table.append(f"  and {len(lines) - LINES} more")
    names = {"etude": "the names of Etude", "yours": "your names"}.get(
        layout.name, f"the names of the layout {layout.name!r}")
    head = (f"{where}: does not fit this {type(model).__name__}; nothing was loaded. Of its "
            f"{len(found)} entries and the {len(wanted)} of the model, compared by {names}:")
    return "\n".join([head, *table, *_in_order(wanted, found)])


def _in_order(wanted: Mapping[str, Any], found: Mapping[str, Array]) -> list[str]:
    """What to write where the weights agree one by one in their order, but not in their names.
    That they are the same is likely then, and not certain: so it is said, and not done.
    """
    pairs = list(zip(wanted, found, strict=False))
    same = len(wanted) == len(found) and all(
        wanted[a] == found[b].shape and a.rpartition(".")[2] == b.rpartition(".")[2]
        for a, b in pairs)
    if not same:
        return []
    renamed = {b.rpartition(".")[0]: a.rpartition(".")[0] for a, b in pairs}
    return [f"In their order all shapes agree. If the layers correspond, give names={renamed}"]
