"""Rows by number: index_select, embedding, one_hot, topk. C: c_src/cpu/index.c.

Legend: V rows of a table, D numbers in each; index is int64 and runs from 0, and a value outside
raises IndexError. Element-by-element indexing is in ``gather.py``.
"""

import math

import numpy as np

from etude.errors import ShapeError
from etude.shapes import DTYPES, FLOATS, NUMBERS, Spec, axis, int64, require, require_ndim
from etude.table import op


def check_index(name, index, size, what):
    """IndexError unless every element of ``index`` is in 0 .. size-1."""
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index[(index < 0) | (index >= size)][0]
        raise IndexError(f"{name}: index {wrong} is outside {what}, which has size {size} "
                         f"(allowed: 0 to {size - 1})")


def _index_select_shape(x, index, *, dim):
    require("index_select", "x", x, DTYPES)
    require_ndim("index_select", "index", index, 1, "one number per row taken")
    d = axis("index_select", dim, x.ndim)
    return Spec((*x.shape[:d], index.shape[0], *x.shape[d + 1 :]), x.dtype)


@op("index_select", shape=_index_select_shape, domain="any", fixed={"index": int64},
    order="x dim index", saves=("x.shape", "index"))
def index_select(x, index, *, dim):
    """y[i] = x[index[i]] along ``dim``. index: (I) int64; y: x with size I in place of ``dim``."""
    check_index("index_select", index, x.shape[dim], f"dimension {dim}")
    return np.take(x, index, axis=dim)


@index_select.gradient
def _(F, grad, x_shape, index, *, needs, dim):
    d = dim % len(x_shape)
    lined_up = tuple(-1 if i == d else 1 for i in range(len(x_shape)))
    places = F.expand(F.reshape(index, shape=lined_up), shape=grad.shape)
    zeros = F.full(shape=x_shape, value=0.0, dtype=grad.dtype)
    return F.scatter_add(zeros, places, grad, dim=d), None


def _embedding_shape(index, weight):
    require("embedding", "weight", weight, FLOATS)
    require_ndim("embedding", "weight", weight, 2, "V rows, D numbers each")
    return Spec((*index.shape, weight.shape[1]), weight.dtype)


@op("embedding", shape=_embedding_shape, domain="any", fixed={"index": int64},
    saves=("index", "weight.shape"))
def embedding(index, weight):
    """y[...] = weight[index[...]]. index: (...) int64; weight: (V, D); y: (..., D), float."""
    check_index("embedding", index, weight.shape[0], "weight's rows")
    return weight[index]


@embedding.gradient
def _(F, grad, index, weight_shape, *, needs):
    return None, F.embedding_backward(grad, index, num_embeddings=weight_shape[0])


def _embedding_backward_shape(grad, index, *, num_embeddings):
    require("embedding_backward", "grad", grad, FLOATS)
    return Spec((num_embeddings, grad.shape[-1]), grad.dtype)


@op("embedding_backward", shape=_embedding_backward_shape, domain="any",
    fixed={"index": int64}, saves=("index",), internal=True, flops=lambda grad, *_, **__: grad.size)
def embedding_backward(grad, index, *, num_embeddings):
    """dweight[v] = the sum of grad over the places where index is v. dweight: (V, D)."""
    check_index("embedding_backward", index, num_embeddings, "weight's rows")
    dweight = np.zeros((num_embeddings, grad.shape[-1]), grad.dtype)
    np.add.at(dweight, index.reshape(-1), grad.reshape(-1, grad.shape[-1]))
    return dweight


@embedding_backward.gradient
def _(F, grad, index, *, needs, **_attrs):
    return F.embedding(index, grad), None


def _one_hot_shape(index, *, num_classes):
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ShapeError(f"one_hot: num_classes must be a positive integer, got {num_classes!r}")
    return Spec((*index.shape, num_classes), int64)


@op("one_hot", shape=_one_hot_shape, domain="any", fixed={"index": int64})
def one_hot(index, *, num_classes):
    """y[..., c] = 1 where index[...] = c, else 0. index: (...) int64; y: (..., C) int64."""
    check_index("one_hot", index, num_classes, "the classes")
    return (index[..., None] == np.arange(num_classes)).astype(np.int64)


def _topk_shape(x, *, k, dim):
    require("topk", "x", x, NUMBERS)
    d = axis("topk", dim, x.ndim)
    if not isinstance(k, (int, np.integer)) or not 0 <= k <= x.shape[d]:
        raise ShapeError(f"topk: k={k!r} must be an integer from 0 to {x.shape[d]}, the size of "
                         f"dimension {dim} of {x}")
    shape = (*x.shape[:d], k, *x.shape[d + 1 :])
    return Spec(shape, x.dtype), Spec(shape, int64)


@op("topk", shape=_topk_shape, outputs=("y", "index"), shown=2, domain="number",
    saves=("x.shape", "index"),
    flops=lambda x, *, k, **_: x.size * max(1, math.ceil(math.log2(k + 1))))
def topk(x, *, k, dim=-1):
    """y = the k largest elements along ``dim``, largest first, and their int64 indices.

    Of equal elements the one with the lower index comes first; NaN counts as largest.
    """
    nan_first = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    order = np.lexsort((-x, ~nan_first), axis=dim)
    index = np.take(order, range(k), axis=dim).astype(np.int64)
    return np.take_along_axis(x, index, dim), index


@topk.gradient
def _(F, grad, x_shape, index, *, needs, k, dim):
    return F.scatter_add(F.full(shape=x_shape, value=0.0, dtype=grad.dtype), index, grad, dim=dim)
