"""Views of device arrays, over a buffer that is secretly NumPy's, against NumPy's own views."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from etude import ShapeError
from etude.core.array import (
    DeviceArray,
    c_strides,
    expand_view,
    is_contiguous,
    memory,
    reshape_view,
    slice_view,
)


def device(x):
    """The DeviceArray that sees its memory as ``x`` does."""
    owner = x if x.base is None else x.base
    offset = (x.__array_interface__["data"][0] - owner.__array_interface__["data"][0])
    return DeviceArray(owner, "moon", x.shape, x.dtype,
                       tuple(s // x.itemsize for s in x.strides), offset // x.itemsize)


def seen(a):
    """What a DeviceArray shows, element by element."""
    flat = a.buffer.reshape(-1)
    y = np.empty(a.shape, a.dtype)
    for at in np.ndindex(*a.shape):
        y[at] = flat[a.offset + sum(i * s for i, s in zip(at, a.strides, strict=True))]
    return y


def fresh(shape):
    return np.arange(math.prod(shape)).reshape(shape).copy()


@st.composite
def views(draw):
    """An array of up to four dimensions in an odd position: permuted, sliced, reversed, widened."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=6))
    x = fresh(shape)
    x = x.transpose(draw(st.permutations(range(x.ndim))))
    steps = [draw(st.sampled_from([1, 1, 2, -1])) for _ in x.shape]
    x = x[(*(slice(None, None, s) for s in steps), ...)]
    if draw(st.booleans()):
        x = np.broadcast_to(x[..., None], (*x.shape, draw(st.integers(1, 2))))
    return x


@given(views(), st.data())
def test_reshape_finds_a_view_exactly_where_numpy_does(x, data):
    sizes, left = [], x.size
    while left > 1:
        n = data.draw(st.sampled_from([d for d in range(1, left + 1) if left % d == 0]))
        sizes.append(n)
        left //= n
        if len(sizes) > 4:
            sizes.append(left)
            break
    shape = tuple(sizes)
    try:
        want = x.reshape(shape, copy=False)
    except ValueError:
        with pytest.raises(ShapeError, match=r"no view of int64.*make it contiguous first"):
            reshape_view(device(x), shape)
        return
    assert np.array_equal(seen(reshape_view(device(x), shape)), want)


@given(st.permutations([0, 2, 3]), st.permutations([0, 1, 5]))
def test_reshape_of_nothing(old, new):
    y = reshape_view(DeviceArray(np.zeros(0), "moon", tuple(old), np.dtype(float)), tuple(new))
    assert y.shape == tuple(new)


INDEX = st.one_of(st.none(), st.integers(-3, 2),
                  st.tuples(*[st.none() | st.integers(-5, 5)] * 2, st.none() | st.sampled_from(
                      [1, 2, -1, -2])))


@given(views(), st.lists(INDEX, max_size=4))
def test_slices_are_numpys(x, index):
    entries = [slice(*e) if isinstance(e, tuple) else e for e in index]
    try:
        want = x[(*entries, ...)]
    except IndexError:
        return  # the shape rule refuses it before; see tests/ops/test_view.py
    assert np.array_equal(seen(slice_view(device(x), tuple(index))), want)
    assert np.array_equal(slice_view(x, tuple(index)), want)


def test_an_empty_slice_does_not_point_behind_the_buffer():
    for index in (((4, None, None),), ((9, 12, None),), ((0, 0, None),), ((None, 9, -1),)):
        assert 0 <= slice_view(device(fresh((4,))), index).offset < 4


@given(views(), st.data())
def test_transpose_and_expand_are_numpys(x, data):
    dims = tuple(data.draw(st.permutations(range(x.ndim))))
    assert np.array_equal(seen(device(x).transpose(dims)), x.transpose(dims))
    wide = (2, *(3 if n == 1 else n for n in x.shape))
    assert np.array_equal(seen(expand_view(device(x), wide)), np.broadcast_to(x, wide))


@given(views())
def test_it_knows_whether_it_is_contiguous(x):
    assert is_contiguous(device(x)) == is_contiguous(x) == x.flags.c_contiguous
    assert device(x).size == x.size
    assert device(x).nbytes == x.nbytes
    assert memory(device(x)) == memory(x.base if x.base is not None else x)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 2), (2, 0, 3), (1, 1, 4)])
def test_strides_of_c_order(shape):
    want = [math.prod(max(n, 1) for n in shape[i + 1:]) for i in range(len(shape))]
    assert c_strides(shape) == tuple(want)
    assert DeviceArray(None, "moon", shape, np.dtype(bool)).is_contiguous()


def test_numpy_cannot_reach_into_it():
    a = device(fresh((2, 2)))
    with pytest.raises(TypeError, match=r"NumPy cannot read DeviceArray\(.*\): its memory is not"):
        np.asarray(a)
    with pytest.raises(TypeError, match="__array_ufunc__"):
        np.add(a, a)
    assert repr(a) == "DeviceArray(int64[2, 2] on 'moon')"


def test_memory_names_the_buffer_not_the_view():
    a, b = fresh((4,)), fresh((4,))
    over_a = a, a[1:], a.reshape(2, 2), np.broadcast_to(a, (2, 4))
    for x, y in itertools.product(over_a, repeat=2):
        assert memory(x) == memory(y)
    assert memory(a) != memory(b)
