"""What passes share: who writes and reads which memory, and programs with some buffers exchanged.

Memory is written by calls, and a buffer may be written more than once: state by an optimiser's
step, anything by an op that works in place. So the same value need not hold the same numbers at two
calls, and a pass that moves, merges or removes calls asks here first.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace

from etude.replay.program import Buffer, Call, Operand, Program, Value


def writes(program: Program) -> dict[Buffer, list[int]]:
    """The calls that write each buffer, in order."""
    found: dict[Buffer, list[int]] = {}
    for i, call in enumerate(program.calls):
        for b in {v.buffer: None for v in call.outputs}:
            found.setdefault(b, []).append(i)
    return found


def reads(program: Program) -> dict[Buffer, list[int]]:
    """The calls that read each buffer, in order."""
    found: dict[Buffer, list[int]] = {}
    for i, call in enumerate(program.calls):
        for b in {v.buffer: None for v in call.reads()}:
            found.setdefault(b, []).append(i)
    return found


def same_elements(v: Value, w: Value) -> bool:
    """Whether two values are the same elements of one buffer, in the same order."""
    return (v.buffer is w.buffer and v.shape == w.shape and v.strides == w.strides
            and v.offset == w.offset and v.dtype == w.dtype)


class Exchange:
    """Rewrites values: each buffer of ``instead`` becomes another one of the same layout."""

    def __init__(self, instead: dict[Buffer, Buffer]) -> None:
        self._instead = instead
        self._values: dict[int, tuple[Value, Value]] = {}  # by id; with it, to keep the id taken

    def buffer(self, b: Buffer) -> Buffer:
        while b in self._instead:
            b = self._instead[b]
        return b

    def value(self, v: Value) -> Value:
        b = self.buffer(v.buffer)
        if b is v.buffer:
            return v
        if id(v) not in self._values:
            self._values[id(v)] = v, replace(v, buffer=b)
        return self._values[id(v)][1]

    def operand(self, x: Operand) -> Operand:
        return self.value(x) if isinstance(x, Value) else x

    def call(self, call: Call) -> Call:
        return replace(call, inputs=tuple([self.operand(x) for x in call.inputs]),
                       outputs=tuple([self.value(v) for v in call.outputs]))

    def program(self, program: Program) -> Program:
        """``program`` with all its values exchanged."""
        return replace(program, calls=[self.call(c) for c in program.calls],
                       arguments=[self.value(v) for v in program.arguments],
                       results=[self.value(v) for v in program.results])


def with_calls(program: Program, calls: list[tuple[int, Call]]) -> Program:
    """``program`` with other calls, each with the number of the old call in whose place it is.

    An effect stands after a number of calls, which counts those there are now.
    """
    places = [i for i, _ in calls]
    effects = [(bisect_left(places, n), effect) for n, effect in program.effects]
    return replace(program, calls=[c for _, c in calls], effects=effects, groups=[])
