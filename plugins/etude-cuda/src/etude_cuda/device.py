"""A device as Etude sees it: one library of ours, its memory, its streams, and its columns.

The libraries libetude_cuda.so and libetude_gpu_lab.so have one text (``c_src/cuda/host`` and the
kernels); this file calls either through cffi. What moves between host and device is here, and what
puts the arrays of a call into the form that binders and kernels take is in ``arrays.py``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from etude.backends.native.library import abi, open_library
from etude.backends.native.memory import Memory
from etude.core.array import DeviceArray
from etude.core.columns import Column
from etude.core.errors import BackendError
from etude.core.state import current
from etude_cuda.arrays import Buffer, address, closed, opened, window
from etude_cuda.places import sources
from etude_cuda.steps import steps_of

Array = np.ndarray[Any, Any]

#: Bytes from which an upload has a stream of its own, beside the kernels that run meanwhile.
ASIDE = 64 << 10


def declarations() -> str:
    """What host.h declares, for cffi: pointers, which nobody here looks behind, as numbers."""
    text = (sources() / "cuda" / "host" / "host.h").read_text(encoding="ascii")
    declared = re.search(r"cffi begins \*/(.*)/\* cffi ends", text, re.S).group(1)
    return re.sub(r"(const )?void \*", "uintptr_t ", declared)


class Device:
    """One device, "cuda" or "gpu-lab", in this process. ``start`` may be called again."""

    def __init__(self, name: str, library: Path) -> None:
        from cffi import FFI

        self.name = name
        self.path = library
        self._ffi = FFI()
        self._ffi.cdef(declarations())
        try:
            self._lib = self._ffi.dlopen(str(library))
        except OSError as error:
            raise BackendError(f"{library.name} cannot be opened: {error}") from None
        self._local = threading.local()  # stream: what this thread uses, where it chose one
        self._common = self._aside = 0
        self._spare: list[int] = []
        self.buffers = self.bytes = self.most_bytes = 0
        self._count = threading.RLock()  # a buffer may be freed while another is counted
        memory = Memory(self._empty, self._copy, self._constant, self._read)
        self.host = abi(name, memory, self.context, address)

    # ------------------------------------------------------------------ what there is

    def facts(self) -> Any:
        """The C struct etude_device_facts. Raises BackendError with what CUDA said."""
        facts = self._ffi.new("etude_device_facts *")
        self._must(self._lib.etude_device_look(facts))
        return facts

    def start(self) -> None:
        """Begin to use the device. Raises BackendError where it cannot be."""
        self._must(self._lib.etude_device_start())
        self._common = self._lib.etude_stream_now()

    def column(self, name: str, library: Path, isa: str, threads: int = 1) -> Column:
        """The column of the kernels in a library of this device."""
        native = open_library(library, self.host)
        ops = {op: self._on_device(op, call) for op, call in native.items()}
        return Column(name, self.name, ops, isa=isa, threads=threads, checks=True,
                      upload=self.upload, download=self.download, dtypes=native.dtypes,
                      steps=steps_of(self, library) if library == self.path else {})

    @cached_property
    def contiguous(self) -> Callable[..., Any]:
        """The device's own copy in C order, for columns that have none."""
        return self._on_device("contiguous", open_library(self.path, self.host)["contiguous"])

    def _on_device(self, name: str, native: Callable[..., Any]) -> Callable[..., Any]:
        """An op on arrays of the device, by its op on arrays that stand for them."""
        def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
            given = [opened(a, self, name) for a in arrays]
            if out is not None:
                several = isinstance(out, tuple)
                outs = [opened(o, self, name) for o in (out if several else (out,))]
                native(*given, out=tuple(outs) if several else outs[0], **attrs)
                return out
            result = native(*given, **attrs)
            if isinstance(result, tuple):
                return tuple([closed(r, self) for r in result])
            return closed(result, self)

        call.__name__ = call.__qualname__ = name
        return call

    # ------------------------------------------------------------------ memory

    def upload(self, x: Array) -> DeviceArray:
        """A copy of an array on the device. It may still be on its way when this returns; what is
        done with it on the device waits for it.
        """
        x = np.ascontiguousarray(x).reshape(x.shape)
        stream = self._beside() if x.nbytes >= ASIDE else self.stream()
        buffer = Buffer(self, x.nbytes, stream)
        self._must(self._lib.etude_device_upload(
            buffer._address, x.__array_interface__["data"][0],
            x.nbytes, stream))
        return DeviceArray(buffer, self.name, x.shape, x.dtype)

    def download(self, x: DeviceArray) -> Array:
        """A copy of a contiguous array in the host's memory; waits for what computes it."""
        if not x.is_contiguous():
            x = self.contiguous(x)
        out = np.empty(x.shape, x.dtype)
        there = address(opened(x, self, "download"))
        self._must(self._lib.etude_device_download(
            out.__array_interface__["data"][0], there, x.nbytes,
            self.stream()))
        return out

    def fetch(self, x: DeviceArray, stream: int) -> int:
        """Begin to copy a contiguous array into pinned memory, whose address is returned."""
        block = self._lib.etude_pinned_malloc(x.nbytes)
        if not block:
            raise MemoryError(f"no {x.nbytes} bytes of pinned memory ({self._error()})")
        at = x.buffer._address + x.offset * x.dtype.itemsize
        self._must(self._lib.etude_device_fetch(block, at, x.nbytes,
                                                stream))
        return block

    def take(self, block: int, x: DeviceArray) -> Array:
        """The values that ``fetch`` has brought, for which somebody has waited; frees the block."""
        content = self._ffi.buffer(self._ffi.cast("char *", block), x.nbytes)
        view = np.frombuffer(content, x.dtype)
        values = view.reshape(x.shape).copy()
        self._lib.etude_pinned_free(block)
        return values

    def allocate(self, nbytes: int, stream: int) -> int:
        """The address of new memory, for a Buffer. Raises MemoryError."""
        buffer = self._lib.etude_device_malloc(nbytes, stream)
        if not buffer:
            self._must(self._lib.etude_device_alive())
            raise MemoryError(f"no {nbytes} bytes of memory on {self.name!r}, where arrays hold "
                              f"{self.bytes} ({self._error()})")
        with self._count:
            self.buffers += 1
            self.bytes += nbytes
            self.most_bytes = max(self.bytes, self.most_bytes)
        return buffer

    def release(self, address: int, nbytes: int, stream: int, streams: set[int]) -> None:
        """Give memory back, in the order of a stream, after what all ``streams`` do with it."""
        for other in streams - {stream}:
            self._lib.etude_stream_follow(stream, other)
        self._lib.etude_device_free(address, stream)
        with self._count:
            self.buffers -= 1
            self.bytes -= nbytes

    def _empty(self, shape: Any, dtype: np.dtype[Any]) -> Array:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        count = 1
        for n in shape:
            count *= n
        strides = None if count else (0,) * len(shape)  # as NumPy has it
        return window(Buffer(self, count * dtype.itemsize, self.stream()), shape, dtype, strides)

    def _copy(self, x: Array, out: Array | None) -> Array:
        """By a column in use that has the op, which the receipt shows, else by the device's own."""
        table = current(self.name)
        seen = any("contiguous" in column.ops for column in table.stack)
        copy = table["contiguous"] if seen else self.contiguous
        if out is None:
            return opened(copy(closed(x, self)), self, "contiguous")
        copy(closed(x, self), out=closed(out, self))
        return out

    def _constant(self, value: Any, dtype: np.dtype[Any]) -> Array:
        return opened(self.upload(np.array(value, dtype)), self, "constant")

    def _read(self, x: Any) -> Any:
        return self.download(closed(x, self)) if isinstance(x, np.ndarray) else x

    # ------------------------------------------------------------------ streams

    def stream(self) -> int:
        """The stream that this thread's work goes to."""
        return getattr(self._local, "stream", self._common)

    def use_stream(self, stream: int) -> None:
        """From now on this thread's work goes to ``stream``."""
        self._local.stream = stream
        self._lib.etude_stream_use(stream)

    def make_stream(self) -> int:
        """A stream that nobody else has. Raises BackendError if the device has none left."""
        if self._spare:
            return self._spare.pop()
        stream = self._lib.etude_stream_make()
        if not stream:
            raise BackendError(f"no new stream on {self.name!r}: {self._error()}")
        return stream

    def wait(self, stream: int | None = None) -> None:
        """Until the work of a stream, by default this thread's, is done."""
        self._must(self._lib.etude_stream_wait(
            self.stream() if stream is None else stream))

    def end_stream(self, stream: int) -> None:
        """Give a stream back. Another will get it, for buffers remember who used them."""
        self._spare.append(stream)

    def join(self, after: int, before: int) -> None:
        """What stream ``after`` is given from now on waits for what ``before`` was given."""
        self._must(self._lib.etude_stream_follow(after, before))

    def follow(self, buffer: Buffer) -> None:
        """Let this thread's stream wait for the one that used a buffer last, and use it next."""
        stream = self.stream()
        self.join(stream, buffer.stream)
        buffer.stream = stream
        buffer.streams.add(stream)

    def _beside(self) -> int:
        """The stream of large uploads."""
        with self._count:
            if not self._aside:
                self._aside = self.make_stream()
            return self._aside

    # ------------------------------------------------------------------ through cffi

    def context(self) -> int:
        """The address of the calling thread's etude_context."""
        context = self._lib.etude_device_context()
        if not context:
            self._must(self._lib.etude_device_alive())
        return context

    def _error(self) -> str:
        said: str = self._ffi.string(self._lib.etude_device_error()).decode(errors="replace")
        return said

    def _must(self, failed: int) -> None:
        if failed:
            raise BackendError(f"{self.name}: {self._error()}")
