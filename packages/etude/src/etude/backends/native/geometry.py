"""Geometry of a native call, worked out in Python once per shape: strides, collapsing, copies."""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn
from weakref import WeakValueDictionary

import numpy as np

from etude.backends.native.memory import Array as Array  # with these, every convention has
from etude.backends.native.memory import Memory  # what it needs from here
from etude.backends.native.memory import Plans as Plans
from etude.core.errors import DTypeError, ShapeError, Unsupported
from etude.core.table import IN_PLACE, Op

broadcast_to = np.broadcast_to


class Geometry:
    """Sizes or strides in memory of their own, for kernels to read; ``address`` is what is passed.

    Whoever keeps the address keeps the object too; ``alive`` finds it.
    """

    alive: ClassVar[WeakValueDictionary[int, Geometry]] = WeakValueDictionary()  # by address

    def __init__(self, numbers: Sequence[int]) -> None:
        self._memory = array("q", numbers)
        self.address = self._memory.buffer_info()[0]
        Geometry.alive[self.address] = self

    @property
    def numbers(self) -> tuple[int, ...]:
        """What stands there."""
        return tuple(self._memory)


def steps(x: Array) -> tuple[int, ...] | None:
    """Strides in elements, 0 along axes of size 1; None if they are no whole elements."""
    size = x.dtype.itemsize
    if any(s % size for s in x.strides):
        return None
    return tuple(0 if n == 1 else s // size for n, s in zip(x.shape, x.strides))


def spread_steps(x: Array, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides of ``x`` broadcast to ``shape``: 0 along every axis it is repeated on."""
    strides = steps(x)
    return None if strides is None else (0,) * (len(shape) - x.ndim) + strides


def collapse(shape: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Merge neighbouring axes that all operands walk with even steps; axes of size 1 go.

    (32, 8, 10) with strides (80, 10, 1) and (0, 0, 1) becomes (256, 10), (10, 1) and (0, 1).
    """
    sizes: list[int] = []
    kept: list[list[int]] = [[] for _ in strides]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if sizes and all(k[-1] == s[i] * n for k, s in zip(kept, strides)):
            sizes[-1] *= n
            for k, s in zip(kept, strides):
                k[-1] = s[i]
        else:
            sizes.append(n)
            for k, s in zip(kept, strides):
                k.append(s[i])
    return sizes, kept


def padded(numbers: Sequence[int], length: int, fill: int) -> list[int]:
    """``numbers`` with ``fill`` in front, ``length`` in all."""
    return [fill] * (length - len(numbers)) + list(numbers)


def operands(op: Op, memory: Memory, *values: Any) -> tuple[Array, ...]:
    """Plain arrays of all operands, Python numbers in the dtype of the array operands.

    Raises what the shape rule does about operands that are neither.
    """
    op.check(values, {})
    dtype = next(v.dtype for v in reversed(values) if hasattr(v, "dtype"))  # a condition is first
    return tuple([np.asarray(v) if hasattr(v, "dtype") else memory.number(v, dtype)
                  for v in values])


def two_operands(op: Op, memory: Memory, x: Any, y: Any) -> tuple[Array, ...]:
    """Two operands. An array, or a number seen before, takes the short road; most calls are
    like that.
    """
    try:
        if type(x) is np.ndarray and type(y) in (float, int):
            return x, memory.scalars[y or repr(y), x.dtype]
        if type(y) is np.ndarray and type(x) in (float, int):
            return memory.scalars[x or repr(x), y.dtype], y
    except KeyError:
        pass
    return operands(op, memory, x, y)


NEEDED = inspect.Parameter.empty  # stands for an attribute that has no default


def refuse(op: Op, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> NoReturn:
    """Raise what the shape rule does about a call that does not fit the op's signature."""
    op.check(arrays, {k: v for k, v in attrs.items() if v is not NEEDED})
    given = ", ".join([type(a).__name__ for a in arrays] + list(attrs))
    raise TypeError(f"{op.name} cannot be called with: {given}")


def overlap(out: Array, x: Any) -> bool:
    """Whether ``out`` and ``x`` may share memory."""
    return type(x) is np.ndarray and np.may_share_memory(out, x)


def same_elements(out: Array, x: Array) -> bool:
    """Whether ``out`` and ``x`` are the same elements in the same order."""
    return (out.shape == x.shape and out.strides == x.strides and out.dtype == x.dtype
            and out.ctypes.data == x.ctypes.data)


def check_apart(op: Op, outs: Sequence[Array], arrays: Sequence[Any]) -> None:
    """Unsupported for an ``out`` that a kernel cannot write while it reads ``arrays``.

    The reference computes all of the result first. Where class or row allow a result in place, it
    may be written over the same elements, but not over others in the same memory.
    """
    in_place = op.cls in IN_PLACE or op.alias
    for out in outs:
        for x in arrays:
            if overlap(out, x) and not (in_place and same_elements(out, x)):
                raise Unsupported("out overlaps an input")


def check_out(name: str, out: Array, shape: tuple[int, ...], dtype: np.dtype[Any],
              dense: bool = True) -> None:
    """Raise unless a kernel may write its result into ``out``."""
    if type(out) is not np.ndarray or out.dtype != dtype:
        raise DTypeError(f"{name}: out must be an array of {dtype.name}, got "
                         f"{getattr(out, 'dtype', type(out).__name__)}")
    if out.shape != shape or (dense and not out.flags.c_contiguous):
        raise ShapeError(f"{name}: out must be contiguous with shape {list(shape)}, got shape "
                         f"{list(out.shape)} with strides {list(out.strides)}")
    if not out.flags.writeable:
        raise ValueError(f"{name}: out is read-only")
