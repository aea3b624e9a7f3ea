"""Copies: the same values in other memory. C: c_src/cpu/copy.c.

A C kernel that cannot take the strides of an array gets a copy of it from ``contiguous``, so every
such copy shows in the receipt under that name.
"""

import numpy as np

from etude.core.array import slice_view
from etude.core.errors import ShapeError
from etude.core.shapes import DTYPES, Spec, axis, common_dtype
from etude.core.table import op


@op("copy", shape="... -> ...", domain="any")
def contiguous(x):
    """y = x, laid out in C order in memory of its own. Any dtype."""
    return np.array(x, order="C", copy=True)


contiguous.gradient(lambda F, grad, **_: grad)
contiguous.convention("contiguous([nan, -inf, -0.0]) -> [nan, -inf, -0.0]")


@op("cast", shape="... -> ... dtype", domain="any", saves="x.dtype", ieee=True,
    kernel="n = ..., from = dtype of x")
def cast(x, *, dtype):
    """y = x converted to ``dtype``: towards zero for int64, x != 0 for bool.

    The gradient goes back in the dtype of x. NaN and infinities have no int64 value: what they
    become is not defined, as in C.
    """
    return x.astype(dtype)


cast.gradient(lambda F, grad, x_dtype, **_: F.cast(grad, dtype=x_dtype))
cast.convention("""
    cast([nan, -inf, -0.0], dtype=float32) -> [nan, -inf, -0.0]
    cast([nan, -inf, -0.0, 0.5], dtype=bool) -> [True, True, False, True]
    cast([nan, inf, -1.5], dtype=int64) -> [_, _, -1]  # not defined, as in C""")


def _cat_shape(*xs, dim):
    dtype = common_dtype("cat", xs, DTYPES)
    first = xs[0]
    d = axis("cat", dim, first.ndim)
    rest = [x.shape[:d] + x.shape[d + 1 :] for x in xs]
    if any(x.ndim != first.ndim for x in xs) or any(r != rest[0] for r in rest):
        given = ", ".join(map(str, xs))
        raise ShapeError(f"cat: shapes must agree except in dimension {dim}, got {given}")
    total = sum(x.shape[d] for x in xs)
    return Spec((*first.shape[:d], total, *first.shape[d + 1 :]), dtype)


@op("copy", shape=_cat_shape, domain="any", saves="xs.shape", order="xs dim")
def cat(*xs, dim=0):
    """y = the arrays one after another along ``dim``; all other sizes agree. One dtype."""
    return np.concatenate(xs, axis=dim)


cat.gradient(lambda F, grad, shapes, *, dim, **_:
    F.split(grad, sizes=tuple(shape[dim] for shape in shapes), dim=dim))
cat.convention("""
    cat([nan, -0.0], [], [inf]) -> [nan, -0.0, inf]
    cat([], []) -> []""")


def _stack_shape(*xs, dim):
    dtype = common_dtype("stack", xs, DTYPES)
    if any(x.shape != xs[0].shape for x in xs):
        raise ShapeError(f"stack: all arrays must have one shape, got {', '.join(map(str, xs))}")
    d = axis("stack", dim, xs[0].ndim + 1)
    return Spec((*xs[0].shape[:d], len(xs), *xs[0].shape[d:]), dtype)


@op("copy", shape=_stack_shape, domain="any", saves="xs.shape", order="xs dim")
def stack(*xs, dim=0):
    """y = the arrays, all of one shape and dtype, one after another along a new axis ``dim``."""
    return np.stack(xs, axis=dim)


@stack.gradient
def _(F, grad, shapes, *, needs, dim):
    parts = F.split(grad, sizes=(1,) * len(shapes), dim=dim)
    return [F.reshape(part, shape=shape) for part, shape in zip(parts, shapes, strict=True)]


stack.convention("""
    stack([nan, -0.0], [inf, 0]) -> [[nan, -0.0], [inf, 0]]
    stack([], []) -> empty(2, 0)""")


def _padded(op, x, padding):
    pairs = _pairs(x, padding)
    return {"Y": tuple(before + n + after
                       for n, (before, after) in zip(x.shape, pairs, strict=True))}


def _pairs(x, padding):
    """(before, after) of every axis, from PyTorch's flat list, which begins at the last axis."""
    countable = all(isinstance(n, int) and n >= 0 for n in padding)
    if not countable or len(padding) % 2 or len(padding) > 2 * x.ndim:
        raise ShapeError(f"pad: padding is (before, after) of the last axis, then of the one "
                         f"before it, and so on, integers >= 0 and at most {2 * x.ndim} of them "
                         f"for {x.dtype.name}{list(x.shape)}; got {tuple(padding)}")
    given = [(padding[i], padding[i + 1]) for i in range(0, len(padding), 2)]
    untouched = [(0, 0)] * (x.ndim - len(given))
    return untouched + given[::-1]


@op("copy", shape="... -> *Y", sizes=_padded, domain="any", saves="x.shape")
def pad(x, *, padding, value=0.0):
    """y = x with ``value`` around it. padding: (before, after) of the last axis, then of the one
    before it, ..., as in PyTorch. Any dtype.
    """
    if x.ndim == 0:  # np.pad refuses it
        return x.copy()
    return np.pad(x, _pairs(x, padding), constant_values=value)


@pad.gradient
def _(F, grad, x_shape, *, needs, padding, value):
    untouched = len(x_shape) - len(padding) // 2
    before = [0] * untouched + list(padding[::2])[::-1]
    inside = tuple((b, b + n, 1) for b, n in zip(before, x_shape, strict=True))
    return F.slice(grad, index=inside)


pad.convention("""
    pad([nan, inf, -0.0], padding=(1, 1)) -> [0.0, nan, inf, -0.0, 0.0]
    pad([], padding=(2, 1), value=3) -> [3, 3, 3]""")


@op("copy", shape="grad: ..., shape = *S -> *S", domain="any", internal=True)
def slice_backward(grad, *, shape, index):
    """dx = zeros of ``shape``, with ``grad`` at the places that ``index`` picked: slice, undone."""
    dx = np.zeros(shape, grad.dtype)
    slice_view(dx, index)[...] = grad
    return dx


slice_backward.gradient(lambda F, grad, *, index, **_: F.slice(grad, index=index))
slice_backward.convention("""
    f([nan, inf, -0.0], shape=(7,), index=((0, 5, 2),)) -> [nan, 0.0, inf, 0.0, -0.0, 0.0, 0.0]
    f([], shape=(2,), index=((1, 1, 1),)) -> [0, 0]""")
