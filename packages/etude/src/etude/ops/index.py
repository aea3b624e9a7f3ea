"""Rows by number: index_select, embedding, one_hot, topk. C: c_src/cpu/index.c.

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


@op("embedding", shape="index: ... int64, weight: V D -> ... D", saves="index weight.shape",
    kernel="count = ...")
def embedding(index, weight):
    """y[...] = weight[index[...]]. index: (...) int64; weight: (V, D); y: (..., D), float."""
    check_index("embedding", index, weight.shape[0], "weight's rows")
    return weight[index]


embedding.gradient(lambda F, grad, index, weight_shape, **_:
    (None, F.embedding_backward(grad, index, num_embeddings=weight_shape[0])))


@op("embedding_backward", shape="index: ... int64, grad: ... D -> num_embeddings D", flops="... D",
    saves="index", kernel="count = ..., V = num_embeddings", internal=True)
def embedding_backward(grad, index, *, num_embeddings):
    """dweight[v] = the sum of grad over the places where index is v. dweight: (V, D)."""
    check_index("embedding_backward", index, num_embeddings, "weight's rows")
    dweight = np.zeros((num_embeddings, grad.shape[-1]), wide(grad.dtype))
    np.add.at(dweight, index.reshape(-1), grad.reshape(index.size, grad.shape[-1]))
    return dweight.astype(grad.dtype, copy=False)


embedding_backward.gradient(lambda F, grad, index, **_: (F.embedding(index, grad), None))


def _classes(op, num_classes):
    if not isinstance(num_classes, (int, np.integer)) or num_classes < 1:
        raise ShapeError(f"{op}: num_classes must be an integer >= 1, got {num_classes!r}")


@op("one_hot", shape="index: ... int64 -> ... num_classes int64", sizes=_classes, domain="any",
    kernel="count = ...")
def one_hot(index, *, num_classes):
    """y[..., c] = 1 where index[...] = c, else 0. index: (...) int64; y: (..., C) int64."""
    check_index("one_hot", index, num_classes, "the classes")
    return (index[..., None] == np.arange(num_classes)).astype(np.int64)


def _largest(op, x, rest, k, dim):
    d = axis(op, dim, len(rest))
    if whole(k) is None or not 0 <= k <= rest[d]:
        raise ShapeError(f"{op}: k={k!r} must be an integer from 0 to {rest[d]}, the size of "
                         f"dimension {dim} of {x}")
    return _selected(op, rest, k, dim)


@op("topk", shape="... -> *Y, *Y int64", sizes=_largest, outputs="y index", shown=2,
    domain="number", saves="x.shape index",
    flops=lambda x, *, k, **_: x.size * max(1, math.ceil(math.log2(k + 1))))
def topk(x, *, k, dim=-1):
    """y = the k largest elements along ``dim``, largest first, and their int64 indices.

    Of equal elements the one with the lower index comes first; NaN counts as largest.
    """
    is_nan = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    order = np.lexsort((-x, ~is_nan), axis=dim)  # by the last key first: NaN, then falling x
    index = np.take(order, range(k), axis=dim).astype(np.int64)
    return np.take_along_axis(x, index, dim), index


topk.gradient(lambda F, grad, x_shape, index, *, dim, **_:
    F.scatter_add(F.full(shape=x_shape, value=0.0, dtype=grad.dtype), index, grad, dim=dim))
