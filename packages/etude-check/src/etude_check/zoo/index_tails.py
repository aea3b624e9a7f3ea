"""Wrong sizes: tails that are skipped, sizes that are assumed, elements that are not there.

Each loop is written as the C or CUDA kernel would be; ``flat`` and ``rows`` give it its arrays.
"""

import numpy as np

from etude_check.zoo import mutant, reference

SKIPPED = "The loop goes in steps of 8 and the elements that are left over at the end are skipped."


def flat(x):
    """Elements in C order, as a kernel over contiguous memory sees them."""
    return np.ascontiguousarray(x).reshape(-1)


def in_eights(fn, *arrays):
    """fn on whole vectors of 8; the rest keeps the zeros that were there."""
    n = arrays[0].size // 8 * 8
    y = np.zeros(arrays[0].size, arrays[0].dtype)
    y[:n] = fn(*[flat(a)[:n] for a in arrays])
    return y.reshape(arrays[0].shape)


@mutant("relu", kills="tail", where="index", covers="tail skipped", mistake=SKIPPED)
def relu_tail(x):
    return in_eights(reference("relu"), x)


@mutant("exp", kills="tail", where="index", covers="tail skipped", mistake=SKIPPED)
def exp_tail(x):
    return in_eights(np.exp, x)


@mutant("gelu_backward", kills="tail", where="index", covers="tail skipped", mistake=SKIPPED)
def gelu_backward_tail(grad, x, *, approximate="none"):
    return in_eights(lambda g, x: reference("gelu_backward")(g, x, approximate=approximate), grad,
                     x)


@mutant("softmax", kills="tail", where="index", covers="tail skipped",
        mistake="The sum of each row runs in steps of 4 and leaves out the last n % 4 terms.")
