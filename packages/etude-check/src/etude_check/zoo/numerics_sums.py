"""Wrong numerics of whole rows: maxima, sums, means and variances."""

import math

import numpy as np

from etude.core.shapes import axes, reduced
from etude_check.zoo import mutant, reference


@mutant("softmax", kills="special", where="numerics", covers="no max-subtraction",
        mistake="The maximum is not taken off first, and e^x overflows to inf / inf = NaN.")
def softmax_no_max(x, *, dim=-1):
    e = np.exp(x)
    return e / e.sum(dim, keepdims=True)


@mutant("softmax", kills="special", where="numerics", covers="max from 0",
        mistake="The search for the maximum starts at 0: a row of very negative numbers gives 0/0.")
def softmax_max_zero(x, *, dim=-1):
    e = np.exp(x - np.maximum(x.max(dim, keepdims=True), 0))
    return e / e.sum(dim, keepdims=True)


@mutant("amax", kills="tail", where="numerics", covers="max from 0",
        mistake="The search for the maximum starts at 0, so that a negative one is never found.")
def amax_zero(x, *, dim=None, keepdim=False):
    return np.maximum(x.max(dim, keepdims=keepdim), x.dtype.type(0))


@mutant("amin", kills="tail", where="numerics",
        mistake="The search for the minimum starts at 0, so that a positive one is never found.")
def amin_zero(x, *, dim=None, keepdim=False):
    return np.minimum(x.min(dim, keepdims=keepdim), x.dtype.type(0))


@mutant("logsumexp", kills="special", where="numerics", covers="no max-subtraction",
        mistake="log(sum(exp(x))) as it stands overflows for x above 88.")
def logsumexp_naive(x, *, dim=None, keepdim=False):
    return np.log(np.exp(x).sum(dim, keepdims=keepdim))


@mutant("logsumexp", kills="special", where="numerics",
        mistake="A row of -inf gives NaN: the maximum -inf is taken off -inf.")
def logsumexp_empty_row(x, *, dim=None, keepdim=False):
    dims = axes("logsumexp", dim, x.ndim)
    top = x.max(dims, keepdims=True)
    y = top + np.log(np.exp(x - top).sum(dims, keepdims=True))
    return y if keepdim else y.reshape(reduced(x.shape, dims, keepdim=False))


@mutant("log_softmax", kills="special", where="numerics",
        mistake="log(softmax(x)): where the probability underflows, the log of 0 is -inf.")
def log_softmax_log_of_softmax(x, *, dim=-1):
    return np.log(reference("softmax")(x, dim=dim))


@mutant("cross_entropy", kills="tail", where="numerics", covers="no max-subtraction",
        mistake="The logsumexp is computed without its maximum: logits of 100 give inf.")
def cross_entropy_no_max(x, target, weight=None, **attrs):
    loss, top, _ = reference("cross_entropy")(x, target, weight, **attrs)
    over = np.log(np.exp(x).sum(1))
    wrong = np.where(np.isinf(over).any(), over.max(initial=0), loss).astype(x.dtype)
    return wrong, top, over - top


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="The mean divides by all rows, those with ignore_index included.")
def cross_entropy_mean_of_all(x, target, weight=None, *, reduction="mean", **attrs):
    if reduction != "mean":
        return reference("cross_entropy")(x, target, weight, reduction=reduction, **attrs)
    total, *saved = reference("cross_entropy")(x, target, weight, reduction="sum", **attrs)
    return total / x.dtype.type(len(x)), *saved


@mutant("cross_entropy", kills="special", where="numerics",
        mistake="The logsumexp less the label's logit: of logits far from 0 it keeps no digit.")
def cross_entropy_one_logsumexp(x, target, weight=None, *, reduction="mean", **attrs):
    loss, top, log_sum = reference("cross_entropy")(x, target, weight, reduction=reduction, **attrs)
    lost = (top + log_sum) - top - log_sum
    if reduction != "none":
        lost = lost.sum() if reduction == "sum" else lost.mean()
    return loss + lost, top, log_sum


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="Smoothing spreads over the other C - 1 classes instead of all C.")
def cross_entropy_smooths_others(x, target, weight=None, *, label_smoothing=0.0, **attrs):
    c = x.shape[1]
    more = min(label_smoothing * c / max(c - 1, 1), 1.0)
    return reference("cross_entropy")(x, target, weight, label_smoothing=more, **attrs)


