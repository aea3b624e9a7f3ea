"""Runs a program on kernels: bound once, then one native call a run.

What running a program means is said by the executor in Python (``etude/replay/reference.py``);
this one gives the same bits. It is made in three steps:

1. Memory. Temporaries lie in one arena, where the memory plan puts them. Arguments, state, what
   Python makes anew, and results are in other memory at every run; while the calls are bound,
   *stand-ins* take their places.
2. Binding. Each call goes through the column that would run it, with ``out`` in place, while the
   host *holds* the records: the binder works out shapes, strides and numbers, and no kernel runs.
   Copies that a binder makes for its kernel are records too.
3. Patches. Where a record points into a stand-in, the run points it into the real array.

A call that no native column takes is run by the table, in Python, between two stretches of records.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from etude.backends.native.geometry import Geometry
from etude.backends.native.kernel import UNSUPPORTED, Chain, Host, Patch, Record, keep_in
from etude.backends.native.library import Ops, address
from etude.core.array import c_strides
from etude.core.columns import DECLINED, Column, Event, Table
from etude.core.errors import BackendError, Unsupported
from etude.core.state import STATE, State, Tables
from etude.core.table import TABLE
from etude.replay.passes.memory import ALIGNMENT, MemoryPlan, memory_plan
from etude.replay.program import Buffer, Call, Operand, Program, Value

Array = np.ndarray[Any, Any]
MARGIN = 64  # bytes between stand-ins, so that a pointer to the end of one is no pointer to another


@dataclass
class Stretch:
    """Calls that run in the same way, up to ``last``: from their records, or in Python."""

    native: bool
    last: int


class Native:
    """A program bound to the columns of a table. One run at a time: a second thread waits.

    ``run`` takes what the program was traced with, in the same shapes, dtypes and strides. State is
    read from its Tensors at every run. Raises BackendError where a kernel fails, naming the call.
    ``poison`` is for tests: calls run one by one, and memory that nobody needs any more is
    overwritten, so that a plan which is wrong shows.
    """

    def __init__(self, program: Program, table: Table, poison: bool = False) -> None:
        self.program = program
        self.plan: MemoryPlan = memory_plan(program)
        self._table = table
        self._poison = poison
        self._lock = threading.Lock()
        self._moving = _Moving(program)
        #: Where buffers are: the arena and constants for good, stand-ins until all is bound.
        self._memory = _arena(self.plan)
        self._memory.update({b: b.source for b in program.buffers() if b.kind == "constant"})
        self._kept: list[Any] = []  # whatever records point to besides
        self._in_python: set[int] = set()  # calls that no kernel takes
        hosts = [c.ops.host for c in table.stack if isinstance(c.ops, Ops)]
        self._host: Host | None = hosts[0] if hosts and table.device == "cpu" else None
        self._bind()

    # ------------------------------------------------------------------ run

    def run(self, arguments: Sequence[Array], live: Sequence[Array]) -> tuple[Array, ...]:
        """The program once. Its results are new arrays, those over state or an argument views."""
        with self._lock:
            arrays = self._moving.arrays(arguments, live)
            i, last = 0, len(self.program.calls)
            if self._chain is not None:
                i = self._native(0, arrays, first=True)
            while i < last:
                stretch = self._stretches[self._stretch_of[i]]
                if stretch.native:
                    i = self._native(i, arrays)
                else:
                    self._call(i, arrays)
                    i += 1
                if self._poison:
                    self._spoil(i - 1)
            return self._results(arrays)

    def _native(self, i: int, arrays: list[Array], first: bool = False) -> int:
        """Run the stretch of call ``i`` from its records, and say which call comes next."""
        stretch = self._stretches[self._stretch_of[i]]
        chain, end = self._chain, stretch.last
        assert chain is not None
        if first:
            end = end if stretch.native and not self._poison else 0
            status = chain.start(arrays, self._records_before[end])
        else:
            status = chain.go_on(self._records_before[i], self._records_before[end])
        return self._failed(status, arrays) if status else end

    def _call(self, i: int, arrays: list[Array]) -> None:
        """Run one call in Python, as the table does it."""
        call = self.program.calls[i]
        inputs = [self._array(x, arrays) if isinstance(x, Value) else x for x in call.inputs]
        outs = tuple([self._array(v, arrays) for v in call.outputs])
        self._table[call.op](*inputs, out=outs if len(outs) > 1 else outs[0], **call.attrs)

    def _array(self, v: Value, arrays: list[Array]) -> Array:
        """The array that a value is in this run."""
        place = self._moving.places.get(v.buffer)
        return over(self._memory[v.buffer] if place is None else arrays[place], v)

    def _results(self, arrays: list[Array]) -> tuple[Array, ...]:
        places, whole = self._moving.places, self._moving.whole
        return tuple([arrays[places[v.buffer]] if v in whole else self._array(v, arrays)
                      for v in self.program.results])

    def _failed(self, status: int, arrays: list[Array]) -> int:
        """A kernel that declines leaves its call to Python from now on; others are errors."""
        assert self._chain is not None and self._host is not None
        i = bisect_right(self._records_before, self._chain.done) - 1
        call = self.program.calls[i]
        if status == UNSUPPORTED:
            self._in_python.add(i)
            self._divide()
            self._call(i, arrays)
            return i + 1
        inputs = [self._array(x, arrays) if isinstance(x, Value) else x for x in call.inputs]
        TABLE[call.op](*inputs, **call.attrs)  # the reference words what is wrong with values
        raise BackendError(f"call {i} of the program, {call.op}, ended with status {status}: "
                           f"{self._host.error() or 'the kernel did not say why'}")

    def _spoil(self, i: int) -> None:
        """Overwrite what nobody needs after call ``i``."""
        for b in self.plan.dead_after(i):
            self._memory[b][...] = 0xFF  # NaN in every float

    # ------------------------------------------------------------------ bind

    def _bind(self) -> None:
        """Records of all calls, and the patches of their pointers."""
        stand_ins = _StandIns(self._moving)
        self._memory.update(stand_ins.memory)
        records: list[Record] = []
        self._records_before = [0]  # of each call; at the end, of all
        with self._holding():
            for i, call in enumerate(self.program.calls):
                found = self._records(call)
                if found is None:
                    self._in_python.add(i)
                records.extend(found or ())
                self._records_before.append(len(records))
        for record in records:  # sizes and strides belong to plans, which may be forgotten
            self._kept.extend([Geometry.alive.get(p) for p in record.pointers])
        for b in stand_ins.memory:
            del self._memory[b]
        self._chain: Chain | None = None
        if self._host is not None:
            self._chain = self._host.chain(records, stand_ins.patches(records))
        self._divide()

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """A state in which the table of the program is in force, and arrays are noted."""
        here = STATE.get()
        noted = self._table.with_taps((self._note,))
        token = STATE.set(State(Tables({**here.tables, self._table.device: noted}), False))
        keep_in(self._kept, hold=True)
        try:
            yield
        finally:
            keep_in(None)
            STATE.reset(token)

    def _note(self, event: Event) -> None:
        """What a binder calls beside its kernel: copies. The reference would run them, now."""
        column = next((c for c in self._table.stack if c.name == event.column), None)
        if column is None or not isinstance(column.ops, Ops):
            raise Unsupported("no kernel makes the copy that the kernel needs")
        self._kept.append((event.arrays, event.outputs))

    def _records(self, call: Call) -> list[Record] | None:
        """What the first column that takes the call would run; None if that is no kernel."""
        for column in self._table.stack if self._host else ():
            if call.op in column.ops:
                if not isinstance(column.ops, Ops):
                    return None
                try:
                    return self._held(column, call)
                except DECLINED:
                    continue
        return None

    def _held(self, column: Column, call: Call) -> list[Record]:
        host = self._host
        assert host is not None
        dtypes = [x.dtype for x in call.inputs if isinstance(x, Value)]
        inputs = [self._bound(x, dtypes) for x in call.inputs]
        outs = tuple([self._bound(v, dtypes) for v in call.outputs])
        host.start(True)
        try:
            column.ops[call.op](*inputs, out=outs if len(outs) > 1 else outs[0], **call.attrs)
        finally:
            records = host.stop()
        return records

    def _bound(self, x: Operand, dtypes: list[np.dtype[Any]]) -> Any:
        """An operand in the memory of stand-ins. Numbers become arrays: a record points to them."""
        if isinstance(x, Value):
            return over(self._memory[x.buffer], x)
        if x is None:
            return None
        self._kept.append(np.array(x, dtypes[-1]))
        return self._kept[-1]

    def _divide(self) -> None:
        """Neighbouring calls that run in the same way are one stretch."""
        self._stretches: list[Stretch] = []
        self._stretch_of: list[int] = []
        for i in range(len(self.program.calls)):
            native = i not in self._in_python
            if not self._stretches or self._stretches[-1].native is not native or self._poison:
                self._stretches.append(Stretch(native, i + 1))
            self._stretches[-1].last = i + 1
            self._stretch_of.append(len(self._stretches) - 1)


class _Moving:
    """The buffers that are in other memory at every run, and their places in its list of arrays."""

    def __init__(self, program: Program) -> None:
        kinds: dict[str, list[Buffer]] = {}
        for b in program.buffers():
            kinds.setdefault(b.kind, []).append(b)
        self.state = kinds.get("state", [])
        fresh = kinds.get("result", [])
        order = [*[v.buffer for v in program.arguments], *kinds.get("live", []), *self.state,
                 *fresh]
        self.places: dict[Buffer, int] = {}
        for i, b in enumerate(order):
            self.places.setdefault(b, i)
        #: Results that fill a buffer of their own in C order, so that one new array is both.
        self.whole = {v for v in program.results
                      if v.buffer.kind == "result" and fills(v)}
        filled = {v.buffer: v for v in self.whole}
        self.fresh = [(filled[b].shape, filled[b].dtype) if b in filled
                      else ((b.nbytes,), np.dtype(np.uint8)) for b in fresh]

    def arrays(self, arguments: Sequence[Array], live: Sequence[Array]) -> list[Array]:
        """Those of one run, in order."""
        return [*arguments, *live, *[b.source.array for b in self.state],
                *[np.empty(shape, dtype) for shape, dtype in self.fresh]]


class _StandIns:
    """Memory in the place of arrays that are known only when the program runs; never touched."""

    def __init__(self, moving: _Moving) -> None:
        self._places = moving.places
        self.memory = {b: np.empty(b.nbytes + MARGIN, np.uint8) for b in moving.places}

    def patches(self, records: list[Record]) -> list[Patch]:
        """Where records point into stand-ins, and into which."""
        ranges = sorted((address(m), m.nbytes, self._places[b]) for b, m in self.memory.items())
        begins = [begin for begin, _, _ in ranges]
        found = []
        for i, record in enumerate(records):
            for k, pointer in enumerate(record.pointers):
                at = bisect_right(begins, pointer) - 1
                if at >= 0 and pointer < ranges[at][0] + ranges[at][1]:
                    found.append(Patch(i, k, ranges[at][2], pointer - ranges[at][0]))
        return found


def _arena(plan: MemoryPlan) -> dict[Buffer, Array]:
    """The memory of the temporaries, in one block."""
    block = np.empty(plan.size + ALIGNMENT, np.uint8)
    start = -address(block) % ALIGNMENT
    return {b: block[start + at : start + at + b.nbytes] for b, at in plan.offsets.items()}


def fills(v: Value) -> bool:
    """Whether a value is its whole buffer, in C order."""
    size = v.dtype.itemsize * math.prod(v.shape)
    return v.offset == 0 and size == v.buffer.nbytes and v.strides == c_strides(v.shape)


def over(base: Array, v: Value) -> Array:
    """The array that ``v`` is when its buffer begins where ``base`` does."""
    item = v.dtype.itemsize
    if base.dtype != np.uint8 or base.ndim != 1:
        base = as_strided(base, (v.buffer.nbytes // item,), (item,))
    return np.ndarray(v.shape, v.dtype, base, v.offset * item, [s * item for s in v.strides])
