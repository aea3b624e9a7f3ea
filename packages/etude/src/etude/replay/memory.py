"""Where arrays lie: an array as a value over a buffer, and a value as an array again.

NumPy's arrays and those of devices, each in one place: nothing else in ``replay/`` asks which.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.array import DeviceArray
from etude.core.columns import Table
from etude.core.shapes import Shape
from etude.replay.program import Buffer, Value


def owner_of(x: Any) -> Any:
    """What keeps the memory of ``x``: the NumPy array that it is a view of, or a device's buffer.
    """
    if not isinstance(x, np.ndarray):
        return x.buffer
    while isinstance(base := x.base, np.ndarray):
        x = base
    return x


def address(x: Any) -> int:
    """Where the first element of ``x`` is, in bytes: in the host's memory, or in its buffer."""
    if isinstance(x, np.ndarray):
        return int(x.__array_interface__["data"][0])
    return int(x.offset * x.dtype.itemsize)


def element_strides(x: Any) -> Shape:
    """The strides of ``x`` in elements."""
    if not isinstance(x, np.ndarray):
        return tuple(x.strides)
    return tuple([s // x.dtype.itemsize for s in x.strides])


def extent(x: Any) -> tuple[int, int]:
    """The addresses between which the elements of ``x`` lie, the second one past the last."""
    low = high = address(x)
    if x.size == 0:
        return low, low
    size = x.dtype.itemsize
    for n, step in zip(x.shape, element_strides(x), strict=True):
        if step < 0:
            low += (n - 1) * step * size
        else:
            high += (n - 1) * step * size
    return low, high + size


def is_whole(v: Value) -> bool:
    """Whether ``v`` is all of its buffer, in C order."""
    step = 1
    for n, s in zip(reversed(v.shape), reversed(v.strides), strict=True):
        if n != 1 and s != step:
            return False
        step *= n
    return v.offset == 0 and step * v.dtype.itemsize == v.buffer.nbytes and step > 0


class _Memory:
    """What NumPy is told of an array that it makes over the memory of another."""

    def __init__(self, base: Any, v: Value) -> None:
        size = v.dtype.itemsize
        self.base = base  # kept alive by the array
        self.__array_interface__ = {
            "data": (address(base) + v.offset * size, False), "shape": v.shape,
            "typestr": v.dtype.str, "strides": tuple([s * size for s in v.strides]), "version": 3}


def array_of(v: Value, base: Any) -> Any:
    """``v`` as an array, where the memory of its buffer begins with the first element of ``base``.
    """
    if not isinstance(base, np.ndarray):
        at = base.offset * base.dtype.itemsize // v.dtype.itemsize + v.offset
        return DeviceArray(base.buffer, base.device, v.shape, v.dtype, v.strides, at)
    if base.shape == v.shape and base.dtype == v.dtype and not v.offset and (
            element_strides(base) == v.strides):
        return base
    return np.asarray(_Memory(base, v))


def memory_at(start: int, nbytes: int, owner: Any) -> np.ndarray[Any, Any]:
    """The bytes from the address ``start`` on, in memory that ``owner`` keeps."""
    buffer, byte = Buffer("", "temporary", nbytes), np.dtype(np.uint8)
    return np.asarray(_Memory(owner, Value(buffer, (max(nbytes, 1),), byte, (1,),
                                           start - address(owner))))


def fresh(v: Value, table: Table) -> Any:
    """New memory for the buffer of ``v``, as an array: like ``v`` if that is all of it."""
    if v.buffer.device != "cpu":
        size = max(v.buffer.nbytes // v.dtype.itemsize, 1)
        shape = v.shape if is_whole(v) else (size,)
        return table["full"](shape=shape, value=0, dtype=v.dtype)
    if is_whole(v):
        return np.empty(v.shape, v.dtype)
    return np.empty(max(v.buffer.nbytes, v.dtype.itemsize), np.uint8)