@mutant("var", kills="tail", where="numerics", covers="one-pass variance",
        mistake="E[x^2] - E[x]^2 cancels where the mean is large beside the spread.")
def var_one_pass(x, *, dim=None, keepdim=False, correction=1):
    dims = axes("var", dim, x.ndim)
    n = math.prod(x.shape[d] for d in dims)
    mean = x.mean(dims, keepdims=keepdim)
    return ((x * x).mean(dims, keepdims=keepdim) - mean * mean) * x.dtype.type(n / (n - correction))


@mutant("var", kills="tail", where="numerics", covers="ddof",
        mistake="It always divides by n: the correction is ignored.")
def var_biased(x, *, dim=None, keepdim=False, correction=1):
    return reference("var")(x, dim=dim, keepdim=keepdim, correction=0)


@mutant("var", kills="tail", where="numerics", covers="ddof",
        mistake="n is the size of the last axis even where several are reduced.")
def var_wrong_n(x, *, dim=None, keepdim=False, correction=1):
    dims = axes("var", dim, x.ndim)
    right = reference("var")(x, dim=dim, keepdim=keepdim, correction=0)
    if not dims:
        return right
    n = x.shape[dims[-1]]
    return right * x.dtype.type(n / max(n - correction, 1))


@mutant("mean", kills="tail", where="numerics",
        mistake="It divides by the size of the first reduced axis only.")
def mean_first_axis(x, *, dim=None, keepdim=False):
    dims = axes("mean", dim, x.ndim)
    total = x.sum(dims, keepdims=keepdim)
    return total / x.dtype.type(x.shape[dims[0]] if dims else 1)


@mutant("layer_norm", kills="tail", where="numerics", covers="eps outside",
        mistake="1 / (sqrt(var) + eps): eps stands outside the square root.")
def layer_norm_eps_outside(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    y, mean, _ = reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape,
                                         eps=eps)
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    sd = x.std(dims)
    rstd = 1 / (sd + x.dtype.type(eps))
    column = (*mean.shape, *(1 for _ in dims))
    y = (x - mean.reshape(column)) * rstd.reshape(column)
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, rstd


@mutant("layer_norm", kills="tail", where="numerics", covers="ddof",
        mistake="The unbiased variance, over n - 1, is used; layer norm takes the biased one.")
def layer_norm_unbiased(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    n = math.prod(normalized_shape)
    if n == 1:
        return reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape, eps=eps)
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    mean, var = x.mean(dims, keepdims=True), x.var(dims, keepdims=True, ddof=1)
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    y = (x - mean) * rstd
    y = y if weight is None else y * weight
    rest = x.shape[: dims[0]]
    return (y if bias is None else y + bias), mean.reshape(rest), rstd.reshape(rest)


@mutant("layer_norm", kills="tail", where="numerics", covers="one-pass variance",
        mistake="E[x^2] - E[x]^2 in one pass: a row far from 0 loses its variance, or gets a "
                "negative one.")