def softmax_tail(x, *, dim=-1):
    e = np.exp(x - x.max(dim, keepdims=True))
    n = x.shape[dim]
    whole = np.take(e, range(n // 4 * 4 or n), axis=dim)
    return e / whole.sum(dim, keepdims=True)


@mutant("sum", kills="tail", where="index", covers="tail skipped",
        mistake="Along the reduced axis whole vectors of 8 are added up and the rest is forgotten.")
def sum_tail(x, *, dim=None, keepdim=False):
    last = x.ndim - 1 if dim is None else dim[-1] if isinstance(dim, tuple) and dim else dim
    if x.ndim and isinstance(last, int) and x.shape[last] > 8:
        x = np.take(x, range(x.shape[last] // 8 * 8), axis=last)
    return x.sum(dim, keepdims=keepdim)


@mutant("matmul", kills="tail", where="index", covers="tail skipped",
        mistake="The result is computed in tiles of 4 x 4; a rim that fills no tile stays 0.")
def matmul_tile_rim(x, y):
    z = np.matmul(x, y)
    m, n = z.shape[-2] // 4 * 4, z.shape[-1] // 4 * 4
    kept = np.zeros_like(z)
    kept[..., :m, :n] = z[..., :m, :n]
    return kept


@mutant("matmul", kills="tail", where="index", covers="k below unroll",
        mistake="The loop over k is unrolled by 4 and is never entered when k is below 4.")
def matmul_short_k(x, y):
    z = np.matmul(x, y)
    return z if x.shape[-1] >= 4 else np.zeros_like(z)


@mutant("matmul", kills="tail", where="index", covers="k below unroll",
        mistake="The loop over k is unrolled by 8 and the last k % 8 products are left out.")
def matmul_k_tail(x, y):
    k = x.shape[-1]
    whole = k // 8 * 8 or k
    return np.matmul(x[..., :whole], y[..., :whole, :])


@mutant("linear", kills="tail", where="index", covers="tail skipped",
        mistake="Output features are computed 8 at a time; those that are left over get the bias "
                "alone.")
def linear_tail(x, weight, bias=None):
    n = len(weight) // 8 * 8
    y = np.zeros((*x.shape[:-1], len(weight)), x.dtype)
    y[..., :n] = x @ weight[:n].T
    return y if bias is None else y + bias


@mutant("layer_norm", kills="tail", where="index", covers="tail skipped",
        mistake="Mean and variance are taken over whole vectors of 8 only.")
def layer_norm_tail(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    lead = x.shape[: x.ndim - len(normalized_shape)]
    rows = x.reshape(*lead, int(np.prod(normalized_shape)))
    n = rows.shape[-1]
    seen = rows[..., : n // 8 * 8 or n]
    mean = seen.mean(-1)
    rstd = 1 / np.sqrt(seen.var(-1) + x.dtype.type(eps))
    y = ((rows - mean[..., None]) * rstd[..., None]).reshape(x.shape)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd


@mutant("cumsum", kills="tail", where="index", covers="tail skipped",
        mistake="The scan works in blocks of 64 and does not carry the total into the next block.")
def cumsum_blocks(x, *, dim):
    parts = [np.take(x, range(i, min(i + 64, x.shape[dim])), axis=dim).cumsum(dim)
             for i in range(0, x.shape[dim], 64)]
    return np.concatenate(parts, dim) if parts else x.copy()


@mutant("sum", kills="tail", where="index", covers="only powers of two",
        mistake="The tree halves the length each round and drops the odd element of a length that "
                "is no power of two.")
def sum_tree(x, *, dim=None, keepdim=False):
    if isinstance(dim, int) and x.ndim and x.shape[dim]:
        part = np.moveaxis(x, dim, -1)
        while part.shape[-1] > 1:
            half = part.shape[-1] // 2
            part = part[..., :half] + part[..., half : 2 * half]
        y = part[..., 0]
        return np.expand_dims(y, dim) if keepdim else y
    return x.sum(dim, keepdims=keepdim)


@mutant("amax", kills="tail", where="index", covers="only powers of two",
        mistake="The reduction by halves never looks at the last element of an odd length.")
def amax_tree(x, *, dim=None, keepdim=False):
    if isinstance(dim, int) and x.shape[dim] > 2 and x.shape[dim] & (x.shape[dim] - 1):
        x = np.take(x, range(x.shape[dim] - 1), axis=dim)
    return x.max(dim, keepdims=keepdim)


@mutant("argmax", kills="tail", where="index",
        mistake="The search starts at element 1 and stops one element early: i < n - 1.")
def argmax_short(x, *, dim=None, keepdim=False):
    n = x.size if dim is None else x.shape[dim]
    if n > 1:
        x = flat(x)[:-1] if dim is None else np.take(x, range(n - 1), axis=dim)
    if dim is None and keepdim:
        return np.argmax(x).reshape((1,) * x.ndim)
    return np.argmax(x, axis=dim, keepdims=keepdim).astype(np.int64)


@mutant("max_pool2d", kills="tail", where="index",
        mistake="The output size is rounded up instead of down, and the last window is clamped to "
                "the image: rows at the edge come from the wrong place.")
def max_pool2d_shifted(x, *, kernel_size, stride=None, padding=(0, 0), **attrs):
    y, index = reference("max_pool2d")(x, kernel_size=kernel_size, stride=stride, padding=padding,
                                       **attrs)
    spare = (x.shape[2] + 2 * padding[0] - kernel_size[0]) % stride[0]
    if spare and tuple(attrs.get("dilation", (1, 1))) == (1, 1) and not attrs.get("ceil_mode"):
        # the last row of windows starts as low as it can
        low, where = reference("max_pool2d")(x[:, :, spare:], kernel_size=kernel_size,
                                             stride=stride, padding=padding, **attrs)
        y[:, :, -1], index[:, :, -1] = low[:, :, -1], where[:, :, -1] + spare * x.shape[3]
    return y, index


@mutant("conv2d", kills="tail", where="index",
        mistake="The last column of the output is not computed: x < OW - 1 instead of x < OW.")
def conv2d_last_column(x, weight, bias=None, **attrs):
    y = reference("conv2d")(x, weight, bias, **attrs)
    if y.shape[3] > 1:
        y[..., -1] = 0
    return y


@mutant("embedding_backward", kills="tail", where="index",
        mistake="Only the first 32 columns of each row are added: the grid is one warp wide.")
def embedding_backward_warp(grad, index, *, num_embeddings, padding_idx=None):
    y = reference("embedding_backward")(grad, index, num_embeddings=num_embeddings,
                                        padding_idx=padding_idx)
    y[:, 32:] = 0
    return y


@mutant("add", kills="large", where="index",
        mistake="The grid has at most 65535 blocks and there is no loop over the rest.")
def add_grid_limit(x, y):
    z = np.asarray(x + y)
    if z.size > 65535:
        z = flat(z)
        z[65535:] = 0
        z = z.reshape(np.broadcast_shapes(np.shape(x), np.shape(y)))
    return z


@mutant("neg", kills="large", where="index",
        mistake="The element number is kept in 16 bits and starts again at 65536.")
def neg_short_index(x):
    y = flat(-x)
    if y.size > 65536:
        y[65536:] = 0
    return y.reshape(x.shape)
