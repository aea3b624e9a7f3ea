"""where and lerp against plain Python."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, away, elementwise, near, sample

import etude
from etude import DTypeError, ShapeError, ops
from etude import functional as F
from etude.core.columns import Table

TRIPLES = [((), (), ()), ((3,), (3,), (3,)), ((8,), (8,), (8,)), ((2, 3), (3,), ()),
           ((2, 1), (1, 3), (2, 3)), ((3,), (2, 1), (1,)), ((0,), (0,), ())]


def _where(rng):
    x = away(rng, (2, 3))
    mask = rng.random((2, 3)) < 0.5
    return [sample(np.asarray(rng.random(c) < 0.5), np.asarray(away(rng, a)),
                   np.asarray(away(rng, b))) for c, a, b in TRIPLES] + [
        sample(mask, x, 0.0), sample(mask, 1.5, x), sample(mask[0], x, 2),
        sample(mask[0], np.array([True, False, True]), 0)]


def _lerp(rng):
    x, y, w = (rng.uniform(-2, 2, (2, 3)) for _ in range(3))
    return [sample(*(np.asarray(rng.uniform(-2, 2, s)) for s in shapes)) for shapes in TRIPLES] + [
        sample(x, y, 0.25), sample(x, 2.0, w), sample(2.0, y, w), sample(1.0, 3.0, w),
        sample(x, 2.0, 0.5), sample(2.0, y, 0.5)]


CASES = {
    "where": Case(_where, lambda c, x, y: elementwise(lambda c, x, y: x if c else y, c, x, y),
                  ulps=0),
    "lerp": Case(_lerp, lambda x, y, w: elementwise(
        lambda x, y, w: float(Fraction(x) + Fraction(w) * (Fraction(y) - Fraction(x))), x, y, w),
        analytic=True, ulps=3, scale=lambda x, y, w: np.abs(x) + np.abs(w) * (abs(x) + abs(y))),
}


def test_where_passes_nothing_on_from_the_side_not_taken():
    mask = np.array([True, False])
    z = ops.where(mask, np.array([1.0, math.nan]), np.array([math.inf, 2.0]))
    assert z.tolist() == [1, 2]
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = etude.tensor([3.0, 4.0], requires_grad=True)
    (F.where(etude.tensor(mask), x, y) * etude.tensor([5.0, 7.0])).sum().backward()
    assert x.grad.tolist() == [5, 0]
    assert y.grad.tolist() == [0, 7]


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_where_chooses_integers_and_bools_too(dtype):
    z = ops.where(np.array([True, False]), np.array([1, 1], dtype), np.array([0, 0], dtype))
    assert z.dtype == dtype
    assert z.tolist() == [1, 0]


def test_where_takes_a_mask_of_bools_only():
    with pytest.raises(DTypeError, match=r"where: condition must be bool, got float32\[2\]"):
        F.where(etude.ones(2), etude.ones(2), etude.zeros(2))


def test_where_of_two_numbers_makes_a_tensor_of_their_kind():
    mask = etude.tensor([True, False])
    assert F.where(mask, 1, 0).dtype == np.int64
    assert F.where(mask, 1.5, 0).dtype == np.float32
    assert F.where(mask, 1.5, 0).tolist() == [1.5, 0]


@pytest.mark.parametrize("weight", [0.25, "tensor"])
def test_lerp_of_numbers_has_gradients(weight):
    """With numbers in two of three places the rule must do without an array."""
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    w = etude.tensor([0.25, 0.5], requires_grad=True)
    if weight == "tensor":
        assert etude.grad(F.lerp(1.0, 3.0, w).sum(), w)[0].tolist() == [2, 2]
    else:
        assert etude.grad(F.lerp(x, 3.0, weight).sum(), x)[0].tolist() == [0.75, 0.75]
        assert etude.grad(F.lerp(3.0, x, weight).sum(), x)[0].tolist() == [0.25, 0.25]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lerp_is_finite_where_the_difference_overflows(dtype):
    top = np.ldexp(dtype(1), np.finfo(dtype).maxexp - 1)
    x, y = np.array([top, top, -top, -top, 1], dtype), np.array([-top, 0, top, top / 2, 2], dtype)
    weight = np.array([0.5, 2.0, 0.25, 1.0, 1e30], dtype)
    assert (ops.lerp(x, y, weight) / top).tolist()[:4] == [0, -1, -0.5, 0.5]
    assert ops.lerp(x, y, weight)[4] == dtype(1e30)
    assert np.isnan(ops.lerp(x, np.full_like(x, np.inf), dtype(0))).all()


def test_lerp_can_be_written_over_its_first_operand():
    """As running averages are: buffer = lerp(buffer, value, momentum)."""
    x = np.array([1.0, 2.0])
    Table("cpu")["lerp"](x, np.array([3.0, 6.0]), 0.5, out=x)
    assert x.tolist() == [2, 4]


def test_shapes_that_do_not_broadcast():
    with pytest.raises(ShapeError, match=r"where: shapes \[2\] and \[3\] and \[3\] do not broad"):
        ops.where(np.ones(2, bool), np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match="lerp: shapes"):
        ops.lerp(np.ones(2), np.ones(3), 0.5)


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, min_side=0, max_side=3),
       st.integers(0, 2**32 - 1))
def test_every_way_to_broadcast(shapes, seed):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.uniform(-1, 1, s) for s in shapes.input_shapes)
    for name, arrays in (("where", (a > 0, b, c)), ("lerp", (a, b, c))):
        z = getattr(ops, name)(*arrays)
        assert z.shape == shapes.result_shape
        near(z, CASES[name].oracle(*arrays), 4, 3)
