"""Arithmetic on two operands against exact fractions; broadcasting, numbers, edges."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, apart, away, elementwise, near, sample

import etude
from etude import DTypeError, ShapeError, ops
from etude import functional as F

PAIRS = [((), ()), ((3,), (3,)), ((7,), (7,)), ((2, 3), (2, 3)), ((4, 3), (4, 3)),
         ((2, 3), (3,)), ((2, 1), (1, 3)), ((3,), ()), ((), (2, 2)), ((2, 1, 3), (4, 1)),
         ((0,), (0,)), ((0, 3), (3,)), ((1,), (0,))]


def _numbers(rng, shape):
    return away(rng, shape, 0.5)


def _pairs(draw, *others):
    def make(rng):
        found = [sample(np.asarray(draw(rng, a)), np.asarray(draw(rng, b))) for a, b in PAIRS]
        x = np.asarray(draw(rng, (2, 3)))
        return [*found, sample(x, 1.5), sample(1.5, x), sample(x, 2), sample(2, x), *others]
    return make


def _exact(fn):
    return lambda x, y: elementwise(lambda a, b: float(fn(Fraction(a), Fraction(b))), x, y)


def _positive(rng, shape):
    return rng.uniform(0.3, 2.5, shape)


def _untied(rng):
    found = []
    for a, b in PAIRS:
        both = apart(rng, (math.prod(a) + math.prod(b),))
        found.append(sample(both[:math.prod(a)].reshape(a), both[math.prod(a):].reshape(b)))
    x = apart(rng, (2, 3))
    return [*found, sample(x, 0.125), sample(0.125, x), sample(x, 0),
            sample(np.array([1.0, 2.0]), np.array([1.0, 2.0]), smooth=False)]


def _between_steps(rng):
    """x = (k + 0.2 to 0.8) y for y = 4 or -4, so that no quotient is near a whole number."""
    def pair(a, b):
        y = rng.choice([-4.0, 4.0], b)
        return np.asarray(4 * (rng.integers(-3, 3, a) + rng.uniform(0.2, 0.8, a))), np.asarray(y)
    x = pair((2, 3), ())[0]
    return [*(sample(*pair(a, b)) for a, b in PAIRS), sample(x, 4.0), sample(x, -4),
            sample(3.5, np.array([[1.0, -2.0]]))]


CASES = {
    "add": Case(_pairs(_numbers), _exact(lambda x, y: x + y), ulps=1, analytic=True),
    "sub": Case(_pairs(_numbers), _exact(lambda x, y: x - y), ulps=1, analytic=True),
    "mul": Case(_pairs(_numbers), _exact(lambda x, y: x * y), ulps=1, analytic=True),
    "div": Case(_pairs(_numbers), _exact(lambda x, y: x / y), ulps=1, analytic=True),
    "pow": Case(_pairs(_positive, sample(np.array([-1.5, -0.5, 2.0]), 3),
                       sample(np.array([-1.5, -0.5, 2.0]), -2.0)),
                lambda x, y: elementwise(math.pow, x, y), analytic=True),
    "maximum": Case(_untied, lambda x, y: elementwise(max, x, y), ulps=0),
    "minimum": Case(_untied, lambda x, y: elementwise(min, x, y), ulps=0),
    "floor_divide": Case(_between_steps, lambda x, y: elementwise(
        lambda a, b: float(Fraction(a) // Fraction(b)), x, y), ulps=0),
    "remainder": Case(_between_steps, _exact(lambda x, y: x % y),
                      scale=lambda x, y: np.abs(y) + 0 * np.abs(x)),
}


@pytest.mark.parametrize("numbers", [
    (7, 2), (-7, 2), (7, -2), (-7, -2), (0.0, -3.0), (-0.0, 3.0), (1e300, 1e-300), (5.0, math.inf),
    (-5.0, math.inf), (0.7, 0.1)])
def test_whole_division_and_remainder_are_those_of_python(numbers):
    x, y = (etude.tensor([float(n)], dtype=etude.float64) for n in numbers)
    a, b = map(float, numbers)
    for found, wanted in (((x // y).numpy(), a // b), ((x % y).numpy(), a % b),
                          ((a // y).numpy(), a // b), ((x % b).numpy(), a % b)):
        near(found, np.array([wanted]), 0)
        assert np.signbit(found[0]) == np.signbit(wanted)


def test_whole_division_by_zero_is_infinite_in_floats_and_an_error_in_integers():
    assert (etude.tensor([1.0, -1.0]) // 0.0).tolist() == [math.inf, -math.inf]
    assert math.isnan((etude.tensor([1.0]) % 0.0).item())
    assert (etude.tensor([7, -7]) // 2).tolist() == [3, -4]
    assert (etude.tensor([7, -7]) % 2).tolist() == [1, 1]
    for divide in (etude.floor_divide, etude.remainder):
        with pytest.raises(ZeroDivisionError, match="int64 divided by 0; floats give inf or NaN"):
            divide(etude.tensor([7]), etude.tensor([0]))


def test_a_remainder_passes_its_gradient_on_and_a_whole_quotient_has_none():
    x, y = (etude.tensor([v], requires_grad=True) for v in (7.5, 2.0))
    (x % y + x // y).backward()
    assert (x.grad.item(), y.grad.item()) == (1.0, -3.0)


@pytest.mark.parametrize("op", ["add", "sub", "mul", "maximum", "minimum", "pow"])
def test_integers_stay_integers(op):
    x, y = np.array([[3], [-4]]), np.array([2, 5, 0])
    z = getattr(ops, op)(x, y)
    by = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b,
          "maximum": max, "minimum": min, "pow": lambda a, b: a**b}[op]
    assert z.dtype == np.int64
    assert z.tolist() == [[by(a, b) for b in (2, 5, 0)] for a in (3, -4)]


@pytest.mark.parametrize(("x", "y", "z"), [
    (1, 0, math.inf), (-1, 0, -math.inf), (1, -0.0, -math.inf), (0, 0, math.nan),
    (1, math.inf, 0), (math.inf, math.inf, math.nan), (math.nan, 1, math.nan)])
def test_division_follows_ieee_754(x, y, z):
    near(ops.div(np.array([x], float), np.array([y], float)), [z])


@pytest.mark.parametrize(("x", "y", "z"), [
    (-2, 3, -8), (-2, 0.5, math.nan), (0, 0, 1), (0, -1, math.inf), (0, 2, 0),
    (math.nan, 0, 1), (1, math.nan, 1), (2, -math.inf, 0)])
def test_powers_at_the_edges(x, y, z):
    near(ops.pow(np.array([x], float), np.array([y], float)), [z])


@pytest.mark.parametrize(("x", "y"), [(math.nan, 1.0), (1.0, math.nan), (math.nan, math.nan)])
def test_the_larger_of_a_number_and_nan_is_nan(x, y):
    assert np.isnan(ops.maximum(np.array([x]), np.array([y])))


def test_equal_operands_of_maximum_share_the_gradient():
    x = etude.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = etude.tensor([3.0, 2.0, 1.0], requires_grad=True)
    (F.maximum(x, y) * etude.tensor([2.0, 4.0, 8.0])).sum().backward()
    assert x.grad.tolist() == [0, 2, 8]
    assert y.grad.tolist() == [2, 2, 0]


@pytest.mark.parametrize("exponent", [0, 0.0, 1, 2, 3])
def test_whole_powers_have_a_slope_at_zero(exponent):
    x = etude.tensor([0.0, -2.0, 3.0], requires_grad=True)
    (x**exponent).sum().backward()
    want = [exponent * v ** (exponent - 1) if exponent else 0 for v in (0.0, -2.0, 3.0)]
    assert x.grad.tolist() == want


def test_the_power_zero_to_the_zero_is_flat_also_for_tensors():
    x = etude.tensor([0.0, 0.0, 2.0], requires_grad=True)
    y = etude.tensor([0.0, 2.0, 0.0], requires_grad=True)
    (x**y).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    near(y.grad.numpy(), np.array([0, 0, math.log(2)]))


def test_a_number_may_stand_on_either_side_and_keeps_the_dtype():
    for dtype in (np.float32, np.float64):
        x = np.array([1, 2], dtype)
        for op in CASES:
            for z in (getattr(ops, op)(x, 2.5), getattr(ops, op)(2.5, x), getattr(ops, op)(x, 2)):
                assert z.dtype == dtype, op


@pytest.mark.parametrize("op", sorted(CASES))
def test_shapes_that_do_not_broadcast(op):
    with pytest.raises(ShapeError, match=rf"^{op}: shapes \[2, 3\] and \[2\] do not broadcast. "
                                         r"Aligned on the right, two sizes must be equal or one"):
        getattr(ops, op)(np.ones((2, 3)), np.ones(2))


def test_a_fraction_and_an_array_of_integers_are_not_mixed_on_arrays():
    with pytest.raises(etude.DTypeError, match=r"add: a number with a fraction does not go with "
                                               r"int64\[3\]"):
        ops.add(np.arange(3), 0.5)
    with pytest.raises(etude.DTypeError, match="add: at least one operand must be an array"):
        ops.add(1.0, 2.0)


SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3)


@given(SHAPES, st.sampled_from(sorted(CASES)), st.randoms(use_true_random=False))
def test_every_way_to_broadcast(shapes, op, random):
    rng = np.random.default_rng(random.getrandbits(32))
    x, y = (rng.uniform(0.5, 2, s) for s in shapes.input_shapes)
    z = getattr(ops, op)(x, y)
    assert z.shape == shapes.result_shape
    near(z, CASES[op].oracle(x, y), 4)
    tx, ty = (etude.tensor(a, requires_grad=True) for a in (x, y))
    getattr(F, op)(tx, ty).sum().backward()
    full = [np.broadcast_to(a, z.shape).copy() for a in (x, y)]
    fx, fy = (etude.tensor(a, requires_grad=True) for a in full)
    getattr(F, op)(fx, fy).sum().backward()
    for t, f in ((tx, fx), (ty, fy)):
        ahead = len(z.shape) - len(t.shape)
        dims = tuple(range(ahead)) + tuple(
            ahead + i for i, n in enumerate(t.shape) if n != z.shape[ahead + i])
        near(t.grad.numpy(), f.grad.numpy().sum(dims, keepdims=True).reshape(t.shape), 32, 10)


def test_x_y_and_number_gradients_flow_through_operators():
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = 3 - 2 * x / 4 + x**2 - (-x) + 2**x - 1 / x
    y.sum().backward()
    want = [-0.5 + 2 * v + 1 + math.log(2) * 2**v + 1 / v**2 for v in (1, 2)]
    near(x.grad.numpy(), np.array(want), 4)


@pytest.mark.parametrize("call", [lambda x, n: x + n, lambda x, n: n - x, lambda x, n: x == n,
                                  lambda x, n: F.where(x > 0, x, n), F.maximum])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**20000], ids=["2^63", "below", "far"])
def test_a_number_that_int64_does_not_hold_is_refused(backend, call, number):
    x = etude.tensor([1, 2**62])
    with etude.use(backend):
        with pytest.raises(DTypeError, match=r"a number of \d+ bits does not go with int64, which "
                                             r"ends at 2\^63 - 1"):
            call(x, number)
        assert call(x, 2**63 - 1).shape == (2,)
        assert F.maximum(x, -(2**63)).tolist() == [1, 2**62]
