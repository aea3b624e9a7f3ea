"""Wrong on a path of its own: right on the common call, wrong on one that few tests make.

Kernels take other code for long rows, many rows, many channels, masks, numbers, layouts. Each of
these was let live by an earlier kit; the plan that kills it now is in the spec it names.
"""

import os

import numpy as np

from etude_check.zoo import mutant, reference

PACKED: dict[object, np.ndarray] = {}


@mutant("softmax", kills="tail", where="numerics",
        mistake="The running maximum of an online softmax starts with the first block; where that "
                "is hidden (-inf), -inf - -inf is NaN. Batches padded on the left are like that.")
def softmax_block_hidden(x, *, dim=-1):
    y = reference("softmax")(x, dim=dim)
    first = x.take(range(min(8, x.shape[dim] // 2)), dim)
    return np.where(np.isneginf(first).all(dim, keepdims=True) & (first.size > 0), np.nan,
                    y).astype(x.dtype)


@mutant("log_softmax", kills="tail", where="numerics", covers="no max-subtraction",
        mistake="Rows of more than 64 take a path that does not take the maximum away.")
def log_softmax_long(x, *, dim=-1):
    if x.shape[dim] <= 64:
        return reference("log_softmax")(x, dim=dim)
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


@mutant("layer_norm", kills="tail", where="numerics",
        mistake="eps is a constant of the kernel; the argument is not looked at.")
def layer_norm_eps(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    return reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape, eps=1e-5)


@mutant("batch_norm", kills="tail", where="index",
        mistake="A thread for each channel, and one block of 256 threads: the channels beyond are "
                "never written.")
def batch_norm_channels(x, weight=None, bias=None, *, eps=1e-5):
    y, mean, var = reference("batch_norm")(x, weight, bias, eps=eps)
    y[:, 256:] = 0
    return y, mean, var


@mutant("cross_entropy", kills="large", where="index",
        mistake="Labels are kept in 16 bits: right up to 32,767 classes, and vocabularies have "
                "more.")
def cross_entropy_label16(x, target, weight=None, *, ignore_index=-100, **attrs):
    kept = target.astype(np.int16).astype(np.int64) % max(x.shape[1], 1)
    return reference("cross_entropy")(x, np.where(target == ignore_index, target, kept), weight,
                                      ignore_index=ignore_index, **attrs)


@mutant("conv2d", kills="tail", where="index",
        mistake="The path for 1 x 1 kernels is a matrix product over whole blocks of 8 channels; "
                "the rest is skipped.")
def conv2d_pointwise(x, weight, bias=None, *, groups=1, **attrs):
    c = weight.shape[1] // 8 * 8
    if groups > 1 or c == 0 or weight.shape[2:] != (1, 1):
        c = weight.shape[1]
    if groups == 1:
        x = x[:, :c]
    return reference("conv2d")(x, weight[:, :c], bias, groups=groups, **attrs)


@mutant("conv2d", kills="layout", where="index", covers="stride ignored",
        mistake="An image whose channels lie last in memory is read as if they came first.")
def conv2d_channels_last(x, weight, bias=None, **attrs):
    order = np.argsort([-s for s in x.strides], kind="stable").tolist()
    if order == [0, 2, 3, 1]:
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).reshape(x.shape)
    return reference("conv2d")(x, weight, bias, **attrs)


@mutant("scaled_dot_product_attention", kills="tail", where="numerics",
        mistake="The running maximum starts at the score of key 0; a query that may not see it, "
                "but sees others, gets -inf - -inf = NaN.")
def sdpa_first_hidden(query, key, value, attn_mask=None, **attrs):
    y, *saved = reference("scaled_dot_product_attention")(query, key, value, attn_mask, **attrs)
    if attn_mask is None:
        return y, *saved
    mask = np.broadcast_to(attn_mask, (*query.shape[:-1], key.shape[-2]))
    hidden = ~mask if mask.dtype == bool else np.isneginf(mask)
    lost = hidden[..., 0] & ~hidden.all(-1)
    return np.where(lost[..., None], np.nan, y).astype(y.dtype), *saved


@mutant("scaled_dot_product_attention", kills="tail", where="index", covers="broadcast side",
        mistake="A mask with one row for a batch is taken to be the same for all of the batch.")
def sdpa_padding_mask(query, key, value, attn_mask=None, **attrs):
    if attn_mask is not None and attn_mask.ndim > 2 and attn_mask.shape[-2] == 1:
        attn_mask = np.broadcast_to(attn_mask[:1], attn_mask.shape)
    return reference("scaled_dot_product_attention")(query, key, value, attn_mask, **attrs)


@mutant("softmax", kills="threads", where="parallel", covers="thread count", safe=False,
        mistake="Every thread takes rows // threads of the rows; with fewer rows than threads "
                "nobody takes any.")
def softmax_few_rows(x, *, dim=-1):
    y = reference("softmax")(x, dim=dim)
    rows = x.size // max(x.shape[dim], 1)
    return y if rows >= int(os.environ.get("ETUDE_NUM_THREADS", "1")) else np.zeros_like(y)


@mutant("isnan", kills="tail", where="numerics",
        mistake="Compares with the bits of one NaN; there are millions, and 0 / 0 on x86 makes "
                "one with a minus sign.")
def isnan_one(x):
    if x.dtype.kind != "f":
        return np.zeros(x.shape, bool)
    word = np.dtype(f"u{x.dtype.itemsize}")
    return np.ascontiguousarray(x).view(word) == np.array(np.nan, x.dtype).view(word)


@mutant("where", kills="broadcast", where="numerics",
        mistake="A Python number goes through a float32 on its way to arrays of float64.")
def where_number_float32(condition, x, y):
    x, y = (float(np.float32(a)) if isinstance(a, float) else a for a in (x, y))
    return reference("where")(condition, x, y)


@mutant("sum", kills="special", where="numerics",
        mistake="Whole numbers over several axes are added up as floats, exact only up to 2^53.")
def sum_axes_float(x, *, dim=None, keepdim=False):
    if x.dtype.kind != "i" or not isinstance(dim, tuple) or len(dim) < 2:
        return reference("sum")(x, dim=dim, keepdim=keepdim)
    return np.asarray(x.astype(np.float64).sum(dim, keepdims=keepdim)).astype(np.int64)


@mutant("gather", kills="special", where="numerics",
        mistake="Whole numbers are moved as float32, exact only up to 2^24.")
def gather_float32(x, index, *, dim):
    y = reference("gather")(x, index, dim=dim)
    return y.astype(np.float32).astype(y.dtype) if y.dtype == np.int64 else y


@mutant("matmul", kills="layout", where="index",
        mistake="From 64 on each side a transposed operand is packed in panels of 8; what is left "
                "over of k is not packed.")
def matmul_packed(x, y):
    if min(x.shape[-2:] + y.shape[-2:]) >= 64 and not x.flags.c_contiguous:
        k = x.shape[-1] // 8 * 8
        x, y = x[..., :k], y[..., :k, :]
    return np.matmul(x, y)


@mutant("linear", kills="repeat", where="memory", covers="cache by pointer", safe=False,
        mistake="A large weight is packed once and found again by its address; what an optimiser "
                "wrote there since is not seen.")
def linear_packed_if_large(x, weight, bias=None):
    if weight.size >= 1 << 16:
        key = (weight.ctypes.data, weight.shape, weight.dtype.char)
        weight = PACKED.setdefault(key, weight.copy())
    return reference("linear")(x, weight, bias)


@mutant("sigmoid_backward", kills="cotangent", where="numerics",
        mistake="The gradient is kept within what a float16 holds, 65,504, in every dtype.")
def sigmoid_backward_half(grad, y):
    limit = grad.dtype.type(65504)
    return reference("sigmoid_backward")(np.clip(grad, -limit, limit), y)


@mutant("cat", kills="tail", where="index",
        mistake="The pointers lie in a table of 12; of the arrays behind nothing is copied.")
def cat_table(*arrays, dim=0):
    return reference("cat")(*(a if i < 12 else np.zeros_like(a) for i, a in enumerate(arrays)),
                            dim=dim)


@mutant("adam_step", kills="tail", where="numerics",
        mistake="Corrections of 1 are taken for the sign that nothing but the plain update is "
                "asked, and weight decay is left out with them.")
def adam_plain(p, grad, m, v, hyper):
    hyper = hyper.copy()
    if hyper[5] == 1:
        hyper[4] = 0
    return reference("adam_step")(p, grad, m, v, hyper)


@mutant("round", kills="large", where="numerics",
        mistake="From 1,024 elements on a vector loop adds 1/2 and takes the floor: halves go up, "
                "not to the even number.")
def round_half_up(x):
    if x.size < 1024 or x.dtype.kind != "f":
        return reference("round")(x)
    return np.floor(x + x.dtype.type(0.5))


@mutant("sum", kills="large", where="index",
        mistake="A block for each row, in the second dimension of the grid, which ends at 65,535.")
def sum_grid(x, *, dim=None, keepdim=False):
    y = np.array(reference("sum")(x, dim=dim, keepdim=keepdim))
    y.reshape(-1)[65535:] = 0
    return y


@mutant("argmax", kills="special", where="index", covers="argmax ties",
        mistake="Long rows are cut into blocks and merged with >=: the last of several equals.")
def argmax_long_ties(x, *, dim=None, keepdim=False):
    n = x.size if dim is None else x.shape[dim]
    if n <= 1024 or dim is None or np.isnan(x).any():
        return reference("argmax")(x, dim=dim, keepdim=keepdim)
    y = n - 1 - reference("argmax")(np.flip(x, dim), dim=dim, keepdim=keepdim)
    return np.asarray(y)
