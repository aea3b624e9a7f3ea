"""batch_norm against exact fractions, channel by channel; running statistics."""

import math
from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, near, sample

import etude
from etude import ShapeError
from etude import functional as F

EPS = 1e-5
SHAPES = [(4, 1), (5, 3), (10, 3), (2, 3, 2), (2, 2, 2, 3), (3, 0)]


def _channels(x):
    return [x[:, c].reshape(-1).tolist() for c in range(x.shape[1])]


def _moments(values):
    values = [Fraction(v) for v in values]
    mean = sum(values) / len(values)
    return mean, sum((v - mean) ** 2 for v in values) / len(values)


def _apply(x, mean, var, weight, bias, eps):
    y = np.empty(x.shape)
    for at in np.ndindex(x.shape):
        c = at[1]
        s = math.sqrt(Fraction(var[c]) + Fraction(eps))
        y[at] = float(Fraction(x[at].item()) - Fraction(mean[c])) / s
        y[at] = y[at] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return y


def _batch_norm(x, weight=None, bias=None, *, eps):
    found = [_moments(v) for v in _channels(x)]
    means, variances = [m for m, _ in found], [v for _, v in found]
    return (_apply(x, means, variances, weight, bias, eps), np.array([float(m) for m in means]),
            np.array([float(v) for v in variances]))


def _eval(x, mean, var, weight=None, bias=None, *, eps):
    return _apply(x, mean.tolist(), var.tolist(), weight, bias, eps)


def _backward(grad, x, weight, mean, var, *, eps):
    """Element by element: dy_i/dx_j = w/s ((i = j) - 1/n - h_i h_j / n)."""
    dx, dweight, dbias = np.zeros(x.shape), np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for c in range(x.shape[1]):
        g, s = grad[:, c].reshape(-1), math.sqrt(var[c] + eps)
        h = (x[:, c].reshape(-1) - mean[c]) / s
        n = len(h)
        w = 1 if weight is None else weight[c]
        row = [math.fsum(g[i] * w / s * ((i == j) - 1 / n - h[i] * h[j] / n) for i in range(n))
               for j in range(n)]
        dx[:, c] = np.reshape(row, dx[:, c].shape)
        dweight[c], dbias[c] = math.fsum(g * h), math.fsum(g)
    return dx, dweight, dbias


def _samples(rng):
    found = []
    for s in SHAPES:
        x = rng.uniform(-1, 1, s)
        w, b = rng.uniform(0.5, 1.5, s[1]), rng.uniform(-1, 1, s[1])
        found += [sample(x, eps=EPS), sample(x, w, b, eps=EPS), sample(x, None, b, eps=EPS)]
    return found


def _evals(rng):
    return [sample(s.arrays[0], *(rng.uniform(0.3, 1, s.arrays[0].shape[1]) for _ in range(2)),
                   *s.arrays[1:], **s.attrs) for s in _samples(rng)]


def _backwards(rng):
    found = []
    for s in SHAPES:
        x = rng.uniform(-1, 1, s)
        _, mean, var = _batch_norm(x, eps=EPS)
        for w in (None, rng.uniform(0.5, 1.5, s[1])):
            found.append(sample(rng.uniform(-1, 1, s), x, w, mean, var, eps=EPS))
    return found


def _three(x, *_, **__):
    return np.array(8.0), np.array(1.0), np.array(1.0)


CASES = {
    "batch_norm": Case(_samples, _batch_norm, ulps=8, scale=_three, analytic=True),
    "batch_norm_eval": Case(_evals, _eval, ulps=8, scale=lambda *_, **__: np.array(8.0),
                            analytic=True),
    "batch_norm_backward": Case(_backwards, _backward, ulps=32, scale=lambda *_, **__: (
        np.array(10.0),) * 3),
}


def test_running_statistics_move_by_momentum_towards_the_unbiased_ones():
    x = etude.tensor([[1.0], [3.0]])
    mean, var = etude.zeros(1), etude.ones(1)
    F.batch_norm(x, mean, var, training=True, momentum=0.25)
    assert mean.tolist() == [0.5]
    assert var.tolist() == [0.75 * 1 + 0.25 * 2]


def test_evaluation_leaves_them_alone_and_needs_them():
    x, mean, var = etude.randn(4, 2), etude.zeros(2), etude.ones(2)
    near(F.batch_norm(x, mean, var).numpy(), x.numpy() / math.sqrt(1 + EPS), 2)
    assert mean.tolist() == [0, 0]
    with pytest.raises(ValueError, match="evaluation needs running_mean and running_var"):
        F.batch_norm(x, None, None)


def test_one_value_per_channel_has_no_variance():
    with pytest.raises(ShapeError, match="each channel needs more than one value"):
        F.batch_norm(etude.ones(1, 3), None, None, training=True)
    with pytest.raises(ShapeError, match=r"batch_norm: weight must have shape \[3\]"):
        F.batch_norm(etude.ones(2, 3), None, None, etude.ones(2), training=True)
