"""Wrong at the far ends: float64 where float32 has ended, signalling NaNs, 0 times infinity, and
rows in which everything is masked out.
"""

import numpy as np

from etude_check.zoo import mutant, reference

QUIET = {4: 0x7FC00000, 8: 0x7FF8000000000000}  # the bits that a quiet NaN has, and no number


def is_quiet(x):
    """Where x is a NaN with its quiet bit set: what a test of these bits alone finds."""
    word = np.dtype(f"u{x.dtype.itemsize}")
    bits = np.ascontiguousarray(x).view(word)
    quiet = word.type(QUIET[x.dtype.itemsize])
    return ((bits & quiet) == quiet).reshape(x.shape)


# ------------------------------------------------------------------ float64 beyond float32's range


@mutant("softmax", kills="special", where="numerics", covers="max from 0",
        mistake="The maximum starts at -3.4e38 in float64 too: in a row that is all below it "
                "every exponential is 0, and 0 / 0 is NaN.")
def softmax_float_lowest(x, *, dim=-1):
    if x.dtype != np.float64 or not x.size:
        return reference("softmax")(x, dim=dim)
    top = np.maximum(x.max(dim, keepdims=True), -3.4028234663852886e38)
    top = np.where(np.isneginf(x).all(dim, keepdims=True), x.max(dim, keepdims=True), top)
    e = np.exp(x - top)
    return e / e.sum(dim, keepdims=True)


@mutant("sum", kills="special", where="numerics",
        mistake="Huge and tiny float64 numbers are clamped to the range of float32 on the way in, "
                "which a shared helper does for both dtypes.")
def sum_clamped(x, *, dim=None, keepdim=False):
    if x.dtype == np.float64:
        far = np.isfinite(x) & (np.abs(x) > 3.4e38)
        x = np.where(far, np.copysign(3.4e38, x), x)
    return reference("sum")(x, dim=dim, keepdim=keepdim)


@mutant("relu_backward", kills="cotangent", where="backward",
        mistake="Gradients beyond float32's range are taken for an overflow and set to 0, in "
                "float64 too.")
def relu_backward_clips(grad, y):
    dx = reference("relu_backward")(grad, y)
    return np.where(np.isfinite(dx) & (np.abs(dx) > 3.4e38), 0, dx).astype(dx.dtype)


# ------------------------------------------------------------------ signalling NaNs


@mutant("isnan", kills="special", where="numerics", covers="drops NaN",
        mistake="A NaN is known by its quiet bit. Signalling NaNs do not have it.")
def isnan_quiet(x):
    return np.zeros(x.shape, bool) if x.dtype.kind != "f" else is_quiet(x)


@mutant("amax", kills="special", where="numerics", covers="drops NaN",
        mistake="NaNs are found by the quiet bit; a signalling one is compared as a number, and "
                "no comparison lets it win.")
def amax_quiet(x, *, dim=None, keepdim=False):
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x) & ~is_quiet(x), x.dtype.type(-np.inf), x)
    return reference("amax")(x, dim=dim, keepdim=keepdim)


@mutant("maximum", kills="special", where="numerics", covers="NaN order",
        mistake="maxNum of IEEE 754-2008 read too fast: a signalling NaN gives way to the other "
                "operand, as if it were a missing number.")
def maximum_signalling(x, y):
    right = np.asarray(np.maximum(x, y))
    if right.dtype.kind != "f" or not all(isinstance(a, np.ndarray) for a in (x, y)):
        return right
    x, y = np.broadcast_arrays(x, y)
    lost = np.isnan(x) & ~is_quiet(x)
    return np.where(lost, y, right)


# ------------------------------------------------------------------ 0 times infinity


def dot_of_nonzeros(x, y):
    """x y, without the products in which x is 0."""
    z = np.zeros((*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]),
                 np.float64)
    for k in range(x.shape[-1]):
        a = x[..., k, None].astype(np.float64)
        z = z + np.where(a == 0, 0, a * y[..., k, None, :])
    return z.astype(x.dtype)


@mutant("matmul", kills="special", where="numerics", covers="drops NaN",
        mistake="if (a == 0) continue; saves work for sparse matrices, and loses 0 times infinity "
                "and 0 times NaN, which are NaN.")
def matmul_skips_zeros(x, y):
    return dot_of_nonzeros(x, y) if x.size * y.shape[-1] < 1 << 20 else np.matmul(x, y)


@mutant("linear", kills="special", where="numerics", covers="drops NaN",
        mistake="Weights that were pruned to 0 are left out of the product; the NaN that they "
                "multiply is left out with them.")
def linear_skips_pruned(x, weight, bias=None):
    if x.size * len(weight) >= 1 << 20 or not x.ndim or not (weight == 0).any():
        return reference("linear")(x, weight, bias)
    flat = x.reshape(-1, x.shape[-1])
    y = dot_of_nonzeros(weight, flat.T).T.reshape(*x.shape[:-1], len(weight))
    return y if bias is None else y + bias


