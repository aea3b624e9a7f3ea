"""Scaled dot-product attention. C: c_src/cpu/attention.c.

Legend: ... batch axes (batch and heads), L queries, S keys, D numbers in a query or key, E in a
value. The forward pass keeps two numbers of each query, (..., L), and not the probabilities,
(..., L, S), which backward makes again from them: the largest score ``top`` (0 where that is
infinite) and ``log_sum`` = ln sum_s exp(score_s - top). They are kept apart because their sum
rounds log_sum away where scores are large, as under a mask of -1e9. Source: Vaswani et al. 2017,
equation 1.
"""

import math

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.shapes import bool_
from etude.core.table import op
from etude.ops.matmul import product
from etude.ops.reduce import shares, total


def _check_mask(op, query, key, attn_mask, is_causal, rest, L, S, D):
    if 0 in (S, D):
        raise ShapeError(f"{op}: there is nothing to attend to in key {key}")
    if attn_mask is None:
        return
    if is_causal:
        raise ValueError(f"{op}: give attn_mask or is_causal=True, not both")
    if attn_mask.dtype not in (bool_, query.dtype):
        raise DTypeError(f"{op}: attn_mask is bool (true takes part) or {query.dtype.name} (added "
                         f"to the scores), got {attn_mask}")
    if not _stretches(attn_mask.shape, (*rest, L, S)):
        raise ShapeError(f"{op}: attn_mask {attn_mask} does not broadcast to the scores "
                         f"{[*rest, L, S]}")


def _stretches(shape, to):
    """Whether ``shape`` broadcasts to ``to``."""
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False


def _scores(query, key, attn_mask, is_causal, scale):
    """(..., L, S): what the softmax is taken of; -inf where a key may not be seen."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.swapaxes(-1, -2) * query.dtype.type(scale)
    if is_causal:
        seen = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
        return np.where(seen, scores, -np.inf).astype(scores.dtype, copy=False)
    if attn_mask is None:
        return scores
    if attn_mask.dtype == bool:
        return np.where(attn_mask, scores, -np.inf).astype(scores.dtype, copy=False)
    return scores + attn_mask


def _probabilities(scores, top, log_sum):
    """softmax of the scores. A query that sees no key (log_sum = -inf) gives a row of zeros, and
    one with a score of NaN or +inf (log_sum = NaN or +inf) a row with NaN.
    """
    log_sum = np.where(log_sum == -np.inf, log_sum.dtype.type(0), log_sum)
    return np.exp(scores - top[..., None] - log_sum[..., None])


KERNEL = "batch = ..., mask_kind count outer inner row column = attn_mask over ... L S"


@op("attention", shape="query: ... L D, key: ... S D, value: ... S E, attn_mask: *M any "
                       "-> ... L E, ... L, ... L",
    sizes=_check_mask, flops="2 ... L S D + 2 ... L S E", outputs="y top log_sum",
    saves="query key value attn_mask y top log_sum", kernel=KERNEL)
def scaled_dot_product_attention(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    """y = softmax(query key^T scale + mask) value, the softmax over the keys.

    query: (..., L, D); key: (..., S, D); value: (..., S, E); y: (..., L, E). attn_mask broadcasts
    to (..., L, S): bool (true takes part) or float (added). ``is_causal`` lets query l see the
    keys 0 .. l. ``scale`` is 1 / sqrt D unless given. A query that sees no key gives 0, one with a
    score of NaN or +inf (which any beyond the range of the dtype is) NaN. Hidden
    outputs top and log_sum: (..., L). The op has no dropout; apply that to y.
    """
    scores = _scores(query, key, attn_mask, is_causal, scale)
    top = scores.max(-1)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):  # the logarithm of 0, of a query that sees no key
        log_sum = np.log(total(np.exp(scores - top[..., None]), -1))
    return product(_probabilities(scores, top, log_sum), value), top, log_sum


@scaled_dot_product_attention.gradient
def _(F, grad, query, key, value, attn_mask, y, top, log_sum, *, needs, **attrs):
    given = F.attention_backward(grad, query, key, value, attn_mask, y, top, log_sum, **attrs)
    if True not in needs[3:]:
        return given
    return *given, _into_mask(F, grad, query, key, value, attn_mask, y, top, log_sum, **attrs)


scaled_dot_product_attention.convention("""
    f([[nan], [0]], [[0], ...], [[0], ...]) -> [[nan], [0]]
    f([[0]], [[0], ..., [nan]], [[0], ..., [0]]) -> [[nan]]
    f([[0]], [[inf], [0], ...], [[0], [0], ...]) -> [[nan]]
    f([[0]], [[0], ...], [[1], ...], [[False, ...]]) -> [[0]], [0], [-inf]  # sees no key
    f([[0]], [[0], ...], [[1], ...], [[-inf, ...]]) -> [[0]], [0], [-inf]
    f([[0]], [[0], [nan], ...], [[1], [2], ...], [[True, False, ...]]) -> [[1]]
        # no trace of a masked key
    f(empty(0, 1), [[0]], [[1]]) -> empty(0, 1), [], []
    f([[0]], empty(0, 1), empty(0, 1)) -> ShapeError""")


def _into_mask(F, grad, query, key, value, attn_mask, y, top, log_sum, *, is_causal, scale):
    """The gradient of a mask that is added to the scores: p (grad value^T - sum(grad y)), as in
    ``attention_backward``. A column need not have it: few masks are trained.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = F.add(F.mul(F.matmul(query, _transposed(F, key)), scale), attn_mask)
    column = (*top.shape, 1)
    log_sum = F.where(F.eq(log_sum, -math.inf), 0.0, log_sum)
    p = F.exp(F.sub(F.sub(scores, F.reshape(top, shape=column)), F.reshape(log_sum, shape=column)))
    along = F.sum(F.mul(grad, y), dim=-1, keepdim=True)
    return F.mul(p, F.sub(F.matmul(grad, _transposed(F, value)), along))


