"""What ran where: receipts, and ``check_nan``. Both are short functions on ``tap``, the one place
where op calls can be watched: ``tap`` in ``core/state.py``, ``Event`` in ``core/columns.py``.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.columns import REFERENCE, VIEW, Event
from etude.core.state import current, tap
from etude.core.table import TABLE


@dataclass
class Row:
    """All calls of one op in one column. ``flops`` and ``bytes`` are the op's stated cost."""

    op: str
    column: str
    calls: int = 0
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0
    declined: dict[str, int] = field(default_factory=dict)  # "column: reason" -> how often


class Receipt:
    """Which column ran each op, how often, for how long and at what cost. Print it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def __call__(self, event: Event) -> None:
        key = event.op, event.column
        if key not in self._rows:
            self._rows[key] = Row(*key)
        row = self._rows[key]
        row.calls += 1
        row.seconds += event.seconds
        if event.column != VIEW:
            op = TABLE[event.op]
            attrs = event.attrs
            row.flops += op.flops(*event.arrays, **attrs)
            row.bytes += op.bytes(*event.arrays, **attrs)
        for column, reason in event.declined:
            text = f"{column}: {reason}"
            row.declined[text] = row.declined.get(text, 0) + 1

    def rows(self, views: bool = False) -> list[Row]:
        """One row for each op and column, the most expensive first."""
        rows = [r for r in self._rows.values() if views or r.column != VIEW]
        return sorted(rows, key=lambda r: -r.seconds)

    def columns(self) -> dict[str, int]:
        """Column -> number of calls it ran, views left out."""
        found: dict[str, int] = {}
        for r in self.rows():
            found[r.column] = found.get(r.column, 0) + r.calls
        return found

    def fallbacks(self) -> list[Row]:
        """The rows in which the reference stood in for a column."""
        return [r for r in self.rows() if r.column == REFERENCE]

    def json(self) -> list[dict[str, Any]]:
        return [asdict(r) for r in self.rows(views=True)]

    def __str__(self) -> str:
        rows = self.rows()
        total = sum(r.seconds for r in rows) or 1.0
        width = max([24, *(len(r.op) for r in rows)])
        lines = [f"{'op':<{width}} {'column':<16} {'calls':>7} {'ms':>9} {'share':>6} "
                 f"{'GFLOP/s':>8} {'GB/s':>7}"]
        for r in rows:
            seconds = r.seconds or 1e-9
            lines.append(f"{r.op:<{width}} {r.column:<16} {r.calls:>7} {1e3 * r.seconds:>9.2f} "
                         f"{r.seconds / total:>6.1%} {1e-9 * r.flops / seconds:>8.2f} "
                         f"{1e-9 * r.bytes / seconds:>7.2f}")
            lines.extend(f"    declined {n} times by {text}" for text, n in r.declined.items())
        return "\n".join(lines)


@contextmanager
def receipt() -> Iterator[Receipt]:
    """``with etude.receipt() as r: ...; print(r)``: what ran where inside the block."""
    found = Receipt()
    with tap(found):
        yield found


@contextmanager
def check_nan() -> Iterator[None]:
    """Raise FloatingPointError at the first op that makes a NaN from inputs that have none.

    The message names the op, its inputs, the column and the line of your code it came from.
    """
    with tap(_raise_on_nan):
        yield


def _has_nan(x: Any) -> bool:
    if hasattr(x, "buffer"):
        x = current(x.device).with_taps(()).download(x)  # unseen by this tap
    if isinstance(x, np.ndarray):
        return x.dtype.kind == "f" and bool(np.isnan(x).any())
    return isinstance(x, float) and math.isnan(x)


def _raise_on_nan(event: Event) -> None:
    if event.column == VIEW or not any(map(_has_nan, event.outputs)):
        return
    if any(map(_has_nan, event.arrays)):
        return  # it came from outside, as an input or a parameter
    given = []
    for name, a in zip(TABLE[event.op].arrays, event.arrays, strict=False):
        if isinstance(a, np.ndarray) and a.size:
            given.append(f"{name} {a.dtype.name}{list(a.shape)} from {a.min():.4g} to "
                         f"{a.max():.4g}")
    raise FloatingPointError(f"{event.op} (column {event.column}) made the first NaN, at "
                             f"{caller()}. Its inputs had none: {', '.join(given)}")


def caller() -> str:
    """``file:line`` of the innermost frame outside the package: the user's own line."""
    frame = sys._getframe(outside() - 1)
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def outside() -> int:
    """The ``stacklevel`` of a warning given by who asks, so that it points at the user's line."""
    package = str(Path(__file__).parents[1]) + os.sep
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None:
        name = frame.f_code.co_filename
        if not name.startswith(package) and not name.endswith("contextlib.py"):
            break
        frame, level = frame.f_back, level + 1
    return level
