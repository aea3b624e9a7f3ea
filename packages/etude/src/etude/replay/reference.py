"""The executor in Python: it defines what running a program means.

Every call goes through the table of its column, with ``out=`` in memory that was set aside when the
executor was made. So a run computes what the traced function did, with the same kernels on the same
shapes, and allocates no result. What runs a program in fewer calls must give the bits of this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude.core.state import current
from etude.replay.memory import array_of, fresh
from etude.replay.program import Buffer, Call, Program, Value

Step = tuple[Callable[..., Any], list[Any], dict[str, Any]]


class Reference:
    """Runs ``program``. Bind every argument and result buffer to memory, then ``run()``."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.at = 0  # the call at work; of a run that failed, the one that did
        self._arrays: dict[int, Any] = {}  # by the id of the Value
        self._steps: list[Step] = []
        self._values: dict[Buffer, list[Value]] = {}
        for v in _values(program):
            self._values.setdefault(v.buffer, []).append(v)
        for buffer, values in self._values.items():
            if buffer.source is not None:
                self._place(buffer, buffer.source)
            elif buffer.kind == "temporary":
                self._place(buffer, fresh(values[0], current(buffer.device)))

    def bind(self, buffer: Buffer, array: Any) -> None:
        """From now on ``buffer`` is the memory that begins with the first element of ``array``."""
        if buffer in self._values:
            self._place(buffer, array)
            self._steps = []

    def _place(self, buffer: Buffer, array: Any) -> None:
        for v in self._values[buffer]:
            self._arrays[id(v)] = array_of(v, array)

    def run(self) -> None:
        """All calls, in order."""
        if not self._steps:
            self._steps = [self._step(call) for call in self.program.calls]
        for self.at, (run, inputs, options) in enumerate(self._steps):
            run(*inputs, **options)

    def _step(self, call: Call) -> Step:
        arrays = self._arrays
        inputs = [arrays[id(x)] if isinstance(x, Value) else x for x in call.inputs]
        outputs = tuple([arrays[id(y)] for y in call.outputs])
        out = outputs[0] if len(outputs) == 1 else outputs
        device = call.outputs[0].buffer.device
        table = current(device) if call.table is None else call.table
        return table[call.op], inputs, {**call.attrs, "out": out}


def _values(program: Program) -> list[Value]:
    """Every value that calls see, once; those over a buffer as they are written first."""
    found = {id(v): v for c in program.calls for v in (*c.outputs, *c.reads())}
    return list(found.values())
