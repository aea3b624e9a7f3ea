"""The glue: compiled thunks, the thread pool and the choice of instruction set.

Importing this module starts it. From then on every column of C kernels in the process calls through
it, a student's library too (``etude.backends.native.library.open_library``). On glibc it also tells
malloc to keep large blocks, which speeds up NumPy as well; ``c_src/cpu/host/context.c`` says why.
"""

import ctypes
import os
from functools import partial

import numpy as np

from etude.backends.native.kernel import Blocks
from etude.core.errors import BackendError
from etude_cpu._glue import __file__ as COMPILED  # noqa: F401 - backend.py looks beside it
from etude_cpu._glue import ffi, lib

MOST_THREADS = 256  # c_src/cpu/host/threads.c has room for so many


def default_threads():
    """ETUDE_NUM_THREADS, else the cores this process may run on."""
    wanted = os.environ.get("ETUDE_NUM_THREADS", "").strip()
    if not wanted:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if not wanted.isdigit() or not 1 <= int(wanted) <= MOST_THREADS:
        raise BackendError(f"ETUDE_NUM_THREADS must be a whole number from 1 to {MOST_THREADS}, "
                           f"got {wanted!r}")
    return int(wanted)


def _data_offset():
    """Where an array object keeps the address of its data. 0 if it is not at the place where every
    NumPy so far has it; arrays then go in by their address.
    """
    offset = object.__basicsize__  # the first field of NumPy's PyArrayObject
    for probe in (np.zeros(3), np.arange(12).reshape(3, 4)[1:, ::-2], np.array(1.5)):
        found = ctypes.c_void_p.from_address(id(probe) + offset).value
        if found != probe.__array_interface__["data"][0]:
            return 0
    return offset


def _address(array):
    return array.__array_interface__["data"][0]


_offset = _data_offset()
lib.glue_start(_offset, default_threads())

#: What a thunk takes for an array: the id of the object, or its address where that is of no use.
ident = id if _offset else _address


def thunk(name, suffix):
    """The compiled call of a function type: thunk(kernel, arrays..., numbers...) -> status."""
    return getattr(lib, f"{name}_{suffix}")


def error():
    """Why the last kernel that this thread called declined."""
    text = ffi.cast("char *", lib.glue_error())
    said = ffi.string(text).decode(errors="replace")
    text[0] = b"\0"  # the next kernel may decline without a word
    return said


def start_records(hold=False):
    """Keep the record of every call of this thread from now on; with ``hold`` do not run them."""
    lib.etude_records_start(lib.ETUDE_RECORDS_HOLD if hold else lib.ETUDE_RECORDS_KEEP)


def stop_records():
    """Keep no more. Returns copies of the records, the C structs of c_src/cpu/host/record.h."""
    lib.etude_records_stop()
    return [ffi.new("etude_record *", lib.etude_records_at(i)[0])
            for i in range(lib.etude_records_count())]


def fields(record):
    """(type, kernel, pointers, sizes, attributes, stream) of one. The lists have all the room that
    a record has; how much of it is used, the function type tells.
    """
    return (ffi.string(record.type).decode(), _number(record.kernel),
            [_number(p) for p in record.pointers], list(record.sizes), list(record.attributes),
            _number(record.stream))


def _number(pointer):
    return int(ffi.cast("uintptr_t", pointer))


def run_record(record):
    """Run a record again, and return its status. The memory it points to must still be there."""
    return lib.etude_run(record)


def generated(loop, pointers, steps, grain):
    """The record of a generated loop: its address, the arrays it takes, how many steps it has, and
    the least of them that are worth a thread (c_src/cpu/host/generated.h).
    """
    record = ffi.new("etude_record *", {
        "kernel": ffi.cast("void *", loop), "sizes": [steps, grain],
        "pointers": [ffi.cast("void *", p) for p in pointers]})
    lib.glue_generated(record)
    return record


def _group(blocks):
    """A ``Blocks`` as C has it, and what must stay alive for it."""
    room = len(ffi.new("etude_member *").step)
    members = ffi.new("etude_member[]", [
        {"step": [*m.steps, *[0] * (room - len(m.steps))],
         "inside": [*m.inside, *[-1] * (room - len(m.inside))], "per_row": m.per_row,
         "size": m.size, "geometry": m.geometry, "axis": m.axis} for m in blocks.members])
    group = ffi.new("etude_group *", {
        "count": len(blocks.members), "rows": blocks.rows, "block": blocks.block,
        "grain": blocks.grain, "scratch": blocks.scratch, "members": members})
    return group, members


class Chain:
    """Records that run one after another in one native call, without the interpreter lock.

    ``patches`` are (record, pointer, offset in bytes): places that point into arrays which change.
    The memory that all other places point to must be there at every run. The records behind one
    that is a ``Blocks`` run together, on some of their rows at a time.

    ``frozen`` are (record, pointer): what lies there is the same at every run, so that a kernel may
    keep what it makes of it (a packed weight) until ``refreeze``. ``tails`` say which records do
    what follows them, if their kernels can.
    """

    def __init__(self, records, patches, frozen=(), tails=()):
        self._records = ffi.new("etude_record[]", len(records))
        self._groups = []
        for i, record in enumerate(records):
            if isinstance(record, Blocks):
                self._groups.append(_group(record))
                lib.glue_group(self._records + i, self._groups[-1][0])
            else:
                self._records[i] = record[0]
        self._patches = ffi.new("etude_patch[]", [tuple(p) for p in patches])
        self._done = ffi.new("int64_t *")
        for record, pointer in frozen:
            self._records[record].frozen |= 1 << pointer
        for tail in tails:
            record = self._records[tail.record]
            record.followers, record.norm, record.add, record.relu = tail[1:]
        n = len(records) if frozen else 0
        self._kept = ffi.new("etude_kept[]", n)
        self._thaw = ffi.gc(self._kept, lambda kept: lib.etude_thaw(kept, n))  # when this goes
        lib.etude_freeze(self._records, self._kept, n)

    def refreeze(self):
        """Make anew, at the next run, what is kept of frozen operands."""
        lib.etude_refreeze(self._kept, len(self._kept))

    @property
    def kept_bytes(self):
        """How much memory is kept for what is made of frozen operands."""
        return sum(kept.bytes for kept in self._kept)

    def pointer(self, first, last):
        """A function of ``ident(array)``: the places of the patches ``first`` to ``last`` - 1
        point into that array from now on.
        """
        return partial(lib.glue_point, self._records, self._patches + first, last - first)

    def run(self, first, last):
        """Run the records ``first`` to ``last`` - 1 -> status."""
        return lib.etude_run_all(self._records, first, last, self._done)

    def whole(self):
        """``run`` for all records, as a function without parameters that is quicker to call."""
        return partial(lib.etude_run_all, self._records, 0, len(self._records), self._done)

    @property
    def done(self):
        """The number of the record that the last run ended at."""
        return self._done[0]


def runs(isa):
    """Whether this machine runs code for "portable", "avx2" or "avx512"."""
    return bool(lib.etude_cpu_runs(isa.encode()))


def set_num_threads(n):
    """Let kernels use up to ``n`` threads. ValueError if the pool has no room for so many."""
    if not isinstance(n, int) or not 1 <= n <= MOST_THREADS:
        raise ValueError(f"set_num_threads: a whole number from 1 to {MOST_THREADS}, got {n!r}")
    lib.etude_set_threads(n)


def get_num_threads():
    """How many threads kernels may use."""
    return lib.etude_get_threads()
