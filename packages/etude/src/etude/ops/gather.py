"""Indexing by an array: gather and its transpose, scatter_add. C: c_src/cpu/gather.c.

Legend: x has any shape; index has as many dimensions, and apart from ``dim`` no more elements
along each than x. Indices run from 0; a negative or too large one raises IndexError.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.shapes import axis
from etude.core.table import op
from etude.ops.index import check_index


def _fits(op, x, index, src, dim):
    d = axis(op, dim, x.ndim)
    for arg, a in (("x", x), ("src", src)):
        free, apart = (d, f", apart from dim={dim}") if arg == "x" else (None, "")
        if a is not None and (index.ndim != a.ndim or any(
                i != free and s > n for i, (s, n) in enumerate(zip(index.shape, a.shape)))):
            raise ShapeError(f"{op}: index {index} must have the dimensions of {arg} {a} and be no "
                             f"larger along any{apart}")


def _grid(index, dim, limit, name):
    """NumPy's index of every element: its own place, with ``index`` in place of axis ``dim``."""
    check_index(name, index, limit, f"dimension {dim}")
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    return tuple(places)


@op("gather", shape="x: ..., index: *I int64 -> *I", sizes=_fits, domain="any", order="x dim index",
    saves="x.shape index", kernel="outer n inner = x along dim, index_n = index at dim")
def gather(x, index, *, dim):
    """y[i][j] = x[index[i][j]][j] for dim = 0, and so on: y has the shape of index."""
    return x[_grid(index, dim, x.shape[dim], "gather")]


@gather.gradient
def _(F, grad, x_shape, index, *, needs, dim):
    zeros = F.full(shape=x_shape, value=0.0, dtype=grad.dtype)
    return F.scatter_add(zeros, index, grad, dim=dim), None


@op("scatter_add", shape="x: ..., index: *I int64, src: *S -> ...", sizes=_fits, flops="*I",
    domain="number", order="x dim index src", saves="index src.shape")
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
