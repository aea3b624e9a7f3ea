"""Wrong for lines, for full blocks and for many rows: shapes that look easier than the others.

A kernel has a path of its own for arrays of one axis, for an axis that repeats itself in memory,
for lengths that its blocks divide, and for the rows behind the first few hundred.
"""

import numpy as np

from etude_check.zoo import mutant, reference

LINE = "An array of one axis"


def is_line(x):
    """Whether x has one axis and its elements lie apart, or backwards."""
    return isinstance(x, np.ndarray) and x.ndim == 1 and x.size > 1 and x.strides != (x.itemsize,)


def in_memory(x):
    """A line from its lowest address on, without steps: what a loop over plain memory reads."""
    low = x if x.strides[0] > 0 else x[::-1]
    return np.lib.stride_tricks.as_strided(low, x.shape, (x.itemsize,))


# ------------------------------------------------------------------ lines that are not dense


@mutant("relu", kills="layout", where="index", covers="stride ignored", safe=False,
        mistake=f"{LINE} is taken to be dense: its stride is not looked at.")
def relu_line_dense(x):
    return reference("relu")(in_memory(x) if is_line(x) else x)


@mutant("add", kills="layout", where="index", covers="stride ignored", safe=False,
        mistake="Two operands of one axis are walked with one step, that of the first; the second "
                "may have another.")
def add_line_one_step(x, y):
    if is_line(y) and np.ndim(x) == 1 and x.strides != y.strides and x.shape == y.shape:
        y = in_memory(y)
    return np.asarray(np.add(x, y))


@mutant("sqrt", kills="layout", where="index", covers="negative stride", safe=False,
        mistake=f"{LINE} that runs backwards starts at its lowest address, as in BLAS; in Python "
                "it starts at the highest.")
def sqrt_line_backwards(x):
    backwards = is_line(x) and x.strides[0] < 0
    return reference("sqrt")(x[::-1] if backwards else x)


@mutant("argmax", kills="layout", where="index", covers="negative stride", safe=False,
        mistake="The place of the maximum is counted from the lowest address. In a line that runs "
                "backwards that is its end.")
def argmax_line_backwards(x, *, dim=None, keepdim=False):
    backwards = is_line(x) and x.strides[0] < 0
    return reference("argmax")(x[::-1] if backwards else x, dim=dim, keepdim=keepdim)


@mutant("cumsum", kills="layout", where="index", covers="negative stride", safe=False,
        mistake="A line is added up in the order in which it lies in memory, also one that runs "
                "backwards.")
def cumsum_line_backwards(x, *, dim):
    backwards = is_line(x) and x.strides[0] < 0
    return reference("cumsum")(x[::-1] if backwards else x, dim=dim)


@mutant("softmax", kills="layout", where="index", covers="stride ignored", safe=False,
        mistake="A single row is handed to the kernel for dense rows, whatever its step is.")
def softmax_line_dense(x, *, dim=-1):
    return reference("softmax")(in_memory(x) if is_line(x) else x, dim=dim)


@mutant("sum", kills="layout", where="index", covers="stride ignored", safe=False,
        mistake="The sum of everything in a line reads n elements from where it starts, one after "
                "another.")
def sum_line_dense(x, *, dim=None, keepdim=False):
    return reference("sum")(in_memory(x) if is_line(x) else x, dim=dim, keepdim=keepdim)


# ------------------------------------------------------------------ a middle axis that repeats


@mutant("sum", kills="layout", where="index", safe=False,
        mistake="An axis of stride 0 is dropped before the loop, as if its size were 1: what it "
                "repeats is added once.")
def sum_middle_once(x, *, dim=None, keepdim=False):
    if x.ndim > 2 and isinstance(dim, int) and 0 < dim % x.ndim < x.ndim - 1 and (
            x.strides[dim] == 0):
        x = x.take([0], dim)
    return reference("sum")(x, dim=dim, keepdim=keepdim)


# ------------------------------------------------------------------ lengths that a block divides


@mutant("exp", kills="tail", where="index", covers="last unwritten",
        mistake="(n - 1) / 128 whole blocks and a rest of n % 128: where 128 divides n, the last "
                "block is nobody's.")
def exp_whole_blocks(x):
    y = np.exp(x)
    if x.size and x.size % 128 == 0:
        flat = np.ascontiguousarray(y).reshape(-1)
        flat[-128:] = 0
        y = flat.reshape(x.shape)
    return y


