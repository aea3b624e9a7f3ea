"""Opens libraries that export kernels of etude.h, and makes columns of them.

``use("./softmax.so")`` and ``etude.backends.open_library`` of plugins lead here; the package
etude-cpu opens its own libraries through the same door. What stands between an op call and a
kernel is the op's calling convention (``bind.py``) and a thunk, which carries the call over into
C: that of the glue of etude-cpu where that is installed, else of cffi's ABI mode, some 2 us slower
a call.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from etude.backends.native.bind import bind
from etude.backends.native.header import (
    SUFFIXES,
    Header,
    function_type,
    places,
    read_header,
)
from etude.backends.native.image import missing
from etude.backends.native.kernel import (
    GENERATED,
    OK,
    SUFFIX,
    Host,
    Kernel,
    Patch,
    Record,
    Thunk,
)
from etude.backends.native.memory import HOST_MEMORY, Memory
from etude.backends.native.steps import bind_steps, is_step
from etude.core.errors import BackendError
from etude.core.table import TABLE

header: Callable[[], Header] = cache(read_header)


class Ops(dict[str, Callable[..., Any]]):
    """The ops of a library: name -> implementation. ``dtypes`` says what each has kernels for,
    ``host`` who carries calls over, and ``steps`` has those of optimisers for many parameters
    (``Column.steps``).
    """

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host
        self.dtypes: dict[str, tuple[str, ...]] = {}
        self.steps: dict[str, Callable[..., Any]] = {}


def open_library(path: str | os.PathLike[str], carrier: Host | None = None) -> Ops:
    """The ops that a shared library implements: every ``etude_<op>_<dtype>`` it exports.

    An op without a kernel for some dtype declines calls of that dtype. ``carrier`` is the host
    that carries calls over, by default the one for arrays of the cpu. Raises BackendError if
    the file is no library this machine can load, is cut short, was compiled with another major
    version of etude.h, exports no kernel of an op in the table, or one whose row does not agree
    with its function type in etude.h.
    """
    path = Path(path).resolve()
    try:
        library = _load(path)
    except OSError as error:
        raise BackendError(f"{path.name} cannot be opened as a library: {error}") from None
    _same_interface(path.name, library)
    carrier = carrier or host()
    ops = Ops(carrier)
    names = {str(dtype): suffix for dtype, suffix in SUFFIX.items()}
    for op in TABLE.values():
        addresses = {s: a for s in SUFFIXES if (a := _address(library, f"etude_{op.name}_{s}"))}
        if not addresses:
            continue
        if op.cls not in header().types:
            raise BackendError(f"{path.name} exports a kernel of {op.name}, but etude.h has no "
                               f"function type {op.cls!r}, which is the class of that op")
        kernel = Kernel(op, header().types[op.cls], addresses, carrier)
        ops[op.name] = bind(kernel)
        if is_step(op):
            ops.steps[op.name] = bind_steps(kernel)
        ops.dtypes[op.name] = tuple(n for n, s in names.items() if s in addresses)
    return ops


def _same_interface(name: str, library: ctypes.CDLL) -> None:
    """BackendError unless the library was compiled with an etude.h that Etude has too: kernels of
    another one take other parameters, and a call would read what is not there.
    """
    symbols = [f"etude_{op}_{suffix}" for op in TABLE for suffix in SUFFIXES]
    if not any(_address(library, symbol) for symbol in symbols):
        raise BackendError(
            f"{name} exports no kernel of etude.h. A kernel is called etude_<op>_<dtype>, such as "
            f"etude_softmax_f32; a C++ source needs extern \"C\"")
    ours = header().interface
    at = _address(library, "etude_interface")
    theirs = ctypes.c_uint32.from_address(at).value if at else 0x00010000  # 1.0 had no such symbol
    if theirs >> 16 != ours >> 16 or theirs > ours:
        raise BackendError(
            f"{name} was compiled with etude.h {theirs >> 16}.{theirs & 0xFFFF}, this Etude has "
            f"{ours >> 16}.{ours & 0xFFFF}, whose kernels take other parameters. Compile it again "
            f"with the header that `etude config --include` names (a source that does not include "
            f"etude.h exports uint32_t etude_interface = {ours:#010x} itself)")


_loaded: dict[Path, tuple[int, ...]] = {}  # what was in a file when it was opened first


def _load(path: Path) -> ctypes.CDLL:
    """Open a library, and one that was compiled again as it is now.

    dlopen knows libraries by name and would return the old one; a copy has a name of its own.
    """
    if cut := missing(path):
        raise BackendError(f"{path.name} cannot be opened as a library: {cut}. Is a compiler "
                           f"still writing it? Wait until it is done, or compile it again")
    status = path.stat()
    stamp = status.st_ino, status.st_size, status.st_mtime_ns
    if _loaded.setdefault(path, stamp) == stamp:
        return ctypes.CDLL(str(path))
    with tempfile.TemporaryDirectory() as folder:  # the loaded code outlives the file
        return ctypes.CDLL(shutil.copy(path, folder))


def _address(library: ctypes.CDLL, symbol: str) -> int | None:
    """Of a symbol of this library; not of one that it is linked to, as a .cu file's is to the lab.

    Every library says which etude.h it was compiled with (1.0 did not), so what begins where that
    lies is its own.
    """
    found = _found(library, symbol)
    if found is None:
        return None
    interface = _found(library, "etude_interface")
    return found if interface is None or _begin(found) == _begin(interface) else None


def _found(library: ctypes.CDLL, symbol: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None


class _Place(ctypes.Structure):
    """What dladdr says of an address: struct Dl_info."""

    _fields_ = (("file", ctypes.c_char_p), ("begin", ctypes.c_void_p),
                ("symbol", ctypes.c_char_p), ("address", ctypes.c_void_p))


@cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def give_back() -> None:
    """Give back to the system what malloc keeps though nobody has it, where malloc can do that:
    the host lets it keep much (C: c_src/cpu/host/context.c), and a huge page is kept for one byte.
    """
    trim = getattr(_process(), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _begin(address: int | None) -> int | None:
    """Where the library that holds an address begins in memory."""
    place = _Place()
    _process().dladdr(ctypes.c_void_p(address), ctypes.byref(place))
    begin: int | None = place.begin
    return begin


def symbol_at(address: int) -> tuple[Path, str] | None:
    """(the library, the symbol) that an address of code is; None where the system cannot tell."""
    place = _Place()
    if not _process().dladdr(ctypes.c_void_p(address), ctypes.byref(place)) or not place.symbol:
        return None
    return Path(os.fsdecode(place.file)), place.symbol.decode()


# ------------------------------------------------------------------ the two hosts


@cache
def host() -> Host:
    """The glue of etude-cpu, or cffi's ABI mode without it."""
    try:
        from etude_cpu import glue
    except ImportError:
        return abi_host()
    return Host("glue", glue.thunk, glue.ident, glue.error, glue.start_records,
                lambda: [_record(c, *glue.fields(c)) for c in glue.stop_records()],
                lambda record: int(glue.run_record(record.handle)),
                lambda records, patches, frozen, tails: glue.Chain(
                    [getattr(r, "handle", r) for r in records], patches, frozen, tails),
                True, HOST_MEMORY,
                lambda loop, pointers, steps, grain: Record(
                    GENERATED, loop, pointers, (steps, grain), (), 0,
                    glue.generated(loop, pointers, steps, grain)))


