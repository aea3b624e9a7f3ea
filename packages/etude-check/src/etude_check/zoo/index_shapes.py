"""Wrong strides, axes and shapes: kernels that take memory for something it is not.

What a kernel does with a pointer and an assumed layout, these do with ``memory``: the elements in
the order in which they lie.
"""

from typing import Any

import numpy as np

from etude.core.array import slice_view
from etude_check.zoo import mutant, reference


def memory(x):
    """The elements as they lie in memory, read with the shape of x: its strides are ignored.

    Right for a contiguous array. Of one with gaps it reads neighbours, as far as they are ours.
    """
    if x.size == 0 or x.flags.c_contiguous:
        return x
    span = sum((n - 1) * abs(s) for n, s in zip(x.shape, x.strides)) // x.itemsize + 1
    lowest = x[tuple(slice(-1, None) if s < 0 else slice(None) for s in x.strides)]
    run = np.lib.stride_tricks.as_strided(lowest, (span,), (x.itemsize,))
    return np.resize(run, x.shape)


@mutant("tanh", kills="layout", where="index", covers="stride ignored",
        mistake="The strides are ignored: a transposed array is read in the order of its memory.")
def tanh_dense(x):
    return np.tanh(memory(x))


@mutant("matmul", kills="layout", where="index", covers="stride ignored",
        mistake="The right operand is taken for row-major although it is a transposed view.")
def matmul_dense(x, y):
    return np.matmul(x, memory(y))


@mutant("sum", kills="layout", where="index", covers="stride ignored",
        mistake="A transposed array is reduced along the axis that is last in memory.")
def sum_dense(x, *, dim=None, keepdim=False):
    return memory(x).sum(dim, keepdims=keepdim)


@mutant("add", kills="layout", where="index", covers="negative stride",
        mistake="A negative stride is taken for a positive one: a flipped array is read forward.")
def add_forward(x, y):
    return np.asarray(forward(x) + forward(y))


def forward(x):
    if not isinstance(x, np.ndarray):
        return x
    return x[tuple(slice(None, None, -1 if s < 0 else 1) for s in x.strides)]


@mutant("contiguous", kills="layout", where="index", covers="negative stride",
        mistake="The copy multiplies by the absolute value of the stride.")
def contiguous_forward(x):
    return np.array(forward(x), order="C")


@mutant("slice", kills="tail", where="index", covers="offset ignored",
        mistake="The view has the right shape and strides, but its storage offset is left at 0.")
def slice_offset(x, *, index):
    return slice_view(x, tuple(
        i if i is None else 0 if not isinstance(i, tuple) else
        (0, max((i[1] - i[0]) if i[2] > 0 else 0, 0), i[2]) if i[2] > 0 else i for i in index))


@mutant("split", kills="tail", where="index", covers="offset ignored",
        mistake="Every part is a view from the start of the storage: all show the first one.")
def split_offset(x, *, sizes, dim=0):
    return tuple([np.take(x, range(n), axis=dim) for n in sizes])


@mutant("linear", kills="tail", where="index", covers="m and n swapped",
        mistake="Rows and columns of the weight are swapped: it is right only where it is square "
                "and symmetric.")
def linear_transposed(x, weight, bias=None):
    y = x @ weight.reshape(weight.shape[::-1])
    return y if bias is None else y + bias


@mutant("matmul", kills="tail", where="index", covers="m and n swapped",
        mistake="m and n are swapped when the result is written: it is right only if it is square.")
def matmul_swapped(x, y):
    z = np.matmul(x, y)
    m, n = z.shape[-2:]
    return z if m == n else z.swapaxes(-1, -2).reshape(z.shape)


@mutant("permute", kills="tail", where="index",
        mistake="The inverse permutation is applied: right only if swapping twice gives nothing "
                "new.")
def permute_inverse(x, *, dims):
    y = x.transpose(np.argsort([d % x.ndim for d in dims]))
    shape = tuple(x.shape[d] for d in dims)
    return y if y.shape == shape else np.ascontiguousarray(y).reshape(shape)


@mutant("softmax", kills="layout", where="index", covers="negative axis",
        mistake="A negative dim is counted from ndim - 1 instead of ndim.")
def softmax_negative_axis(x, *, dim=-1):
    return reference("softmax")(x, dim=max(dim + x.ndim - 1, 0) if dim < 0 else dim)


@mutant("cumsum", kills="layout", where="index", covers="negative axis",
        mistake="dim=-1 means the last axis, and every other negative dim is taken for it too.")
