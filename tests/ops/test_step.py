"""Optimiser steps against their formulas in exact fractions, over several steps."""

import math
from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, elementwise, near, sample

from etude import DTypeError, ShapeError, ops


def _each(fn, arrays, hyper, outputs):
    h = [Fraction(v) for v in hyper.tolist()]
    return tuple(elementwise(lambda *v, k=k: float(fn(*map(Fraction, v), *h)[k]), *arrays)
                 for k in range(outputs))


def _sgd(p, g, v, lr, momentum, decay):
    v = momentum * v + g + decay * p
    return p - lr * v, v


def _adamw(p, g, m, v, lr, beta1, beta2, eps, decay, c1, c2):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    root = Fraction(math.sqrt(v / c2))
    return p - lr * decay * p - lr * (m / c1) / (root + eps), m, v


def _hyper(t):
    return np.array([0.01, 0.9, 0.999, 1e-8, 0.1, 1 - 0.9**t, 1 - 0.999**t])


SHAPES = [(), (1,), (6,), (9,), (2, 3), (0,)]

def _nesterov(p, g, v, lr, momentum, decay):
    g = g + decay * p
    v = momentum * v + g
    return p - lr * (g + momentum * v), v


def _adam(p, g, m, v, lr, beta1, beta2, eps, decay, c1, c2):
    return _adamw(p, g + decay * p, m, v, lr, beta1, beta2, eps, Fraction(0), c1, c2)


def _rmsprop(p, g, v, buf, lr, alpha, eps, decay, momentum):
    g = g + decay * p
    v = alpha * v + (1 - alpha) * g * g
    buf = momentum * buf + g / (Fraction(math.sqrt(v)) + eps)
    return p - lr * buf, v, buf


CASES = {
    "sgd_step": Case(lambda rng: [
        sample(*(np.asarray(rng.uniform(-1, 1, s)) for _ in range(3)), np.array(h), nesterov=n)
        for s in SHAPES for h, n in (([0.1, 0.0, 0.0], False), ([0.1, 0.9, 0.01], False),
                                     ([0.1, 0.9, 0.01], True))],
        lambda p, g, v, hyper, nesterov: _each(_nesterov if nesterov else _sgd, (p, g, v), hyper,
                                               2),
        scale=lambda p, g, v, hyper, **_: (np.abs(p) + np.abs(g) + np.abs(v),) * 2),
    "adam_step": Case(lambda rng: [
        sample(*(rng.uniform(-1, 1, s) for _ in range(3)), rng.uniform(0.1, 1, s), _hyper(t))
        for s in SHAPES for t in (1, 1000)],
        lambda p, g, m, v, hyper: _each(_adam, (p, g, m, v), hyper, 3),
        scale=lambda p, g, m, v, hyper: (np.abs(p) + 1, np.abs(m) + 2, np.abs(v) + 4)),
    "rmsprop_step": Case(lambda rng: [
        sample(*(rng.uniform(-1, 1, s) for _ in range(2)), rng.uniform(0.1, 1, s),
               rng.uniform(-1, 1, s), np.array([0.01, 0.99, 1e-8, 0.1, 0.9])) for s in SHAPES],
        lambda p, g, v, buf, hyper: _each(_rmsprop, (p, g, v, buf), hyper, 3), ulps=16,
        scale=lambda p, g, v, buf, hyper: (np.abs(p) + 4, np.abs(v) + 2, np.abs(buf) + 4)),
    "adamw_step": Case(lambda rng: [
        sample(*(rng.uniform(-1, 1, s) for _ in range(3)), rng.uniform(0.1, 1, s), _hyper(t))
        for s in SHAPES for t in (1, 2, 1000)],
        lambda p, g, m, v, hyper: _each(_adamw, (p, g, m, v), hyper, 3),
        scale=lambda p, g, m, v, hyper: (np.abs(p) + 1, np.abs(m) + np.abs(g), np.abs(v) + g * g)),
}


def test_the_first_step_of_adamw_has_the_size_of_the_learning_rate():
    """m / c1 = g and sqrt(v / c2) = |g|: whatever the gradient, its sign alone counts."""
    g = np.array([1e-3, -5.0, 300.0])
    p, m, v = ops.adamw_step(np.zeros(3), g, np.zeros(3), np.zeros(3), _hyper(1))
    near(p, -0.01 * np.sign(g), 1e11)
    near(m, 0.1 * g, 4)
    near(v, 0.001 * g * g, 64)


def test_momentum_gathers_over_steps():
    p, v = np.array([1.0]), np.array([0.0])
    hyper = np.array([0.5, 0.5, 0.0])
    for want in (0.5, -0.25, -1.125):
        p, v = ops.sgd_step(p, np.array([1.0]), v, hyper)
        assert p.tolist() == [want]


def test_weight_decay_pulls_towards_zero_without_a_gradient():
    zero = np.zeros(1)
    assert ops.sgd_step(np.ones(1), zero, zero, np.array([0.5, 0.0, 0.5]))[0].tolist() == [0.75]
    h = _hyper(1)
    near(ops.adamw_step(np.ones(1), zero, zero, zero, h)[0], [1 - 0.01 * 0.1], 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gradient_may_be_larger_than_the_root_of_the_largest_number(dtype):
    """Its square is not kept, but a share of it is."""
    g = np.array([3.0]).astype(dtype) * np.sqrt(np.finfo(dtype).max)
    zero = np.zeros(1, dtype)
    p, _, v = ops.adamw_step(zero, g, zero, zero, _hyper(1))
    near(v / np.finfo(dtype).max, [9 * 0.001], 1e10)
    near(p, [-0.01], 1e10)
    _, v, buf = ops.rmsprop_step(zero, g, zero, zero, np.array([0.1, 0.99, 1e-8, 0.0, 0.0]))
    near(v / np.finfo(dtype).max, [9 * 0.01], 1e10)
    near(buf, [10], 1e10)


def test_both_bring_a_parabola_to_its_minimum():
    p, v = np.array([3.0]), np.zeros(1)
    for _ in range(200):
        p, v = ops.sgd_step(p, 2 * p, v, np.array([0.1, 0.5, 0.0]))
    assert abs(p[0]) < 1e-9
    p, m, v = np.array([0.5]), np.zeros(1), np.zeros(1)
    for t in range(1, 400):
        p, m, v = ops.adamw_step(p, 2 * p, m, v, _hyper(t))
    assert abs(p[0]) < 0.02


def test_calls_that_do_not_fit():
    one = np.ones(3)
    with pytest.raises(ShapeError, match=r"sgd_step: g must have shape \[3\], which is that "
                                         r"of p float64\[3\], got float64\[2\]"):
        ops.sgd_step(one, np.ones(2), one, np.ones(3))
    with pytest.raises(ShapeError, match=r"adamw_step: hyper must have shape \[7\]: \(lr\+beta1\+"):
        ops.adamw_step(one, one, one, one, np.ones(6))
    with pytest.raises(DTypeError, match="sgd_step: hyper must be float64, got float32"):
        ops.sgd_step(one, one, one, np.ones(3, np.float32))
    with pytest.raises(DTypeError, match="sgd_step: operands must share one dtype"):
        ops.sgd_step(one, one.astype(np.float32), one, np.ones(3))
