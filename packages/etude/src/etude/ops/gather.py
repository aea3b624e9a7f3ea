"""Indexing by an array: gather and its transpose, scatter_add. C: c_src/cpu/gather.c.

Legend: x has any shape. index has as many dimensions as x and is no larger along any of them, apart
from ``dim``. Indices count from 0; a negative or too large one raises IndexError.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.shapes import axis
from etude.core.table import op
from etude.ops.index import check_index
from etude.ops.reduce import wide


def _fits(op, x, index, src, dim):
    """Along ``dim`` index may be of any size: repeats are allowed, and so is leaving out."""
    picked = axis(op, dim, x.ndim)
    if not _within(index.shape, x.shape, picked):
        raise ShapeError(f"{op}: index {index} must have the dimensions of x {x} and be no "
                         f"larger along any, apart from dim={dim}")
    if src is not None and not _within(index.shape, src.shape):
        raise ShapeError(f"{op}: index {index} must have the dimensions of src {src} and be no "
                         f"larger along any")


def _within(small, large, free=None):
    """Whether one shape is no larger than another along any dimension but ``free``."""
    if len(small) != len(large):
        return False
    return all(m <= n for d, (m, n) in enumerate(zip(small, large)) if d != free)


def _grid(index, dim, limit, name):
    """For NumPy's indexing: each element's own place, but ``index`` along ``dim``."""
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


gather.convention("""
    gather([nan, -0.0, inf], [2, 0, 1, 0], dim=0) -> [inf, nan, -0.0, nan]
    gather([1, 2], [], dim=0) -> []
    gather([], [0], dim=0) -> IndexError""")


@op("scatter_add", shape="x: ..., index: *I int64, src: *S -> ...", sizes=_fits, flops="*I",
    domain="number", order="x dim index src", saves="index src.shape")
def scatter_add(x, index, src, *, dim):
    """y = x, then y[index[i][j]][j] += src[i][j] for dim = 0, and so on. Repeats add up."""
    y = x.astype(wide(x.dtype))
    part = src[tuple(slice(n) for n in index.shape)]
    np.add.at(y, _grid(index, dim, x.shape[dim], "scatter_add"), part)
    return y.astype(x.dtype, copy=False)


@scatter_add.gradient
def _(F, grad, index, src_shape, *, needs, dim):
    dsrc = None
    if needs[2]:
        dsrc = F.gather(grad, index, dim=dim)
        if index.shape != src_shape:  # elements of src that no index reaches
            reached = tuple((0, n, 1) for n in index.shape)
            dsrc = F.slice_backward(dsrc, shape=src_shape, index=reached)
    return grad, None, dsrc


scatter_add.convention("""
    scatter_add([0, 0, nan, 1], [1, 1, 0], [inf, -inf, nan], dim=0) -> [nan, nan, nan, 1]
    scatter_add([1, 2], [], [], dim=0) -> [1, 2]
    scatter_add([], [0], [1], dim=0) -> IndexError""")
