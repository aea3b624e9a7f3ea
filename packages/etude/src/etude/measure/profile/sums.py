"""What the tap saw, added up: by op and shapes, by line, by phase, and by the way to each call.

The *phase* of a call follows from the functions that were at work around it, so nothing in a
program has to be marked: what ``core/autograd.py`` called is backward, what ``optim/`` called is
the optimiser, what ``data/loader.py`` called is data, what ``replay/`` runs of a program that was
captured is "captured"; all else is forward.

Python between two calls is charged to the way to the second one: it is what it took to get there.
The first calls are also kept one by one, as slices for ``trace.py``.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from types import CodeType
from typing import Any, NamedTuple

from etude.core.columns import VIEW
from etude.core.shapes import Spec
from etude.core.table import TABLE
from etude.measure.profile.watch import Call, Stack

SLICES = 30_000  # calls that a trace shows
STEPS = 100_000  # steps whose times are kept
PHASES = ("data", "forward", "backward", "optimiser", "captured")
OUTSIDE = "outside"  # between the last op of something and the first of the next

PACKAGE = str(Path(__file__).parents[2]) + os.sep
STANDARD = sysconfig.get_path("stdlib") + os.sep
INSTALLED = tuple({sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib")})
SHOWN = ("nn/", "models/", "train/")  # whose functions are places, as a user's own are


class Line(NamedTuple):
    """A line of a program."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f"{file_name(self.file)}:{self.number}"


