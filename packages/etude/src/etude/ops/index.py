"""Rows by number: index_select, embedding, one_hot, topk.

C: c_src/cpu/index.c; ``topk`` has c_src/cpu/topk.c.

Legend: V rows of a table, D numbers in each. index is int64 and counts from 0; a value outside
raises IndexError. To pick single elements there is ``gather`` (``gather.py``).
"""

import math

import numpy as np

from etude.core.errors import ShapeError
from etude.core.given import whole
from etude.core.shapes import axis
from etude.core.table import op
from etude.ops.reduce import wide


def check_index(name, index, size, what):
    """IndexError unless every element of ``index`` is in 0 .. size-1."""
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index[(index < 0) | (index >= size)][0]
        raise IndexError(f"{name}: index {wrong} is outside {what}, which has size {size} "
                         f"(allowed: 0 to {size - 1})")


def _selected(op, rest, count, dim):
    """The sizes of y: those of x, with ``count`` along ``dim``."""
    d = axis(op, dim, len(rest))
    return {"Y": (*rest[:d], count, *rest[d + 1 :])}


@op("gather", shape="x: ..., index: count int64 -> *Y", sizes=_selected, domain="any",
    order="x dim index", saves="x.shape index",
    kernel="outer n inner = x along dim, index_n = count")
def index_select(x, index, *, dim):
    """y[i] = x[index[i]] along ``dim``. index: (I) int64; y: x with size I in place of ``dim``."""
    check_index("index_select", index, x.shape[dim], f"dimension {dim}")
    return np.take(x, index, axis=dim)


@index_select.gradient
def _(F, grad, x_shape, index, *, needs, dim):
    d = dim % len(x_shape)
    along = tuple(-1 if i == d else 1 for i in range(len(x_shape)))  # the I indices lie along d
    places = F.expand(F.reshape(index, shape=along), shape=grad.shape)
    zeros = F.full(shape=x_shape, value=0.0, dtype=grad.dtype)
    return F.scatter_add(zeros, places, grad, dim=d), None


index_select.convention("""
    index_select([nan, -0.0, inf], [2, 0, 1, 0], dim=0) -> [inf, nan, -0.0, nan]
    index_select([1, 2], [], dim=0) -> []
    index_select([], [0], dim=0) -> IndexError""")


def _row_number(op, V, padding_idx):
    row = 0 if padding_idx is None else whole(padding_idx)
    if row is None or (padding_idx is not None and not 0 <= row < V):
        raise IndexError(f"{op}: padding_idx={padding_idx!r} is no row of weight, which has {V} "
                         f"(allowed: 0 to {V - 1}, or None)")


@op("embedding", shape="index: ... int64, weight: V D -> ... D", saves="index weight.shape",
    sizes=_row_number, kernel="count = ...")
def embedding(index, weight, *, padding_idx=None):
    """y[...] = weight[index[...]]. index: (...) int64; weight: (V, D); y: (..., D), float.

    No gradient flows into the row ``padding_idx``, if there is one.
    """
    check_index("embedding", index, weight.shape[0], "weight's rows")
    return weight[index]


embedding.gradient(lambda F, grad, index, weight_shape, *, padding_idx, **_:
    (None, F.embedding_backward(grad, index, num_embeddings=weight_shape[0],
                                padding_idx=padding_idx)))
embedding.convention("""
    embedding([1, 0], [[nan, 0], [inf, -0.0]], padding_idx=0) -> [[inf, -0.0], [nan, 0]]
    embedding([], [[1, 2]]) -> empty(0, 2)
    embedding([0], empty(0, 2)) -> IndexError""")


def _row_of_gradient(op, num_embeddings, padding_idx):
    _row_number(op, num_embeddings, padding_idx)


@op("embedding_backward", shape="index: ... int64, grad: ... D -> num_embeddings D", flops="... D",
    saves="index", sizes=_row_of_gradient, kernel="count = ..., V = num_embeddings", internal=True)
