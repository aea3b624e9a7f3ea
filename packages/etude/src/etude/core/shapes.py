"""Shapes, dtypes and axes: what a shape rule is made of, and where its errors are worded.

A shape rule says what comes out of an op without computing it. It gets one ``Spec`` for each
array (or the Python number given in its place), all attributes by keyword, and returns a
``Spec`` or a tuple of them. Most rules are a line of text beside the op (``layout.py``) and, where
that is not enough, a function of what is here. Nothing looks at the values of an array.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from etude.core.errors import AxisError, DTypeError, ShapeError
from etude.core.given import whole

float32 = np.dtype("float32")
float64 = np.dtype("float64")
int64 = np.dtype("int64")
int8 = np.dtype("int8")
bool_ = np.dtype("bool")

DTYPES = (bool_, int64, float32, float64)  # in order of promotion
FLOATS = (float32, float64)
NUMBERS = (int64, float32, float64)

#: Numbers that are kept and not computed with: an op takes them where its layout names the dtype,
#: as the weight of linear_int8, and no other op does. Nothing becomes one by promotion.
STORED = (int8,)

#: What Tensor does to operands of mixed dtype before the call, and which dtypes are accepted.
DOMAINS = {"float": FLOATS, "number": NUMBERS, "any": DTYPES}

Shape = tuple[int, ...]
Number = bool | int | float


class Spec(NamedTuple):
    """Shape and dtype of an array that may not exist yet."""

    shape: Shape
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        order = "" if self.dtype.isnative else " in another byte order"
        return f"{self.dtype.name}{list(self.shape)}{order}"


def spec_of(x: Any) -> Any:
    """The Spec of an array; a Python number and None stand for themselves."""
    return Spec(x.shape, x.dtype) if hasattr(x, "shape") else x


# ---------------------------------------------------------------------------- axes and shapes


def axis(name: str, dim: int, ndim: int) -> int:
    """``dim`` counted from the front, in 0 .. ndim-1."""
    found = whole(dim)
    if found is None:
        raise AxisError(f"{name}: dim must be an integer, got {dim!r}")
    if not -ndim <= found < ndim:
        span = f"-{ndim} to {ndim - 1}" if ndim else "none: the array has no dimensions"
        raise AxisError(f"{name}: dim={dim} is outside an array of {ndim} dimensions "
                        f"(allowed: {span})")
    return found % ndim


def axes(name: str, dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Every reduced axis, counted from the front and sorted; None means all of them."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(dim) if np.iterable(dim) else (dim,)
    found = [axis(name, d, ndim) for d in dims]
    if len(set(found)) != len(found):
        raise AxisError(f"{name}: dim={dim} names the same dimension twice")
    return tuple(sorted(found))


def reduced(shape: Shape, dims: tuple[int, ...], keepdim: bool) -> Shape:
    """``shape`` after a reduction over ``dims``."""
    if keepdim:
        return tuple(1 if i in dims else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in dims)


def reduction(name: str, rest: Shape, dim: Any, keepdim: bool) -> dict[str, Shape]:
    """*R of a layout: what a reduction of ``...`` over ``dim`` leaves."""
    if not isinstance(keepdim, bool):
        raise TypeError(f"{name}: keepdim must be True or False, got {keepdim!r}")
    return {"R": reduced(rest, axes(name, dim, len(rest)), keepdim)}


def broadcast(name: str, *shapes: Shape) -> Shape:
    """The common shape, by NumPy's rule: align on the right, and 1 stretches."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        given = " and ".join(str(list(s)) for s in shapes)
        raise ShapeError(
            f"{name}: shapes {given} do not broadcast. Aligned on the right, two sizes must be "
            f"equal or one of them 1; reshape or expand one operand"
        ) from None


def sum_to(F: Any, grad: Any, shape: Shape) -> Any:
    """Undo a broadcast: sum ``grad`` back to ``shape``, with the ops of ``F``.

    The tape does this for every op, so that gradient rules need not know what was broadcast.
    """
    ahead = len(grad.shape) - len(shape)
    dims = (*range(ahead), *(ahead + i for i, n in enumerate(shape)
                             if n == 1 and grad.shape[ahead + i] != 1))
    if dims:
        grad = F.sum(grad, dim=dims, keepdim=True)
    return F.reshape(grad, shape=shape) if ahead else grad


# ---------------------------------------------------------------------------- dtypes