def file_name(path: str) -> str:
    """The file without its folder; of a cell of a notebook, what IPython calls it: "In[3]"."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    told = None if shell is None else shell.compile.format_code_name(path)
    return os.path.basename(path) if told is None else str(told[1])


@dataclass
class Work:
    """All calls of one op with one set of shapes, in one column and phase."""

    phase: str
    op: str
    column: str
    dtype: str
    flops: int  # of one call
    bytes: int
    calls: int = 0
    seconds: float = 0.0
    made: int = 0  # bytes of results, of all calls


@dataclass
class Spent:
    """Calls, seconds in them, and seconds of Python on the way to them."""

    calls: int = 0
    seconds: float = 0.0
    python: float = 0.0


@dataclass(eq=False)
class Place:
    """Where calls were made, and what was spent there by the thread whose time is told."""

    phase: str
    line: Line  # the innermost outside of Etude
    path: tuple[str, ...]  # the way there, from outside
    stack: Stack  # kept, since places are found by the addresses of its code
    spent: Spent = field(default_factory=Spent)
    ops: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # seconds
    waiting: float = 0.0  # for data


class Slice(NamedTuple):
    """One call, or one wait, for the trace."""

    start: float
    seconds: float
    call: Call
    place: Place


@dataclass
class _Thread:
    """How far the calls of a thread have been added up."""

    phase: str = OUTSIDE
    before: float = 0.0  # when the last call before the present wait for data was over
    first: Place | None = None  # of the first call in that wait


class Sums:
    """Add calls with ``add``; the rest is there to be read."""

    def __init__(self, start: float, extra: float) -> None:
        self.start = start
        self.extra = extra  # seconds that a call takes longer because it is tapped at all
        self.thread = threading.get_ident()  # whose time is told; others count as ops only
        self.work: dict[Any, Work] = {}
        self.slices: list[Slice] = []
        self.elsewhere = 0.0  # seconds in ops of other threads
        self.tapped = 0.0  # of ``extra``, what was found
        self.steps = 0  # of optimisers
        self._step_begins: list[float] = []
        self.calls = 0
        self._threads: dict[int, _Thread] = {}
        self._places: dict[Any, Place] = {}

    def add(self, calls: list[Call]) -> None:
        for call in calls:
            self._add(call)

    @property
    def lines(self) -> dict[Line, Spent]:
        """By the line of the program."""
        return _gathered((place.line, place) for place in self._places.values())

    @property
    def phases(self) -> dict[str, Spent]:
        """By phase."""
        return _gathered((place.phase, place) for place in self._places.values())

    @property
    def paths(self) -> dict[tuple[str, ...], float]:
        """Seconds by the way there: of Python at its end, and of each op one step further."""
        found: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for place in self._places.values():
            found[place.path] += place.spent.python
            found["waiting for data",] += place.waiting
            for op, seconds in place.ops.items():
                found[*place.path, op] += seconds
        return {path: seconds for path, seconds in found.items() if seconds}

    @property
    def step(self) -> float:
        """The median time from one step of an optimiser to the next; 0 where there are not two."""
        if len(self._step_begins) < 2:
            return 0.0
        return median([b - a for a, b in pairwise(self._step_begins)])

    def _add(self, call: Call) -> None:
        place = self._place(call.stack)
        thread = self._threads.get(call.thread)
        if thread is None:
            thread = self._threads[call.thread] = _Thread()
        start = call.end - call.seconds
        free = call.free or (self.start if call.thread == self.thread else start)
        if len(self.slices) < SLICES:
            self.slices.append(Slice(start, call.seconds, call, place))
        # What ended inside this call was made by it, as ``reshape`` makes a copy where it needs
        # one, and has been added already: what is left is its own.
        own = call.end - max(start, free)
        if not call.op:
            self._waited(own, start, thread, place, mine=call.thread == self.thread)
            return
        self.calls += 1
        self._work(call, place, own)
        gap = max(0.0, start - free)
        python = max(0.0, gap - self.extra)
        if call.thread == self.thread:
            self.tapped += gap - python
            spent = place.spent
            spent.calls += 1
            spent.seconds += own
            spent.python += python
            place.ops[call.op] += own
            begins = place.phase == "optimiser" and thread.phase != "optimiser"
            if begins or (place.phase == "captured" and _has_step(call)):
                self.steps += 1
                if self.steps <= STEPS:
                    self._step_begins.append(start)
        else:
            self.elsewhere += own
        if place.phase == "data" and thread.phase != "data":
            thread.before, thread.first = free, place
        thread.phase = place.phase

    def _waited(self, own: float, start: float, thread: _Thread, place: Place, mine: bool) -> None:
        """A wait for data. Ops and Python inside it have been added already; Python just before it
        as well, to the way to its first op, and is taken out again.
        """
        if mine:
            place.waiting += own
            if thread.phase == "data" and thread.first is not None:
                early = max(0.0, start - thread.before - self.extra)
                thread.first.spent.python -= min(early, thread.first.spent.python)
        thread.phase = OUTSIDE

    def _work(self, call: Call, place: Place, own: float) -> None:
        key: Any = (place.phase, call.op, call.column)
        if call.column != VIEW:  # views cost nothing, whatever their shapes
            for _, shapes, attrs in call.parts:
                key = (*key, shapes, *attrs.items())
        try:
            work = self.work.get(key)
        except TypeError:  # an attribute that is a list
            key = (*key[:3], repr(call.parts))
            work = self.work.get(key)
        if work is None:
            work = self.work[key] = Work(place.phase, call.op, call.column, *_cost(call))
        work.calls += 1
        work.seconds += own
        work.made += call.made

    def _place(self, stack: Stack) -> Place:
        key = (*map(id, stack[::2]), *stack[1::2])
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = place_of(stack)
        return place


def _has_step(call: Call) -> bool:
    """Whether a call that stands for many has the step of an optimiser among them."""
    return any(name in TABLE and TABLE[name].family == "step" for name, _, _ in call.parts)


def _gathered(places: Iterable[tuple[Any, Place]]) -> dict[Any, Spent]:
    """What was spent in the places with the same key. Waiting is Python, and no call."""
    found: defaultdict[Any, Spent] = defaultdict(Spent)
    for key, place in places:
        if place.spent.calls or place.waiting:
            spent = found[key]
            spent.calls += place.spent.calls
            spent.seconds += place.spent.seconds
            spent.python += place.spent.python + place.waiting
    return dict(found)


def _cost(call: Call) -> tuple[str, int, int]:
    """(dtype, FLOP, bytes) of a call; those of a view are none."""
    dtypes = [a[1] for _, shapes, _ in call.parts for a in shapes if isinstance(a, tuple)]
    floats = [d for d in dtypes if d.kind == "f"]
    dtype = (floats or dtypes or [None])[0]
    name = "" if dtype is None else dtype.name
    flops = moved = 0
    for op, shapes, attrs in call.parts:
        if call.column != VIEW and op in TABLE:
            specs = [Spec(*a) if isinstance(a, tuple) else a for a in shapes]
            flops += TABLE[op].flops(*specs, **attrs)
            moved += TABLE[op].bytes(*specs, **attrs)
    return name, flops, moved


# ------------------------------------------------------------------ where a call was made


def place_of(stack: Stack) -> Place:
    """Read a stack: phase, line and path."""
    frames = list(_frames(stack))
    users = [i for i, (code, _) in enumerate(frames) if _is_users(code)]
    first = users[0] if users else len(frames) - 1
    line = _line(*frames[first]) if frames else Line("?", 0, "?")
    path = []
    phase = _phase([code for code, _ in frames], first)
    for code, at in frames:
        if _is_users(code):
            where = _line(code, at)
            name = where.function if where.function != "<module>" else ""
            path.append(f"{name} {where}".strip())
        elif _shown(code):
            path.append(code.co_qualname)
    path.reverse()
    if phase in ("backward", "optimiser", "captured"):
        path.append(phase)
    return Place(phase, line, tuple(path), stack)


def _phase(codes: list[CodeType], first: int) -> str:
    """By the functions at work, the innermost first. A user's function that an optimiser called (a
    closure) is not the optimiser; one that backward called (a gradient rule) is backward.
    """
    for i, code in enumerate(codes):
        file = code.co_filename
        if not file.startswith(PACKAGE):
            continue
        inner = file[len(PACKAGE):].replace(os.sep, "/")
        if inner in ("core/autograd.py", "core/tape.py"):
            return "backward"
        if inner in ("data/loader.py", "data/ahead.py"):
            return "data"
        if inner.startswith("optim/") and i < first:
            return "optimiser"
        if inner.startswith("replay/") and i < first:
            return "captured"
    return "forward"


def _frames(stack: Stack) -> Iterator[tuple[CodeType, int]]:
    return zip(stack[::2], stack[1::2], strict=True)


def _is_users(code: CodeType) -> bool:
    """Whether it is neither Etude's nor Python's own."""
    file = code.co_filename
    if file.startswith((PACKAGE, "<frozen", "<etude")):
        return False
    return not file.startswith(STANDARD) or file.startswith(INSTALLED)


def _shown(code: CodeType) -> bool:
    file = code.co_filename
    if not file.startswith(PACKAGE) or code.co_name.startswith(("_", "<")):
        return False
    return file[len(PACKAGE):].replace(os.sep, "/").startswith(SHOWN)


def _line(code: CodeType, at: int) -> Line:
    """The line at the byte ``at`` of a code."""
    number = code.co_firstlineno
    for begin, end, line in code.co_lines():
        if begin <= at < end and line is not None:
            number = line
    return Line(code.co_filename, number, code.co_qualname)
