"""Buffers of a device as handles, and the arrays that stand for them while a kernel is called.

A ``Buffer`` is memory of the device: an address that nobody here looks behind, and the stream that
last used it. The binders of ``etude.backends.native`` know NumPy arrays, so for the length of a
call an array of the device becomes one: ``opened`` makes an array of its address, shape and
strides, ``closed`` finds the buffer of such an array again. NumPy does arithmetic on addresses
with it, and never touches an element; in the lab's no-touch mode a touch ends the process.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.array import DeviceArray
from etude.core.errors import DeviceError

Array = np.ndarray[Any, Any]


class Buffer:
    """Memory of a device. It is given back when the last array over it is gone."""

    __slots__ = ("__weakref__", "_address", "device", "nbytes", "stream", "streams")

    def __init__(self, device: Any, nbytes: int, stream: int) -> None:
        self.device = device
        self.nbytes = nbytes
        self.stream = stream  # whose work may use it now
        self.streams = {stream}  # all that ever did: each must be done before it is freed
        self._address = 0  # for __del__, should there be no memory
        self._address = device.allocate(nbytes, stream)

    def __del__(self) -> None:
        if self._address:
            self.device.release(self._address, self.nbytes, self.stream, self.streams)

    def __repr__(self) -> str:
        return f"<Buffer of {self.nbytes} bytes on {self.device.name!r}>"


class _Window:
    """What NumPy makes an array of; being its base, it keeps the buffer."""

    __slots__ = ("__array_interface__", "address", "buffer")

    def __init__(self, buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any],
                 strides: tuple[int, ...] | None, offset: int) -> None:
        self.buffer = buffer
        self.address = buffer._address + offset
        self.__array_interface__ = {
            "version": 3, "shape": shape, "typestr": dtype.str, "strides": strides,
            "data": (self.address, False)}


def window(buffer: Buffer, shape: tuple[int, ...], dtype: np.dtype[Any],
           strides: tuple[int, ...] | None = None, offset: int = 0) -> Array:
    """An array over a buffer, strides and offset in bytes, for kernels and nobody else."""
    return np.asarray(_Window(buffer, shape, dtype, strides, offset))


def address(x: Array) -> int:
    """Where an array that ``window`` made, or a view of one, begins."""
    base: Any = x.base
    if base.__class__ is _Window:
        return base.address
    return x.__array_interface__["data"][0]


def opened(x: Any, device: Any, op: str) -> Any:
    """An operand as the binders take it. DeviceError for an array of another device."""
    if x.__class__ is DeviceArray:
        if x.device != device.name:
            raise DeviceError(f"{op}: an array on {x.device!r}, and the column computes on "
                              f"{device.name!r}; move it with .to({device.name!r})")
        if x.buffer.stream != device.stream():
            device.follow(x.buffer)
        if x.own is None:
            size = x.dtype.itemsize
            x.own = window(x.buffer, x.shape, x.dtype, tuple([s * size for s in x.strides]),
                           x.offset * size)
        return x.own
    if isinstance(x, np.ndarray):
        raise DeviceError(f"{op}: an array in the host's memory, and the column computes on "
                          f"{device.name!r}; move it with .to({device.name!r})")
    return x


def closed(x: Array, device: Any) -> DeviceArray:
    """The device's array of what ``window``, or NumPy from it, made."""
    buffer, size = buffer_of(x), x.dtype.itemsize
    made = DeviceArray(buffer, device.name, x.shape, x.dtype, tuple([s // size for s in x.strides]),
                       (address(x) - buffer._address) // size)
    made.own = x
    return made


def buffer_of(x: Any) -> Buffer:
    """The buffer that an array made by ``window``, or a view of one, lies in."""
    base = x
    while not isinstance(base, _Window):
        base = base.base
    return base.buffer