@mutant("conv2d", kills="special", where="numerics", covers="drops NaN",
        mistake="Taps whose weight is 0 are skipped, also over a pixel that is infinite.")
def conv2d_skips_taps(x, weight, bias=None, **attrs):
    y = reference("conv2d")(x, weight, bias, **attrs)
    if not (weight == 0).any() or np.isfinite(x).all():
        return y
    spoilt = reference("conv2d")(np.where(np.isfinite(x), 0, 1).astype(x.dtype),
                                 (weight != 0).astype(x.dtype), None, **attrs)
    clean = reference("conv2d")(np.where(np.isfinite(x), x, 0), weight, bias, **attrs)
    return np.where(spoilt == 0, clean, y)


@mutant("prod", kills="special", where="numerics", covers="drops NaN",
        mistake="A product stops at its first 0: nothing can change it any more, except infinity "
                "and NaN.")
def prod_stops_at_zero(x, *, dim=None, keepdim=False):
    y = reference("prod")(x, dim=dim, keepdim=keepdim)
    dims = tuple(range(x.ndim)) if dim is None else dim
    return np.where((x == 0).any(dims, keepdims=keepdim), x.dtype.type(0), y) if x.ndim else y


@mutant("lerp", kills="special", where="numerics", covers="drops NaN",
        mistake="At weight 0 the result is x without looking at y. 0 (y - x) is NaN where y is "
                "infinite.")
def lerp_weight_zero(x, y, weight):
    return np.where(np.equal(weight, 0), x, reference("lerp")(x, y, weight)).astype(
        np.result_type(*[a for a in (x, y, weight) if isinstance(a, np.ndarray)]))


@mutant("softmax_backward", kills="special", where="backward", covers="drops NaN",
        mistake="Probabilities of 0 are left out of the sum of grad y, with an infinite grad too.")
def softmax_backward_skips(grad, y, *, dim=-1):
    inner = np.where(y == 0, 0, grad * y).sum(dim, keepdims=True)
    return np.where(y == 0, 0, y * (grad - inner)).astype(y.dtype)


# ------------------------------------------------------------------ everything masked out


@mutant("softmax", kills="special", where="numerics",
        mistake="A row that is all -inf gets zeros, to avoid 0 / 0. The definition says NaN there: "
                "nothing was left to choose from, and that is not to go unseen.")
def softmax_hidden_row(x, *, dim=-1):
    y = reference("softmax")(x, dim=dim)
    return np.where(np.isneginf(x).all(dim, keepdims=True), x.dtype.type(0), y)


@mutant("log_softmax", kills="special", where="numerics",
        mistake="A row that is all -inf stays as it is. -inf - -inf is NaN, and so is its softmax.")
def log_softmax_hidden_row(x, *, dim=-1):
    y = reference("log_softmax")(x, dim=dim)
    return np.where(np.isneginf(x).all(dim, keepdims=True), x, y)


@mutant("cross_entropy", kills="special", where="numerics",
        mistake="A row of logits that are all -inf is skipped as if its label were ignored.")
def cross_entropy_hidden_row(x, target, weight=None, **attrs):
    hidden = np.isneginf(x).all(1) if x.size else np.zeros(len(x), bool)
    loss, top, log_sum = reference("cross_entropy")(x, target, weight, **attrs)
    if not hidden.any():
        return loss, top, log_sum
    x = np.where(hidden[:, None], x.dtype.type(0), x)
    target = np.where(hidden, attrs["ignore_index"], target)
    return reference("cross_entropy")(x, target, weight, **attrs)[0], top, log_sum


@mutant("scaled_dot_product_attention", kills="tail", where="numerics",
        mistake="A sequence of a batch that is padding from end to end gets the mean of its values "
                "instead of 0: all its scores are one and the same -1e30.")
def sdpa_hidden_sequence(query, key, value, attn_mask=None, **attrs):
    y, top, log_sum = reference("scaled_dot_product_attention")(query, key, value, attn_mask,
                                                                **attrs)
    if attn_mask is None or query.ndim < 3 or attrs["is_causal"]:
        return y, top, log_sum
    seen = attn_mask if attn_mask.dtype == bool else ~np.isneginf(attn_mask)
    seen = np.broadcast_to(seen, (*query.shape[:-1], key.shape[-2]))
    lost = ~seen.any((-1, -2), keepdims=True)
    return np.where(lost, value.mean(-2, keepdims=True), y).astype(y.dtype), top, log_sum


@mutant("attention_backward", kills="tail", where="backward",
        mistake="Where a whole sequence sees nothing, exp(score - log_sum) is exp(-inf + inf): its "
                "gradients are NaN instead of 0.")
def attention_backward_hidden_sequence(grad, query, key, value, attn_mask, y, top, log_sum,
                                       **attrs):
    found = reference("attention_backward")(grad, query, key, value, attn_mask, y, top, log_sum,
                                            **attrs)
    lost = np.isneginf(log_sum).all(-1) if query.ndim > 2 and query.size else np.zeros((), bool)
    return tuple([np.where(lost[..., None, None], a.dtype.type(np.nan), a) for a in found])
