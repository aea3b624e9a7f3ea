"""Cases of the kind "convention": what a row of the table declares, laid out as kernels meet it.

A line such as ``softmax([nan, 0, ...]) -> [nan, ...]`` (``etude.core.conventions``) is asked as it
stands, with few entries for its dots and with many. Kernels have a body for whole vectors and
another for the rest, and divide large arrays among threads: so the example of an op that works
element by element is also repeated through long arrays, and one along an axis is asked as many rows
and as many columns. What is expected is what the line says. The reference is not asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from etude.core.conventions import Convention
from etude.core.shapes import Spec
from etude.core.table import Op
from etude_check.cases.draw import lay
from etude_check.cases.spec import Call, Plan

Array = np.ndarray[Any, Any]

DOTS = (1, 2, 6, 7, 30, 257, 4099)  # what dots stand for; both sides of 8, 32 and 256 in a row
MOST = 1 << 21  # bytes of a call; dots within dots make many
LENGTHS = (67, 1025, 70001)  # of an example repeated; the longest is divided among threads
MANY = 37  # rows or columns

#: Classes of ops that work element by element, and those that work along ``dim`` alone.
ELEMENTWISE = ("map", "map_bool", "equal", "binary", "compare", "ternary", "select", "cast", "sgd",
               "adamw")
ALONG = ("rows", "rows_backward", "reduce", "argreduce", "scan", "var")


def plans(op: Op) -> list[Plan]:
    """The plans of every line that returns something; a line that must raise is an "errors" case.
    """
    return [{"line": i, **form} for i, line in enumerate(op.conventions) if not line.error
            for form in _forms(op, line)]


def _forms(op: Op, line: Convention) -> Iterator[Plan]:
    for dots in DOTS if line.dotted else DOTS[:1]:
        if op.bytes(*line.given(op, line.dtypes(op)[0], dots), **op.taken(dict(line.attrs))) < MOST:
            yield {"dots": dots}
    if op.cls in ELEMENTWISE and not line.dotted:
        yield from ({"repeated": n} for n in LENGTHS)
        yield from ({"repeated": 1025, "layout": layout} for layout in ("sliced", "reversed"))
    if op.cls in ALONG and all(a is not None and a.ndim == 1
                               for a in line.given(op, np.dtype(object))):
        every = (6, 30) if line.dotted else (1,)
        yield from ({side: MANY, "dots": dots} for side in ("rows", "columns") for dots in every)
        yield {"rows": 4099, "dots": 2 if line.dotted else 1}


def has(op: Op, plan: Plan, dtype: str) -> bool:
    """Whether arrays of ``dtype`` can hold the numbers of the line."""
    return np.dtype(dtype) in op.conventions[plan["line"]].dtypes(op)


def asked(op: Op, plan: Plan, dtype: str) -> tuple[Call, list[Array]]:
    """The call of a plan, and what must come out, as arrays of Python's numbers."""
    line, dots = op.conventions[plan["line"]], plan.get("dots", 1)
    arrays = line.given(op, np.dtype(dtype), dots)
    attrs = dict(line.attrs)
    promised = op.check(tuple(arrays), op.taken(dict(attrs)))
    outputs = [promised] if isinstance(promised, Spec) else promised
    wanted = line.wanted([s.shape for s in outputs], dots)
    if "repeated" in plan:
        arrays = [a if a is None or name == "hyper" else _repeated(a, plan)
                  for name, a in zip(op.arrays, arrays)]
        wanted = [_repeated(y, plan) for y in wanted]
    for side, axis in (("rows", 0), ("columns", -1)):
        if side in plan:
            arrays = [np.stack([a] * plan[side], axis) for a in arrays if a is not None]
            wanted = [np.stack([y] * plan[side], axis) for y in wanted]
            attrs["dim"] = -1 - axis
    return Call(tuple(arrays), attrs), wanted


def _repeated(a: Array, plan: Plan) -> Array:
    """An example again and again, with a period that is odd: so each of its elements comes to
    stand in every lane of a vector.
    """
    once = a.reshape(-1)
    odd = once if once.size % 2 else np.append(once, once[:1])
    long = np.resize(odd, plan["repeated"])
    return lay(long, plan["layout"]) if "layout" in plan else long


def in_words(op: Op, plan: Plan, dtype: str) -> str:
    """``relu([nan]) -> [nan], float32, repeated 1025 times``"""
    line = op.conventions[plan["line"]]
    words = [line.of(op), dtype]
    if line.dotted:
        words.append(f"dots for {plan.get('dots', 1)}")
    words += [f"{side} {plan[side]}" for side in ("repeated", "rows", "columns", "layout")
              if side in plan]
    return "; ".join(words)
