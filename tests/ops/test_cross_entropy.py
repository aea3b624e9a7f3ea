"""cross_entropy against 40-digit decimals and SciPy; labels, reductions, empty batches."""

import decimal
import math

import numpy as np
import pytest
import scipy.special
from op_cases import Case, near, sample

import etude
from etude import DTypeError, ShapeError, ops
from etude import functional as F

D = decimal.Decimal


def _rows(x, target, weight, ignore_index, label_smoothing):
    """Decimals (loss, largest logit, logarithm of the sum, what it counts) of each row."""
    smooth = D(label_smoothing)
    weights = [D(w) for w in (np.ones(x.shape[1]) if weight is None else weight).tolist()]
    for row, label in zip(x.tolist(), target.tolist(), strict=True):
        lse = sum(D(v).exp() for v in row).ln()
        top = D(max(row))
        if label == ignore_index:
            yield D(0), top, lse - top, 0
            continue
        even = sum(w * (lse - D(v)) for w, v in zip(weights, row, strict=True)) / len(row)
        own = weights[label] * (lse - D(row[label]))
        yield (1 - smooth) * own + smooth * even, top, lse - top, weights[label]


def _cross_entropy(x, target, weight=None, *, reduction, ignore_index, label_smoothing):
    with decimal.localcontext(prec=40):
        rows = list(_rows(x, target, weight, ignore_index, label_smoothing))
        total, count = sum((r[0] for r in rows), D(0)), sum(r[3] for r in rows)
        loss = {"none": [float(r[0]) for r in rows], "sum": float(total),
                "mean": float(total / (count or 1))}[reduction]
        return np.array(loss), *(np.array([float(r[i]) for r in rows]) for i in (1, 2))


def _scale(x, target, weight=None, *, reduction, **_):
    size = np.abs(x).max(1, initial=1) * (2 if weight is None else 4)
    return {"none": size, "sum": size.sum(), "mean": size.mean() if len(x) else 1}[
        reduction], size, np.ones(len(x))


def _backward(grad, x, target, weight, top, log_sum, *, reduction, ignore_index, label_smoothing):
    """d loss_n / d x_nc = sum_k q_nk w_k (p_nc - [c = k]): q is what is asked of class k."""
    dx = np.zeros(x.shape)
    w = np.ones(x.shape[1]) if weight is None else weight
    count = sum(w[t] for t in target.tolist() if t != ignore_index)
    for n, c in np.ndindex(x.shape):
        if target[n] == ignore_index:
            continue
        g = grad[n] if reduction == "none" else grad.item()
        p = math.exp(x[n, c] - top[n] - log_sum[n])
        for k in range(x.shape[1]):
            q = (1 - label_smoothing) * (k == target[n]) + label_smoothing / x.shape[1]
            dx[n, c] += g * q * w[k] * (p - (c == k)) / (count if reduction == "mean" else 1)
    return dx


SIZES = [(2, 3), (5, 3), (4, 7), (1, 1), (0, 3)]


def _samples(rng):
    return [sample(rng.uniform(-3, 3, s), rng.integers(0, s[1], s[0]), reduction=r)
            for s in SIZES for r in ("mean", "sum", "none") if s[0] or r != "mean"] + [
        sample(rng.uniform(-3, 3, (4, 3)), np.array([0, 2, i, 1]), reduction=r, ignore_index=i,
               label_smoothing=e)
        for r in ("mean", "sum", "none") for i, e in ((-100, 0.0), (1, 0.25), (-100, 0.1))] + [
        sample(np.array([[1e4, 0.0, 1e4 - 1]]), np.array([2]), smooth=False)] + [
        sample(rng.uniform(-3, 3, (5, 3)), np.array([0, 2, 1, 1, 0]), np.array([0.5, 2.0, 0.0]),
               reduction=r, ignore_index=i, label_smoothing=e)
        for r in ("mean", "sum", "none") for i, e in ((-100, 0.0), (1, 0.25))]


def _saved(x):
    top = x.max(1, initial=-math.inf)
    return top, scipy.special.logsumexp(x - top[:, None], axis=1)


def _backwards(rng):
    return [sample(np.asarray(rng.uniform(-1, 1, s.arrays[0].shape[:1]
                                          if s.attrs["reduction"] == "none" else ())),
                   *(*s.arrays, None)[:3], *_saved(s.arrays[0]), **s.attrs)
            for s in _samples(rng) if s.smooth]


CASES = {
    "cross_entropy": Case(_samples, _cross_entropy, scale=_scale),
    "cross_entropy_backward": Case(_backwards, _backward, ulps=8,
                                   scale=lambda g, x, *_, **__: np.abs(g).max(initial=1) + 0 * x),
}


