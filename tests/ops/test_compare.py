"""Comparisons against Python's own, for every dtype; NaN; no gradient."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, elementwise, sample

import etude
from etude import functional as F
from etude import ops

PYTHON = {n: getattr(operator, n) for n in ("eq", "ne", "lt", "le", "gt", "ge")}


def _samples(rng):
    few = [0.0, 1.0, 2.0, math.inf, -math.inf, math.nan]
    pairs = [((), ()), ((3,), (3,)), ((9,), (9,)), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0,), ())]
    return [sample(np.asarray(rng.choice(few, a)), np.asarray(rng.choice(few, b)))
            for a, b in pairs] + [
        sample(rng.integers(0, 3, (2, 3)), rng.integers(0, 3, 3)),
        sample(rng.random(4) < 0.5, rng.random(4) < 0.5),
        sample(np.array([1.0, 2.0, 3.0]), 2), sample(2.0, np.array([1.0, 2.0, 3.0]))]


CASES = {name: Case(_samples, lambda x, y, fn=fn: elementwise(fn, x, y, dtype=bool))
         for name, fn in PYTHON.items()}


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_nan_differs_from_everything(name):
    x = np.array([math.nan, math.nan, 1.0])
    y = np.array([math.nan, 1.0, math.nan])
    assert getattr(ops, name)(x, y).tolist() == [name == "ne"] * 3


def test_minus_zero_equals_zero():
    assert ops.eq(np.array(0.0), np.array(-0.0))
    assert not ops.lt(np.array(-0.0), np.array(0.0))


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_the_result_is_bool_and_has_no_gradient(name):
    x = etude.tensor([1.0, 2.0, 3.0], requires_grad=True)
    z = getattr(F, name)(x, 2.0)
    assert z.dtype == np.bool_
    assert not z.requires_grad
    assert z.tolist() == [PYTHON[name](v, 2) for v in (1, 2, 3)]


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_operators_compare_elementwise(name):
    x = etude.tensor([1, 2, 3])
    assert PYTHON[name](x, 2).tolist() == [PYTHON[name](v, 2) for v in (1, 2, 3)]
    assert PYTHON[name](2, x).tolist() == [PYTHON[name](2, v) for v in (1, 2, 3)]


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0, max_side=3),
       st.sampled_from(sorted(PYTHON)), st.sampled_from(["float32", "float64", "int64", "bool"]))
def test_every_shape_and_dtype(shapes, name, dtype):
    rng = np.random.default_rng(1)
    x, y = (rng.integers(0, 2, s).astype(dtype) for s in shapes.input_shapes)
    z = getattr(ops, name)(x, y)
    assert z.shape == shapes.result_shape
    assert np.array_equal(z, elementwise(PYTHON[name], x, y, dtype=bool))


def test_shapes_that_do_not_broadcast():
    with pytest.raises(etude.ShapeError, match=r"lt: shapes \[2\] and \[3\] do not broadcast"):
        ops.lt(np.ones(2), np.ones(3))
