"""The tap of a profile. It runs after every op, so it is quick: it keeps tuples, and adds up later.

What it finds out for itself, because nobody can later: where in the program the call was made, and
how many bytes of results are alive. Both without a copy of anything: frames are walked for their
code and place alone, and results are watched through weak references, which keep nothing alive.
``sums.py`` reads the tuples.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import Lock, get_ident
from time import perf_counter
from types import CodeType, FrameType
from typing import Any, NamedTuple

from etude.core.columns import VIEW, Event

FOLD = 20_000  # calls that are kept before they are added up: some 10 MB
LOOK = 0.005  # seconds between two looks at the memory of this process, at first
MOST = 4000  # looks that are kept; when there are as many, every other one goes
SMALL = 1 << 14  # bytes: smaller results are not watched, which would cost more than they weigh

Stack = tuple[Any, ...]  # code, place, code, place ... from the op outwards
#: One op call: its name, (shape, dtype) of each array (1 for a number, or None), its attributes.
Part = tuple[str, tuple[Any, ...], dict[str, Any]]


class Call(NamedTuple):
    """What is kept of one op call, of several that ran as one, or of a wait for data."""

    free: float  # by perf_counter: when the tap was done with the call before, in this thread
    end: float
    seconds: float
    op: str  # "" for a wait
    column: str
    parts: tuple[Part, ...]  # the calls that ran as one; most are one
    made: int  # bytes of results
    thread: int
    stack: Stack


class Memory(NamedTuple):
    """The memory at a moment, in bytes."""

    time: float
    reserved: int  # by this process: its resident set
    live: int  # of arrays


class _Held(weakref.ref[Any]):
    """A weak reference to what holds the memory of a result."""

    __slots__ = ("nbytes",)
    nbytes: int


class Watch:
    """The tap. ``sink`` is handed the tuples, in lists; ``base`` is the frame of the block."""

    def __init__(self, sink: Callable[[list[Call]], None], base: FrameType | None,
                 live: int) -> None:
        self.sink = sink
        self.base = base
        self.calls: list[Call] = []
        self.memory: list[Memory] = []
        self.seen = 0  # calls
        self.own = 0.0  # seconds in here
        self._free: dict[int, float] = {}
        self.live = self.most_live = live  # bytes of arrays: those that were there before
        self.most_reserved = 0
        self._every = LOOK
        self._held: dict[int, _Held] = {}
        self._lock = Lock()
        self.look(perf_counter())

    def __call__(self, event: Event) -> None:
        end = perf_counter()
        view = event.column == VIEW and event.arrays  # and no array made from nothing
        made = 0 if view else self._results(event)
        thread = get_ident()
        part = event.op, _shapes(event.arrays), event.attrs
        self._keep(Call(self._free.get(thread, 0.0), end, event.seconds, event.op, event.column,
                        (part,), made, thread, self._stack()), end)

    def together(self, op: str, calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]],
                 column: str, seconds: float) -> None:
        """Many calls that ran as one: a step of an optimiser over all of its parameters, or of a
        program that was captured.
        """
        end = perf_counter()
        thread = get_ident()
        parts = tuple([(name, _shapes(arrays), attrs) for name, arrays, attrs in calls])
        self._keep(Call(self._free.get(thread, 0.0), end, seconds, op, column, parts, 0, thread,
                        self._stack()), end)

    def waited(self, start: float, end: float, arrays: tuple[Any, ...]) -> None:
        """The program waited for a batch."""
        now = perf_counter()
        for a in arrays:
            self._alive(a)
        thread = get_ident()
        self._keep(Call(self._free.get(thread, 0.0), end, end - start, "", "", (), 0, thread,
                        self._stack()), now)

    def _keep(self, call: Call, begun: float) -> None:
        self.calls.append(call)
        self.seen += 1
        if begun - self.memory[-1].time > self._every:
            self.look(begun)
        if len(self.calls) >= FOLD:
            self.flush()
        end = self._free[call.thread] = perf_counter()
        self.own += end - begun

    def flush(self) -> None:
        """Hand over what was kept."""
        with self._lock:
            calls, self.calls = self.calls, []
            if calls:
                self.sink(calls)

    def look(self, time: float) -> None:
        reserved = resident()
        self.most_reserved = max(self.most_reserved, reserved)
        self.memory.append(Memory(time, reserved, self.live))
        if len(self.memory) >= MOST:
            del self.memory[1::2]
            self._every *= 2

    def _stack(self) -> Stack:
        """The code that runs and where, from what called the tap out to the block."""
        base = self.base
        frame: FrameType | None = sys._getframe(2)
        found: list[CodeType | int] = []
        while frame is not None:
            found.append(frame.f_code)
            found.append(frame.f_lasti)
            if frame is base:
                break
            frame = frame.f_back
        return tuple(found)

    def _results(self, event: Event) -> int:
        """Bytes of the results, as far as they are not written over an input; now watched."""
        total = 0
        for y in event.outputs:
            for a in event.arrays:
                if a is y:
                    break
            else:
                total += self._alive(y)
        return total

    def _alive(self, y: Any) -> int:
        """Count an array among the living until its memory goes. Returns its bytes."""
        nbytes: int = y.nbytes
        if nbytes < SMALL:
            return nbytes
        owner = getattr(y, "buffer", None)
        if owner is None:
            owner = y if y.base is None else y.base
        try:
            held = _Held(owner, self._gone)
        except TypeError:  # memory of a kind that cannot be watched
            return nbytes
        held.nbytes = nbytes
        self._held[id(held)] = held
        self.live += nbytes
        self.most_live = max(self.most_live, self.live)
        return nbytes

    def _gone(self, held: _Held) -> None:
        if self._held.pop(id(held), None) is not None:
            self.live -= held.nbytes

    def close(self) -> None:
        """Let go of all that is watched."""
        self.look(perf_counter())
        self.flush()
        self._held.clear()
        self.base = None


def _shapes(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple([(a.shape, a.dtype) if hasattr(a, "shape") else _plain(a) for a in arrays])


def _plain(x: Any) -> Any:
    """A number without its value, which would tell apart calls that cost the same."""
    return None if x is None else type(x)(1)


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def most_resident() -> int:
    """The most that this process has ever held, in bytes; 0 where the system does not say."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0
