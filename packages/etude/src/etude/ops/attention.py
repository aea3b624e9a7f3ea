"""Scaled dot-product attention. C: c_src/cpu/attention.c.

Legend: ... batch axes (batch and heads), L queries, S keys, D numbers in a query or key, E in a
value. Source: Vaswani et al. 2017, equation 1. Keeping the logsumexp of each query's scores is
all that backward needs to make the probabilities again.
"""

import math

import numpy as np

from etude.errors import DTypeError, ShapeError
from etude.shapes import Spec, bool_, common_dtype
from etude.table import DOMAINS, op


def _attention_shape(query, key, value, attn_mask=None, *, is_causal, scale):
    name = "scaled_dot_product_attention"
    dtype = common_dtype(name, [query, key, value], DOMAINS["float"])
    lead = query.shape[:-2]
    fits = (
        query.ndim == key.ndim == value.ndim >= 2
        and lead == key.shape[:-2] == value.shape[:-2]
        and query.shape[-1] == key.shape[-1]
        and key.shape[-2] == value.shape[-2]
    )
    if not fits:
        raise ShapeError(f"{name}: need query (..., L, D), key (..., S, D) and value (..., S, E) "
                         f"with the same batch axes, got {query}, {key}, {value}")
    if 0 in (key.shape[-2], query.shape[-1]):
        raise ShapeError(f"{name}: there is nothing to attend to in key {key}")
    if attn_mask is not None:
        if is_causal:
            raise ValueError(f"{name}: give attn_mask or is_causal=True, not both")
        if attn_mask.dtype not in (bool_, dtype):
            raise DTypeError(f"{name}: attn_mask is bool (true takes part) or {dtype.name} (added "
                             f"to the scores), got {attn_mask}")
        scores = (*lead, query.shape[-2], key.shape[-2])
        if not _stretches(attn_mask.shape, scores):
            raise ShapeError(f"{name}: attn_mask {attn_mask} does not broadcast to the scores "
                             f"{list(scores)}")
    y = Spec((*query.shape[:-1], value.shape[-1]), dtype)
    return y, Spec(query.shape[:-1], dtype)


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


def _probabilities(scores, lse):
    """softmax of the scores; a query that sees no key has none, and gives 0."""
    return np.exp(scores - np.where(np.isfinite(lse), lse, lse.dtype.type(0))[..., None])


def _attention_flops(query, key, value, *_, **__):
    return 2 * query.size * key.shape[-2] + 2 * math.prod(query.shape[:-1]) * value.size // max(
        math.prod(value.shape[:-2]), 1)


@op("attention", shape=_attention_shape, outputs=("y", "lse"), flops=_attention_flops,
    fixed={"attn_mask": None}, saves=("query", "key", "value", "attn_mask", "y", "lse"))
def scaled_dot_product_attention(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    """y = softmax(query key^T scale + mask) value, the softmax over the keys.

    query: (..., L, D); key: (..., S, D); value: (..., S, E); y: (..., L, E). attn_mask broadcasts
    to (..., L, S): bool (true takes part) or float (added). ``is_causal`` lets query l see the
    keys 0 .. l. ``scale`` is 1 / sqrt D unless given. A query that sees no key gives 0. Hidden
    output lse: (..., L). No dropout: apply it to y.
    """
    scores = _scores(query, key, attn_mask, is_causal, scale)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):
        lse = top[..., 0] + np.log(np.exp(scores - top).sum(-1))
    return _probabilities(scores, lse) @ value, lse


@scaled_dot_product_attention.gradient
def _(F, grad, query, key, value, attn_mask, y, lse, *, needs, **attrs):
    grads = F.attention_backward(grad, query, key, value, attn_mask, y, lse, **attrs)
    if len(needs) > 3 and needs[3]:
        raise RuntimeError("scaled_dot_product_attention: no gradient flows into attn_mask; use "
                           "matmul and softmax if you train it")
    return tuple(g if need else None for g, need in zip(grads, needs, strict=False))


@scaled_dot_product_attention.composite
def _(F, query, key, value, attn_mask=None, *, is_causal, scale):
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    axes = (*range(len(key.shape) - 2), len(key.shape) - 1, len(key.shape) - 2)
    scores = F.mul(F.matmul(query, F.permute(key, dims=axes)), scale)
    if is_causal:
        size = (query.shape[-2], key.shape[-2])
        seen = F.tril(F.full(shape=size, value=True, dtype=bool_), diagonal=0)
        scores = F.where(seen, scores, -math.inf)
    elif attn_mask is not None and attn_mask.dtype == bool_:
        scores = F.where(attn_mask, scores, -math.inf)
    elif attn_mask is not None:
        scores = F.add(scores, attn_mask)
    return F.matmul(F.softmax(scores, dim=-1), value)


def _attention_backward_shape(grad, query, key, value, attn_mask, y, lse, **_):
    common_dtype("attention_backward", [grad, query, key, value, y, lse], DOMAINS["float"])
    return query, key, value


@op("attention_backward", shape=_attention_backward_shape, nullable=("attn_mask",),
    fixed={"attn_mask": None}, outputs=("dquery", "dkey", "dvalue"), internal=True,
    flops=lambda grad, q, k, v, *_, **__: 5 * _attention_flops(q, k, v) // 2)
def attention_backward(grad, query, key, value, attn_mask, y, lse, *, is_causal=False, scale=None):
    """With p = exp(scores - lse):  dvalue = p^T grad;  ds = p (grad value^T - sum(grad y)) scale;
    dquery = ds key;  dkey = ds^T query.

    Shapes as the inputs'. Source: Dao et al. 2022, FlashAttention, appendix B.
    """
    factor = query.dtype.type(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    p = _probabilities(_scores(query, key, attn_mask, is_causal, scale), lse)
    ds = p * (grad @ value.swapaxes(-1, -2) - (grad * y).sum(-1, keepdims=True)) * factor
    return ds @ key, ds.swapaxes(-1, -2) @ query, p.swapaxes(-1, -2) @ grad
