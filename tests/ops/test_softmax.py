"""softmax and log_softmax against SciPy and 40-digit decimals; shifts, sums, extremes."""

import decimal
import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, near, sample

import etude
from etude import AxisError, ShapeError, ops
from etude import functional as F

D = decimal.Decimal


def _by_rows(fn):
    """``fn`` of lists of Decimals, on every line along ``dim``."""
    def oracle(*arrays, dim):
        moved = [np.moveaxis(a, dim, -1) for a in arrays]
        y = np.empty(moved[0].shape)
        with decimal.localcontext(prec=40):
            for at in np.ndindex(y.shape[:-1]):
                y[at] = [float(v) for v in fn(*([D(v) for v in m[at].tolist()] for m in moved))]
        return np.moveaxis(y, -1, dim)
    return oracle


def _softmax(x):
    e = [v.exp() for v in x]
    return [v / sum(e) for v in e]


def _log_softmax(x):
    lse = sum(v.exp() for v in x).ln()
    return [v - lse for v in x]


def _softmax_backward(grad, y):
    dot = sum(g * p for g, p in zip(grad, y, strict=True))
    return [p * (g - dot) for g, p in zip(grad, y, strict=True)]


def _log_softmax_backward(grad, y):
    return [g - p.exp() * sum(grad) for g, p in zip(grad, y, strict=True)]


PLACES = [((3,), -1), ((6,), -1), ((2, 3), 1), ((2, 3), 0), ((4, 3), 0), ((2, 3, 2), 1),
          ((2, 3, 2), -3), ((5, 1), 1), ((1,), 0), ((0, 3), 1), ((2, 0, 3), -1)]


def _x(rng):
    return [sample(rng.uniform(-3, 3, s), dim=d) for s, d in PLACES] + [
        sample(np.array([1000.0, 0.0, 1001.0]), smooth=False),
        sample(np.array([-1e4, -1e4 + 2]), smooth=False)]


def _two(fn):
    return lambda rng: [sample(rng.uniform(-1, 1, s), fn(rng.uniform(-3, 3, s), axis=d), dim=d)
                        for s, d in PLACES]


def _spread(x, dim):
    return np.abs(x) + np.abs(x).max(dim, keepdims=True)


CASES = {
    "softmax": Case(_x, _by_rows(_softmax), analytic=True, ulps=8),
    "log_softmax": Case(_x, _by_rows(_log_softmax), analytic=True, scale=_spread),
    "softmax_backward": Case(_two(scipy.special.softmax), _by_rows(_softmax_backward),
                             scale=lambda g, y, dim: y * (np.abs(g) + 1)),
    "log_softmax_backward": Case(_two(scipy.special.log_softmax), _by_rows(_log_softmax_backward),
                                 scale=lambda g, y, dim: np.abs(g) + np.abs(g).sum(
                                     dim, keepdims=True)),
}


@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4), st.data())
def test_probabilities_sum_to_one_and_ignore_a_shift(shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(0).normal(0, 3, shape)
    y = ops.softmax(x, dim=dim)
    assert (y > 0).all()
    near(y.sum(dim), np.ones(y.sum(dim).shape), 8)
    near(ops.softmax(x + 64.0, dim=dim), y, 200)
    near(y, scipy.special.softmax(x, axis=dim), 8)
    near(ops.log_softmax(x, dim=dim), scipy.special.log_softmax(x, axis=dim), 8, 10)
    order = np.random.default_rng(1).permutation(shape[dim])
    near(ops.softmax(x.take(order, dim), dim=dim), y.take(order, dim), 8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_overflows(dtype):
    x = np.array([np.finfo(dtype).max / 2, 0, -np.finfo(dtype).max / 2], dtype)
    assert ops.softmax(x).tolist() == [1, 0, 0]
    assert ops.log_softmax(np.array([-1e30, 0], dtype)).tolist() == [np.array(-1e30, dtype), 0]


def test_minus_infinity_masks_an_element_out():
    x = np.array([0.0, -np.inf, math.log(3)])
    near(ops.softmax(x), [0.25, 0, 0.75], 4)
    near(ops.log_softmax(x), [math.log(0.25), -np.inf, math.log(0.75)], 4)


def test_nan_spoils_its_own_row_only():
    y = ops.softmax(np.array([[0.0, np.nan], [0.0, 0.0]]), dim=1)
    near(y, [[np.nan, np.nan], [0.5, 0.5]])


def test_log_softmax_keeps_what_softmax_rounds_away():
    y = ops.log_softmax(np.array([0.0, 50.0]))
    near(y, np.array([-50.0, 0.0]), 1)
    assert ops.softmax(np.array([0, 200], np.float32))[0] == 0
    assert ops.log_softmax(np.array([0, 200], np.float32))[0] == -200


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_wrong_axes(name):
    fn = getattr(F, name)
    with pytest.raises(AxisError, match=rf"{name}: dim=2 is outside an array of 2 dimensions "
                                        r"\(allowed: -2 to 1\)"):
        fn(etude.ones(2, 3), 2)
    with pytest.raises(AxisError, match=rf"{name}: dim=-1 is outside an array of 0 dimensions "
                                        r"\(allowed: none: the array has no dimensions\)"):
        fn(etude.tensor(1.0))


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0), (2, 0, 3)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_row_of_no_elements_gives_none(name, shape):
    x = etude.zeros(*shape, requires_grad=True)
    y = getattr(F, name)(x, 1)
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape


def test_operands_of_the_backward_have_one_shape():
    with pytest.raises(ShapeError, match=r"softmax_backward: y must have shape \[2\], .*, got "
                                         r"float64\[3\]"):
        ops.softmax_backward(np.ones(2), np.ones(3))
