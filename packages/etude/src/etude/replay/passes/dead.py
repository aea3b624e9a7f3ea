"""Dead code: calls whose results nobody sees are left out.

What is seen from outside are the results and the state. Walk back from the end: a call is *alive*
if it writes memory that is seen or that a later live call reads; then what it reads is wanted, too.
Everything else goes.

Where does dead code come from? From functions that work out more than they return: an accuracy
beside the loss that only some steps print, gradients of inputs that nobody asked for, statistics.
Other passes make more of it: once two equal calls share one result, the second one is dead.

It is sound because an op is a pure function: all that it does is write its outputs.
"""

from __future__ import annotations

from etude.replay.passes.rewrite import with_calls
from etude.replay.program import Buffer, Program

SEEN = ("result", "state", "argument")


def dead_code(program: Program) -> Program:
    """``program`` without the calls whose results nobody sees."""
    wanted: set[Buffer] = {v.buffer for v in program.results}
    kept = []
    for i, call in reversed([*enumerate(program.calls)]):
        if any(v.buffer.kind in SEEN or v.buffer in wanted for v in call.outputs):
            kept.append((i, call))
            wanted.update(v.buffer for v in call.reads())
    return with_calls(program, kept[::-1])