def cumsum_negative_axis(x, *, dim):
    return x.cumsum(-1 if dim < 0 else dim)


@mutant("mean", kills="layout", where="index", covers="keepdims ignored",
        mistake="keepdim is ignored, so the result broadcasts along the wrong axis later on.")
def mean_no_keepdim(x, *, dim=None, keepdim=False):
    return x.mean(dim)


@mutant("amax", kills="tail", where="index", covers="keepdims ignored",
        mistake="With keepdim the reduced axis is put back in front instead of in its place.")
def amax_keepdim_front(x, *, dim=None, keepdim=False):
    y = x.max(dim, keepdims=keepdim)
    if not keepdim or not isinstance(dim, int) or x.ndim < 2:
        return y
    return x.max(dim)[None]


@mutant("add", kills="broadcast", where="index", covers="broadcast side",
        mistake="Shapes are lined up from the left instead of the right.")
def add_left(x, y):
    if np.ndim(x) == np.ndim(y) or 0 in (np.ndim(x), np.ndim(y)):
        return np.asarray(x + y)
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    short, long = (x, y) if np.ndim(x) < np.ndim(y) else (y, x)
    return long + np.resize(np.repeat(short, long.size // max(short.size, 1)), shape)


@mutant("mul", kills="broadcast", where="index", covers="broadcast side",
        mistake="A column is repeated as if it were a row: element i % n instead of i // n.")
def mul_modulo(x, y):
    shape = np.broadcast_shapes(np.shape(x), np.shape(y))
    if isinstance(y, np.ndarray) and y.size and y.shape != shape:
        y = np.resize(y, shape)
    return np.asarray(x * y)


@mutant("where", kills="tail", where="index",
        mistake="The branches are swapped: y where the condition holds.")
def where_swapped(condition, x, y):
    return reference("where")(condition, y, x)


@mutant("where", kills="broadcast", where="index", covers="broadcast side",
        mistake="Only x and y are broadcast; a condition of fewer elements is read cyclically.")
def where_condition(condition, x, y):
    shape = np.broadcast_shapes(np.shape(condition), np.shape(x), np.shape(y))
    return reference("where")(np.resize(condition, shape) if condition.size else condition, x, y)


@mutant("cat", kills="tail", where="index",
        mistake="The arrays are put together in reverse order.")
def cat_reversed(*xs, dim):
    return np.concatenate(xs[::-1], dim)


@mutant("pad", kills="tail", where="index",
        mistake="The value of the padding is ignored: it is always 0.")
def pad_zero(x, *, padding, value=0.0):
    return reference("pad")(x, padding=padding, value=0)


@mutant("pad", kills="tail", where="index",
        mistake="Before and after are swapped.")
def pad_swapped(x, *, padding, value=0.0):
    turned = tuple(n for i in range(0, len(padding), 2) for n in (padding[i + 1], padding[i]))
    return reference("pad")(x, padding=turned, value=value)


@mutant("tril", kills="tail", where="index",
        mistake="Off by one: the diagonal itself is left out.")
def tril_strict(x, *, diagonal=0):
    return np.tril(x, diagonal - 1)


@mutant("triu", kills="tail", where="index",
        mistake="The sign of diagonal is turned round.")
def triu_sign(x, *, diagonal=0):
    return np.triu(x, -diagonal)


@mutant("scaled_dot_product_attention", kills="tail", where="index",
        mistake="Off by one in the causal mask: a query sees the keys before it, and not its own.")
def attention_strict(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    if is_causal:
        L, S = query.shape[-2], key.shape[-2]
        attn_mask = np.tri(L, S, -1, dtype=bool)
        attn_mask[0, 0] = True
    return reference("scaled_dot_product_attention")(query, key, value, attn_mask, scale=scale)


@mutant("scaled_dot_product_attention", kills="tail", where="index",
        mistake="The causal mask is aligned with the last key instead of the first, as if keys "
                "were cached: right only for as many queries as keys.")
def attention_aligned_end(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    L, S = query.shape[-2], key.shape[-2]
    if is_causal:
        attn_mask = np.tri(L, S, S - L, dtype=bool)
    return reference("scaled_dot_product_attention")(query, key, value, attn_mask, scale=scale)


@mutant("gather", kills="tail", where="index",
        mistake="The index array is read with the strides of x: right only if both have one shape.")
def gather_strides(x, index, *, dim):
    d = dim % x.ndim
    if index.shape == x.shape or not index.size:
        return reference("gather")(x, index, dim=dim)
    wide = [n if i != d else index.shape[d] for i, n in enumerate(x.shape)]
    cyclic = np.resize(index, wide)[tuple(slice(n) for n in index.shape)]
    return reference("gather")(x, np.ascontiguousarray(cyclic), dim=dim)


@mutant("index_select", kills="tail", where="index",
        mistake="The rows are selected along the first axis whatever dim says.")
def index_select_first(x, index, *, dim):
    shape = list(x.shape)
    shape[dim] = len(index)
    return np.resize(np.take(x, np.clip(index, 0, max(len(x) - 1, 0)), 0), shape)


@mutant("embedding", kills="tail", where="index",
        mistake="Python's habit: a negative index counts from the end, and index 0 is padding, "
                "which is all zeros.")
def embedding_padding(index, weight, *, padding_idx=None):
    return np.where((index == 0)[..., None], weight.dtype.type(0), weight[index])


@mutant("embedding", kills="tail", where="index",
        mistake="The row padding_idx is given out as zeros; it is only left untrained.")
def embedding_padding_zeros(index, weight, *, padding_idx=None):
    y = weight[index]
    return y if padding_idx is None else np.where((index == padding_idx)[..., None], 0 * y[:0].sum(
        dtype=y.dtype), y)


@mutant("one_hot", kills="tail", where="index",
        mistake="Classes are counted from 1.")
def one_hot_from_one(index, *, num_classes):
    return (index[..., None] == np.arange(num_classes) + 1).astype(np.int64)


@mutant("topk", kills="tail", where="index",
        mistake="The k largest are the right ones, but they are not sorted: they come in the order "
                "of their places.")
def topk_unsorted(x, *, k, dim=-1, largest=True):
    _, index = reference("topk")(x, k=k, dim=dim, largest=largest)
    index = np.sort(index, dim)
    return np.take_along_axis(x, index, dim), index


@mutant("topk", kills="special", where="index",
        mistake="Of equal elements the last one is taken first.")
def topk_ties(x, *, k, dim=-1, largest=True):
    back, index = reference("topk")(np.flip(x, dim), k=k, dim=dim, largest=largest)
    return back, x.shape[dim] - 1 - index


@mutant("topk", kills="tail", where="index",
        mistake="largest is not looked at: the k largest come out where the k smallest are wanted.")
def topk_always_largest(x, *, k, dim=-1, largest=True):
    return reference("topk")(x, k=k, dim=dim)


@mutant("topk", kills="tail", where="index",
        mistake="The k smallest are the last k of a sort from the largest down, taken as they "
                "stand: largest of them first, and of equals the last.")
def topk_smallest_from_behind(x, *, k, dim=-1, largest=True):
    if largest:
        return reference("topk")(x, k=k, dim=dim)
    _, order = reference("topk")(x, k=x.shape[dim], dim=dim)
    index = np.take(order, range(x.shape[dim] - k, x.shape[dim]), axis=dim)
    return np.take_along_axis(x, index, dim), index


@mutant("topk", kills="special", where="index", covers="drops NaN",
        mistake="The k smallest of x are the k largest of -x, which puts a NaN first.")
def topk_smallest_negated(x, *, k, dim=-1, largest=True):
    if largest or x.dtype.kind != "f":
        return reference("topk")(x, k=k, dim=dim, largest=largest)
    y, index = reference("topk")(-x, k=k, dim=dim)
    return -y, index


@mutant("topk", kills="special", where="numerics",
        mistake="The largest are found by the order of -x, and the lowest int64 is its own "
                "negative: it comes first.")
def topk_by_negative(x, *, k, dim=-1, largest=True):
    if not largest or x.dtype.kind == "f":
        return reference("topk")(x, k=k, dim=dim, largest=largest)
    index = np.take(np.argsort(-x, axis=dim, kind="stable"), range(k), axis=dim)
    return np.take_along_axis(x, index, dim), index


@mutant("slice_backward", kills="layout", where="index",
        mistake="The step of the slice is ignored: the gradient goes to neighbouring places.")
def slice_backward_no_step(grad, *, shape, index):
    dx = np.zeros(shape, grad.dtype)
    place: list[Any] = []
    for entry in index:
        if isinstance(entry, tuple):
            start, stop, step = entry
            n = len(range(start, stop, step))
            low = start if step > 0 else start - n + 1
            place.append(slice(low, low + n))
        elif entry is None:
            place.append(None)
        else:
            place.append(entry)
    dx[tuple(place)][...] = grad
    return dx
