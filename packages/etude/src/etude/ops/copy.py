"""Copies: the same values in other memory. C: c_src/cpu/copy.c.

``contiguous`` is what a binder asks for when it cannot take an array's strides, so every such
copy shows in the receipt under this name.
"""

import numpy as np

from etude.array import slice_view
from etude.errors import DTypeError, ShapeError
from etude.shapes import DTYPES, Spec, axis, common_dtype, require
from etude.table import DOMAINS, op


def _any_shape(x, **_):
    require("contiguous", "x", x, DTYPES)
    return x


@op("copy", shape=_any_shape, domain="any")
def contiguous(x):
    """y = x, laid out in C order in memory of its own. Any dtype."""
    return np.array(x, order="C", copy=True)


@contiguous.gradient
def _(F, grad, *, needs):
    return grad


def _cast_shape(x, *, dtype):
    if np.dtype(dtype) not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        raise DTypeError(f"cast: Etude has the dtypes {names}; got {np.dtype(dtype).name}")
    return Spec(x.shape, np.dtype(dtype))


@op("cast", shape=_cast_shape, domain="any", saves=("x.dtype",))
def cast(x, *, dtype):
    """y = x converted to ``dtype``: towards zero for int64, x != 0 for bool.

    The gradient goes back in the dtype of x. NaN and infinities have no int64 value: what they
    become is not defined, as in C.
    """
    with np.errstate(invalid="ignore"):
        return x.astype(dtype)


@cast.gradient
def _(F, grad, x_dtype, *, needs, **_attrs):
    return F.cast(grad, dtype=x_dtype)


def _cat_shape(*xs, dim):
    dtype = common_dtype("cat", xs, DOMAINS["any"])
    first = xs[0]
    d = axis("cat", dim, first.ndim)
    rest = [x.shape[:d] + x.shape[d + 1 :] for x in xs]
    if any(x.ndim != first.ndim for x in xs) or any(r != rest[0] for r in rest):
        given = ", ".join(map(str, xs))
        raise ShapeError(f"cat: shapes must agree except in dimension {dim}, got {given}")
    total = 0
    for x in xs:
        total += x.shape[d]
    return Spec((*first.shape[:d], total, *first.shape[d + 1 :]), dtype)


@op("cat", shape=_cat_shape, domain="any", saves=("xs.shape",), order="xs dim")
def cat(*xs, dim=0):
    """y = the arrays one after another along ``dim``; all other sizes agree. One dtype."""
    return np.concatenate(xs, axis=dim)


@cat.gradient
def _(F, grad, shapes, *, needs, dim):
    return F.split(grad, sizes=tuple(shape[dim] for shape in shapes), dim=dim)


def _slice_backward_shape(grad, *, shape, index):
    return Spec(tuple(shape), grad.dtype)


@op("copy_into", shape=_slice_backward_shape, domain="any", internal=True)
def slice_backward(grad, *, shape, index):
    """dx = zeros of ``shape`` with ``grad`` written where ``index`` reads: the slice undone."""
    dx = np.zeros(shape, grad.dtype)
    slice_view(dx, index)[...] = grad
    return dx


@slice_backward.gradient
def _(F, grad, *, needs, index, **_attrs):
    return F.slice(grad, index=index)
