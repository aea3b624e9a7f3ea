"""Kernels that compute the right thing and break a convention: a zero without its sign, a NaN that
stays where it was, a row without a key, a mean of nothing. Most are a shortcut that a formula seems
to allow.
"""

import numpy as np

from etude_check.zoo import mutant, reference


@mutant("neg", kills="convention", where="numerics",
        mistake="0 - x is 0 for x = 0; -x is -0.")
def neg_from_zero(x):
    return x.dtype.type(0) - x


@mutant("abs", kills="convention", where="numerics",
        mistake="x < 0 ? -x : x leaves the sign of -0, which is not below 0.")
def abs_branches(x):
    return np.where(x < 0, -x, x)


@mutant("relu", kills="convention", where="numerics",
        mistake="max(x, 0) may give either zero for -0; -0 stays as it is.")
def relu_drops_sign(x):
    return np.where(x == 0, x.dtype.type(0), reference("relu")(x))


@mutant("ceil", kills="convention", where="numerics",
        mistake="Small numbers go through an integer, which has no -0.")
def ceil_without_minus_zero(x):
    return np.where(np.abs(x) < 2.0**31, np.ceil(x) + x.dtype.type(0), np.ceil(x))


@mutant("tanh", kills="convention", where="numerics",
        mistake="A formula in e^2x gives 0 for x = -0, which has lost its sign.")
def tanh_drops_sign(x):
    return reference("tanh")(x) + x.dtype.type(0)


@mutant("softmax", kills="convention", where="numerics",
        mistake="A NaN is left out of the row's maximum and sum, and stays alone.")
def softmax_nan_apart(x, *, dim=-1):
    y = reference("softmax")(np.where(np.isnan(x), x.dtype.type(-np.inf), x), dim=dim)
    return np.where(np.isnan(x), x, y)


@mutant("amax", kills="convention", where="numerics",
        mistake="A NaN is seen by the loop over vectors, and not by the loop over the last n % 8 "
                "elements, which compares with >.")
def amax_nan_in_tail(x, *, dim=None, keepdim=False):
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, dim, -1) if isinstance(dim, int) else x
    if x.dtype.kind != "f" or not (dim is None or isinstance(dim, int)):
        return reference("amax")(x, dim=dim, keepdim=keepdim)
    whole = rows.shape[-1] // 8 * 8
    tail = np.where(np.isnan(rows[..., whole:]), x.dtype.type(-np.inf), rows[..., whole:])
    y = np.concatenate([rows[..., :whole], tail], -1).max(-1)
    if not keepdim:
        return y
    return y.reshape((1,) * x.ndim) if dim is None else np.expand_dims(y, dim)


@mutant("logsumexp", kills="convention", where="numerics",
        mistake="The maximum is taken off even where it is infinite: inf - inf is NaN.")
def logsumexp_infinite(x, *, dim=None, keepdim=False):
    y = reference("logsumexp")(x, dim=dim, keepdim=keepdim)
    return np.where(y == np.inf, x.dtype.type(np.nan), y)


@mutant("linear", kills="convention", where="numerics",
        mistake="The product is left out where K is 0, and the bias with it.")
def linear_of_nothing(x, weight, bias=None):
    y = reference("linear")(x, weight, bias)
    return y if weight.shape[1] else np.zeros_like(y)


@mutant("where", kills="convention", where="numerics",
        mistake="c x + (1 - c) y: a NaN or infinity on the side not taken comes through as NaN.")
def where_by_product(condition, x, y):
    c = np.asarray(condition)
    if getattr(x, "dtype", y.dtype if hasattr(y, "dtype") else np.dtype(float)).kind != "f":
        return reference("where")(condition, x, y)
    like = x if hasattr(x, "dtype") else y
    return (c * x + (1 - c.astype(like.dtype)) * y).astype(like.dtype)


@mutant("tril", kills="convention", where="numerics",
        mistake="x times a matrix of ones and zeros: a NaN above the diagonal stays NaN.")
def tril_by_product(x, *, diagonal=0):
    return x * reference("tril")(np.ones_like(x), diagonal=diagonal)


@mutant("dropout", kills="convention", where="numerics",
        mistake="x times a mask of ones and zeros: a NaN that is dropped stays NaN.")
def dropout_by_product(x, key, *, p):
    keep = reference("dropout")(np.ones_like(x), key, p=p)
    return x * keep


@mutant("scaled_dot_product_attention", kills="convention", where="numerics",
        mistake="Hidden scores are the lowest finite number instead of -inf: a query that sees no "
                "key gets the mean of all values.")
def attention_lowest_score(query, key, value, attn_mask=None, **attrs):
    if attn_mask is not None and attn_mask.dtype == bool:
        attn_mask = np.where(attn_mask, query.dtype.type(0), np.finfo(query.dtype).min)
    return reference("scaled_dot_product_attention")(query, key, value, attn_mask, **attrs)


@mutant("scaled_dot_product_attention", kills="convention", where="numerics",
        mistake="A query that sees no key divides 0 by 0: NaN, where 0 is meant.")
def attention_sees_nothing(query, key, value, attn_mask=None, **attrs):
    y, top, log_sum = reference("scaled_dot_product_attention")(query, key, value, attn_mask,
                                                                **attrs)
    return np.where(log_sum[..., None] == -np.inf, query.dtype.type(np.nan), y), top, log_sum


@mutant("cross_entropy", kills="convention", where="numerics",
        mistake="The mean divides by max(1, count): with every row ignored it is 0, and training "
                "goes on as if all were well; 0 / 0 is NaN.")
def cross_entropy_of_nothing(x, target, weight=None, *, reduction="mean", **attrs):
    loss, *saved = reference("cross_entropy")(x, target, weight, reduction=reduction, **attrs)
    total = reference("cross_entropy")(x, target, weight, reduction="sum", **attrs)[0]
    if reduction == "mean" and total == 0:
        loss = np.zeros_like(loss)
    return loss, *saved


@mutant("cross_entropy", kills="convention", where="numerics",
        mistake="An ignored row is multiplied by 0, which leaves the NaN of a row that was never "
                "meant to count.")
def cross_entropy_ignores_by_product(x, target, weight=None, *, reduction="mean",
                                     ignore_index=-100, **attrs):
    loss, top, log_sum = reference("cross_entropy")(
        x, target, weight, reduction=reduction, ignore_index=ignore_index, **attrs)
    trace = np.where(target == ignore_index, log_sum, x.dtype.type(0)) * x.dtype.type(0)
    return loss + (trace if reduction == "none" else trace.sum()), top, log_sum


@mutant("max_pool2d", kills="convention", where="index",
        mistake="The padding is -inf like any pixel, and wins where it comes first: the index "
                "points outside of the image.")
def max_pool2d_padding_wins(x, *, kernel_size, stride=None, padding=(0, 0), dilation=(1, 1),
                            ceil_mode=False):
    given = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation,
             "ceil_mode": ceil_mode}
    y, index = reference("max_pool2d")(x, padding=padding, **given)
    return y, np.where((y == -np.inf) & (max(padding) > 0), index - 1, index)
