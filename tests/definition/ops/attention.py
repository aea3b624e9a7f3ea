"""Attention and its gradient, query by query: scores, their softmax by mpmath, the values' mean.

A query that sees no key gives 0, and has no gradient; its ``top`` is 0 and its ``log_sum`` -inf. A
score of NaN or +inf, which any score beyond the range of the dtype is, makes the query NaN.
"""

import math

import numpy as np
from exact import definition
from lines import INF, NAN, dot, few, finite, once, wide
from mpmath import mp, mpf

from etude import TABLE
from etude_check.cases.spec import call

SDPA = "scaled_dot_product_attention"


def _operands(draw):
    """(query, key, value, mask, attributes)."""
    lead, queries, keys, width, out = (2,), 5, 7, 4, 3
    q, k, v = (lead + s for s in ((queries, width), (keys, width), (keys, out)))
    seen = draw.rng.random((*lead, queries, keys)) < 0.6
    seen[..., 1::3, :] = False  # queries that see no key
    added = np.where(seen, draw.rng.uniform(-2, 2, seen.shape), -np.inf).astype(draw.dtype)
    far = np.where(seen, 0, -1e9).astype(draw.dtype)
    for low, high in ((-2, 2), (-20, 20), (3, 9)):
        yield draw.floats(q, low, high), draw.floats(k, low, high), draw.floats(v), None, {}
    for some in ({"is_causal": True}, {"scale": 0.3}, {"scale": -2.0, "is_causal": True}):
        yield draw.floats(q, -2, 2), draw.floats(k, -2, 2), draw.magnitudes(v, -99, 99), None, some
    for mask in (seen, added, far, seen[0, :1], added[0], draw.rng.uniform(-1, 1, keys).astype(
            draw.dtype), np.zeros((queries, keys), bool)):
        yield draw.floats(q, -2, 2), draw.floats(k, -2, 2), draw.floats(v, -2, 2), mask, {}
    yield draw.magnitudes(q, -70, 58), draw.magnitudes(k, -70, 58), draw.magnitudes(v), None, {}
    yield draw.magnitudes(q, -140, -60), draw.magnitudes(k, -80, 9), draw.offset(v), seen, {}
    yield draw.floats(q, 99, 101), draw.floats(k, 99, 101), draw.offset(v), None, {}
    odd = np.array(draw.floats(q, 1, 2))
    odd[0, 0, 0], odd[0, 2, 1], odd[1, 0, 0] = np.nan, np.inf, -np.inf
    yield odd, draw.floats(k, 1, 2), draw.floats(v), None, {}
    if draw.whole:
        yield (draw.floats((40, 16), -2, 2), draw.floats((3000, 16), -2, 2),
               draw.floats((3000, 8), -2, 2), None, {})


def _calls(draw):
    for q, k, v, mask, attrs in _operands(draw):
        yield call(q, k, v, *([] if mask is None else [mask]), **attrs)


def _gradients(draw):
    for q, k, v, mask, attrs in _operands(draw):
        with np.errstate(all="ignore"):
            saved = TABLE[SDPA](q, k, v, mask, **attrs)
        y = saved[0]
        grad = draw.floats(y.shape, -2, 2)
        if np.abs(v).max() < 2.0**99 and q.shape[-2] < 100:
            yield call(grad, q, k, v, mask, *saved, **attrs)


def scale_of(attrs, width):
    return 1 / mp.sqrt(width) if attrs["scale"] is None else mpf(attrs["scale"])


class Problem:
    """The scores of a call: ``score(lead, l, s)`` is that of query l with key s."""

    def __init__(self, query, key, mask, attrs):
        self.query, self.key, self.causal = query, key, attrs["is_causal"]
        self.keys, self.scale = key.shape[-2], scale_of(attrs, query.shape[-1])
        shape = (*query.shape[:-1], self.keys)
        self.mask = None if mask is None else np.broadcast_to(mask, shape)
        self.score = once(lambda at: self._score(*at))

    def _score(self, lead, query, key):
        added = 0 if self.mask is None else self.mask[(*lead, query, key)].item()
        if added is False or added == -INF or (self.causal and key > query):
            return -INF
        added = 0 if added is True else added
        value = dot(self.query[(*lead, query)].tolist(), self.key[(*lead, key)].tolist())
        if isinstance(value, float) or not math.isfinite(added):
            return float(value) * float(self.scale) + added
        return value * self.scale + added

    def row(self, lead, query):
        return [self.score((lead, query, key)) for key in range(self.keys)]


def softmax(scores):
    """(top, log_sum, probabilities) of one query."""
    top = NAN if any(s != s for s in scores) else max(scores)
    if top != top or top == INF:
        return 0, top, [NAN] * len(scores)
    if top == -INF:
        return 0, -INF, [mpf(0)] * len(scores)
    e = [mpf(0) if s == -INF else mp.exp(s - top) for s in scores]
    whole = mp.fsum(e)
    return top, mp.log(whole), [v / whole for v in e]


# ------------------------------------------------------------------ bounds


