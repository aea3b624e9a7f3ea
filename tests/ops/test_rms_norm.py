"""rms_norm against exact fractions and its Jacobian, element by element."""

import math
from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, near, sample

import etude
from etude import ShapeError
from etude import functional as F

EPS = 1e-6
PLACES = [((3,), (3,)), ((6,), (6,)), ((2, 4), (4,)), ((4, 4), (4,)), ((2, 3, 2), (3, 2)),
          ((3, 1), (1,)), ((0, 4), (4,))]


def _rstd(row, eps):
    return 1 / math.sqrt(sum(Fraction(v) ** 2 for v in row) / len(row) + Fraction(eps))


def _rms_norm(x, weight=None, *, normalized_shape, eps):
    eps = 2.0**-52 if eps is None else eps  # the oracle computes what float64 should give
    d = math.prod(normalized_shape)
    rows = x.reshape(-1 if x.size else 0, d)
    rstd = np.array([_rstd(row, eps) for row in rows.tolist()])
    y = np.array([[v * r for v in row] for row, r in zip(rows.tolist(), rstd, strict=True)])
    y = y.reshape(x.shape)
    lead = x.shape[: x.ndim - len(normalized_shape)]
    return (y if weight is None else y * weight), rstd.reshape(lead)


def _backward(grad, x, weight, rstd, *, normalized_shape):
    """dy_i/dx_j = r w_i ((i = j) - h_i h_j / D) with h = x r."""
    d = math.prod(normalized_shape)
    rows, grads = x.reshape(-1 if x.size else 0, d), grad.reshape(-1 if x.size else 0, d)
    w = np.ones(d) if weight is None else weight.reshape(d)
    dx, dweight = np.zeros_like(rows), np.zeros(d)
    for n, r in enumerate(rstd.reshape(-1)):
        h = rows[n] * r
        for j in range(d):
            dx[n, j] = math.fsum(grads[n, i] * r * w[i] * ((i == j) - h[i] * h[j] / d)
                                 for i in range(d))
            dweight[j] += grads[n, j] * h[j]
    return dx.reshape(x.shape), dweight.reshape(normalized_shape)


def _samples(rng):
    found = []
    for s, size in PLACES:
        x = rng.uniform(0.2, 1, s) * rng.choice([-1, 1], s)
        found += [sample(x, normalized_shape=size, eps=EPS),
                  sample(x, rng.uniform(0.5, 1.5, size), normalized_shape=size, eps=EPS)]
    return found


def _backwards(rng):
    found = []
    for s in _samples(rng):
        x, w = (*s.arrays, None)[:2]
        _, rstd = _rms_norm(x, **s.attrs)
        found.append(sample(rng.uniform(-1, 1, x.shape), x, w, rstd,
                            normalized_shape=s.attrs["normalized_shape"]))
    return found


CASES = {
    "rms_norm": Case(_samples, _rms_norm, ulps=8, analytic=True),
    "rms_norm_backward": Case(_backwards, _backward, ulps=32,
                              scale=lambda *_, **__: (np.array(10.0),) * 2),
}


def test_scaling_the_row_changes_nothing():
    x = etude.tensor([[3.0, 4.0]])
    near(F.rms_norm(x * 100, 2).numpy(), F.rms_norm(x, 2).numpy(), 4)


def test_calls_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"rms_norm: x must be .* = \[4\] "
                                         r"from normalized_shape"):
        F.rms_norm(etude.ones(2, 3), 4)
    with pytest.raises(ShapeError, match=r"rms_norm: weight must have shape \[3\]"):
        F.rms_norm(etude.ones(2, 3), 3, etude.ones(2))
