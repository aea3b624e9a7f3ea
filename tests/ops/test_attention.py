"""Attention against a loop over queries and keys; masks, rows that see nothing."""

import math

import numpy as np
import pytest
from op_cases import Case, near, sample

import etude
from etude import DTypeError, ShapeError
from etude import functional as F

SIZES = [((), 1, 1, 1, 1), ((), 3, 4, 2, 2), ((), 6, 8, 2, 2), ((2,), 3, 3, 4, 2),
         ((2, 2), 2, 3, 3, 3), ((0,), 2, 2, 2, 2)]


def _seen(row, s, mask, causal):
    """(takes part, what is added to the score)."""
    if causal:
        return s <= row, 0.0
    if mask is None:
        return True, 0.0
    value = mask[row, s]
    return (bool(value), 0.0) if mask.dtype == bool else (True, float(value))


def _rows(q, k, mask, causal, scale):
    """For each query: its place, the probabilities of its keys, the largest score, log sum exp."""
    for at in np.ndindex(q.shape[:-1]):
        lead, row = at[:-1], at[-1]
        scores = {}
        for s in range(k.shape[-2]):
            takes_part, extra = _seen(row, s, mask, causal)
            if takes_part:
                scores[s] = math.fsum(q[at] * k[(*lead, s)]) * scale + extra
        top = max(scores.values(), default=0.0)
        log_sum = math.log(math.fsum(math.exp(v - top) for v in scores.values())) if scores \
            else -math.inf
        yield at, {s: math.exp(v - top - log_sum) for s, v in scores.items()}, (top, log_sum)


def _scale(q, scale):
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _attention(q, k, v, mask=None, *, is_causal, scale):
    y, tops, log_sums = np.zeros((*q.shape[:-1], v.shape[-1])), *np.zeros((2, *q.shape[:-1]))
    for at, p, saved in _rows(q, k, mask, is_causal, _scale(q, scale)):
        tops[at], log_sums[at] = saved
        for s, weight in p.items():
            y[at] += weight * v[(*at[:-1], s)]
    return y, tops, log_sums


def _backward(grad, q, k, v, mask, y, top, log_sum, *, is_causal, scale):
    dq, dk, dv = np.zeros(q.shape), np.zeros(k.shape), np.zeros(v.shape)
    factor = _scale(q, scale)
    for at, p, _ in _rows(q, k, mask, is_causal, factor):
        lead = at[:-1]
        dp = {s: math.fsum(grad[at] * v[(*lead, s)]) for s in p}
        mean = math.fsum(p[s] * dp[s] for s in p)
        for s, weight in p.items():
            ds = weight * (dp[s] - mean) * factor
            dq[at] += ds * k[(*lead, s)]
            dk[(*lead, s)] += ds * q[at]
            dv[(*lead, s)] += weight * grad[at]
    return dq, dk, dv


def _samples(rng):
    found = []
    for lead, length, keys, d, e in SIZES:
        q, k = rng.uniform(-1, 1, (*lead, length, d)), rng.uniform(-1, 1, (*lead, keys, d))
        v = rng.uniform(-1, 1, (*lead, keys, e))
        mask = rng.random((length, keys)) < 0.6
        mask[:, 0] = True
        found += [sample(q, k, v), sample(q, k, v, is_causal=True, scale=0.5),
                  sample(q, k, v, mask)]
    return found


def _backwards(rng):
    found = []
    for s in _samples(rng):
        q, k, v, mask = (*s.arrays, None)[:4]
        attrs = {"is_causal": False, "scale": None, **s.attrs}
        y, *saved = _attention(q, k, v, mask, **attrs)
        found.append(sample(rng.uniform(-1, 1, y.shape), q, k, v, mask, y, *saved, **s.attrs))
    return found