def _scores(query, key, mask, attrs):
    """(scores, how many u each may err) as NumPy arrays; a hidden key has -inf, and errs by 0."""
    query, key = wide(query), wide(key)
    scale = float(scale_of(attrs, query.shape[-1]))
    scores = query @ key.swapaxes(-1, -2) * scale
    error = (few(query.shape[-1]) + 4) * (np.abs(query) @ np.abs(key).swapaxes(-1, -2)) * abs(scale)
    if attrs["is_causal"]:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None and mask.dtype == bool:
        scores = np.where(mask, scores, -np.inf)
    elif mask is not None:
        scores = scores + wide(mask)
    seen = np.isfinite(scores)
    return scores, np.where(seen, error + 2 * np.abs(np.where(seen, scores, 0)), 0)


def _grown(roundings, dtype):
    """e^(u r) - 1 in units of u: what errors in an exponent come to."""
    u = float(np.finfo(dtype).eps) / 2
    return np.expm1(np.minimum(roundings * u, 500)) / u


def _scale(arrays, attrs, output):
    query, key, value, mask = (*arrays, None)[:4]
    scores, error = _scores(query, key, mask, attrs)
    top = scores.max(-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    if output == 1:
        return error.max(-1)
    e = np.exp(scores - top)
    whole = e.sum(-1, keepdims=True)
    p = e / np.where(whole == 0, 1, whole)
    log = np.abs(np.log(np.where(whole == 0, 1, whole)))
    away = np.where(np.isfinite(scores), top - scores, 0)
    mean = (p * (away + error)).sum(-1, keepdims=True)
    if output == 2:
        return (2 * error.max(-1, keepdims=True) + mean + 3 * log + few(key.shape[-2]) + 8)[..., 0]
    roundings = error + 2 * away + 2 * log + mean + few(key.shape[-2]) + 12
    size = p * (_grown(roundings, query.dtype) + few(key.shape[-2]) + 2)
    return size @ np.abs(wide(value))


@definition(SDPA, calls=_calls, scale=_scale)
def attention(arrays, attrs, output, places):
    query, key, value, mask = (*arrays, None)[:4]
    problem = Problem(query, key, mask, attrs)
    known = once(lambda at: softmax(problem.row(*at)))
    if output:
        return [known((p[:-1], p[-1]))[output - 1] for p in places]

    def mean(place):
        *lead, query, e = place
        p = known((tuple(lead), query))[2]
        return NAN if p[0] != p[0] else dot(p, value[(*lead, slice(None), e)].tolist())
    return [mean(place) for place in places]


# ------------------------------------------------------------------ backward


def _backward_scale(arrays, attrs, output):
    grad, query, key, value, mask, y, top, log_sum = arrays
    scores, error = _scores(query, key, mask, attrs)
    grad, value, y, top, log_sum = map(wide, (grad, value, y, top, log_sum))
    log = np.where(np.isfinite(log_sum), log_sum, 0)[..., None]
    p = np.exp(scores - top[..., None] - log)
    away = np.abs(np.where(np.isfinite(scores), top[..., None] - scores, 0))
    roundings = _grown(error + 2 * away + 2 * np.abs(log) + 12, query.dtype)
    if output == 2:
        queries = few(grad.shape[-2]) + 2
        return (p * (roundings + queries)).swapaxes(-1, -2) @ np.abs(grad)
    dp = grad @ value.swapaxes(-1, -2) - (grad * y).sum(-1, keepdims=True)
    off = (few(grad.shape[-1]) + 4) * (np.abs(grad) @ np.abs(value).swapaxes(-1, -2) + (
        np.abs(grad * y).sum(-1, keepdims=True)))
    scale = abs(float(scale_of(attrs, query.shape[-1])))
    if output == 0:
        ds = p * scale * (off + np.abs(dp) * (roundings + few(key.shape[-2]) + 6))
        return ds @ np.abs(wide(key))
    ds = p * scale * (off + np.abs(dp) * (roundings + few(query.shape[-2]) + 6))
    return ds.swapaxes(-1, -2) @ np.abs(wide(query))


@definition("attention_backward", calls=_gradients, scale=_backward_scale)
def attention_backward(arrays, attrs, output, places):
    grad, query, key, value, mask, y, top, log_sum = arrays
    problem = Problem(query, key, mask, attrs)

    def probability(lead, i, s):
        t, log = top[(*lead, i)].item(), log_sum[(*lead, i)].item()
        score = problem.score((lead, i, s))
        if score != score or log != log or log == INF:
            return NAN
        return mpf(0) if score == -INF else mp.exp(score - t - (0 if log == -INF else log))

    def score_gradient(lead, i, s):
        """p (grad value^T - sum(grad y)) scale."""
        g = grad[(*lead, i)].tolist()
        v, mean = value[(*lead, s)].tolist(), y[(*lead, i)].tolist()
        chance = p((lead, i, s))
        if not finite(g, v, mean, [chance]):
            return NAN
        return chance * (mp.fdot(g, v) - mp.fdot(g, mean)) * problem.scale
    p, ds = (once(lambda at, fn=fn: fn(*at)) for fn in (probability, score_gradient))
    every = range(query.shape[-2]), range(key.shape[-2])

    def at(place):
        lead, i, j = tuple(place[:-2]), place[-2], place[-1]
        if output == 0:
            return dot([ds((lead, i, s)) for s in every[1]], key[(*lead, slice(None), j)].tolist())
        factors = [(p if output == 2 else ds)((lead, l, i)) for l in every[0]]  # noqa: E741
        return dot(factors, (grad if output == 2 else query)[(*lead, slice(None), j)].tolist())
    return [at(place) for place in places]
