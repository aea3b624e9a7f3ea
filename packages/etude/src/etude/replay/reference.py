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
        self._values: dict[Buffer, list[Value]] = {}
        self._uses: dict[Buffer, list[int]] = {}  # the calls that see a buffer
        for v in _values(program):
            self._values.setdefault(v.buffer, []).append(v)
        for i, call in enumerate(program.calls):
            for buffer in {v.buffer for v in (*call.reads(), *call.outputs)}:
                self._uses.setdefault(buffer, []).append(i)
        self._steps: list[Step | None] = [None] * len(program.calls)
        for buffer, values in self._values.items():
            if buffer.source is not None:
                self.bind(buffer, buffer.source)
            elif buffer.kind == "temporary":
                self.bind(buffer, fresh(values[0], current(buffer.device)))

    def bind(self, buffer: Buffer, array: Any) -> None:
        """From now on ``buffer`` is the memory that begins with the first element of ``array``."""
        for v in self._values.get(buffer, ()):
            self._arrays[id(v)] = array_of(v, array)
        for i in self._uses.get(buffer, ()):
            self._steps[i] = None

    def lent(self, buffer: Buffer) -> Any:
        """Nothing: every buffer has memory of its own."""

    whole: Callable[[], int] | None = None
    kept_bytes = 0

    def refreeze(self) -> None:
        """Nothing is kept from run to run."""

    def run(self, status: int = 0) -> None:
        """All calls, in order."""
        for i, step in enumerate(self._steps):
            self.at = i
            if step is None:
                step = self._steps[i] = self._step(self.program.calls[i])
            run, inputs, options = step
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
