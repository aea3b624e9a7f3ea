"""``profile``, and ``Profile``: what it found, in numbers. How they look is in ``text.py``.

Four numbers come first, since each asks for another remedy:

    busy      are all cores at work, and on ops?       bigger batches, more threads, capture
    achieved  how far from the peak is the whole?      the roofline says it of each op
    memory    how much of what is held is alive?       free earlier, smaller batches
    data      how long did it wait for batches?        workers, less work for each sample
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.array import memory
from etude.core.columns import VIEW, column_named, table_of
from etude.core.state import tap
from etude.core.table import TABLE
from etude.core.tensor import Tensor
from etude.data.files import write_atomically
from etude.measure.machine import Span, cores, now
from etude.measure.profile.sums import OUTSIDE, PHASES, Line, Slice, Spent, Sums, Work
from etude.measure.profile.watch import Memory, Watch, most_resident
from etude.measure.roof import THREADS, Peak, Peaks, peaks
from etude.replay.guards import living

if TYPE_CHECKING:
    from etude.measure.profile.flame import Flame
    from etude.measure.roofline import Dot, Roofline


@dataclass
class Row:
    """All calls of one op in one phase, dtype and column."""

    phase: str
    op: str
    dtype: str
    column: str
    calls: int = 0
    seconds: float = 0.0
    flops: int = 0
    bytes: int = 0  # that had to move at least
    made: int = 0  # bytes of new results
    least: float = 0.0  # seconds that the roofline of this processor asks for; 0: it says nothing

    @property
    def of_roof(self) -> float | None:
        """The share of what is attainable at the intensity of this op. Above 1 its data came from
        a cache, which is faster than the memory that the roofline was measured with. None for what
        costs nothing, and on another device.
        """
        return self.least / self.seconds if self.seconds and self.least else None


@dataclass(frozen=True)
class Numbers:
    """The four that matter, and what they are made of. Seconds, bytes, FLOP a second, shares."""

    seconds: float
    steps: int  # of optimisers
    step: float  # the median time from one to the next
    calls: int
    cores: int
    busy: float  # CPU time over time x cores
    inside_ops: float  # share of the time
    achieved: float  # FLOP a second
    peak: float
    of_peak: float  # FLOP of each dtype over its peak
    of_roof: float  # of the time in ops, what the roofline asks for
    reserved: int  # the most that the process held
    before: int  # of it, when the block began
    live: int  # the most that arrays held
    waiting: float  # share of the time
    watching: float  # share of the time that profiling cost
    machine_busy: str  # why times say little; "" if they do not


class Profile:
    """What ``profile`` found. Print it; ``html``, ``trace``, ``flame`` and ``roofline`` show more.

    It may be asked while the block still runs: then it tells what was so far.
    """

    def __init__(self, name: str = "", base: FrameType | None = None) -> None:
        self.name = name
        self.begun = perf_counter()
        self._sums = Sums(perf_counter(), wrapper_cost())
        self._watch = Watch(self._sums.add, base, bytes_of_tensors())
        self._most_before = most_resident()
        self._start = now()
        self._sums.start = perf_counter()
        self._end: Any = None

    @property
    def watch(self) -> Watch:
        """The tap."""
        return self._watch

    def close(self) -> None:
        """The block is over."""
        self._end = now()
        self._watch.close()

    # -------------------------------------------------------------- what was found

    @cached_property
    def peaks(self) -> Peaks:
        """What this machine can do; measured now, in some seconds, if that was never done."""
        return peaks()

    @property
    def span(self) -> Span:
        return Span.between(self._start, self._end or now())

    @property
    def sums(self) -> Sums:
        self._watch.flush()
        return self._sums

    @property
    def memory(self) -> list[Memory]:
        """The memory of this process and of arrays, at some moments."""
        return self._watch.memory

    @property
    def empty(self) -> str:
        """Why there is nothing to tell, as a sentence; "" if there is."""
        if self.sums.calls:
            return ""
        return f"Nothing of Etude ran in {self.name or 'this block'}: no op was called."

    def rows(self, views: bool = True) -> list[Row]:
        """One for each op, phase, dtype and column, the longest first."""
        found: dict[Any, Row] = {}
        for work in self.sums.work.values():
            key = work.phase, work.op, work.dtype, work.column
            if work.column == VIEW:
                if not views:
                    continue
                if work.op in TABLE and TABLE[work.op].cls == "view":
                    key = work.phase, "views", "", VIEW
            row = found.setdefault(key, Row(*key))
            row.calls += work.calls
            row.seconds += work.seconds
            row.flops += work.calls * work.flops
            row.bytes += work.calls * work.bytes
            row.made += work.made
            row.least += work.calls * self.least(work)
        return sorted(found.values(), key=lambda row: -row.seconds)

    def lines(self) -> list[tuple[Line, Spent]]:
        """The lines of the program that called ops or waited for data, the longest first."""
        return sorted(self.sums.lines.items(), key=lambda item: -(item[1].seconds + item[1].python))

    def least(self, work: Work) -> float:
        """Seconds that one call takes at least, by the roofline of this processor (its source is
        in ``etude.measure.roofline``); 0 on another device.
        """
        peak = self.peak_of(work.column)
        if peak is None:
            return 0.0
        return max(work.flops / (peak.float64 if work.dtype == "float64" else peak.float32),
                   work.bytes / peak.bandwidth)

    def peak_of(self, column: str) -> Peak | None:
        """What as many threads can do as the column has; None for a column of another device."""
        found = column_named(column)
        if found is not None and found.device != "cpu":
            return None
        threads = _numpy_threads() if found is None else found.threads
        return self.peaks.of(max(1, min(threads, cores())))

    @property
    def peak(self) -> Peak:
        """What the whole machine can do."""
        return self.peaks.of(cores())

    def parts(self) -> dict[str, Spent]:
        """Where the time of this thread went: phases, ``OUTSIDE`` of them, and "watching"."""
        phases = self.sums.phases
        found = {phase: phases[phase] for phase in PHASES if phase in phases}
        watching = Spent(self._watch.seen, 0.0, self.watching)
        told = sum(s.seconds + s.python for s in found.values()) + watching.python
        rest = Spent(0, 0.0, max(0.0, self.span.wall - told))
        return {**found, OUTSIDE: rest, "watching": watching}

    @property
    def watching(self) -> float:
        """Seconds that profiling took."""
        return self._watch.own + self.sums.tapped

    def numbers(self) -> Numbers:
        span, parts, rows = self.span, self.parts(), self.rows(views=False)
        wall = max(span.wall, 1e-9)
        flops = sum(row.flops for row in rows)
        possible = sum(row.flops / (self.peak.float64 if row.dtype == "float64"
                                    else self.peak.float32) for row in rows)
        in_ops = sum(row.seconds for row in rows if row.least)
        data = parts.get("data", Spent())
        most = most_resident()
        seen = self._watch.most_reserved
        return Numbers(
            seconds=span.wall, steps=self.sums.steps, step=self.sums.step,
            calls=self.sums.calls, cores=cores(), busy=span.cpu / wall / cores(),
            inside_ops=sum(s.seconds for s in parts.values()) / wall,
            achieved=flops / wall, peak=self.peak.float32, of_peak=possible / wall,
            of_roof=sum(row.least for row in rows) / in_ops if in_ops else 0.0,
            reserved=max(seen, most) if most > self._most_before else seen,
            before=self.memory[0].reserved, live=self._watch.most_live,
            waiting=(data.seconds + data.python) / wall,
            watching=self.watching / wall, machine_busy=span.busy)

    def json(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        numbers = {} if self.empty else asdict(self.numbers())
        return {
            "name": self.name, "numbers": numbers,
            "parts": {name: asdict(spent) for name, spent in self.parts().items()},
            "ops": [{**asdict(row), "of_roof": row.of_roof} for row in
                    ([] if self.empty else self.rows())],
            "lines": [{**line._asdict(), **asdict(spent)} for line, spent in self.lines()],
            "peaks": None if self.empty else json.loads(self.peaks.json()),
        }

    # -------------------------------------------------------------- how it looks

    def table(self, ops: int = 15, lines: int = 8) -> str:
        """The numbers, the ``ops`` and ``lines`` that took longest, as text."""
        from etude.measure.profile.text import table

        return table(self, ops, lines)

    __str__ = table

    def dots(self) -> list[Dot]:
        """The ops as dots of a roofline: those that compute anything."""
        from etude.measure.roofline import Dot

        whole = sum(row.seconds for row in self.rows(views=False)) or 1.0
        found = []
        for row in self.rows(views=False):
            if row.flops and row.of_roof is not None:
                found.append(Dot(row.op, row.flops / row.bytes, row.flops / row.seconds,
                                 row.seconds / whole, f"{row.phase}, {row.dtype}, {row.column}"))
        return found

    def roofline(self, path: str | os.PathLike[str] | None = None) -> Roofline:
        """The roofline of this machine with each op as a dot. With ``path`` it is written as well:
        .svg, .png (both need matplotlib) or .html.
        """
        from etude.measure.roofline import Roofline

        made = Roofline(self.peaks, self.dots())
        if path is not None:
            made.save(path)
        return made

    def slices(self) -> list[Slice]:
        """The first calls, one by one."""
        return self.sums.slices

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write the first calls for chrome://tracing or https://ui.perfetto.dev."""
        from etude.measure.profile.trace import trace

        write_atomically(path, json.dumps(trace(self)).encode())

    def flame(self, path: str | os.PathLike[str] | None = None) -> Flame:
        """The flame graph of a step, which a notebook shows. With ``path`` it is written, as .svg.
        """
        from etude.measure.profile.flame import flame

        made = flame(self)
        if path is not None:
            write_atomically(path, made.encode())
        return made

    def html(self, path: str | os.PathLike[str]) -> None:
        """Write one page with all of it, which needs nothing but a browser."""
        from etude.measure.profile.page import page

        write_atomically(path, page(self).encode())

    def _repr_html_(self) -> str:
        from etude.measure.profile.page import excerpt

        return excerpt(self)


