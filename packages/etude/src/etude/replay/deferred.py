"""Calls that a trace prepares and does not make.

The first call of a captured function needs values only at its end, and there the program can give
them, in less memory than the function takes. So under a trace a call of a kernel is *prepared*:
its column checks it, works out shapes and strides and allocates outputs, and no kernel runs. Memory
that nobody has written costs nothing, since the system gives out pages when they are touched.

Where values are needed earlier, all calls so far are *made*, in order, and the function goes on as
always: before an op that no kernel takes, where a check looks at values, when an error leaves the
function, and when something that it computed is kept outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude.core.columns import Implementation, Table, table_of
from etude.core.errors import Unsupported
from etude.core.live import unwatched
from etude.core.state import STATE, State, Tables
from etude.replay.memory import array_of
from etude.replay.program import Buffer, Call, Value


def prepared(table: Table, column: str, call: Implementation, arrays: tuple[Any, ...],
             options: dict[str, Any]) -> Any:
    """What ``call`` returns, before its kernel has run. Unsupported where it has none, or where a
    copy that the kernel needs has none.
    """
    from etude.backends.native.library import Ops
    from etude.backends.native.record import held

    for c in table.stack if table.device == "cpu" else ():
        if c.name == column and c.checks and isinstance(c.ops, Ops):
            return held(c.ops.host, call, arrays, options)
    raise Unsupported(f"{column} has no kernel that could run later")


def make(calls: list[Call], memory_of: Callable[[Buffer], Any]) -> None:
    """Make calls that were prepared, each in the memory of its results. ``memory_of`` is asked once
    for each buffer, whose memory is let go after the last call that touches it.
    """
    last = {v.buffer: i for i, c in enumerate(calls) for v in (*c.reads(), *c.outputs)}
    memory: dict[Buffer, Any] = {}

    def array(x: Any) -> Any:
        if not isinstance(x, Value):
            return x
        if x.buffer not in memory:
            memory[x.buffer] = memory_of(x.buffer)
        return array_of(x, memory[x.buffer])

    here = STATE.get()
    plain = Tables({device: untapped(t) for device, t in here.tables.items()})
    token = STATE.set(State(plain, False))
    try:
        with unwatched():
            for i, call in enumerate(calls):
                table = plain["cpu"] if call.table is None else call.table
                outs = tuple([array(v) for v in call.outputs])
                table[call.op](*[array(x) for x in call.inputs], **call.attrs,
                               out=outs if len(outs) > 1 else outs[0])
                for v in (*call.reads(), *call.outputs):
                    if last[v.buffer] == i:
                        memory.pop(v.buffer, None)
    finally:
        STATE.reset(token)


def untapped(table: Table) -> Table:
    """The same columns under no tap."""
    return table_of(table.device, table.stack, table.strict, table.fallback)