def _transposed(F, x):
    n = len(x.shape)
    return F.permute(x, dims=(*range(n - 2), n - 1, n - 2))


@scaled_dot_product_attention.composite
def _(F, query, key, value, attn_mask=None, *, is_causal, scale):
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = F.mul(F.matmul(query, _transposed(F, key)), scale)
    if is_causal:
        size = (query.shape[-2], key.shape[-2])
        seen = F.tril(F.full(shape=size, value=True, dtype=bool_), diagonal=0)
        scores = F.where(seen, scores, -math.inf)
    elif attn_mask is not None and attn_mask.dtype == bool_:
        scores = F.where(attn_mask, scores, -math.inf)
    elif attn_mask is not None:
        scores = F.add(scores, attn_mask)
    return F.matmul(shares(F, scores, -1), value)


@op("attention_backward", nullable="attn_mask", outputs="dquery dkey dvalue",
    shape="query: ... L D, key: ... S D, value: ... S E, attn_mask: *M any, grad y: ... L E, "
          "top log_sum: ... L -> ... L D, ... S D, ... S E",
    flops="5 ... L S D + 5 ... L S E", kernel=KERNEL, internal=True)
def attention_backward(grad, query, key, value, attn_mask, y, top, log_sum, *, is_causal=False,
                       scale=None):
    """With p = exp(scores - top - log_sum):  dvalue = p^T grad;
    ds = p (grad value^T - sum(grad y)) scale;  dquery = ds key;  dkey = ds^T query.

    Shapes as the inputs'. Source: Dao et al. 2022, FlashAttention, appendix B.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    p = _probabilities(_scores(query, key, attn_mask, is_causal, scale), top, log_sum)
    dp = grad @ value.swapaxes(-1, -2)
    ds = p * (dp - total(grad * y, -1, keepdims=True)) * query.dtype.type(scale)
    return (product(ds, key), product(ds.swapaxes(-1, -2), query),
            product(p.swapaxes(-1, -2), grad))


attention_backward.convention("""
    f([[nan]], [[0]], [[0]], [[0]], None, [[0]], [0], [0]) -> [[nan]], [[nan]], [[nan]]
    f([[inf]], [[0]], [[0]], [[0]], None, [[0]], [0], [0]) -> [[nan]], [[nan]], [[inf]]
    f([[1]], [[1]], [[1], ...], [[1], ...], [[False, ...]], [[0]], [0], [-inf])
        -> [[0]], [[0], ...], [[0], ...]  # sees no key
    f([[1]], [[1]], [[1], ...], [[1], ...], [[-inf, ...]], [[0]], [0], [-inf])
        -> [[0]], [[0], ...], [[0], ...]
    f(empty(0, 1), empty(0, 1), [[0]], [[1]], None, empty(0, 1), [], [])
        -> empty(0, 1), [[0]], [[0]]""")