def test_the_default_is_the_mean():
    x = etude.tensor([[0.0, 0.0], [0.0, math.log(3)]])
    y = etude.tensor([0, 1])
    near(F.cross_entropy(x, y).numpy(), np.array((math.log(2) + math.log(4 / 3)) / 2), 4)
    assert F.cross_entropy(x, y, reduction="none").shape == (2,)


def test_a_sure_and_right_answer_costs_nothing_however_large():
    x = np.array([[1e30, -1e30], [-1e30, 1e30]], np.float32)
    loss, top, log_sum = ops.cross_entropy(x, np.array([0, 1]), reduction="none")
    assert loss.tolist() == [0, 0]
    assert np.array_equal(top, np.array([1e30, 1e30], np.float32))
    assert log_sum.tolist() == [0, 0]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("level", [1.0, 1e4, 1e6, 1e8, -1e9, 1e30])
def test_a_number_added_to_all_logits_changes_nothing(level, smoothing):
    x = etude.full((1, 3), level, requires_grad=True)
    loss = F.cross_entropy(x, etude.tensor([0]), label_smoothing=smoothing)
    near(loss.detach().numpy(), np.array(math.log(3)), 2)
    loss.backward()
    near(x.grad.numpy(), [[smoothing * 2 / 3 - 2 / 3, *[1 / 3 - smoothing / 3] * 2]], 2, scale=1)


def test_a_class_masked_with_minus_infinity_has_no_share():
    x = etude.tensor([[0.0, -math.inf, 0.0]], dtype=etude.float64, requires_grad=True)
    loss = F.cross_entropy(x, etude.tensor([2]))
    near(loss.detach().numpy(), np.array(math.log(2)), 4)
    loss.backward()
    near(x.grad.numpy(), [[0.5, 0, -0.5]], 4)


def test_the_gradient_of_each_row_sums_to_zero():
    rng = np.random.default_rng(0)
    x = etude.tensor(rng.normal(0, 2, (6, 4)), requires_grad=True)
    F.cross_entropy(x, etude.tensor(rng.integers(0, 4, 6))).backward()
    near(x.grad.numpy().sum(1), np.zeros(6), 8, 1)


@pytest.mark.parametrize(("labels", "words"), [
    ([0, 3], r"cross_entropy: target\[1\] is 3, but with 3 classes labels run from 0 to 2"),
    ([-1, 0], r"cross_entropy: target\[0\] is -1, but with 3 classes labels run from 0 to 2")])
def test_a_label_out_of_range(labels, words):
    with pytest.raises(IndexError, match=words):
        F.cross_entropy(etude.zeros(2, 3), etude.tensor(labels))


@pytest.mark.parametrize(("x", "target", "error", "words"), [
    ((0, 3), np.zeros(0, int), ShapeError, r"cross_entropy: the batch is empty \(x float32\[0, "
                                           r"3\]\), "
     r"and the mean of no losses has no value. Skip empty batches, or use reduction='sum'"),
    ((2, 0), np.zeros(2, int), ShapeError, r"cross_entropy: x float32\[2, 0\] has no classes"),
    ((2, 3), np.zeros(3, int), ShapeError, r"cross_entropy: target must have shape \[2\]: "
     r"\(N\) with N = 2 from x float32\[2, 3\], got int64\[3\]"),
    ((2, 3), np.zeros((2, 3), int), ShapeError, r"as one-hot labels do\. .* target\.argmax\(1\)"),
    ((3,), np.zeros(3, int), ShapeError, r"target int64\[3\] has the shape of input, as one-hot "
                                         r"labels do\. .* target\.argmax\(0\), or, .*\.float\(\)"),
    ((), np.zeros((), int), ShapeError, r"input must be \(C\), \(N, C\) or"),
    ((2, 3), np.zeros(2), DTypeError, r"cross_entropy: target must be int64, got float64\[2\]"),
])
def test_calls_that_do_not_fit(x, target, error, words):
    with pytest.raises(error, match=words):
        F.cross_entropy(etude.zeros(*x), etude.tensor(target))


def test_an_unknown_reduction():
    with pytest.raises(ValueError, match="cross_entropy: reduction must be one of 'mean', 'sum', "
                                         "'none', got 'average'"):
        F.cross_entropy(etude.zeros(1, 2), etude.tensor([0]), reduction="average")


def test_the_sum_over_an_empty_batch_is_zero():
    x = etude.zeros(0, 3, requires_grad=True)
    loss = F.cross_entropy(x, etude.tensor(np.zeros(0, int)), reduction="sum")
    assert loss.item() == 0
    loss.backward()
    assert x.grad.shape == (0, 3)
