"""Indexing by an array: gather and its transpose, scatter_add. C: c_src/cpu/gather.c.

Legend: x has any shape; index has as many dimensions, and apart from ``dim`` no more elements
along each than x. Indices run from 0; a negative or too large one raises IndexError.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import DTYPES, NUMBERS, Spec, axis, common_dtype, int64, require
from etude.table import op


def _fits(name, index, arg, x, dim=None):
    inside = index.ndim == x.ndim and all(
        i == dim or s <= n for i, (s, n) in enumerate(zip(index.shape, x.shape, strict=True))
    )
    if not inside:
        apart = "" if dim is None else f", apart from dim={dim}"
        raise ShapeError(f"{name}: index {index} must have the dimensions of {arg} {x} and be no "
                         f"larger along any{apart}")


def _gather_shape(x, index, *, dim):
    require("gather", "x", x, DTYPES)
    _fits("gather", index, "x", x, axis("gather", dim, x.ndim))
    return Spec(index.shape, x.dtype)


def _scatter_add_shape(x, index, src, *, dim):
    common_dtype("scatter_add", [x, src], NUMBERS)
    d = axis("scatter_add", dim, x.ndim)
    _fits("scatter_add", index, "x", x, d)
    _fits("scatter_add", index, "src", src)
    return x


def _grid(index, dim, limit, name):
    """NumPy's index of every element: its own place, with ``index`` in place of axis ``dim``."""
    if index.size and (index.min() < 0 or index.max() >= limit):
        wrong = index[(index < 0) | (index >= limit)][0]
        raise IndexError(f"{name}: index {wrong} is outside dimension {dim}, which has size "
                         f"{limit} (allowed: 0 to {limit - 1})")
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    return tuple(places)


@op("gather", shape=_gather_shape, domain="any", fixed={"index": int64}, order="x dim index",
    saves=("x.shape", "index"))
def gather(x, index, *, dim):
    """y[i][j] = x[index[i][j]][j] for dim = 0, and so on: y has the shape of index."""
    return x[_grid(index, dim, x.shape[dim], "gather")]


@gather.gradient
def _(F, grad, x_shape, index, *, needs, dim):
    zeros = F.full(shape=x_shape, value=0.0, dtype=grad.dtype)
    return F.scatter_add(zeros, index, grad, dim=dim), None


@op("scatter_add", shape=_scatter_add_shape, domain="number", fixed={"index": int64},
    order="x dim index src", saves=("index", "src.shape"),
    flops=lambda x, index, src, **_: index.size)
def scatter_add(x, index, src, *, dim):
    """y = x, then y[index[i][j]][j] += src[i][j] for dim = 0, and so on. Repeats add up."""
    y = x.copy()
    part = src[tuple(slice(n) for n in index.shape)]
    np.add.at(y, _grid(index, dim, x.shape[dim], "scatter_add"), part)
    return y


@scatter_add.gradient
def _(F, grad, index, src_shape, *, needs, dim):
    dsrc = None
    if needs[2]:
        dsrc = F.gather(grad, index, dim=dim)
        if index.shape != src_shape:  # elements of src that no index reaches
            reached = tuple((0, n, 1) for n in index.shape)
            dsrc = F.slice_backward(dsrc, shape=src_shape, index=reached)
    return grad, None, dsrc
