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
    "softplus": Case(_each(beta=(1.0, 2.0)),
                     _exact(lambda x, beta: (1 + (x * beta).exp()).ln() / beta), analytic=True),
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


def test_clamp_needs_a_bound_and_keeps_nan():
    assert math.isnan(ops.clamp(np.array([math.nan]), min=0.0)[0])
    with pytest.raises(ValueError, match="clamp: give min, max or both; got neither"):
        F.clamp(etude.ones(2))


def test_the_gradient_of_clamp_passes_at_the_bounds_themselves():
    x = etude.tensor([-1.0, 0.0, 1.0, 2.0], requires_grad=True)
    F.clamp(x, 0.0, 1.0).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
