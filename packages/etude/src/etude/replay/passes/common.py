"""Common subexpressions: what was computed before is not computed again.

Two calls are equal if they have the same op, the same attributes, and inputs that hold the same
numbers: the same elements of the same buffers, written by the same call, or equal Python numbers.
Then the outputs have the same bits, and all that reads the second one's can read the first one's
instead. The second call is left out.

People seldom write the same line twice. Equal calls come from layers that prepare the same thing
each for itself (a mask, a cast, a table of positions), from gradient rules that recompute what
the forward pass had, and from the contiguous copies that several kernels ask of one array.

Memory makes it delicate. "Written by the same call" needs a version for each buffer, counted up at
each write. And only outputs that nobody else writes may be merged: if either is written again
later, they are two memories that happened to be equal for a while.
"""

from __future__ import annotations

from typing import Any

from etude.replay.memory import is_whole
from etude.replay.passes.rewrite import Exchange, with_calls, writes
from etude.replay.program import Buffer, Call, Operand, Program, Value


def common_subexpressions(program: Program) -> Program:
    """``program`` with each of several equal calls made once."""
    written = writes(program)
    versions: dict[Buffer, int] = {}
    instead: dict[Buffer, Buffer] = {}
    change = Exchange(instead)
    first: dict[Any, Call] = {}
    kept = []
    for i, call in enumerate(program.calls):
        call = change.call(call)
        alone = all(v.buffer.kind == "temporary" and len(written[v.buffer]) == 1 and is_whole(v)
                    for v in call.outputs)
        key = _key(call, versions) if alone else None
        if key in first:
            for mine, other in zip(call.outputs, first[key].outputs, strict=True):
                instead[mine.buffer] = other.buffer
            continue
        if alone:
            first[key] = call
        for v in call.outputs:
            versions[v.buffer] = versions.get(v.buffer, 0) + 1
        kept.append((i, call))
    return change.program(with_calls(program, kept))


def _key(call: Call, versions: dict[Buffer, int]) -> Any:
    """What equal calls have in common."""
    return (call.op, call.column, tuple([_operand(x, versions) for x in call.inputs]),
           tuple(sorted([(k, type(v), repr(v)) for k, v in call.attrs.items()], key=str)))


def _operand(x: Operand, versions: dict[Buffer, int]) -> Any:
    if isinstance(x, Value):
        return (x.buffer, versions.get(x.buffer, 0), x.shape, x.strides, x.offset, x.dtype)
    return type(x), repr(x)  # 0.0 and -0.0 are equal, and are not the same number
