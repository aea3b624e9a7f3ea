"""Opens libraries that export kernels of etude.h, and makes columns of them.

``open_library("softmax.so")`` is all a student's kernel needs; the package etude-cpu opens its own
libraries through the same door. What stands between an op call and a kernel: a *binder*
(``binders.py``) does the geometry, once per shape, and a *thunk* carries the call over into C.
Thunks come from the glue of etude-cpu where that is installed, else from cffi's ABI mode, some
2 us slower a call. This file loads, picks and reports; it computes nothing.
"""

from __future__ import annotations

import ctypes
import math
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from etude.backends.native.header import SUFFIXES, Header, function_type, read_header
from etude.core.errors import BackendError, Unsupported
from etude.core.shapes import bool_, float32, float64, int64
from etude.core.table import TABLE, Op

SUFFIX = {float32: "f32", float64: "f64", int64: "i64", bool_: "b8"}
OK, BAD_INDEX, NO_MEMORY, UNSUPPORTED = range(4)  # the status codes of etude.h

Thunk = Callable[..., int]
header: Callable[[], Header] = cache(read_header)


@dataclass(frozen=True)
class Host:
    """Who carries calls into C. ``ident`` is what a thunk takes for an array."""

    name: str
    thunk: Callable[[str, str], Thunk]  # family, suffix -> call(kernel address, ...) -> status
    ident: Callable[[np.ndarray[Any, Any]], int]
    error: Callable[[], str]  # why the last kernel of this thread declined


@dataclass(frozen=True)
class Kernel:
    """The kernels of one op in one library: what a binder binds."""

    op: Op
    family: str
    addresses: Mapping[str, int]  # suffix -> address
    host: Host

    def pick(self, dtype: np.dtype[Any]) -> tuple[Thunk, int]:
        """(thunk, kernel) for a dtype. Raises Unsupported where the library has none."""
        suffix = SUFFIX.get(dtype, "none")
        if suffix not in self.addresses:
            raise Unsupported(f"no kernel for {dtype.name}")
        return self.host.thunk(self.family, suffix), self.addresses[suffix]

    def fail(self, status: int, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> None:
        """Raise what a status other than ETUDE_OK stands for."""
        if status == BAD_INDEX:
            self.op(*arrays, **attrs)  # the reference finds the bad index and words the error
            raise BackendError(f"{self.op.name}: the kernel reports an index out of range, the "
                               f"reference finds none")
        if status == NO_MEMORY:
            raise MemoryError(f"{self.op.name}: no memory for the kernel's work space")
        if status == UNSUPPORTED:
            raise Unsupported(self.host.error() or "declined by the kernel")
        raise BackendError(f"{self.op.name}: the kernel returned the unknown status {status}")

    def attributes(self, attrs: dict[str, Any]) -> list[float]:
        """Attributes as kernels take them: in declared order, words as their place in choices,
        None as NaN. Raises Unsupported for an attribute that is NaN itself.
        """
        merged = {**self.op.attrs, **attrs}
        if any(v != v for v in merged.values()):
            raise Unsupported("an attribute is NaN")
        return [float(self.op.choices[k].index(v)) if k in self.op.choices else
                math.nan if v is None else float(v) for k, v in merged.items()]


class Ops(dict[str, Callable[..., Any]]):
    """The ops of a library: name -> implementation; ``dtypes`` says what each has kernels for."""

    def __init__(self) -> None:
        super().__init__()
        self.dtypes: dict[str, tuple[str, ...]] = {}


def open_library(path: str | os.PathLike[str]) -> Ops:
    """The ops that a shared library implements: every ``etude_<op>_<dtype>`` it exports.

    An op without a kernel for some dtype declines calls of that dtype. Raises BackendError if
    the file is no library this machine can load or exports no kernel of an op in the table.
    """
    from etude.backends.native.bind import bind

    path = Path(path).resolve()
    try:
        library = _load(path)
    except OSError as error:
        raise BackendError(f"{path.name} cannot be opened as a library: {error}") from None
    ops = Ops()
    names = {str(dtype): suffix for dtype, suffix in SUFFIX.items()}
    for op in TABLE.values():
        addresses = {s: a for s in SUFFIXES if (a := _address(library, f"etude_{op.name}_{s}"))}
        family = header().kernels.get(op.name, op.cls)
        if addresses and family in header().families:
            ops[op.name] = bind(Kernel(op, family, addresses, host()))
            ops.dtypes[op.name] = tuple(n for n, s in names.items() if s in addresses)
    if not ops:
        raise BackendError(
            f"{path.name} exports no kernel of etude.h. A kernel is called etude_<op>_<dtype>, "
            f"such as etude_softmax_f32; a C++ source needs extern \"C\"")
    return ops


_loaded: dict[Path, tuple[int, ...]] = {}  # what was in a file when it was opened first


def _load(path: Path) -> ctypes.CDLL:
    """Open a library, and one that was compiled again as it is now.

    dlopen knows libraries by name and would return the old one; a copy has a name of its own.
    """
    status = path.stat()
    stamp = status.st_ino, status.st_size, status.st_mtime_ns
    if _loaded.setdefault(path, stamp) == stamp:
        return ctypes.CDLL(str(path))
    with tempfile.TemporaryDirectory() as folder:  # the loaded code outlives the file
        return ctypes.CDLL(shutil.copy(path, folder))


def _address(library: ctypes.CDLL, symbol: str) -> int | None:
    try:
        return ctypes.cast(getattr(library, symbol), ctypes.c_void_p).value
    except AttributeError:
        return None


# ------------------------------------------------------------------ the two hosts


@cache
def host() -> Host:
    """The glue of etude-cpu, or cffi's ABI mode without it."""
    try:
        from etude_cpu import glue
    except ImportError:
        return abi_host()
    return Host("glue", glue.thunk, glue.ident, glue.error)


@cache
def abi_host() -> Host:
    """Calls without compiled glue: serial, and slower to start, but nothing needs to be built."""
    try:
        from cffi import FFI  # type: ignore[import-untyped]
    except ImportError:
        raise BackendError("native kernels are called through cffi, which is not installed: "
                           "pip install cffi (or etude-cpu, which brings it)") from None
    ffi = FFI()
    ffi.cdef(header().context)
    local = threading.local()

    def context() -> Any:
        try:
            return local.context
        except AttributeError:
            local.context = ffi.new("etude_context *", {"version": 0x00010000, "threads": 1})
            return local.context

    @cache
    def thunk(family: str, suffix: str) -> Thunk:
        kind = ffi.typeof(function_type(header().families[family]))
        functions: dict[int, Any] = {}

        def call(kernel: int, *arguments: float) -> int:
            if kernel not in functions:
                functions[kernel] = ffi.cast(kind, kernel)
            return int(functions[kernel](context(), *arguments))

        return call

    def address(array: np.ndarray[Any, Any]) -> int:
        return int(array.__array_interface__["data"][0])

    def error() -> str:
        return str(ffi.string(context().error).decode(errors="replace"))

    return Host("abi", thunk, address, error)
