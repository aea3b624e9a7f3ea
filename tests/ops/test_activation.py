"""Activations against their formulas in 40-digit decimals; limits and kinks."""

import decimal
import math

import numpy as np
import pytest
from op_cases import SHAPES, Case, apart, elementwise, near, sample

import etude
from etude import functional as F
from etude import ops

D = decimal.Decimal


def _exact(fn):
    def oracle(x, **attrs):
        with decimal.localcontext(prec=40):
            return elementwise(lambda v: float(fn(D(v), *map(D, attrs.values()))), x)
    return oracle


def _each(**choices):
    """A sample of every shape for each value of the one attribute, or none. Seven numbers reach
    from -4.5 to 3.3: on both sides of every piece of the formulas here, and on none of their kinks.
    """
    values = [{k: v} for k, vs in choices.items() for v in vs] or [{}]
    return lambda rng: [sample(apart(rng, s, gap=1.3, low=-5.0), **a)
                        for s in SHAPES for a in values]


def _clamp_samples(rng):
    return [sample(apart(rng, s), **a) for s in SHAPES
            for a in ({"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.5})] + [
        sample(np.array([3, -3, 0]), min=-1, max=2)]


def _clamp(x, *, min, max):
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return elementwise(lambda v: low if v < low else high if v > high else v, x, dtype=x.dtype)


CASES = {
    "leaky_relu": Case(_each(negative_slope=(0.01, 0.3)),
                       _exact(lambda x, slope: x if x > 0 else x * slope), ulps=1),
    "elu": Case(_each(alpha=(1.0, 0.5)),
                _exact(lambda x, alpha: x if x > 0 else alpha * (x.exp() - 1))),
    "silu": Case(_each(), _exact(lambda x: x / (1 + (-x).exp())), analytic=True),
    "softplus": Case(_each(beta=(1.0, 2.0), threshold=(20.0, 0.1)), _exact(
        lambda x, beta, threshold: (x if x * beta > threshold
                                    else (1 + (x * beta).exp()).ln() / beta))),
    "clamp": Case(_clamp_samples, _clamp, ulps=0),
}


@pytest.mark.parametrize(("op", "x", "y"), [
    ("silu", 1000, 1000), ("silu", -1000, 0), ("silu", math.nan, math.nan),
    ("softplus", 1000, 1000), ("softplus", -1000, 0), ("softplus", math.nan, math.nan),
    ("elu", -1000, -1), ("elu", math.inf, math.inf), ("elu", math.nan, math.nan),
    ("leaky_relu", -math.inf, -math.inf), ("leaky_relu", math.nan, math.nan),
])
def test_limits(op, x, y):
    near(getattr(ops, op)(np.array([x], np.float32)), np.array([y]), 1, where=f"{op}({x})")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_elu_is_alpha_e_to_the_x_however_far_below_0(dtype):
    points = [1000.0, 0.5, 0.0, -1.0, -5.0, -10.0, -17.0, -20.0, -37.0, -40.0, -80.0]
    x = etude.tensor(points, dtype=dtype, requires_grad=True)
    (first,) = etude.grad(F.elu(x, 0.7).sum(), [x], create_graph=True)
    slopes = [1 if v > 0 else 0.7 * math.exp(v) for v in points]
    near(first.detach().numpy(), slopes, 3)
    (second,) = etude.grad(first.sum(), [x])
    near(second.numpy(), [0 if v > 0 else s for v, s in zip(points, slopes, strict=True)], 3)


def test_clamp_keeps_the_sign_of_a_zero_within_its_bounds():
    x = np.array([-0.0, 0.0] * 40, np.float32)
    for attrs in ({"min": 0.0}, {"min": -0.0}, {"max": 0.0}, {"min": -1.0, "max": 1.0}):
        assert np.array_equal(np.signbit(ops.clamp(x, **attrs)), np.signbit(x)), attrs


def test_clamp_keeps_whole_numbers_within_whole_bounds():
    x = np.array([0, 3, 9, 2**53 + 1, 2**63 - 1])
    assert ops.clamp(x, min=0.5, max=math.inf).tolist() == [1, *x[1:].tolist()]
    assert ops.clamp(x, min=-1.0, max=7.9).tolist() == [0, 3, 7, 7, 7]
    assert ops.clamp(-x, min=-math.inf, max=-1e30).tolist() == [-(2**63)] * 5
    assert ops.clamp(x, min=math.nan).tolist() == x.tolist()


def test_clamp_needs_a_bound_and_keeps_nan():
    assert math.isnan(ops.clamp(np.array([math.nan]), min=0.0)[0])
    with pytest.raises(ValueError, match="clamp: give min, max or both; got neither"):
        F.clamp(etude.ones(2))


def test_the_gradient_of_clamp_passes_at_the_bounds_themselves():
    x = etude.tensor([-1.0, 0.0, 1.0, 2.0], requires_grad=True)
    F.clamp(x, 0.0, 1.0).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