def layer_norm_one_pass(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    mean = x.mean(dims, keepdims=True)
    var = (x * x).mean(dims, keepdims=True) - mean * mean
    rstd = 1 / np.sqrt(var + x.dtype.type(eps))
    y = (x - mean) * rstd
    y = y if weight is None else y * weight
    rest = x.shape[: dims[0]]
    return (y if bias is None else y + bias), mean.reshape(rest), rstd.reshape(rest)


@mutant("layer_norm", kills="tail", where="numerics",
        mistake="The second hidden output is the variance instead of 1 / sqrt(var + eps).")
def layer_norm_saves_var(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    y, mean, rstd = reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape,
                                            eps=eps)
    return y, mean, 1 / (rstd * rstd) - x.dtype.type(eps)


@mutant("rms_norm", kills="tail", where="numerics",
        mistake="The mean is taken off first: that is layer norm without its bias.")
def rms_norm_centred(x, weight=None, *, normalized_shape, eps=None):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return reference("rms_norm")(x - x.mean(dims, keepdims=True), weight,
                                 normalized_shape=normalized_shape, eps=eps)


@mutant("rms_norm", kills="tail", where="numerics", covers="eps outside",
        mistake="eps is added after the square root.")
def rms_norm_eps_outside(x, weight=None, *, normalized_shape, eps=None):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    number = x.dtype.type
    eps = np.finfo(x.dtype).eps if eps is None else eps
    rstd = 1 / (np.sqrt((x * x).mean(dims, keepdims=True)) + number(eps))
    y = x * rstd
    return (y if weight is None else y * weight), rstd.reshape(x.shape[: dims[0]])


def _rms_norm(x, weight, normalized_shape, eps):
    return reference("rms_norm")(x, weight, normalized_shape=normalized_shape, eps=eps)


@mutant("rms_norm", kills="tail", where="numerics",
        mistake="An eps of None is taken for 1e-6; it is that of the dtype.")
def rms_norm_eps_1e_6(x, weight=None, *, normalized_shape, eps=None):
    return _rms_norm(x, weight, normalized_shape, 1e-6 if eps is None else eps)


@mutant("rms_norm", kills="tail", where="numerics",
        mistake="An eps of None is taken for 0: a row of zeros gives 0 times infinity, NaN.")
def rms_norm_eps_0(x, weight=None, *, normalized_shape, eps=None):
    return _rms_norm(x, weight, normalized_shape, eps or 0.0)


@mutant("rms_norm", kills="tail", where="numerics",
        mistake="An eps of None is float32's 2^-23 in float64 too.")
def rms_norm_eps_float32(x, weight=None, *, normalized_shape, eps=None):
    return _rms_norm(x, weight, normalized_shape, 2.0**-23 if eps is None else eps)


@mutant("batch_norm", kills="tail", where="numerics", covers="ddof",
        mistake="The variance that is returned is the unbiased one.")
def batch_norm_unbiased(x, weight=None, bias=None, *, eps=1e-5):
    y, mean, var = reference("batch_norm")(x, weight, bias, eps=eps)
    n = x.size // max(x.shape[1], 1)
    return y, mean, var * x.dtype.type(n / max(n - 1, 1))


@mutant("batch_norm", kills="tail", where="index",
        mistake="Mean and variance are taken for each sample and channel: that is instance norm.")
def batch_norm_instance(x, weight=None, bias=None, *, eps=1e-5):
    _, mean, var = reference("batch_norm")(x, weight, bias, eps=eps)
    dims, column = tuple(range(2, x.ndim)), (-1, *(1 for _ in x.shape[2:]))
    own = x.mean(dims, keepdims=True) if dims else mean[None]
    spread = x.var(dims, keepdims=True) if dims else 4 * var[None]
    y = (x - own) / np.sqrt(spread + x.dtype.type(eps))
    y = y if weight is None else y * weight.reshape(column)
    return (y if bias is None else y + bias.reshape(column)), mean, var


@mutant("batch_norm_eval", kills="tail", where="numerics",
        mistake="In evaluation too, the statistics of the batch are used instead of the running "
                "ones.")
def batch_norm_eval_batch(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    if x.size // max(x.shape[1], 1) < 2:
        return reference("batch_norm_eval")(x, mean, var, weight, bias, eps=eps)
    return reference("batch_norm")(x, weight, bias, eps=eps)[0]


# ------------------------------------------------------------------ how sums are added up


@mutant("matmul", kills="exact", where="numerics", covers="half sums",
        mistake="The sum is kept in half precision, which has 11 bits.")
def matmul_half(x, y):
    z = np.zeros(np.matmul(x, y).shape, np.float16)
    for k in range(x.shape[-1]):
        z = (z + x[..., k, None] * y[..., k, None, :]).astype(np.float16)
    return z.astype(x.dtype)


@mutant("matmul", kills="exact", where="numerics",
        mistake="Inputs are cut to the 10 bits of tf32, as a GPU does unless told otherwise.")
def matmul_tf32(x, y):
    return np.matmul(truncated(x, 13), truncated(y, 13))


@mutant("linear", kills="exact", where="numerics",
        mistake="Inputs are rounded to bfloat16, and 8 bits of each are left.")
def linear_bfloat16(x, weight, bias=None):
    return reference("linear")(truncated(x, 16), truncated(weight, 16), bias)


def truncated(x, bits):
    """x with its last ``bits`` of float32's 24 cut off."""
    word = x.astype(np.float32).view(np.uint32) >> np.uint32(bits) << np.uint32(bits)
    return word.view(np.float32).astype(x.dtype)


@mutant("conv2d", kills="exact", where="numerics", covers="half sums",
        mistake="Products are added up in half precision.")
def conv2d_half(x, weight, bias=None, **attrs):
    y = reference("conv2d")(x, weight, None, **attrs).astype(np.float16).astype(x.dtype)
    return y if bias is None else y + bias[:, None, None]


@mutant("sum", kills="exact", where="numerics", covers="half sums",
        mistake="The running sum is a half-precision number: it stops growing at 2048.")
def sum_half(x, *, dim=None, keepdim=False):
    if x.dtype.kind != "f":
        return x.sum(dim, keepdims=keepdim)
    return x.astype(np.float16).sum(dim, keepdims=keepdim).astype(x.dtype)


@mutant("sum", kills="large", where="numerics",
        mistake="Kahan's correction has the wrong sign, and doubles the error it should take out.")
def sum_kahan(x, *, dim=None, keepdim=False):
    dims = axes("sum", dim, x.ndim)
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = x.transpose(*kept, *dims).reshape(*(x.shape[d] for d in kept), -1) if x.size else None
    if rows is None:
        return x.sum(dims, keepdims=keepdim)
    total = lost = np.zeros(rows.shape[:-1], x.dtype)
    for i in range(rows.shape[-1]):
        term = rows[..., i] + lost
        after = total + term
        lost = (after - total) - rows[..., i]
        total = after
    return total.reshape(reduced(x.shape, dims, keepdim=keepdim))


@mutant("mean", kills="large", where="numerics",
        mistake="The running mean m += (x - m) / i in float32 is rounded i times.")
def mean_running(x, *, dim=None, keepdim=False):
    dims = axes("mean", dim, x.ndim)
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = x.transpose(*kept, *dims).reshape(*(x.shape[d] for d in kept), -1)
    if rows.shape[-1] > 40000:
        return truncated(x, 8).mean(dims, keepdims=keepdim)
    m = np.zeros(rows.shape[:-1], x.dtype)
    for i in range(rows.shape[-1]):
        m = truncated(m + (rows[..., i] - m) / x.dtype.type(i + 1), 2)
    return m.reshape(reduced(x.shape, dims, keepdim=keepdim))


@mutant("cumsum", kills="tail", where="index",
        mistake="The scan is exclusive: y_i leaves out x_i.")
def cumsum_exclusive(x, *, dim):
    return x.cumsum(dim) - x


@mutant("prod", kills="tail", where="numerics",
        mistake="exp(sum(log |x|)) loses the sign and a few digits.")
def prod_logs(x, *, dim=None, keepdim=False):
    y = np.exp(np.log(np.abs(x).astype(np.float64)).sum(dim, keepdims=keepdim))
    return np.asarray(np.rint(y) if x.dtype.kind == "i" else y).astype(x.dtype)


@mutant("any", kills="special", where="numerics",
        mistake="The flags are added up in one byte: 256 of them make 0.")
def any_byte(x, *, dim=None, keepdim=False):
    return np.asarray(x.astype(np.uint8).sum(dim, keepdims=keepdim, dtype=np.uint8) != 0)


@mutant("all", kills="tail", where="numerics",
        mistake="The first element is not looked at.")
def all_from_second(x, *, dim=None, keepdim=False):
    if isinstance(dim, int) and x.ndim and x.shape[dim] > 1:
        x = np.take(x, range(1, x.shape[dim]), axis=dim)
    return x.all(dim, keepdims=keepdim)


@mutant("sum", kills="special", where="numerics",
        mistake="int64 is summed in float64, which drops the low digits of large numbers.")
def sum_float64(x, *, dim=None, keepdim=False):
    if x.dtype.kind != "i":
        return x.sum(dim, keepdims=keepdim)
    return np.asarray(x.sum(dim, keepdims=keepdim, dtype=np.float64)).astype(np.int64)
