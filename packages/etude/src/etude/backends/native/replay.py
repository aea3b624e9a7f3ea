"""Runs a program on kernels: bound once, then one native call a run.

What running a program means is said by the executor in Python (``etude/replay/reference.py``);
this one gives the same bits. It is made in three steps:

1. Memory. Temporaries lie in one arena, where the memory plan puts them. State, constants and what
   Python fills anew before each run stay where they are. Arguments and results may be other arrays
   at the next run; while the calls are bound, *stand-ins* take their places.
2. Binding. Each call goes through the column that would run it, with ``out`` in place, while the
   host *holds* the records: the binder works out shapes, strides and numbers, and no kernel runs.
   Copies that a binder makes for its kernel are records too.
3. Patches. Where a record points into a stand-in, ``bind`` points it into the real array. The
   copies of a call go where the arena is free while it runs.

A call that no native column takes is run by its table, in Python, between two stretches of records.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from etude.backends.native.blocks import blocks, worthwhile
from etude.backends.native.generate import Generator, can_generate
from etude.backends.native.geometry import Geometry
from etude.backends.native.kernel import (
    NO_MEMORY,
    OK,
    UNSUPPORTED,
    Blocks,
    Host,
    Patch,
    Record,
    Tail,
    keep_in,
)
from etude.backends.native.library import Ops, give_back
from etude.core.columns import DECLINED, Column, Event, Table
from etude.core.errors import BackendError, Unsupported
from etude.core.state import STATE, State, Tables, current
from etude.core.table import TABLE
from etude.replay.memory import address, array_of, memory_at
from etude.replay.passes.memory import ALIGNMENT, MemoryPlan, aligned, lowest, memory_plan
from etude.replay.passes.tails import PARTS, tails
from etude.replay.program import Buffer, Call, Group, Operand, Program, Value

Array = np.ndarray[Any, Any]
MARGIN = 64  # bytes between stand-ins, so that a pointer to the end of one is no pointer to another


@dataclass
class Stretch:
    """Calls that run in the same way, up to ``last``: from their records, or in Python."""

    native: bool
    last: int


def takes(program: Program) -> bool:
    """Whether kernels run some call of a program: then ``Native`` is the faster executor."""
    return any(_host(_table(call)) and any(call.op in c.ops for c in _table(call).stack)
               for call in program.calls)


class Native:
    """``program`` bound to the columns that its calls name.

    ``bind`` every argument and result buffer to memory, then ``run``; the caller sees to it that
    one thread runs it at a time. Results that are ``lasting`` may lie in the arena (``lent``). With
    ``generate`` pointwise chains become loops in C, which ``generated`` has (``generate.py``).
    With ``frozen`` buffers kernels may keep what they make of these and of constants, such as a
    packed weight, until ``refreeze``; it is kept with the chain, so it goes when this object goes.
    ``poison`` is for tests: calls run one by one, and memory that nobody needs any more is
    overwritten, so that a plan which is wrong shows.
    """

    def __init__(self, program: Program, lasting: Collection[Buffer] = (), generate: bool = False,
                 poison: bool = False, frozen: Collection[Buffer] | None = None) -> None:
        self.program, self._lasting, self._frozen = program, lasting, frozen
        self._poison = poison
        self._failed_at: int | None = None
        self._tables = [_table(call) for call in program.calls]
        host = next((h for t in self._tables if (h := _host(t)) is not None), None)
        self._generate = generate and can_generate(host)
        groups = [g for g in program.groups if host is not None and host.blocks
                  and (self._generate or worthwhile(g, program.calls))]
        while not self._bound(groups, host):
            groups = [g for g in groups if g not in self._refused]
        give_back()  # what the traced call had, and stand-ins

    @property
    def at(self) -> int:
        """The call that failed in the last run."""
        return self._failed_at or 0

    def bind(self, buffer: Buffer, array: Array) -> None:
        """From now on ``buffer`` is the memory that begins with the first element of ``array``."""
        point = self._pointers.get(buffer)
        if point is not None:
            self._memory[buffer] = array
            point(self._ident(array))

    def lent(self, buffer: Buffer) -> Any:
        """The place of a lasting result in the arena. Views of it are known by their base."""
        if buffer not in self._lasting or buffer not in self.plan.offsets:
            return None
        return memory_at(address(self._arena) + self.plan.offsets[buffer], buffer.nbytes,
                         self._arena)

    def refreeze(self) -> None:
        """Frozen buffers hold other numbers now."""
        if self._chain is not None:
            self._chain.refreeze()

    @property
    def kept_bytes(self) -> int:
        """Memory for what kernels keep of frozen buffers."""
        return 0 if self._chain is None else self._chain.kept_bytes

    def run(self, status: int = OK) -> None:
        """The program once. BackendError where a kernel fails, naming the call. ``status``: what
        ``whole()`` returned, if that was called; this does the rest.
        """
        chain, before = self._chain, self._records_before
        i, last = 0, len(self.program.calls)
        try:
            if status:
                i = self._failed(status)
            while i < last:
                stretch = self._stretches[self._stretch_of[i]]
                if stretch.native and chain is not None:
                    status = chain.run(before[i], before[stretch.last])
                    i = self._failed(status) if status else stretch.last
                else:
                    self._call(i)
                    i += 1
                if self._poison:
                    self._spoil(i - 1)
        except BaseException:
            self._failed_at = i if chain is None else max(i, self._call_of(chain.done))
            raise

    def _call(self, i: int) -> None:
        """Run one call in Python, as its table does it."""
        call = self.program.calls[i]
        outs = tuple([array_of(v, self._memory[v.buffer]) for v in call.outputs])
        self._tables[i][call.op](*self._inputs(call), out=outs if len(outs) > 1 else outs[0],
                                 **call.attrs)

    def _inputs(self, call: Call) -> list[Any]:
        return [array_of(x, self._memory[x.buffer]) if isinstance(x, Value) else x
                for x in call.inputs]

    def _call_of(self, record: int) -> int:
        return bisect_right(self._records_before, record) - 1

    def _failed(self, status: int) -> int:
        """A kernel that declines leaves its call to Python from now on; others are errors."""
        assert self._chain is not None
        i = self._call_of(self._chain.done)
        call = self.program.calls[i]
        if status == NO_MEMORY:
            raise MemoryError(f"call {i} of the program, {call.op}: no memory for work space")
        if status == UNSUPPORTED and i not in self._groups:
            self._in_python.add(i)
            self._divide()
            self._call(i)
            return i + 1
        if i not in self._groups:
            TABLE[call.op](*self._inputs(call), **call.attrs)  # the reference words a wrong value
        host = _host(self._tables[i])
        said = "" if host is None else host.error()
        raise BackendError(f"call {i} of the program, {call.op}, ended with status {status}: "
                           f"{said or 'the kernel did not say why'}")

    def _spoil(self, i: int) -> None:
        """Overwrite what nobody needs after call ``i``."""
        for b in self.plan.dead_after(i):
            self._memory[b][...] = 0xFF  # NaN in every float

    # ------------------------------------------------------------------ bind

    def _bound(self, groups: list[Group], host: Host | None) -> bool:
        """Bind every call. False if some group cannot run block by block; ``_refused`` has them."""
        program = self.program = replace(self.program, groups=groups)
        self.plan: MemoryPlan = memory_plan(program, self._lasting)
        #: Where buffers are. Arguments and results have stand-ins until ``bind`` is called, and
        #: what is inside a group is nowhere once it is bound.
        self._arena = _block(self.plan.size)
        self._memory: dict[Buffer, Any] = {b: self._arena[at : at + b.nbytes]
                                           for b, at in self.plan.offsets.items()
                                           if b not in self._lasting}
        self._memory.update({b: b.source for b in program.buffers() if b.source is not None})
        moving = {b: np.empty(b.nbytes + MARGIN, np.uint8) for b in program.buffers()
                  if b not in self._memory}
        self._memory.update(moving)
        self._kept: list[Any] = []  # whatever records point to besides
        self._copies: list[tuple[int, Array]] = []  # (call, what its binder makes for the kernel)
        self._in_python: set[int] = set()  # calls that no kernel takes
        self._libraries: dict[int, Ops] = {}  # of each call that a kernel takes
        self._groups = {i: g for g in groups for i in range(g.first, g.last)}
        self._refused: list[Group] = []
        self.generated = Generator(program) if self._generate else None
        records = self._all_records()
        if self._refused:
            return False
        if self.generated is not None and host is not None:
            records = self.generated.compiled(records, host)
        for record in records:  # sizes and strides belong to plans, which may be forgotten
            if isinstance(record, Record):
                self._kept.extend([Geometry.alive.get(p) for p in record.pointers])
        places = self._places_of_copies()
        copies = {Buffer("", "temporary", x.nbytes): x for _, x in self._copies}
        patches = _patches({**moving, **copies}, records)
        ordered = [patch for mine in patches.values() for patch in mine]
        frozen = _patches({b: self._memory[b] for b in self._frozen_buffers()}, records)
        self._chain = None if host is None else host.chain(
            records, ordered, [(p.record, p.pointer) for found in frozen.values() for p in found],
            self._found_tails())
        self._ident = id if host is None else host.ident
        self._pointers: dict[Buffer, Callable[[int], None]] = {}
        first = 0
        for b in (*moving, *copies):
            self._memory.pop(b, None)
            self._pointers[b] = _nowhere
        for b, mine in patches.items():
            if self._chain is not None:
                self._pointers[b] = self._chain.pointer(first, first + len(mine))
            first += len(mine)
        for b, place in zip(copies, places, strict=True):
            self.bind(b, place)
        self._copies.clear()
        self._divide()
        return True

    def _found_tails(self) -> list[Tail]:
        """The tails of which every call is one record of the same library, and in no group."""
        found, before = [], self._records_before
        for i, tail in tails(self.program.calls).items():
            calls = [i, *tail.values()]
            if any(before[j + 1] - before[j] != 1 or j in self._groups
                   or self._libraries[j] is not self._libraries[i] for j in calls):
                continue
            norm, add, relu = [tail[part] - i if part in tail else 0 for part in PARTS]
            found.append(Tail(before[i], len(tail), norm, add, relu))
        return found

    def _frozen_buffers(self) -> list[Buffer]:
        """What the program never writes, of ``frozen`` and of the constants."""
        if self._frozen is None:
            return []
        written = {y.buffer for call in self.program.calls for y in call.outputs}
        return [b for b in self.program.buffers() if b.device == "cpu" and b not in written and (
            b in self._frozen or b.kind == "constant")]

    def _places_of_copies(self) -> list[Array]:
        """Memory for each copy: in the arena beside what is live while its call runs, or else after
        the end of the arena, in memory that all calls share.
        """
        offsets: list[int] = []
        taken: dict[int, list[tuple[int, int]]] = {}  # (offset, size), of each call
        end = size = self.plan.size
        for i, x in self._copies:
            beside = taken.setdefault(i, [*self.plan.beside(i), (size, 0)])
            at = lowest(aligned(x.nbytes), sorted(beside))
            beside.append((at, aligned(x.nbytes)))
            offsets.append(at)
            end = max(end, at + aligned(x.nbytes))
        more = _block(end - size)
        return [self._arena[at : at + x.nbytes] if at < size else more[at - size :][: x.nbytes]
                for at, (_, x) in zip(offsets, self._copies, strict=True)]

    def _all_records(self) -> list[Record | Blocks]:
        """Of all calls, in order; before those of a group stands how they run together."""
        records: list[Record | Blocks] = []
        self._records_before = [0]  # of each call; at the end, of all
        for i in range(len(self.program.calls)):
            found = self._records(i, self._tables[i])
            group = self._groups.get(i)
            if found is None:
                self._in_python.add(i)
            if group is not None and (found is None or len(found) != 1):
                self._refused.append(group)
            records.extend(found or ())
            self._records_before.append(len(records))
            if group is not None and i == group.last - 1 and group not in self._refused:
                self._together(group, records)
        return records

    def _together(self, group: Group, records: list[Record | Blocks]) -> None:
        """Put before the records of a group, which are the last ones, how they run together. A loop
        that is all of the group needs nobody to run it.
        """
        count = group.last - group.first
        each: list[Any] = records[-count:]
        runs = [(record, 1) for record in each]  # a record, and how many calls it runs

        def begin(b: Buffer) -> int:
            return address(self._memory[b])

        if self.generated is not None:
            runs = self.generated.shortened(group, each, begin)
        mine, made = [record for record, _ in runs], None
        if len(mine) > 1:
            made = blocks(group, self.program.calls[group.first : group.last], mine, begin)
            if made is None:
                self._refused.append(group)
                return
        records[-count:] = mine if made is None else [made, *mine]
        at = len(records) - len(mine)
        del self._records_before[group.first + 1 :]
        for _, calls in runs:  # the later calls of a loop have no record
            at += 1
            self._records_before.extend([at] * calls)

    def _records(self, i: int, table: Table) -> list[Record] | None:
        """What the first column that takes call ``i`` would run; None if that is no kernel."""
        call = self.program.calls[i]
        if _host(table) is None:
            return None
        for column in table.stack:
            if call.op in column.ops:
                if not isinstance(column.ops, Ops):
                    return None
                try:
                    records = self._held(column, i, table)
                except DECLINED:
                    continue
                self._libraries[i] = column.ops
                return records
        return None

    def _held(self, column: Column, i: int, table: Table) -> list[Record]:
        call, host = self.program.calls[i], _host(table)
        assert host is not None
        dtypes = [x.dtype for x in call.inputs if isinstance(x, Value)]
        inputs = [self._operand(x, dtypes) for x in call.inputs]
        outs = tuple([self._operand(v, dtypes) for v in call.outputs])
        with self._holding(i, table):
            host.start(True)
            try:
                column.ops[call.op](*inputs, out=outs if len(outs) > 1 else outs[0], **call.attrs)
            finally:
                records = host.stop()
        return records

    @contextmanager
    def _holding(self, i: int, table: Table) -> Iterator[None]:
        """A state in which the table of call ``i`` is in force, and its copies are noted."""
        def note(event: Event) -> None:
            column = next((c for c in table.stack if c.name == event.column), None)
            if column is None or not isinstance(column.ops, Ops):  # the reference, which computed
                raise Unsupported("no kernel makes the copy that the kernel needs")
            self._kept.append(event.arrays)
            self._copies.extend([(i, y) for y in event.outputs if event.out is None and y.size])

        here = STATE.get()
        tables = Tables({**here.tables, table.device: table.with_taps((note,))})
        token = STATE.set(State(tables, False))
        keep_in(self._kept, hold=True)
        try:
            yield
        finally:
            keep_in(None)
            STATE.reset(token)

    def _operand(self, x: Operand, dtypes: list[np.dtype[Any]]) -> Any:
        """An operand in the memory of stand-ins. Numbers become arrays: a record points to them."""
        if isinstance(x, Value):
            return array_of(x, self._memory[x.buffer])
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
            within = i in self._groups and i > self._groups[i].first
            alone = self._poison and not within
            if not self._stretches or self._stretches[-1].native is not native or alone:
                self._stretches.append(Stretch(native, i + 1))
            self._stretches[-1].last = i + 1
            self._stretch_of.append(len(self._stretches) - 1)
        #: runs the whole program, where that is one native call, and returns a status
        self.whole: Callable[[], int] | None = None
        if self._chain is not None and not self._in_python and not self._poison:
            self.whole = self._chain.whole()


def _nowhere(ident: int) -> None:
    """No record points into this buffer."""


def _table(call: Call) -> Table:
    """The table that runs a call."""
    return current(call.outputs[0].buffer.device) if call.table is None else call.table


def _host(table: Table) -> Host | None:
    """Who carries calls of a table over into C, where that can be done from records alone."""
    if table.device != "cpu" or table.taps:
        return None
    return next((c.ops.host for c in table.stack if isinstance(c.ops, Ops)), None)


def _patches(moving: dict[Buffer, Array], records: list[Record | Blocks]
             ) -> dict[Buffer, list[Patch]]:
    """Where records point into these arrays, such as stand-ins."""
    ranges = sorted([(address(m), m.nbytes, b) for b, m in moving.items()], key=lambda r: r[0])
    begins = [begin for begin, _, _ in ranges]
    found: dict[Buffer, list[Patch]] = {}
    for i, record in enumerate(records):
        if isinstance(record, Blocks):
            continue
        for k, pointer in enumerate(record.pointers):
            at = bisect_right(begins, pointer) - 1
            if at >= 0 and pointer < ranges[at][0] + ranges[at][1]:
                begin, _, b = ranges[at]
                found.setdefault(b, []).append(Patch(i, k, pointer - begin))
    return found


def _block(size: int) -> Array:
    """So many bytes, aligned."""
    block = np.empty(size + ALIGNMENT, np.uint8)
    start = -address(block) % ALIGNMENT
    return block[start : start + size]
