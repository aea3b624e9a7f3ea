"""Watching one call of a function: what becomes of it as a program.

The function runs as always, under a tap. Every op call that the tap reports becomes a ``Call``, and
every array that one sees a ``Value`` over the buffer whose memory it lies in. So nothing is asked
of the function but that its numbers go through ops. Kernels are only prepared, where that can be
(``deferred.py``). Where Python looks at values, the trace stops with an error: what Python then
does would not be done again.

What the memory is, is decided when the function has returned (``finish``): memory of an argument,
of a gradient that was there before, of something that outlives the call (state), numbers that
nobody can change any more (constant), or memory that a call of the program made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from struct import Struct
from typing import Any
from weakref import ReferenceType, ref

import numpy as np

from etude.core.array import DeviceArray
from etude.core.columns import DECLINED, REFERENCE, VIEW, Event, Implementation, Table, table_of
from etude.core.errors import CaptureError
from etude.core.live import Effect, array_of
from etude.core.table import TABLE
from etude.core.tensor import Tensor
from etude.inspect.receipt import caller
from etude.replay.deferred import make, prepared, untapped
from etude.replay.memory import address, element_strides, extent, is_whole, memory_at, owner_of
from etude.replay.program import Buffer, Call, Kind, Operand, Program, Value

LETTERS = {"argument": "x", "state": "w", "constant": "c", "live": "n", "result": "y",
           "temporary": "t"}


class Trace:
    """A ``Watcher`` and a tap: the calls and the memory of one run of a function.

    ``arguments``: (name, array) of each argument that is one; no two overlap.
    ``gradients``: (leaf, its grad) of all leaves that have one before.
    ``defers``: whether calls are only prepared, up to where values are needed.
    """

    def __init__(self, name: str, arguments: Sequence[tuple[str, Any]],
                 gradients: Sequence[tuple[Tensor, Any]], defers: bool = False) -> None:
        self.name, self.defers = name, defers
        self.calls: list[Call] = []
        self.effects: list[tuple[int, Effect]] = []
        self.tests: list[tuple[Callable[[], bool], str]] = []  # what must hold at every replay
        self.cleared: set[int] = set()  # ids of leaves whose grad was forgotten, unread
        self.started: set[Buffer] = set()  # memory that became state while the function ran
        self.devices: set[str] = set()
        self._owners: dict[Buffer, Any] = {}  # of memory that no call made
        self._given_out: dict[Buffer, ReferenceType[Any]] = {}  # of what calls made: it may go
        self._start: dict[Buffer, int] = {}  # the address of offset 0
        self._by_owner: dict[int, list[tuple[int, int, Buffer]]] = {}  # (low, high, buffer)
        self._values: dict[Any, Value] = {}
        self._filled: dict[Buffer, Event] = {}  # by ``full``, which is no call: a constant
        self._sources: dict[Buffer, Any] = {}  # arrays of live buffers
        self._returned: set[Buffer] = set()
        self.arguments = [self._argument(label, array) for label, array in arguments]
        self.gradients: dict[int, Value] = {}  # id of a leaf -> the grad that was there before
        for leaf, array in gradients:
            if id(owner_of(array)) not in self._by_owner:
                self.gradients[id(leaf)] = self._argument("", array)

    def _argument(self, label: str, array: Any) -> Value:
        buffer = self._buffer("argument", array, address(array), *extent(array))
        buffer.label = label
        return self.value(array)

    def _buffer(self, kind: Kind, array: Any, start: int, low: int, high: int) -> Buffer:
        owner = owner_of(array)
        buffer = Buffer("", kind, high - low, array.device)
        try:
            if kind != "temporary":
                raise TypeError
            self._given_out[buffer] = ref(owner, partial(self._gone, id(owner)))
        except TypeError:  # buffers of a device may take no weak reference
            self._owners[buffer] = owner
        self._start[buffer] = start
        self._by_owner.setdefault(id(owner), []).append((low, high, buffer))
        return buffer

    def _gone(self, owner: int, _: Any) -> None:
        """Memory was given back: what comes to lie there next is another buffer."""
        self._by_owner.pop(owner, None)

    # ------------------------------------------------------------------ calls that wait

    def carry(self, table: Table, column: str, call: Implementation, arrays: tuple[Any, ...],
              options: dict[str, Any]) -> Any:
        """Prepare a call, or make it where that cannot be, after those that wait."""
        if self.defers and column != VIEW:
            try:
                return prepared(table, column, call, arrays, options)
            except DECLINED:
                from etude.backends.native.kernel import holding  # not where there is no backend

                if holding():
                    raise  # a copy for a kernel, whose own call cannot be prepared then
                self.compute()
        return call(*arrays, **options)

    def compute(self) -> None:
        """Make the calls that were only prepared: from now on everything has its values."""
        if self.defers:
            self.defers = False
            make(list(self.calls), self._memory)

    def _memory(self, buffer: Buffer) -> Any:
        """The memory of a buffer. Where the function has let go of it, other memory will do."""
        owner, given_out = self._owners.get(buffer), self._given_out.get(buffer)
        if owner is None and given_out is not None:
            owner = given_out()
        if owner is not None:
            return memory_at(self._start[buffer], buffer.nbytes, owner)
        if buffer in self._filled:
            event = self._filled[buffer]
            assert event.table is not None
            return untapped(event.table)["full"](**event.attrs)
        return np.empty(max(buffer.nbytes, 1), np.uint8)

    # ------------------------------------------------------------------ what the tap reports

    def __call__(self, event: Event) -> None:
        assert event.table is not None
        self.devices.add(event.table.device)
        op = TABLE[event.op]
        if op.cls == "view":
            return  # its result is found by its memory
        if event.column == REFERENCE and event.table.device != "cpu":
            self.refuses(f"{event.op} goes through the host, copy by copy")
        inputs: list[Operand] = [self.value(a) if hasattr(a, "dtype") else a
                                 for a in event.arrays]
        kind: Kind = "temporary" if event.out is None else "state"
        outputs = tuple([self.value(y, kind) for y in event.outputs])
        given = {x.buffer for x in inputs if isinstance(x, Value)}
        if event.out is None and any(y.buffer in given for y in outputs):
            return  # an op that gave back memory it was given
        if op.cls == "create":
            self._filled[outputs[0].buffer] = event._replace(outputs=())
            return
        self.calls.append(Call(event.op, tuple(inputs), event.attrs, outputs, event.column,
                               untapped(event.table)))

    def buffer_of(self, x: Any, kind: Kind = "state") -> Buffer:
        """The buffer that ``x`` lies in. Memory not seen before is a new one, of ``kind``."""
        low, high = extent(x)
        for first, last, buffer in self._by_owner.get(id(owner_of(x)), ()):
            if first <= low and high <= last:
                return buffer
        owner = owner_of(x)
        if isinstance(owner, np.ndarray):
            return self._buffer(kind, owner, address(owner), *extent(owner))
        whole = self._by_owner.pop(id(owner), None)  # of a device: as long as what was seen of it
        if whole:
            first, last, buffer = whole[0]
            low, high = min(low, first), max(high, last)
            buffer.nbytes = high
            self._by_owner[id(owner)] = [(low, high, buffer)]
            return buffer
        buffer = self._buffer(kind, x, 0, low, high)
        buffer.nbytes = high
        return buffer

    def value(self, x: Any, kind: Kind = "state") -> Value:
        """``x`` as a value; the same one for the same elements."""
        buffer = self.buffer_of(x, kind)
        offset, rest = divmod(address(x) - self._start[buffer], x.dtype.itemsize)
        if rest or (isinstance(x, np.ndarray) and any(s % x.dtype.itemsize for s in x.strides)):
            self.refuses(f"an array of {x.dtype.name} lies between the elements of another")
        strides = element_strides(x)
        key = buffer, x.shape, x.dtype, strides, offset
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = Value(buffer, x.shape, x.dtype, strides, offset)
        return found

    # ------------------------------------------------------------------ what else it is told

    def lives(self, array: Any, numbers: Callable[[], Sequence[float]], table: Table,
              undo: Callable[[], Any]) -> None:
        """An array of numbers that every step makes anew."""
        buffer = self._buffer("live", array, address(array), *extent(array))
        self._sources[buffer] = array
        if not isinstance(array, np.ndarray):
            plain = untapped(table)

            def renew() -> None:
                buffer.source = array_of(numbers, array.dtype.type, plain)

            self.acts(Effect(renew, undo))
            return
        memory = array.data
        pack = Struct(f"{array.size}{'q' if array.dtype.kind == 'i' else 'd'}").pack_into

        def fill() -> None:
            pack(memory, 0, *numbers())

        self.acts(Effect(fill, undo))

    def acts(self, effect: Effect) -> None:
        """Something that is counted or moved."""
        self.effects.append((len(self.calls), effect))

    def holds(self, test: Callable[[], bool], what: str) -> None:
        """A test that says whether a replay would be this step; ``what`` it is about."""
        self.tests.append((test, what))

    def begins(self, array: Any) -> None:
        """New memory that is kept for the steps to come, such as a moment."""
        buffer = self.buffer_of(array)
        self.started.add(buffer)
        self._owners[buffer] = owner_of(array)
        self._given_out.pop(buffer, None)

    def clears(self, leaf: Tensor) -> None:
        """The grad of a leaf is forgotten, whatever it is."""
        self.cleared.add(id(leaf))

    def copies(self, source: Any, array: Any) -> None:
        """``etude.tensor`` of a NumPy array, whose values may be others at the next step."""
        if source.dtype.kind not in "fib" or source.dtype.isnative is False:
            return
        try:
            TABLE["cast"].check((source,), {"dtype": array.dtype})
        except (TypeError, ValueError):
            return
        op, attrs = ("contiguous", {}) if source.dtype == array.dtype else (
            "cast", {"dtype": array.dtype})
        inputs = (self.value(source),)
        if inputs[0].buffer.kind != "argument":
            self.compute()  # Python may write other numbers there before the function is over
        self.calls.append(Call(op, inputs, attrs, (self.value(array, "temporary"),), "", None))

    def reads(self, array: Any) -> None:
        """Python looks at values."""
        raise CaptureError(
            f"capture: {self.name} reads the values of a tensor {array.dtype.name}"
            f"{list(array.shape)} at {caller()}. A replay runs op calls alone, so it would not see "
            f"other values: return the tensor and look at it outside, or choose with "
            f"etude.where")

    def looks(self, array: Any) -> None:
        """Values are checked."""
        self.compute()

    def refuses(self, what: str) -> None:
        """What no replay can do."""
        raise CaptureError(f"capture: {self.name} cannot be replayed: {what}, at {caller()}. "
                           f"Do it outside the captured function")

    # ------------------------------------------------------------------ when it is over

    def finish(self, results: list[Value], lasting: set[int], labels: dict[int, str]
               ) -> Program:
        """The program with these results, and with every buffer of its kind.

        ``lasting``: the ids of what owns memory of Tensors that were there before. ``labels``: the
        id of such an owner -> the name of the parameter that it is.
        """
        self._drop_copies(results)
        self._begin()
        held = self._held()
        self._returned = {v.buffer for v in results}
        written = {y.buffer for c in self.calls for y in c.outputs}
        for buffer, event in self._filled.items():
            self._constant(buffer, event, buffer in written)
        for buffer, owner in list(self._owners.items()):
            if buffer.kind == "state" and id(owner) not in lasting and (
                    buffer not in written and (buffer not in held or buffer in self._returned)):
                buffer.kind = "constant"
            if buffer.kind in ("state", "constant"):
                buffer.source = _as_array(owner, buffer, self._values.values())
                buffer.label = labels.get(id(owner), "")
            elif buffer.kind == "live":
                buffer.source = self._sources[buffer]
        results = [self._own(v) for v in results]
        for v in results:
            if v.buffer.kind == "temporary":
                v.buffer.kind = "result"
        read = self.read()
        arguments = [*self.arguments, *[v for v in self.gradients.values() if v.buffer in read]]
        program = Program(self.calls, arguments, results, self.effects)
        for i, buffer in enumerate(program.buffers()):
            buffer.name = f"{LETTERS[buffer.kind]}{i}"
        return program

    def _drop_copies(self, results: list[Value]) -> None:
        """Without the copies that kernels made for themselves: of these no call reads the result.
        """
        kept: list[Call] = []
        places = [0]  # how many are kept, of the first so many
        wanted = {v.buffer for v in results}
        for call in reversed(self.calls):
            copy = call.op == "contiguous" and call.outputs[0].buffer.kind == "temporary"
            if not copy or call.outputs[0].buffer in wanted:
                kept.append(call)
                wanted.difference_update([y.buffer for y in call.outputs if is_whole(y)])
                wanted.update([x.buffer for x in call.reads()])
            places.append(len(kept))
        places = [len(kept) - n for n in reversed(places)]
        self.calls = kept[::-1]
        self.effects = [(places[at], effect) for at, effect in self.effects]

    def _begin(self) -> None:
        """What became state while the function ran was made once, and is not made again."""
        for buffer in self.started:
            buffer.kind = "state"
            self._filled.pop(buffer, None)

    def _constant(self, buffer: Buffer, event: Event, written: bool) -> None:
        """Memory that ``full`` made. If calls write there, each run starts from a copy."""
        assert event.table is not None
        table = table_of(event.table.device, event.table.stack)
        array = table["full"](**event.attrs)
        if not written:
            buffer.kind, buffer.source = "constant", array
            return
        v = next(y for y in self._values.values() if y.buffer is buffer)
        source = self.value(array, "constant")
        first = next(i for i, c in enumerate(self.calls)
                     if any(y.buffer is buffer for y in (*c.reads(), *c.outputs)))
        self.calls.insert(first, Call("contiguous", (source,), {}, (v,), event.column, table))
        self.effects = [(at + (at > first), effect) for at, effect in self.effects]

    def _own(self, v: Value) -> Value:
        """A result in memory of its own, where it would be a constant's."""
        if v.buffer.kind not in ("constant", "live"):
            return v
        n = int(np.prod(v.shape, dtype=np.int64))
        buffer = Buffer("", "temporary", n * v.dtype.itemsize, v.buffer.device)
        strides = element_strides(np.empty(v.shape, np.int8)) if n else v.strides
        own = Value(buffer, v.shape, v.dtype, strides)
        self.calls.append(Call("contiguous", (v,), {}, (own,), "", None))
        return own

    def memories(self) -> set[int]:
        """The ids of what owns the memory that was seen."""
        return set(self._by_owner)

    def untouched(self) -> set[int]:
        """The ids of what owns gradients that were there before, where no call sees them."""
        seen = {v.buffer for c in self.calls for v in (*c.reads(), *c.outputs)}
        idle = {v.buffer for v in self.gradients.values()} - seen
        return {owner for owner, rows in self._by_owner.items()
                if all(buffer in idle for _, _, buffer in rows)}

    def read(self) -> set[Buffer]:
        """The buffers whose values calls read."""
        return {v.buffer for c in self.calls for v in c.reads()}

    def escaped(self) -> str:
        """What was computed here and is still held by somebody else, in words; "" if nothing."""
        for v in self._values.values():
            owner = self._given_out.get(v.buffer)
            if owner is not None and owner() is not None and (
                    v.buffer not in self._returned):
                what = next((c.op for c in self.calls if v in c.outputs), "full")
                return f"the result {v.dtype.name}{list(v.shape)} of {what}"
        return ""

    def _held(self) -> set[Buffer]:
        """The buffers whose memory somebody else holds: there are more references to it than to
        an array that nobody can hold.
        """
        nobodys = Buffer("", "temporary", 0)
        self._owners[nobodys] = np.empty(0)
        counts = {buffer: sys.getrefcount(owner) for buffer, owner in self._owners.items()}
        del self._owners[nobodys]
        usual = counts.pop(nobodys)
        return {buffer for buffer, count in counts.items() if count > usual}

    def forget(self) -> None:
        """Let go of the memory of the traced call."""
        self._owners.clear()
        self._given_out.clear()


def _as_array(owner: Any, buffer: Buffer, values: Any) -> Any:
    """An array whose first element is offset 0 of ``buffer``."""
    if isinstance(owner, np.ndarray):
        return owner
    v = next(v for v in values if v.buffer is buffer)
    size = max(buffer.nbytes // v.dtype.itemsize, 1)
    return DeviceArray(owner, buffer.device, (size,), v.dtype)
