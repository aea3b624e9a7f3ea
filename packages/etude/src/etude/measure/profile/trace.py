"""A profile for chrome://tracing and https://ui.perfetto.dev: what ran when, one slice for a call.

Source of the format: Trace Event Format, Google, the JSON Object Format of complete ("X"), counter
("C") and metadata ("M") events; times are microseconds. Phases have a row of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from etude.core.columns import VIEW

if TYPE_CHECKING:
    from etude.measure.profile.report import Profile
    from etude.measure.profile.sums import Slice
    from etude.measure.profile.watch import Call

STEPS = 0  # the row of phases


def trace(p: Profile) -> dict[str, Any]:
    """The document."""
    slices = p.slices()
    threads = {slice_.call.thread: None for slice_ in slices}
    rows = {thread: i + 1 for i, thread in enumerate(threads)}
    events = [_named("process_name", STEPS, f"Etude: {p.name or 'a block'}"),
              _named("thread_name", STEPS, "phases")]
    for thread, row in rows.items():
        main = thread == p.sums.thread
        events.append(_named("thread_name", row, "ops" if main else f"ops, thread {row}"))
    begun = p.begun
    events += [_complete(s, rows[s.call.thread], begun) for s in slices]
    events += _phases([s for s in slices if s.call.thread == p.sums.thread], begun)
    last = max([s.start + s.seconds for s in slices], default=0.0)
    for moment in p.memory:
        if moment.time <= last:
            events.append({"ph": "C", "name": "memory, MB", "pid": os.getpid(), "tid": STEPS,
                           "ts": _us(moment.time - begun),
                           "args": {"reserved": 1e-6 * moment.reserved,
                                    "arrays": 1e-6 * moment.live}})
    return {"traceEvents": events, "displayTimeUnit": "ms",
            "otherData": {"calls": p.sums.calls, "shown": sum(s.call.op != "" for s in slices)}}


def _named(what: str, row: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": os.getpid(), "tid": row, "args": {"name": name}}


def _complete(s: Slice, row: int, begun: float) -> dict[str, Any]:
    call = s.call
    args = {"line": f"{s.place.line.file}:{s.place.line.number}", "phase": s.place.phase}
    if call.op:
        args |= {"column": call.column, "arrays": _shapes(call)}
    return {"ph": "X", "name": call.op or "waiting for data", "pid": os.getpid(), "tid": row,
            "cat": "view" if call.column == VIEW else s.place.phase, "ts": _us(s.start - begun),
            "dur": _us(s.seconds), "args": args}


def _shapes(call: Call) -> str:
    """The arrays of a call: "float32[64, 32], float32[10, 32]"."""
    _, first, _ = call.parts[0]
    words = [f"{a[1].name}{list(a[0])}" if isinstance(a, tuple) else str(a) for a in first]
    more = f", and {len(call.parts) - 1} calls more" if len(call.parts) > 1 else ""
    return ", ".join(words) + more


def _phases(slices: list[Slice], begun: float) -> Iterator[dict[str, Any]]:
    """A slice for each stretch of calls in one phase."""
    stretch: list[Slice] = []
    for s in [*sorted(slices, key=lambda s: s.start), None]:
        if stretch and (s is None or s.place.phase != stretch[0].place.phase):
            start, end = stretch[0].start, max(x.start + x.seconds for x in stretch)
            yield {"ph": "X", "name": stretch[0].place.phase, "cat": "phase", "pid": os.getpid(),
                   "tid": STEPS, "ts": _us(start - begun), "dur": _us(end - start), "args": {}}
            stretch = []
        if s is not None:
            stretch.append(s)


def _us(seconds: float) -> float:
    return round(1e6 * seconds, 3)
