"""Rounding against Python's own, and isnan against the definition x != x."""

import math

import numpy as np
import pytest
from op_cases import SHAPES, Case, elementwise, sample

import etude
from etude import ops

HARD = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999999999999994, 1e17, -3.0, 0.0])


def _samples(rng):
    return [sample(np.asarray(rng.uniform(-3, 3, s))) for s in SHAPES] + [
        sample(HARD, smooth=False)]


def _number(fn):
    return lambda x: elementwise(lambda v: float(fn(v)), x)


CASES = {
    "floor": Case(_samples, _number(math.floor), ulps=0),
    "ceil": Case(_samples, _number(math.ceil), ulps=0),
    "round": Case(_samples, _number(round), ulps=0),
    "isnan": Case(lambda rng: [*_samples(rng), sample(np.array([math.nan, math.inf, 1.0]))],
                  lambda x: elementwise(lambda v: v != v, x, dtype=bool)),
}


@pytest.mark.parametrize("name", ["floor", "ceil", "round", "sign"])
def test_their_gradient_is_zero_whatever_comes_in(name):
    x = etude.tensor([1.5, 2.5], requires_grad=True)
    y = getattr(etude, name)(x)
    y.backward(etude.tensor([3.0, math.nan]))
    assert x.grad.tolist() == [0, 0]


def test_isnan_is_no_number_and_has_no_gradient():
    assert not etude.isnan(etude.tensor([1.5], requires_grad=True)).requires_grad


@pytest.mark.parametrize(("decimals", "wanted"), [(0, 1235.0), (2, 1234.57), (-2, 1200.0)])
def test_to_so_many_decimals(decimals, wanted):
    x = etude.tensor([1234.5678], dtype=etude.float64)
    assert etude.round(x, decimals=decimals).item() == pytest.approx(wanted, rel=1e-15)


def test_nan_and_infinity_stay():
    for name in ("floor", "ceil", "round"):
        y = getattr(ops, name)(np.array([math.nan, math.inf, -math.inf]))
        assert math.isnan(y[0])
        assert y[1:].tolist() == [math.inf, -math.inf]
