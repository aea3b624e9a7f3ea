"""Constant folding: what depends on constants alone is computed once, when the program is made.

A call whose inputs are all constants, or numbers, gives the same bits at every run. It is run now,
by the column that would run it at every step, and its outputs become constants.

A causal mask, the ones that start a backward pass, positions 0 .. T-1 scaled by a number: such
things are written where they are needed, and cost a little at every step without ever changing.

It trades time for memory, since a constant is kept as long as the program. So what is much larger
than the constants that it is made of, such as one number spread to a large array, stays a call.
"""

from __future__ import annotations

import numpy as np

from etude.core.state import current
from etude.replay.memory import array_of, is_whole
from etude.replay.passes.rewrite import Exchange, with_calls, writes
from etude.replay.program import Buffer, Call, Program, Value

SMALL = 1 << 16  # bytes that a constant may always take


def constant_folding(program: Program) -> Program:
    """``program`` with its constant calls run now, and their outputs constants."""
    written = writes(program)
    instead: dict[Buffer, Buffer] = {}
    change = Exchange(instead)
    kept = []
    for i, call in enumerate(program.calls):
        call = change.call(call)
        if not _constant(call, written):
            kept.append((i, call))
            continue
        inputs = [array_of(x, x.buffer.source) if isinstance(x, Value) else x for x in call.inputs]
        table = current("cpu") if call.table is None else call.table
        found = table[call.op](*inputs, **call.attrs)
        for v, y in zip(call.outputs, found if isinstance(found, tuple) else (found,),
                        strict=True):
            y = np.array(y)  # memory of its own: an op may return a view of a constant
            instead[v.buffer] = Buffer(v.buffer.name, "constant", y.nbytes, v.buffer.device, y)
    return change.program(with_calls(program, kept))


def _constant(call: Call, written: dict[Buffer, list[int]]) -> bool:
    given = call.reads()
    if not all(v.buffer.kind == "constant" and v.buffer not in written for v in given):
        return False
    if not all(v.buffer.kind == "temporary" and v.buffer.device == "cpu" and is_whole(v)
               and len(written[v.buffer]) == 1 for v in call.outputs):
        return False
    made = sum(v.buffer.nbytes for v in call.outputs)
    return made <= max(SMALL, sum(v.buffer.nbytes for v in given))

