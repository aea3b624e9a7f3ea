"""Arrays on a device, and the views that work on them and on NumPy arrays alike.

A ``DeviceArray`` is a record: an opaque buffer, an offset, shape, strides and dtype. A view is
another record over the same buffer, so every device gets reshape, permute, expand and slicing
from here, and no layer of Etude ever touches device memory with NumPy: ``__array__`` raises.
NumPy arrays are the arrays of the device "cpu" and keep their own machinery.
"""

from __future__ import annotations

import builtins
import itertools
import operator
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import numpy as np

from etude.core.errors import ShapeError
from etude.core.given import whole
from etude.core.shapes import Shape, bool_


class DeviceArray:
    """A view of a device buffer. ``offset`` and ``strides`` count elements, not bytes.

    ``buffer`` is whatever the backend of ``device`` allocated; it is freed when the last array
    over it is gone. ``own`` is for that backend, to keep with the array what it found out about it.
    """

    __slots__ = ("__weakref__", "buffer", "device", "dtype", "offset", "own", "shape", "strides")
    __array_ufunc__ = None  # NumPy must not take one of these apart element by element

    def __init__(self, buffer: Any, device: str, shape: Shape, dtype: np.dtype[Any],
                 strides: Shape | None = None, offset: int = 0) -> None:
        self.buffer = buffer
        self.device = device
        self.shape = shape
        self.dtype = dtype
        self.strides = c_strides(shape) if strides is None else strides
        self.offset = offset
        self.own: Any = None

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"NumPy cannot read {self!r}: its memory is not the host's. Use the ops, "
                        f"or take a copy with Tensor.numpy() or .to('cpu')")

    #: How to copy an array of a device: handed in by ``state.py``, since it takes a backend.
    copy: ClassVar[Callable[[Any], Any]]

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceArray:
        return DeviceArray.copy(self)  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        n = 1
        for s in self.shape:
            n *= s
        return n

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def is_contiguous(self) -> bool:
        return self.size == 0 or all(
            n == 1 or s == c
            for n, s, c in zip(self.shape, self.strides, c_strides(self.shape), strict=True)
        )

    def view(self, shape: Shape, strides: Shape, offset: int = 0) -> DeviceArray:
        """The same buffer under another shape; ``offset`` is relative to this array's."""
        return DeviceArray(self.buffer, self.device, shape, self.dtype, strides,
                           self.offset + offset)

    def transpose(self, dims: Shape) -> DeviceArray:
        return self.view(tuple(self.shape[d] for d in dims), tuple(self.strides[d] for d in dims))

    def __repr__(self) -> str:
        return f"DeviceArray({self.dtype.name}{list(self.shape)} on {self.device!r})"


def in_bytes(x: Any, dtype: Any = bool_) -> Any:
    """``x``, whose elements have one byte, as another dtype of one byte over the same memory. No op
    takes an int8 array to copy it, and a copy of bools is a copy of bytes.
    """
    if isinstance(x, DeviceArray):
        return DeviceArray(x.buffer, x.device, x.shape, dtype, x.strides, x.offset)
    return x.view(dtype)


# ---------------------------------------------------------------------------- read-only

#: Python's names of the operators that write, and their signs.
IN_PLACE = {"__iadd__": "+", "__isub__": "-", "__imul__": "*", "__itruediv__": "/",
            "__ifloordiv__": "//", "__imod__": "%", "__ipow__": "**", "__imatmul__": "@",
            "__iand__": "&", "__ior__": "|", "__ixor__": "^"}

WRITE = ("backward may need the values that are there. To change a leaf, such as a parameter, "
         "write: with no_grad(): p.copy_(p - y)")


class ReadOnly(np.ndarray[Any, Any]):
    """What ``Tensor.data`` shows: an array in the tensor's memory that nobody writes into. What is
    computed from it is an ordinary array; a copy may be written.
    """

    def __array_wrap__(self, array: np.ndarray[Any, Any], context: Any = None,
                       return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else array

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"data is a NumPy array, which has no {name!r}; x.detach() is the "
                             f"tensor without its history. To change a leaf, such as a parameter, "
                             f"write: with no_grad(): p.copy_(y)")


def _unless_read_only(name: str) -> Callable[..., Any]:
    """NumPy's method of that name, which writes, if the array may be written."""
    write = getattr(np.ndarray, name)

    def method(self: ReadOnly, *args: Any, **kwargs: Any) -> Any:
        if not self.flags.writeable:
            raise TypeError(f"data is read-only, because {WRITE}")
        return write(self, *args, **kwargs)

    return method


for _name in (*IN_PLACE, "__setitem__", "fill", "put", "sort", "partition"):
    setattr(ReadOnly, _name, _unless_read_only(_name))


