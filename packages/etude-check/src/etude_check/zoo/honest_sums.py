"""Honest variants: the same formulas, with sums added up in another order.

``Ordered`` is an array whose sums and products follow one order, so that the references themselves
become the variants. Two formulas of NumPy that leave the array's type behind are written out.
"""

import functools
from typing import Any

import numpy as np

from etude_check.zoo import honest, reference

OPS = ("sum", "mean", "var", "logsumexp", "softmax", "log_softmax", "softmax_backward",
       "log_softmax_backward", "layer_norm", "layer_norm_backward", "rms_norm",
       "rms_norm_backward", "batch_norm", "batch_norm_backward", "matmul", "linear",
       "linear_int8", "cross_entropy", "mse_loss", "l1_loss", "scaled_dot_product_attention",
       "attention_backward")

# ------------------------------------------------------------------ orders, along the last axis


def sequential(a):
    """((a0 + a1) + a2) + ..."""
    return np.add.accumulate(a, -1)[..., -1]


def backwards(a):
    return sequential(a[..., ::-1])


def pairwise(a):
    """Halves, and halves of halves."""
    while a.shape[-1] > 1:
        half = a.shape[-1] // 2
        rest = a[..., 2 * half :]
        a = np.concatenate([a[..., :half] + a[..., half : 2 * half], rest], -1)
    return a[..., 0].copy()


def blocked(a, width=64):
    """Eight lanes in blocks of 64, as vector registers do; then lanes, then blocks."""
    n = a.shape[-1] // width * width
    parts = [sequential(a[..., n:])] if a.shape[-1] > n else []
    if n:
        lanes = a[..., :n].reshape(*a.shape[:-1], n // width, width // 8, 8)
        blocks = sequential(sequential(np.moveaxis(lanes, -2, -1)))
        parts.append(sequential(blocks))
    return functools.reduce(np.add, parts)


ORDERS = {"sequential": sequential, "reversed": backwards, "pairwise": pairwise,
          "blocked": blocked}


def dot_in_order(x, y, order):
    """The matrix product, its sums over k in one order, some rows at a time. In large products
    blocks of 32 are multiplied as they are, and their sums added in that order.
    """
    if x.size * y.shape[-1] > 1 << 22:
        blocks = [np.matmul(x[..., k : k + 32], y[..., k : k + 32, :])
                  for k in range(0, x.shape[-1], 32)]
        return order(np.stack(blocks, -1))
    x, y = np.broadcast_arrays(x[..., :, None, :], np.swapaxes(y, -1, -2)[..., None, :, :])
    if x.shape[-1] == 0 or x.size == 0:
        return np.zeros(x.shape[:-1], x.dtype)
    rows = max(1, (1 << 20) // max(x[..., :1, :, :].size, 1))
    parts = [order(x[..., i : i + rows, :, :] * y[..., i : i + rows, :, :])
             for i in range(0, x.shape[-3], rows)]
    return np.concatenate(parts, -2)


def dot_fused(x, y, order=None):
    """One fused multiply-add per k: the product is exact, the sum is rounded once."""
    z = np.zeros((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]),
                 x.dtype)
    for k in range(x.shape[-1]):
        z = (x[..., k, None].astype(np.float64) * y[..., k, None, :] + z).astype(x.dtype)
    return z


# ------------------------------------------------------------------ arrays that know their order


class Ordered(np.ndarray):
    """An array that adds up in ``order`` and multiplies matrices by ``dot``."""

    order: Any = staticmethod(sequential)
    dot_: Any = staticmethod(dot_in_order)

    def __array_finalize__(self, obj):
        self.order, self.dot_ = getattr(obj, "order", None), getattr(obj, "dot_", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        first = next(a for a in (*inputs, *(out or ())) if isinstance(a, Ordered))
        given = [plain(a) for a in inputs]
        if ufunc is np.matmul and given[0].dtype.kind == "f":
            x, y = given
            result = first.dot_(x if x.ndim > 1 else x[None], y, first.order)
            result = result if x.ndim > 1 else result[0]
        elif ufunc is np.add and method == "reduce" and given[0].dtype.kind == "f":
            result = reduce_in_order(given[0], first.order, kwargs.get("axis", 0),
                                     kwargs.get("keepdims", False))
        else:
            if out is not None:
                kwargs["out"] = tuple(plain(o) for o in out)
            result = getattr(ufunc, method)(*given, **kwargs)
            return out[0] if out is not None else marked(result, first)
        if out is not None and out[0] is not None:
            out[0][...] = result
            return out[0]
        return marked(result, first)


def plain(a):
    return a.view(np.ndarray) if isinstance(a, Ordered) else a


def marked(result, like):
    y = np.asarray(result).view(Ordered)
    y.order, y.dot_ = like.order, like.dot_
    return y


def reduce_in_order(a, order, axis, keepdims):
    axes = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(d % a.ndim for d in axes) if a.ndim else ()
    if not axes:
        return a.copy()
    kept = [d for d in range(a.ndim) if d not in axes]
    shape = tuple(a.shape[d] for d in kept)
    n = int(np.prod([a.shape[d] for d in axes]))
    rows = a.transpose(*kept, *axes).reshape(*shape, n)
    y = order(rows) if n else np.zeros(shape, a.dtype)
    return np.expand_dims(y, axes) if keepdims else y


def varied(ops, order, dot=dot_in_order):
    """{op: the reference with its sums in this order}."""
    def make(op):
        def call(*arrays, **attrs):
            given: list[Any] = []
            for a in arrays:
                if isinstance(a, np.ndarray) and a.dtype.kind == "f":
                    given.append(a.view(Ordered))
                    given[-1].order, given[-1].dot_ = order, dot
                else:
                    given.append(a)
            result = reference(op)(*given, **attrs)
            return tuple(plain(y) for y in result) if isinstance(result, tuple) else plain(result)
        return call
    return {op: make(op) for op in ops}


@honest(*OPS)
def sums_sequential():
    """Every sum from the first term to the last, in the precision of its terms."""
    return varied(OPS, sequential)


@honest(*OPS)
def sums_reversed():
    """Every sum from the last term to the first."""
    return varied(OPS, backwards)


@honest(*OPS)
def sums_pairwise():
    """Every sum by halves."""
    return varied(OPS, pairwise)


@honest(*OPS)
def sums_blocked():
    """Every sum in eight lanes and in blocks."""
    return varied(OPS, blocked)


@honest("matmul", "linear", "scaled_dot_product_attention", "attention_backward")
def dot_fma():
    """Products by fused multiply-add, sequentially over k."""
    return varied(("matmul", "linear", "scaled_dot_product_attention", "attention_backward"),
                  sequential, dot_fused)
