"""Copies, casts, cat and the slice undone, against Python's conversions and plain loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_cases import SHAPES, Case, elementwise, sample

import etude
from etude import DTypeError, ShapeError, ops
from etude import functional as F
from etude.core.shapes import DTYPES


def _cat(*xs, dim):
    d = dim % xs[0].ndim
    shape = list(xs[0].shape)
    shape[d] = sum(x.shape[d] for x in xs)
    y = np.empty(shape, xs[0].dtype)
    for at in np.ndindex(*shape):
        i, which = at[d], 0
        while i >= xs[which].shape[d]:
            i -= xs[which].shape[d]
            which += 1
        y[at] = xs[which][(*at[:d], i, *at[d + 1:])]
    return y


def _cats(rng):
    def draw(*shapes, **attrs):
        return sample(*(rng.uniform(-1, 1, s) for s in shapes), **attrs)
    return [draw((2, 3)), draw((2,), (3,), (0,), (1,)), draw((2,), (4,), (0,), (1,)),
            draw((2, 3), (2, 1), dim=1), draw((2, 3), (2, 2), dim=1), draw((2, 3), (4, 3), dim=-2),
            draw((2, 1, 3), (2, 2, 3), dim=1), draw((0, 3), (0, 2), dim=1)]


def _stack(*xs, dim):
    d = dim % (xs[0].ndim + 1)
    y = np.empty((*xs[0].shape[:d], len(xs), *xs[0].shape[d:]))
    for at in np.ndindex(y.shape):
        y[at] = xs[at[d]][(*at[:d], *at[d + 1:])]
    return y


def _stacks(rng):
    calls = [((3,), 2, 0), ((5,), 2, 0), ((3,), 4, 0), ((2, 3), 3, -1), ((2, 3), 1, 1), ((), 2, 0),
             ((0, 2), 2, 2)]
    return [sample(*(np.asarray(rng.uniform(-1, 1, s)) for _ in range(n)), dim=d)
            for s, n, d in calls]


def _pad(x, *, padding, value):
    pairs = [(0, 0)] * (x.ndim - len(padding) // 2)
    pairs += [padding[i:i + 2] for i in range(len(padding) - 2, -1, -2)]
    y = np.full([n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True)], value, x.dtype)
    for at in np.ndindex(x.shape):
        y[tuple(i + a for i, (a, _) in zip(at, pairs, strict=True))] = x[at]
    return y


def _pads(rng):
    return [sample(rng.uniform(-1, 1, s), padding=p, value=v) for s, p, v in (
        ((3,), (1, 2), 0.0), ((5,), (1, 2), 0.5), ((2, 3), (0, 1), 0.0),
        ((2, 3), (1, 0, 2, 1), 7.0),
        ((2, 2, 2), (1, 1, 0, 0, 0, 1), 0.0), ((2,), (), 0.0), ((0, 2), (1, 1), 0.0))] + [
        sample(np.arange(3), padding=(1, 1), value=9)]


def _slice_backward(grad, shape, index):
    """Number every place of ``shape``; what the index picks out says where grad goes."""
    places = np.arange(math.prod(shape)).reshape(shape)
    picked = places[tuple(slice(*e) if isinstance(e, tuple) else e for e in index)]
    flat = [0.0] * math.prod(shape)
    for place, g in zip(np.ravel(picked).tolist(), np.ravel(grad).tolist(), strict=True):
        flat[place] = g
    return np.array(flat).reshape(shape)


def _slices(rng):
    return [sample(np.asarray(rng.uniform(-1, 1, g)), shape=s, index=i) for g, s, i in [
        ((3,), (5,), ((1, 4, None),)), ((5,), (5,), ((None, None, -1),)), ((), (5,), (-1,)),
        ((4,), (6,), ((1, 5, None),)), ((2, 2), (2, 3, 4), ((None, None, None), -1, (0, 4, 2))),
        ((1, 1, 1), (2, 3), (None, (0, 1, None), None, 2)), ((0,), (4,), ((2, 2, None),))]]


def _casts(rng):
    floats = [sample(np.asarray(rng.uniform(-3, 3, s)), dtype=d, smooth=d == np.float64)
              for s in ((), (3,), (5,), (2, 3), (0,)) for d in DTYPES]
    return floats + [sample(np.array([0.0, -0.0, 0.4, -0.6, 1e10]), dtype=d, smooth=False)
                     for d in DTYPES] + [
        sample(np.array([0, 1, -7, 2**60]), dtype=d) for d in DTYPES] + [
        sample(np.array([True, False]), dtype=d) for d in DTYPES]


PYTHON = {"float32": np.float32, "float64": float, "int64": int, "bool": bool}


def _cast(x, dtype):
    return elementwise(PYTHON[np.dtype(dtype).name], x, dtype=dtype)


CASES = {
    "contiguous": Case(lambda rng: [sample(np.asarray(rng.uniform(-1, 1, s))) for s in SHAPES] + [
        sample(np.arange(3)), sample(np.array([True, False]))],
        lambda x: elementwise(lambda v: v, x, dtype=x.dtype), ulps=0, analytic=True),
    "cast": Case(_casts, _cast, ulps=0.5),
    "cat": Case(_cats, _cat, ulps=0, analytic=True),
    "stack": Case(_stacks, _stack, ulps=0, analytic=True),
    "pad": Case(_pads, _pad, ulps=0, analytic=True),
    "slice_backward": Case(_slices, _slice_backward, ulps=0, analytic=True),
}


@given(st.integers(1, 3), st.integers(0, 2), st.lists(st.integers(0, 3), min_size=1, max_size=4),
       st.booleans())
def test_cat_undoes_split(ndim, dim, sizes, backwards):
    dim %= ndim
    shape = [2] * ndim
    shape[dim] = sum(sizes)
    d = dim - ndim if backwards else dim
    x = etude.tensor(np.arange(math.prod(shape), dtype=float).reshape(shape), requires_grad=True)
    y = etude.cat(x.split(sizes, d), d)
    assert np.array_equal(y.detach().numpy(), x.detach().numpy())
    (y * y).sum().backward()
    assert np.array_equal(x.grad.numpy(), 2 * x.detach().numpy())


def test_contiguous_is_c_order_in_memory_of_its_own():
    x = np.arange(6.0).reshape(2, 3).T
    y = ops.contiguous(x)
    assert y.flags.c_contiguous
    assert not np.shares_memory(x, y)
    z = ops.contiguous(y)
    assert not np.shares_memory(z, y)


def test_cast_rounds_towards_zero_and_anything_else_than_zero_is_true():
    x = np.array([-1.9, -0.5, 0.5, 1.9])
    assert ops.cast(x, dtype=np.int64).tolist() == [-1, 0, 0, 1]
    assert ops.cast(x - 0.5, dtype=np.bool_).tolist() == [True, True, False, True]
    assert ops.cast(np.array([math.nan, 0.0]), dtype=np.bool_).tolist() == [True, False]


def test_the_gradient_comes_back_in_the_dtype_of_the_input():
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = x.double() * etude.tensor([3.0, 4.0], dtype=etude.float64)
    y.sum().backward()
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_what_is_cast_to_integers_needs_no_gradient(dtype):
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(dtype)
    assert not y.requires_grad
    assert y.numpy().tolist() == ([1, 2] if dtype is np.int64 else [True, True])


def test_cast_knows_four_dtypes():
    with pytest.raises(DTypeError, match="cast: dtype must be one of bool, int64, float32, "
                                         "float64, "
                                         "got float16"):
        etude.ones(2).to("float16")


def test_cat_of_mixed_dtypes_promotes():
    y = etude.cat([etude.tensor([1]), etude.tensor([0.5]), etude.tensor([True])])
    assert (y.dtype, y.tolist()) == (np.float32, [1, 0.5, 1])


def test_shapes_that_do_not_join():
    with pytest.raises(ShapeError, match=r"cat: shapes must agree except in dimension 0, got "
                                         r"float32\[2, 3\], float32\[2, 2\]"):
        etude.cat([etude.ones(2, 3), etude.ones(2, 2)])
    with pytest.raises(ShapeError, match="cat: shapes must agree"):
        etude.cat([etude.ones(2), etude.ones(2, 2)])
    with pytest.raises(TypeError, match="cat: needs an order, and a set has another one in each"):
        etude.cat({etude.ones(2), etude.zeros(2)})
    with pytest.raises(ShapeError, match="cat: needs at least one tensor, got an empty list"):
        etude.cat([])
    with pytest.raises(etude.AxisError, match="cat: dim=2 is outside"):
        etude.cat([etude.ones(2, 3)], 2)
    with pytest.raises(etude.AxisError, match="cat: dim=0 is outside an array of 0 dimensions"):
        F.cat([etude.tensor(1.0)])


def test_stack_and_pad_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"stack: all arrays must have one shape, got "):
        etude.stack([etude.ones(2), etude.ones(3)])
    with pytest.raises(ShapeError, match="stack: needs at least one tensor"):
        etude.stack([])
    for padding in ((1,), (1, 1, 1, 1), (0.5, 0)):
        with pytest.raises(ShapeError, match=r"pad: pad is \(before, after\) of the last axis"):
            F.pad(etude.ones(3), padding)
    with pytest.raises(ShapeError, match=r"pad: padding is .*integers >= 0"):
        ops.pad(np.ones(3), padding=(-1, 0))