def read_only(x: Any) -> Any:
    """An array as its tensor shows it. DeviceArrays hold memory that only ops reach."""
    if not isinstance(x, np.ndarray):
        return x
    view = x.view(ReadOnly)
    view.flags.writeable = False
    return view


# ---------------------------------------------------------------------------- views


def c_strides(shape: Shape) -> Shape:
    """Strides in elements of a C-ordered array: the last axis has 1."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def is_contiguous(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return x.flags.c_contiguous
    return bool(x.is_contiguous())


def memory(x: Any) -> int:
    """A number that arrays over the same memory share, for as long as one of them lives."""
    if type(x) is np.ndarray and x.base is None:  # as most
        return id(x)
    owner = getattr(x, "buffer", x)
    while getattr(owner, "base", None) is not None:
        owner = owner.base
    return id(owner)


def reshape_view(x: Any, shape: Shape) -> Any:
    """``x`` under another shape without copying; ShapeError where its strides allow none."""
    if isinstance(x, np.ndarray):
        try:
            return x.reshape(shape, copy=False)
        except ValueError:
            pass
    else:
        strides = _regroup(x.shape, x.strides, shape)
        if strides is not None:
            return x.view(shape, strides)
    raise ShapeError(f"reshape: no view of {x.dtype.name}{list(x.shape)} with strides "
                     f"{list(x.strides)} has the shape {list(shape)}; make it contiguous first")


def _regroup(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """Strides for ``new`` over the same elements, or None.

    Both shapes are cut, from the front, into the smallest groups of equal product; a group can
    change its shape if its old axes are evenly spaced in memory.
    """
    if 0 in shape:
        return c_strides(new)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    i = j = 0
    while i < len(old) or j < len(new):
        start, first = i, j
        have, want = 1, 1
        while have != want or i == start:
            if i < len(old) and (have <= want):
                have *= old[i][0]
                i += 1
            elif j < len(new):
                want *= new[j]
                j += 1
            else:
                break
        while j < len(new) and new[j] == 1:
            j += 1
        group = old[start:i]
        for (_, outer), (n, inner) in itertools.pairwise(group):
            if outer != n * inner:
                return None
        step = group[-1][1] if group else 1
        steps = [step * c for c in c_strides(new[first:j])]
        result.extend(steps)
    return tuple(result)


def expand_view(x: Any, shape: Shape) -> Any:
    """``x`` stretched to ``shape`` with stride 0 along the repeated axes; read-only in NumPy."""
    if isinstance(x, np.ndarray):
        return np.broadcast_to(x, shape)
    ahead = len(shape) - x.ndim
    strides = (0,) * ahead + tuple(
        s if n == m else 0 for n, m, s in zip(x.shape, shape[ahead:], x.strides, strict=True)
    )
    return x.view(tuple(shape), strides)


def plain_index(index: Any, ndim: int) -> tuple[Any, ...]:
    """Python's index in the form of the op ``slice``: ints, (start, stop, step), None."""
    entries = list(index) if isinstance(index, tuple) else [index]
    spots = [i for i, e in enumerate(entries) if e is Ellipsis]
    if spots:
        missing = ndim - len([e for e in entries if e is not None and e is not Ellipsis])
        entries[spots[0] : spots[0] + 1] = [builtins.slice(None)] * missing
    plain: list[Any] = []
    for e in entries:
        if isinstance(e, builtins.slice):
            bounds = (e.start, e.stop, e.step)
            plain.append(tuple(None if b is None else operator.index(b) for b in bounds))
        elif e is None or whole(e) is not None:
            plain.append(e if e is None else whole(e))
        else:
            what = f"a {e.dtype.name} tensor" if hasattr(e, "dtype") else type(e).__name__
            raise TypeError(f"a tensor is indexed with integers, slices, None and ..., or with one "
                            f"int64 tensor; got {what}. To pick single elements use gather; for a "
                            f"mask use where, because no shape may depend on values")
    return tuple(plain)


def slice_view(x: Any, index: tuple[Any, ...]) -> Any:
    """``x`` under a basic index in the form of the op ``slice``."""
    if isinstance(x, np.ndarray):
        # The Ellipsis makes NumPy return a 0-d view where an element would do.
        return x[(*(builtins.slice(*e) if isinstance(e, tuple) else e for e in index), ...)]
    shape, strides, offset, at = [], [], 0, 0
    for entry in index:
        if entry is None:
            shape.append(1)
            strides.append(0)
            continue
        n, step = x.shape[at], x.strides[at]
        at += 1
        if isinstance(entry, tuple):
            picked = range(*builtins.slice(*entry).indices(n))
            offset += picked.start * step if len(picked) else 0
            shape.append(len(picked))
            strides.append(picked.step * step)
        else:
            offset += (entry % n) * step
    return x.view((*shape, *x.shape[at:]), (*strides, *x.strides[at:]), offset)
