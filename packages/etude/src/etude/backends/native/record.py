"""The records of native calls: watched as they are made, and run again.

Every call of a kernel fills one record (kernel, pointers, sizes, attributes, stream) and is run
from it, eager calls too; C: c_src/cpu/host/record.h. So the records of a training step, run in a
plain loop, are the step: the same kernels on the same memory.

    with recording() as step:
        train_once()
    step.run()                       once more, bit for bit
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from etude.backends.native.geometry import Geometry
from etude.backends.native.kernel import Host, Record, holding, keep_in
from etude.backends.native.library import host
from etude.core.columns import Event
from etude.core.errors import BackendError
from etude.core.state import tap


class Records(list[Record]):
    """The native calls of a block, in order, and all the arrays that they point to."""

    def __init__(self) -> None:
        super().__init__()
        self.arrays: list[Any] = []  # kept alive: a pointer is worth nothing without its memory

    def note(self, event: Event) -> None:
        """What a tap reports: the arrays of every op call."""
        self.arrays.extend((event.arrays, event.outputs))

    def run(self) -> None:
        """Run every record again, in order, on the memory it ran on. BackendError if one fails."""
        for record in self:
            status = host().run(record)
            if status:
                raise BackendError(f"the record {record.type} ended with status {status} when run "
                                   f"again")


def held(host: Host, call: Callable[..., Any], arrays: tuple[Any, ...], options: dict[str, Any]
         ) -> Any:
    """What ``call`` returns with its kernels not run: outputs of the right shapes and strides, in
    memory that nobody has written. Inside another such call it is that one's copy.
    """
    if holding():
        return call(*arrays, **options)
    host.start(True)
    keep_in([], hold=True)
    try:
        return call(*arrays, **options)
    finally:
        keep_in(None)
        host.stop()


@contextmanager
def recording() -> Iterator[Records]:
    """The native calls that this thread makes inside the block; complete when it is left.

    An op that the reference runs leaves no record. Views need none.
    """
    records = Records()
    host().start(False)
    keep_in(records.arrays)
    try:
        with tap(records.note):
            yield records
    finally:
        keep_in(None)
        records.extend(host().stop())
        for record in records:  # geometry belongs to a plan, which may be forgotten before a run
            records.arrays.extend([Geometry.alive.get(p) for p in record.pointers])