CASES = {
    "scaled_dot_product_attention": Case(_samples, _attention, ulps=16, scale=lambda *_, **__: (
        np.array(1.0), np.array(2.0), np.array(2.0)), analytic=True),
    "attention_backward": Case(_backwards, _backward, ulps=64, scale=lambda *_, **__: (
        np.array(4.0),) * 3),
}

A = F.scaled_dot_product_attention


def test_a_float_mask_is_added_and_minus_infinity_hides():
    q, k, v = (etude.randn(3, 2, dtype=etude.float64) for _ in range(3))
    seen = np.tri(3, dtype=bool)
    added = etude.tensor(np.where(seen, 0.0, -np.inf))
    near(A(q, k, v, added).numpy(), A(q, k, v, is_causal=True).numpy(), 8, 1)
    near(A(q, k, v, etude.tensor(seen)).numpy(), A(q, k, v, is_causal=True).numpy(), 8, 1)


def test_a_query_that_sees_no_key_gives_zero_and_no_gradient():
    q = etude.ones(2, 2, requires_grad=True)
    mask = etude.tensor([[True, True], [False, False]])
    y = A(q, etude.ones(2, 2), etude.ones(2, 2), mask)
    near(y.detach().numpy(), [[1, 1], [0, 0]], 2)
    y.sum().backward()
    assert not np.isnan(q.grad.numpy()).any()


@pytest.mark.parametrize("fill", [0.0, -1e4, -1e6, -1e9, float(np.finfo("f4").min)])
def test_a_finite_mask_over_all_keys_changes_no_probability(fill):
    v = etude.tensor([[1.0], [2.0], [3.0], [4.0]], requires_grad=True)
    y = A(etude.zeros(1, 2), etude.zeros(4, 2), v, etude.full((1, 4), fill))
    near(y.detach().numpy(), [[2.5]], 2)
    y.sum().backward()
    near(v.grad.numpy(), [[0.25]] * 4, 2)


@pytest.mark.parametrize("hide", [False, -np.inf])
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_beside_a_query_that_sees_no_key(hide, create_graph):
    mask = np.array([[True, True], [False, False]])
    mask = etude.tensor(mask if hide is False else np.where(mask, 0, hide).astype(np.float32))
    ts = [etude.tensor(t, requires_grad=True) for t in (
        [[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]])]
    y = A(*ts, mask)
    dq, dk, dv = etude.grad((y * y).sum(), ts, create_graph=create_graph)
    assert np.array_equal(dq.detach().numpy()[1], [0, 0])
    p = math.exp(2**-0.5) / (1 + math.exp(2**-0.5))  # of the second key
    seen = np.array([3 - 2 * (1 - p), 4 - 2 * (1 - p)])
    near(dv.detach().numpy(), 2 * np.outer([1 - p, p], seen), 8, scale=4)
    assert np.isfinite(dk.detach().numpy()).all()
    if create_graph:
        second = etude.grad((dq * dq).sum() + (dk * dk).sum() + (dv * dv).sum(), ts)
        assert all(np.isfinite(g.numpy()).all() for g in second)
    else:
        again = etude.grad((A(*ts, mask) ** 2).sum(), ts, create_graph=True)
        for one, other in zip((dq, dk, dv), again, strict=True):
            near(one.numpy(), other.detach().numpy(), 16, scale=4)


def test_calls_that_do_not_fit():
    q = etude.ones(2, 3, 4)
    with pytest.raises(ShapeError, match=r"key must be \(\.\.\., S, D\) with .*from query float"):
        A(q, etude.ones(2, 3, 5), q)
    with pytest.raises(ValueError, match="give attn_mask or is_causal=True, not both"):
        A(q, q, q, etude.ones(3, 3), is_causal=True)
    with pytest.raises(ShapeError, match=r"attn_mask float32\[2, 2\] does not broadcast"):
        A(q, q, q, etude.ones(2, 2))
    with pytest.raises(DTypeError, match=r"attn_mask is bool .* or float32 .*, got int64\[3, 3\]"):
        A(q, q, q, etude.ones(3, 3, dtype=etude.int64))