def embedding_backward(grad, index, *, num_embeddings, padding_idx=None):
    """dweight[v] = the sum of grad over the places where index is v, and 0 where v is
    ``padding_idx``. dweight: (V, D).
    """
    check_index("embedding_backward", index, num_embeddings, "weight's rows")
    dweight = np.zeros((num_embeddings, grad.shape[-1]), wide(grad.dtype))
    np.add.at(dweight, index.reshape(-1), grad.reshape(index.size, grad.shape[-1]))
    if padding_idx is not None:
        dweight[padding_idx] = 0
    return dweight.astype(grad.dtype, copy=False)


@embedding_backward.gradient
def _(F, grad, index, *, needs, num_embeddings, padding_idx):
    y = F.embedding(index, grad)
    if padding_idx is not None:
        y = F.where(F.reshape(F.eq(index, padding_idx), shape=(*index.shape, 1)), 0.0, y)
    return y, None


embedding_backward.convention("""
    f([[nan], [inf], [-inf], [1]], [0, 1, 1, 2], num_embeddings=4) -> [[nan], [nan], [1], [0]]
    f([[nan], [1]], [0, 1], num_embeddings=2, padding_idx=0) -> [[0], [1]]
    f(empty(0, 2), [], num_embeddings=1) -> [[0, 0]]""")


def _classes(op, num_classes):
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
        raise ShapeError(f"{op}: num_classes must be an integer >= 1, got {num_classes!r}")


@op("one_hot", shape="index: ... int64 -> ... num_classes int64", sizes=_classes, domain="any",
    kernel="count = ...")
def one_hot(index, *, num_classes):
    """y[..., c] = 1 where index[...] = c, else 0. index: (...) int64; y: (..., C) int64."""
    check_index("one_hot", index, num_classes, "the classes")
    return (index[..., None] == np.arange(num_classes)).astype(np.int64)


one_hot.convention("""
    one_hot([], num_classes=2) -> empty(0, 2)
    one_hot([2], num_classes=2) -> IndexError""")


def _largest(op, x, rest, k, dim):
    d = axis(op, dim, len(rest))
    if whole(k) is None or not 0 <= k <= rest[d]:
        raise ShapeError(f"{op}: k={k!r} must be an integer from 0 to {rest[d]}, the size of "
                         f"dimension {dim} of {x}")
    return _selected(op, rest, k, dim)


@op("topk", shape="... -> *Y, *Y int64", sizes=_largest, outputs="y index", shown=2,
    domain="number", saves="x.shape index", kernel="outer n inner = x along dim",
    flops=lambda x, *, k, **_: x.size * max(1, math.ceil(math.log2(k + 1))))
def topk(x, *, k, dim=-1, largest=True):
    """y = the k largest elements along ``dim``, largest first, and their int64 indices; without
    ``largest`` the k smallest, smallest first.

    Of equal elements the one with the lower index comes first; NaN counts as largest.
    """
    is_nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    # By the last key first: where NaN stands, then x. The order of ~x is that of -x, and the
    # smallest int64 has no negative.
    falling = -x if x.dtype.kind == "f" else ~x
    order = np.lexsort((falling, ~is_nan) if largest else (x, is_nan), axis=dim)
    index = np.take(order, range(k), axis=dim).astype(np.int64)
    return np.take_along_axis(x, index, dim), index


topk.gradient(lambda F, grad, x_shape, index, *, dim, **_:
    F.scatter_add(F.full(shape=x_shape, value=0.0, dtype=grad.dtype), index, grad, dim=dim))
topk.convention("""
    topk([2, nan, 2, inf], k=4) -> [nan, inf, 2, 2], [1, 3, 0, 2]  # NaN is largest
    topk([nan, 2, -inf, 2], k=4, largest=False) -> [-inf, 2, 2, nan], [2, 1, 3, 0]
    topk([2, 1, ..., 2], k=1) -> [2], [0]  # the first of equals
    topk([-0.0, 0.0], k=2) -> [-0.0, 0.0], [0, 1]
    topk([], k=0) -> [], []
    topk([], k=1) -> ShapeError""")