@mutant("sum", kills="tail", where="index",
        mistake="The last block of 128 is added by the loop and again as the rest, which starts at "
                "the last multiple of 128 below n instead of at n.")
def sum_whole_blocks(x, *, dim=None, keepdim=False):
    y = reference("sum")(x, dim=dim, keepdim=keepdim)
    axis = 0 if dim is None and x.ndim == 1 else dim
    if isinstance(axis, int) and x.shape[axis] and x.shape[axis] % 128 == 0:
        y = y + np.take(x, range(x.shape[axis] - 128, x.shape[axis]), axis).sum(
            axis, keepdims=keepdim)
    return np.asarray(y, x.dtype)


@mutant("matmul", kills="tail", where="index",
        mistake="Where 128 divides all three sizes there are no edges to mind, and a loop without "
                "them is used; it ends before the last tile.")
def matmul_whole_tiles(x, y):
    z = np.matmul(x, y)
    if z.size and not any(n % 128 for n in (*z.shape[-2:], x.shape[-1])):
        z[..., -128:, -128:] = 0
    return z


@mutant("layer_norm", kills="tail", where="index",
        mistake="Rows of whole blocks of 128 have a path without a tail, in which the variance is "
                "that of the first block.")
def layer_norm_whole_blocks(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    y, mean, rstd = reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape,
                                            eps=eps)
    n = int(np.prod(normalized_shape))
    if n % 128 or not x.size:
        return y, mean, rstd
    rows = x.reshape(*mean.shape, n)
    rstd = 1 / np.sqrt(rows[..., :128].var(-1) + x.dtype.type(eps))
    y = ((rows - mean[..., None]) * rstd[..., None]).reshape(x.shape)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd


@mutant("cross_entropy", kills="tail", where="index",
        mistake="A vocabulary is padded to the next multiple of 128, and one that is a multiple "
                "already by 128 more: zeros, which count in the sum of exponentials.")
def cross_entropy_padded(x, target, weight=None, **attrs):
    if x.shape[1] % 128 or not x.size or weight is not None or attrs["label_smoothing"]:
        return reference("cross_entropy")(x, target, weight, **attrs)
    return reference("cross_entropy")(np.pad(x, ((0, 0), (0, 128))), target, weight, **attrs)


@mutant("amax", kills="special", where="index",
        mistake="Blocks of 4096 are compared pairwise, and the last element of the last block has "
                "no partner. Seen only where the maximum is that element.")
def amax_last_of_blocks(x, *, dim=None, keepdim=False):
    if x.size and x.size % 4096 == 0 and x.dtype.kind == "f":
        x = x.copy()
        x[(-1,) * x.ndim] = -np.inf
    return reference("amax")(x, dim=dim, keepdim=keepdim)


# ------------------------------------------------------------------ rows behind the first 511


@mutant("tanh", kills="large", where="index", safe=False,
        mistake="Rows that lie apart are walked by 16 x 32 workers, a row each; the rows behind "
                "the first 512 have none.")
def tanh_512_rows(x):
    y = np.tanh(x)
    if x.ndim == 2 and not x.flags.c_contiguous and x.strides[1] == x.itemsize:
        y[512:] = 0
    return y


@mutant("conv2d", kills="large", where="index",
        mistake="Image and channel share a word: 9 bits are left for the image, and the 513th is "
                "the first again.")
def conv2d_512_images(x, weight, bias=None, **attrs):
    y = reference("conv2d")(x, weight, bias, **attrs)
    return y[np.arange(len(y)) % 512]


@mutant("scaled_dot_product_attention", kills="large", where="index",
        mistake="The causal mask is made for blocks of 512 queries; from the second block on "
                "queries see what those of the first block see.")
def sdpa_512_queries(query, key, value, attn_mask=None, *, is_causal, **attrs):
    n = query.shape[-2]
    if not is_causal or n <= 512:
        return reference("scaled_dot_product_attention")(query, key, value, attn_mask,
                                                         is_causal=is_causal, **attrs)
    seen = np.arange(n)[:, None] % 512 >= np.arange(key.shape[-2])
    return reference("scaled_dot_product_attention")(query, key, value, seen, is_causal=False,
                                                     **attrs)
