"""The kernels of one op, and the host that carries calls over into C.

A *host* is the compiled glue of etude-cpu or, where that is not installed, cffi's ABI mode
(``library.py`` picks). A *thunk* is its call for one function type and dtype. Every call, whoever
carries it, fills one record (``record.py``) and is run from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from etude.backends.native.header import Parameter
from etude.core.errors import BackendError, Unsupported
from etude.core.shapes import bool_, float32, float64, int64
from etude.core.table import Op

if TYPE_CHECKING:
    from etude.backends.native.memory import Memory

SUFFIX = {float32: "f32", float64: "f64", int64: "i64", bool_: "b8"}
#: The type of a record whose kernel is a loop (generate.py). Its sizes are how many steps there are
#: and the least worth a thread; its attributes say of each pointer whether all rows share it.
GENERATED = "generated"
OK, BAD_INDEX, NO_MEMORY, UNSUPPORTED, FAILED = range(5)  # the status codes of etude.h

Thunk = Callable[..., int]


class Record(NamedTuple):
    """One native call as data, enough to run it again. ``handle`` is the host's own."""

    type: str  # function type and dtype: "rows_f32"
    kernel: int  # its address
    pointers: tuple[int, ...]  # of arrays and geometry, in the order of the function type
    sizes: tuple[int, ...]
    attributes: tuple[float, ...]
    stream: int  # the device's queue; 0 on the cpu
    handle: Any


class Patch(NamedTuple):
    """A place in a list of records that points into an array which may be another one later."""

    record: int
    pointer: int  # which of the record's
    offset: int  # in bytes, from where the array begins


class Member(NamedTuple):
    """How a record is cut down to some of its rows; C: c_src/cpu/host/group.h."""

    steps: tuple[int, ...]  # of each pointer, bytes from row to row; 0: all rows share it
    inside: tuple[int, ...]  # of each pointer, where in scratch memory it leads; -1: it does not
    per_row: int  # the number that counts rows is so many for each
    size: int  # its place in sizes; -1: it is in a geometry
    geometry: int  # the one at this pointer,
    axis: int  # along this axis


class Blocks(NamedTuple):
    """The members of a group, whose records follow, run together on ``block`` rows at a time."""

    rows: int
    block: int
    grain: int  # the least blocks worth a thread
    scratch: int  # bytes for what passes between members, of a block
    members: list[Member]


class Tail(NamedTuple):
    """Records that the kernel of the one before them may do itself: ``replay/passes/tails.py``."""

    record: int  # the one before them
    followers: int  # how many they are
    norm: int  # which of them is a batch_norm_eval, counted from ``record``; 0: none
    add: int
    relu: int


class Chain(Protocol):
    """Records that run in order, in one call of the host. ``done`` counts those that did."""

    @property
    def done(self) -> int: ...

    def pointer(self, first: int, last: int) -> Callable[[int], None]:
        """A function of ``ident(array)``: the places of the patches ``first`` to ``last`` - 1
        point into that array from now on.
        """

    def run(self, first: int, last: int) -> int:
        """Run the records ``first`` to ``last`` - 1, up to the first bad status, and return it."""

    def whole(self) -> Callable[[], int]:
        """``run`` for all records, as a function without parameters that is quicker to call."""

    @property
    def kept_bytes(self) -> int:
        """Memory for what kernels made of frozen operands."""

    def refreeze(self) -> None:
        """Frozen operands have other numbers: make anew what is made of them."""


_recorded = threading.local()  # where this thread keeps arrays while its calls are recorded


def keep(array: Any) -> None:
    """For arrays between two kernel calls, which nobody else holds: a record points into them."""
    arrays = getattr(_recorded, "arrays", None)
    if arrays is not None:
        arrays.append(array)


def keep_in(arrays: list[Any] | None, hold: bool = False) -> None:
    """Where ``keep`` puts the arrays of this thread from now on; None: nowhere. With ``hold``
    calls are prepared and do not run, so nothing may be computed in Python either.
    """
    _recorded.arrays = arrays
    _recorded.hold = hold


def holding() -> bool:
    """Whether the calls of this thread are only prepared, to run later."""
    return getattr(_recorded, "hold", False)


@dataclass(frozen=True)
class Host:
    """Who carries calls into C. ``ident`` is what a thunk takes for an array."""

    name: str
    thunk: Callable[[str, str], Thunk]  # function type, suffix -> call(kernel, ...) -> status
    ident: Callable[[np.ndarray[Any, Any]], int]
    error: Callable[[], str]  # why the last kernel of this thread declined
    start: Callable[[bool], None]  # keep this thread's records from now on; True: do not run them
    stop: Callable[[], list[Record]]  # no longer; returns them
    run: Callable[[Record], int]  # one of them, again -> status
    #: many, in one call; of these (record, pointer) the numbers are the same at every run
    chain: Callable[[list[Record | Blocks], list[Patch], list[tuple[int, int]], list[Tail]], Chain]
    blocks: bool  # whether a chain may hold groups and tails
    memory: Memory  # where the arrays of its calls are
    #: code, pointers, how many steps, the least worth a thread -> the record of a generated loop
    loop: Callable[[int, tuple[int, ...], int, int], Record] | None = None


@dataclass(frozen=True)
class Kernel:
    """The kernels of one op in one library: what a calling convention binds."""

    op: Op
    parameters: tuple[Parameter, ...]  # of the function type that is called like ``op.cls``
    addresses: Mapping[str, int]  # suffix -> address
    host: Host

    def pick(self, dtype: np.dtype[Any]) -> tuple[Thunk, int]:
        """(thunk, kernel) for a dtype. Raises Unsupported where the library has none."""
        suffix = SUFFIX.get(dtype, "none")
        if suffix not in self.addresses:
            raise Unsupported(f"no kernel for {dtype.name}")
        return self.host.thunk(self.op.cls, suffix), self.addresses[suffix]

    def fail(self, status: int, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> None:
        """Raise what a status other than ETUDE_OK stands for."""
        if status == BAD_INDEX:
            read = self.host.memory.read
            self.op(*map(read, arrays), **attrs)  # the reference finds the index, and words it
            raise BackendError(f"{self.op.name}: the kernel reports an index out of range, the "
                               f"reference finds none")
        if status == NO_MEMORY:
            raise MemoryError(f"{self.op.name}: no memory for the kernel's work space")
        if status == UNSUPPORTED:
            raise Unsupported(self.host.error() or "declined by the kernel")
        if status == FAILED:
            raise BackendError(f"{self.op.name}: {self.host.error() or 'the device refused'}")
        raise BackendError(f"{self.op.name}: the kernel returned the unknown status {status}")
