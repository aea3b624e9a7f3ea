"""gather and scatter_add against plain loops; repeated indices add up."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, near, sample

import etude
from etude import AxisError, DTypeError, ShapeError, ops
from etude import functional as F


def _moved(at, dim, to):
    at = list(at)
    at[dim] = to
    return tuple(at)


def _gather(x, index, dim):
    y = np.empty(index.shape, x.dtype)
    for at in np.ndindex(index.shape):
        y[at] = x[_moved(at, dim, index[at])]
    return y


def _scatter_add(x, index, src, dim):
    sums = {at: [x[at].item()] for at in np.ndindex(x.shape)}
    for at in np.ndindex(index.shape):
        sums[_moved(at, dim % x.ndim, int(index[at]))].append(src[at].item())
    y = np.empty(x.shape, x.dtype)
    for at, terms in sums.items():
        y[at] = math.fsum(terms) if x.dtype.kind == "f" else sum(terms)
    return y


#        x          index      src        dim
PLACES = [
    ((4,), (3,), (3,), 0), ((4,), (6,), (6,), 0), ((3, 4), (2, 4), (2, 4), 0),
    ((3, 4), (5, 4), (5, 4), 0), ((3, 4), (3, 6), (4, 7), 1), ((3, 4), (2, 2), (3, 3), -1),
    ((2, 3, 2), (2, 5, 1), (2, 5, 1), -2), ((4,), (0,), (0,), 0), ((0, 3), (0, 3), (0, 3), 1),
]


def _index(rng, shape, size):
    return rng.integers(0, max(size, 1), shape)


CASES = {
    "gather": Case(lambda rng: [
        sample(rng.uniform(-1, 1, x), _index(rng, i, x[d]), dim=d) for x, i, _, d in PLACES] + [
        sample(np.arange(4), np.array([3, 3, 0]), dim=0),
        sample(np.array([True, False]), np.array([1, 0, 1]), dim=0)],
        _gather, ulps=0, analytic=True),
    "scatter_add": Case(lambda rng: [
        sample(rng.uniform(-1, 1, x), _index(rng, i, x[d]), rng.uniform(-1, 1, s), dim=d)
        for x, i, s, d in PLACES] + [
        sample(np.arange(4), np.array([3, 3, 0]), np.array([5, 6, 7]), dim=0),
        sample(np.zeros(2), np.zeros(5, int), np.arange(5.0), dim=0)],
        _scatter_add, scale=lambda x, index, src, dim: _scatter_add(
            np.abs(x), index, np.abs(src), dim)),
}


@given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), st.data())
def test_scatter_add_is_the_transpose_of_gather(shape, data):
    """<gather(x), c> = <x, scatter_add(0, c)>, exactly, on whole numbers."""
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    longest = [data.draw(st.integers(0, n)) for n in shape]
    longest[dim] = data.draw(st.integers(0, 5))
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, shape)
    index = rng.integers(0, shape[dim], longest)
    c = rng.integers(-9, 9, longest)
    back = ops.scatter_add(np.zeros_like(x), index, c, dim=dim)
    assert (ops.gather(x, index, dim=dim) * c).sum() == (x * back).sum()
    assert np.array_equal(ops.gather(x, index, dim=dim), np.take_along_axis(
        x[tuple(slice(n) if i != dim % x.ndim else slice(None) for i, n in enumerate(longest))],
        index, dim))


def test_picking_one_element_twice_doubles_its_gradient():
    x = etude.tensor([1.0, 2.0, 3.0], requires_grad=True)
    F.gather(x, 0, etude.tensor([1, 1, 2])).sum().backward()
    assert x.grad.tolist() == [0, 2, 1]


def test_elements_of_src_that_no_index_reaches_have_no_gradient():
    src = etude.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = F.scatter_add(etude.zeros(3, 3), 0, etude.tensor([[2]]), src)
    assert y.tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    y.sum().backward()
    assert src.grad.tolist() == [[1, 0], [0, 0]]


def test_the_dimension_stands_second_as_in_pytorch():
    x = etude.tensor([[1, 2], [3, 4]])
    index = etude.tensor([[1], [0]])
    for y in (x.gather(1, index), F.gather(x, 1, index), F.gather(x, index=index, dim=1),
              F.gather(x, 1, [[1], [0]])):
        assert y.tolist() == [[2], [3]]


@pytest.mark.parametrize("wrong", [3, -1, -3, 99])
def test_an_index_outside_the_axis(wrong):
    index = np.array([0, wrong])
    words = rf"index {wrong} is outside dimension 0, which has size 3 \(allowed: 0 to 2\)"
    with pytest.raises(IndexError, match="gather: " + words):
        F.gather(etude.ones(3), 0, index)
    with pytest.raises(IndexError, match="scatter_add: " + words):
        F.scatter_add(etude.ones(3), 0, index, etude.ones(2))


def test_shapes_dtypes_and_axes_that_do_not_fit():
    x = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"gather: index int64\[3, 1\] must have the dimensions of "
                                         r"x float64\[2, 3\] and be no larger along any, apart "
                                         r"from"):
        ops.gather(x, np.zeros((3, 1), int), dim=1)
    with pytest.raises(ShapeError, match="gather: index"):
        ops.gather(x, np.zeros(2, int), dim=0)
    with pytest.raises(ShapeError, match=r"scatter_add: index int64\[2, 2\] must have the "
                                         r"dimensions "
                                         r"of src float64\[2, 1\] and be no larger along any$"):
        ops.scatter_add(x, np.zeros((2, 2), int), np.ones((2, 1)), dim=1)
    with pytest.raises(DTypeError, match=r"gather: index must be int64, got float64\[2, 3\]"):
        ops.gather(x, x, dim=0)
    with pytest.raises(AxisError, match="gather: dim=2 is outside an array of 2 dimensions"):
        ops.gather(x, np.zeros((2, 3), int), dim=2)


def test_many_repeats_lose_nothing():
    y = ops.scatter_add(np.zeros(2), np.zeros(1000, int), np.ones(1000), dim=0)
    near(y, np.array([1000.0, 0]), 0)