def dtype_of(name: str, given: Any) -> np.dtype[Any]:
    """What a user gives as a dtype, as NumPy's. DTypeError for what is none."""
    try:
        found: np.dtype[Any] = np.dtype(given)
    except TypeError:
        names = ", ".join(d.name for d in DTYPES)
        raise DTypeError(f"{name}: {given!r} is no dtype; Etude has {names}") from None
    return found


def require(name: str, arg: str, x: Any, allowed: Sequence[np.dtype[Any]]) -> None:
    """Raise DTypeError unless ``x`` (a Spec) has one of the allowed dtypes."""
    if x.dtype not in allowed:
        names = " or ".join(d.name for d in allowed)
        raise DTypeError(f"{name}: {arg} must be {names}, got {x}. {_convert(x)}")


def _convert(x: Any) -> str:
    if x.dtype in STORED:
        return f"{x.dtype.name} is only stored, and linear_int8 computes with it"
    return "Convert it with .to(dtype)"


def common_dtype(name: str, specs: Sequence[Any], allowed: Sequence[np.dtype[Any]]) -> Any:
    """The one dtype of all arrays among ``specs``; Python numbers take it over."""
    arrays = [s for s in specs if isinstance(s, Spec)]
    if not arrays:
        raise DTypeError(f"{name}: at least one operand must be an array, got only numbers")
    for s in arrays:
        if s.dtype != arrays[0].dtype:
            given = ", ".join(str(x) for x in arrays)
            raise DTypeError(f"{name}: operands must share one dtype, got {given}. Tensor "
                             f"operators promote by themselves; on arrays use astype")
    require(name, "every operand", arrays[0], allowed)
    if arrays[0].dtype not in FLOATS and any(isinstance(s, float) for s in specs):
        raise DTypeError(f"{name}: a number with a fraction does not go with {arrays[0]}. Tensor "
                         f"operators promote by themselves; on arrays use astype")
    return arrays[0].dtype


def check_shape(name: str, shape: Any) -> Shape:
    """A shape written by a user: integers of 0 or more; one alone is a shape of one dimension."""
    sizes = tuple(shape) if np.iterable(shape) else (shape,)
    found = tuple([whole(n) for n in sizes])
    for n in found:
        if n is None or n < 0:
            raise ShapeError(f"{name}: a shape is made of integers >= 0, got {list(sizes)}")
    return found  # type: ignore[return-value]


def varargs(given: tuple[Any, ...], name: str = "", named: Mapping[str, Any] | None = None,
            key: str = "") -> tuple[Any, ...]:
    """The numbers of ``f(2, 3)`` and of ``f((2, 3))`` alike, integers as Python's.

    Or those of ``f(key=(2, 3))``, where ``named`` are the keywords of a function ``name``.
    """
    if named:
        if given or [*named] != [key]:
            raise TypeError(f"{name}: numbers come one by one, as one tuple, or as {key}=; got "
                            f"{', '.join([*map(repr, given), *[f'{k}=' for k in named]])}")
        given = (named[key],)
    numbers = given[0] if len(given) == 1 and isinstance(given[0], (tuple, list)) else given
    if not all(type(n) is int for n in numbers):  # most are, and pay nothing more
        found = [whole(n) for n in numbers]
        numbers = numbers if None in found else found  # whoever asked for them words the error
    return tuple(numbers)


def pair(name: str, arg: str, value: Any, least: int) -> tuple[int, int]:
    """An attribute for height and width: an integer for both, alone or in a tuple, or two."""
    both = tuple(value) if np.iterable(value) else (value,)
    both = both * 2 if len(both) == 1 else both
    found = [whole(v) for v in both]
    if len(found) != 2 or any(v is None or not least <= v < 2**63 for v in found):
        raise ShapeError(f"{name}: {arg} must be one or two integers >= {least}, got {value!r}")
    return found[0], found[1]  # type: ignore[return-value]


def supported(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``x`` in the nearest of Etude's four dtypes; float16, int32, uint8 and so on convert."""
    if x.dtype in DTYPES and x.dtype.isnative:
        return x
    if x.dtype.kind in "iu":
        if x.dtype.kind == "u" and x.size and x.max() > np.iinfo(int64).max:
            raise DTypeError(f"no tensor can be made from {x.max()}: int64 ends at 2^63 - 1")
        return x.astype(int64)
    if x.dtype.kind == "f":
        return x.astype(float32 if x.dtype.itemsize <= 4 else float64)
    raise DTypeError(f"no tensor can be made from dtype {x.dtype}: Etude has "
                     f"{', '.join(d.name for d in DTYPES)}")
