"""In place: a result is written over an input that nobody needs any more.

relu(x) reads each element before it writes the one in its place, so it can write over x, if this is
the last call that reads x. Then one buffer does for two, and the next call finds its input where
the last one found it, in the cache.

Which ops allow it is said by the table: elementwise ones by their class (``IN_PLACE``), others in
their row (``alias``), such as a softmax, whose row is in the kernel's hands before it is written.
An input may be written over if

- it is a temporary that fills its buffer, and no later call reads or writes that buffer;
- no other input of the call is another view of the same memory;
- it has the shape, strides and dtype of the result.

Gradients decide how much there is to gain. An activation whose backward needs its *output* (relu,
tanh) goes over its input; one whose backward needs its *input* (gelu) cannot.
"""

from __future__ import annotations

from etude.core.table import IN_PLACE, TABLE
from etude.replay.memory import is_whole
from etude.replay.passes.rewrite import Exchange, reads, same_elements, writes
from etude.replay.program import Buffer, Call, Program, Value


def in_place(program: Program) -> Program:
    """``program`` with results written over inputs, where nobody can tell."""
    last: dict[Buffer, int] = {}
    for uses in (reads(program), writes(program)):
        for b, at in uses.items():
            last[b] = max(last.get(b, -1), at[-1])
    shown = {v.buffer for v in program.results}
    instead: dict[Buffer, Buffer] = {}
    change = Exchange(instead)
    touched: set[Buffer] = set()
    for i, call in enumerate(program.calls):
        call = change.call(call)
        taken: set[Buffer] = set()
        for name, y in zip(TABLE[call.op].outputs, call.outputs, strict=False):
            x = _over(call, name, y)
            if (x is None or x.buffer in taken or last[x.buffer] != i or x.buffer in shown
                    or y.buffer in touched):
                continue
            taken.add(x.buffer)
            instead[y.buffer] = x.buffer
            last[x.buffer] = max(last[x.buffer], last.get(y.buffer, i))
        touched.update([v.buffer for v in (*call.reads(), *call.outputs)])
    return change.program(program)


def _over(call: Call, name: str, y: Value) -> Value | None:
    """The input that the output ``name`` may be written over, as far as the call tells."""
    op = TABLE[call.op]
    if y.buffer.kind != "temporary" or not is_whole(y):
        return None
    if op.alias:
        names = [op.alias[name]] if name in op.alias else []
        allowed = [x for n, x in zip(op.arrays, call.inputs, strict=False) if n in names]
    else:
        allowed = list(call.inputs) if op.cls in IN_PLACE else []
    for x in allowed:
        if isinstance(x, Value) and _free(x, y, call):
            return x
    return None


def _free(x: Value, y: Value, call: Call) -> bool:
    alike = (x.shape, x.strides, x.dtype) == (y.shape, y.strides, y.dtype)
    others = [v for v in (*call.reads(), *call.outputs) if v.buffer is x.buffer]
    return (x.buffer.kind == "temporary" and alike and is_whole(x)
            and all(same_elements(v, x) for v in others))