@contextmanager
def profile(name: str = "") -> Iterator[Profile]:
    """``with etude.profile() as p: ...; print(p)``: where the time went inside the block.

    Each op call is told with its time, FLOP, bytes, and the share of what this machine could do at
    the intensity of the op; Python between the calls as such. ``name`` is a title. The first
    profile on a machine measures its peaks, when it is printed: some seconds, once.
    """
    found = Profile(name, sys._getframe(2))
    with tap(found.watch):
        try:
            yield found
        finally:
            found.close()


def bytes_of_tensors() -> int:
    """Bytes of memory under the Tensors that there are."""
    owners: dict[int, int] = {}
    for tensor in living(Tensor):
        array = getattr(tensor, "array", None)  # none in one that is being made
        if array is not None:
            at = memory(array)
            owners[at] = max(owners.get(at, 0), array.nbytes)
    return sum(owners.values())


def wrapper_cost() -> float:
    """Seconds that a call takes longer because it is tapped at all, whatever the tap does."""
    x = np.zeros(1, np.float32)
    plain = table_of("cpu", ())["add"]
    tapped = table_of("cpu", ()).with_taps((lambda event: None,))["add"]
    return max(0.0, _best(tapped, x) - _best(plain, x))


def _best(call: Any, x: Any) -> float:
    """The shortest mean of a few rounds."""
    shortest = float("inf")
    for _ in range(8):
        start = perf_counter()
        for _ in range(50):
            call(x, x)
        shortest = min(shortest, perf_counter() - start)
    return shortest / 50


def _numpy_threads() -> int:
    """How many threads the libraries under NumPy were told to take; else all cores."""
    told = [int(os.environ[name]) for name in THREADS if os.environ.get(name, "").isdecimal()]
    return min(told, default=cores())