def pool() -> int:
    """On how many threads a kernel that is called through ``host`` may compute: without the glue of
    etude-cpu there is no pool, and parallel_for does everything on the caller's.
    """
    if host().name != "glue":
        return 1
    from etude_cpu import glue

    return int(glue.get_num_threads())


def _record(handle: Any, kind: str, kernel: int, pointers: list[int], sizes: list[int],
            attributes: list[float], stream: int) -> Record:
    """A record as C keeps it, cut to what its function type uses."""
    used = {"pointers": 0, "sizes": 0, "attributes": 0}
    for _, where, i in places(header().types[kind.rpartition("_")[0]]):
        used[where] = i + 1
    return Record(kind, kernel, tuple(pointers[: used["pointers"]]), tuple(sizes[: used["sizes"]]),
                  tuple(attributes[: used["attributes"]]), stream, handle)


@cache
def abi_host() -> Host:
    """Calls without compiled glue: serial, and slower to start, but nothing needs to be built."""
    return abi("abi", HOST_MEMORY)


def address(array: np.ndarray[Any, Any]) -> int:
    """Where the data of an array is."""
    return int(array.__array_interface__["data"][0])


def abi(name: str, memory: Memory, address_of_context: Callable[[], int] | None = None,
        ident: Callable[[np.ndarray[Any, Any]], int] = address) -> Host:
    """A host in cffi's ABI mode, for arrays in some memory. ``address_of_context`` gives the
    context of the thread that asks; without it each thread gets one that offers nothing.
    """
    try:
        from cffi import FFI  # type: ignore[import-untyped]
    except ImportError:
        raise BackendError("native kernels are called through cffi, which is not installed: "
                           "pip install cffi (or etude-cpu, which brings it)") from None
    ffi = FFI()
    ffi.cdef(header().context)
    local = threading.local()

    def context() -> Any:
        if address_of_context is not None:
            return ffi.cast("etude_context *", address_of_context())
        try:
            return local.context
        except AttributeError:
            version = header().interface
            local.context = ffi.new("etude_context *", {"version": version, "threads": 1})
            return local.context

    @cache
    def thunk(cls: str, suffix: str) -> Thunk:
        order = places(header().types[cls])
        kind = ffi.typeof(function_type(header().types[cls]))
        functions: dict[int, Any] = {}

        def call(kernel: int, *arguments: float) -> int:
            if kernel not in functions:
                functions[kernel] = ffi.cast(kind, kernel)
            kept = getattr(local, "records", None)
            if kept is None:
                return int(functions[kernel](context(), *arguments))
            lists: dict[str, list[Any]] = {"pointers": [], "sizes": [], "attributes": []}
            for (_, where, _), value in zip(order, arguments, strict=True):
                lists[where].append(value)
            record = Record(f"{cls}_{suffix}", kernel, tuple(lists["pointers"]),
                            tuple(lists["sizes"]), tuple(lists["attributes"]),
                            int(ffi.cast("uintptr_t", context().stream)),
                            (functions[kernel], order))
            if local.hold:
                kept.append(record)
                return OK
            status = run(record)
            if status == OK:  # one that declined did nothing to run again
                kept.append(record)
            return status

        return call

    def run(record: Record) -> int:
        function, order = record.handle
        return int(function(context(), *[getattr(record, where)[i] for _, where, i in order]))

    def start(hold: bool) -> None:
        local.records = []
        local.hold = hold

    def stop() -> list[Record]:
        kept: list[Record] = local.records
        local.records = None
        return kept

    def error() -> str:
        said = str(ffi.string(context().error).decode(errors="replace"))
        context().error = b""  # the next kernel may decline without a word
        return said

    return Host(name, thunk, ident, error, start, stop, run,
                lambda records, patches, *_: Loop(run, records, patches), False, memory)


class Loop:
    """A ``Chain`` for hosts that cannot run many records in one call: a loop in Python, without
    groups and tails. Nothing is kept from run to run.
    """

    kept_bytes = 0

    def __init__(self, run: Callable[[Record], int], records: list[Any], patches: list[Patch]
                 ) -> None:
        self._run = run
        self._records, self._patches = list(records), patches
        self.done = 0

    def pointer(self, first: int, last: int) -> Callable[[int], None]:
        def point(begin: int) -> None:
            for i, pointer, offset in self._patches[first:last]:
                pointers = list(self._records[i].pointers)
                pointers[pointer] = begin + offset
                self._records[i] = self._records[i]._replace(pointers=tuple(pointers))

        return point

    def whole(self) -> Callable[[], int]:
        return partial(self.run, 0, len(self._records))

    def refreeze(self) -> None:
        """There is nothing to make anew."""

    def run(self, first: int, last: int) -> int:
        for self.done in range(first, last):
            status = self._run(self._records[self.done])
            if status:
                return status
        self.done = last
        return OK
