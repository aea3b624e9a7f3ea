"""Views against index arithmetic in plain loops; memory is shared, axes and sizes are checked."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from op_cases import Case, sample

import etude
from etude import AxisError, ShapeError, ops
from etude import functional as F


def _place(at, shape):
    """Where the element at ``at`` stands in C order."""
    n = 0
    for i, size in zip(at, shape, strict=True):
        n = n * size + i
    return n


def _reshape(x, shape):
    flat = [x[at] for at in np.ndindex(x.shape)]
    sizes = list(shape)
    if -1 in sizes:
        rest = math.prod(n for n in sizes if n != -1)
        sizes[sizes.index(-1)] = len(flat) // rest
    y = np.empty(sizes, x.dtype)
    for at in np.ndindex(*sizes):
        y[at] = flat[_place(at, sizes)]
    return y


def _permute(x, dims):
    dims = [d % x.ndim for d in dims]
    y = np.empty([x.shape[d] for d in dims], x.dtype)
    for at in np.ndindex(y.shape):
        source = [0] * x.ndim
        for i, d in zip(at, dims, strict=True):
            source[d] = i
        y[at] = x[tuple(source)]
    return y


def _expand(x, shape):
    y = np.empty(shape, x.dtype)
    for at in np.ndindex(*shape):
        tail = at[len(shape) - x.ndim:]
        y[at] = x[tuple(0 if n == 1 else i for i, n in zip(tail, x.shape, strict=True))]
    return y


def _flip(x, dims):
    y = np.empty(x.shape)
    back = [d % x.ndim for d in dims]
    for at in np.ndindex(x.shape):
        y[at] = x[tuple(n - 1 - i if d in back else i for d, (i, n) in enumerate(
            zip(at, x.shape, strict=True)))]
    return y


def _slice(x, index):
    """Every axis is a list of places, every place one of them."""
    picks, keep, axis = [], [], 0
    for entry in index:
        if entry is None:
            keep.append(1)
        elif isinstance(entry, tuple):
            picks.append(list(range(x.shape[axis]))[slice(*entry)])
            keep.append(len(picks[-1]))
            axis += 1
        else:
            picks.append([list(range(x.shape[axis]))[entry]])
            axis += 1
    for n in x.shape[axis:]:
        picks.append(list(range(n)))
        keep.append(n)
    flat = [x[at] for at in itertools.product(*picks)]
    return np.array(flat, x.dtype).reshape(keep)


def _split(x, sizes, dim):
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    before = (slice(None),) * (dim % x.ndim)
    return tuple(x[(*before, slice(a, a + n))] for a, n in zip(starts, sizes, strict=True))


def _arrays(rng, *shapes):
    return [rng.uniform(-1, 1, s) for s in shapes]


def _samples(attr, *pairs):
    def make(rng):
        return [sample(np.asarray(rng.uniform(-1, 1, shape)), **{attr: value})
                for shape, value in pairs]
    return make


SLICES = [
    ((5,), ((1, 4, None),)), ((7,), ((1, 4, None),)), ((5,), ((None, None, -1),)),
    ((5,), (3,)), ((5,), (-1,)), ((5,), ((4, None, -2),)), ((5,), ((3, 3, None),)),
    ((2, 3, 4), (1,)), ((2, 3, 4), ((None, None, None), -1, (None, None, 2))),
    ((3, 3, 4), ((None, None, None), -1, (None, None, 2))),
    ((2, 3), (None, (0, 1, None), None, 2)), ((2, 3), ()), ((2, 3), (1, 2)), ((), ()),
    ((), (None,)), ((0, 3), ((None, None, None), 1)), ((4,), ((-100, 100, 1),)),
]

CASES = {
    "reshape": Case(_samples("shape", ((2, 3), (3, 2)), ((2, 6), (6, 2)), ((6,), (2, 3)),
                             ((2, 3, 2), (-1,)), ((2, 3), (1, -1, 1)), ((), (1, 1)), ((1,), ()),
                             ((0, 3), (3, 0)), ((0,), (2, 0, 5)), ((4, 3), (3, 4))),
                    _reshape, ulps=0, analytic=True),
    "permute": Case(_samples("dims", ((2, 3), (1, 0)), ((4, 3), (1, 0)), ((2, 3, 4), (2, 0, 1)),
                             ((2, 3, 4), (-1, 0, -2)), ((2, 1, 3, 2), (3, 1, 0, 2)), ((), ()),
                             ((3,), (0,)), ((0, 2), (-1, -2))),
                    _permute, ulps=0, analytic=True),
    "expand": Case(_samples("shape", ((1, 3), (2, 3)), ((1, 4), (2, 4)), ((3,), (2, 3)),
                            ((), (2, 2)), ((2, 1, 3), (4, 2, 5, 3)), ((1,), (0,)), ((2, 3), (2, 3)),
                            ((1,), (1, 1)), ((0, 1), (0, 4))),
                   _expand, ulps=0, analytic=True),
    "flip": Case(_samples("dims", ((5,), (0,)), ((9,), (0,)), ((2, 3), (0, -1)), ((2, 3), (1,)),
                          ((2, 3, 2), (0, 2)), ((2, 3), ()), ((0, 3), (1,))),
                 _flip, ulps=0, analytic=True),
    "slice": Case(_samples("index", *SLICES), _slice, ulps=0, analytic=True),
    "split": Case(lambda rng: [
        sample(*_arrays(rng, (6,)), sizes=(1, 2, 3)), sample(*_arrays(rng, (2, 5)), sizes=(2, 3),
                                                             dim=1),
        sample(*_arrays(rng, (3, 5)), sizes=(2, 3), dim=1),
        sample(*_arrays(rng, (4, 2, 3)), sizes=(4, 0), dim=-3),
        sample(*_arrays(rng, (2, 5)), sizes=(5,), dim=-1),
        sample(*_arrays(rng, (0, 2)), sizes=(0, 0))], _split, ulps=0, analytic=True),
}


# ------------------------------------------------------------------ indexing, as Python writes it

INDEX = st.one_of(st.integers(-4, 4), st.none(), st.just(...),
                  st.builds(slice, *[st.none() | st.integers(-6, 6)] * 2,
                            st.none() | st.integers(-3, 3).filter(bool)))


@given(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
       st.lists(INDEX, max_size=4).filter(lambda e: sum(i is ... for i in e) <= 1))
def test_indexing_is_numpys_in_values_memory_and_errors(shape, index):
    x = np.arange(math.prod(shape), dtype=float).reshape(shape)
    t = etude.tensor(x, requires_grad=True)
    try:
        want = x[tuple(index)]
    except IndexError:
        with pytest.raises(AxisError, match="indexing: "):
            t[tuple(index)]
        return
    y = t[tuple(index)]
    assert y.shape == want.shape
    assert np.array_equal(y.detach().numpy(), want)
    assert not want.size or np.shares_memory(y.data, t.data)
    w = etude.tensor(np.arange(want.size, dtype=float).reshape(want.shape) + 1)
    (y * w).sum().backward()
    grad = np.zeros(shape)
    grad[tuple(index)] = w.numpy()
    assert np.array_equal(t.grad.numpy(), grad)


@given(hnp.array_shapes(min_dims=1, max_dims=4, max_side=3), st.randoms(use_true_random=False))
def test_a_permutation_and_its_inverse(shape, random):
    dims = list(range(len(shape)))
    random.shuffle(dims)
    x = np.arange(math.prod(shape), dtype=float).reshape(shape)
    t = etude.tensor(x, requires_grad=True)
    y = t.permute(dims)
    assert np.array_equal(y.detach().numpy(), _permute(x, dims))
    (y * etude.tensor(_permute(x, dims))).sum().backward()
    assert np.array_equal(t.grad.numpy(), x)


def test_reshape_copies_only_where_it_must_and_stays_right():
    x = etude.tensor(np.arange(6.0).reshape(2, 3))
    assert np.shares_memory(x.reshape(3, 2).data, x.data)
    y = x.T.reshape(6)
    assert not np.shares_memory(y.data, x.data)
    assert y.tolist() == [0, 3, 1, 4, 2, 5]
    with pytest.raises(ShapeError, match=r"reshape: no view of float64\[3, 2\] with strides .* has "
                                         r"the shape \[6\]; make it contiguous first"):
        ops.reshape(x.data.T, shape=(6,))


def test_the_other_names_of_views():
    x = etude.tensor(np.arange(24.0).reshape(2, 3, 4))
    v = x.numpy()
    for y, want in [
        (x.transpose(0, -1), v.swapaxes(0, 2)), (x.T, v.swapaxes(1, 2)),
        (x.flatten(), v.reshape(-1)), (x.flatten(1), v.reshape(2, 12)),
        (x.flatten(0, 1), v.reshape(6, 4)), (x.flatten(-2, -1), v.reshape(2, 12)),
        (x.unsqueeze(0), v[None]), (x.unsqueeze(-1), v[..., None]), (x.unsqueeze(2), v[:, :, None]),
        (x[:1].squeeze(0), v[0]), (x.squeeze(1), v), (x[:1].expand(5, -1, -1),
                                                      np.broadcast_to(v[:1], (5, 3, 4))),
        (F.stack([x[0], x[1]]), v), (F.stack([x[0], x[1]], dim=-1), v.transpose(1, 2, 0)),
        (F.reshape(x, (4, 6)), v.reshape(4, 6)), (F.expand(x[0, 0], (2, 4)),
                                                  np.broadcast_to(v[0, 0], (2, 4)))]:
        assert y.shape == want.shape
        assert np.array_equal(y.numpy(), want)
    assert etude.tensor(3.0).flatten().tolist() == [3]


@pytest.mark.parametrize(("pieces", "sizes"), [
    (2, [2, 2, 1]), (5, [5]), (7, [5]), ([1, 4], [1, 4]), ([0, 5, 0], [0, 5, 0])])
def test_split_into_equal_or_given_pieces(pieces, sizes):
    x = etude.tensor(np.arange(10.0).reshape(2, 5))
    parts = x.split(pieces, 1)
    assert [p.shape for p in parts] == [(2, n) for n in sizes]
    assert np.array_equal(etude.cat(parts, 1).numpy(), x.numpy())
    assert all(np.shares_memory(p.data, x.data) for p in parts if p.numel())


def test_split_of_an_empty_axis_is_one_empty_piece():
    assert [p.shape for p in etude.zeros(0, 2).split(3)] == [(0, 2)]


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda x: x.reshape(4, 2), ShapeError, r"reshape: float32\[2, 3\] has 6 elements, \[4, 2\] "
                                            r"has 8. One size may be -1, meaning the rest"),
    (lambda x: x.reshape(4, -1), ShapeError, r"has 6 elements, which does not divide into \[4, -1"),
    (lambda x: x.reshape(-1, -1), ShapeError, "reshape: a shape is made of integers >= 0"),
    (lambda x: x.reshape(0.5, 12), ShapeError, "reshape: a shape is made of integers >= 0"),
    (lambda x: x.permute(0, 0), AxisError, r"permute: dims=\(0, 0\) must name each of the 2 "
                                           r"dimens"),
    (lambda x: x.permute(0), AxisError, r"permute: dims=\(0,\) must name each"),
    (lambda x: x.permute(0, 2), AxisError, "permute: dim=2 is outside an array of 2 dimensions"),
    (lambda x: x.expand(3, 3), ShapeError, r"expand: .*do not broadcast|does not stretch"),
    (lambda x: x.expand(2, 1), ShapeError, r"expand: float32\[2, 3\] does not stretch to \[2, 1\]"),
    (lambda x: x.expand(3), ShapeError, r"expand: float32\[2, 3\] does not stretch to \[3\]"),
    (lambda x: x[2], AxisError, r"indexing: index 2 is outside dimension 0 of float32\[2, 3\]"),
    (lambda x: x[0, 0, 0], AxisError, r"indexing: 3 indices for float32\[2, 3\], which has 2 dim"),
    (lambda x: x[[0, 1], 0], TypeError, "indexed with integers, slices, None and ..., or with one "
                                        "int64 tensor; got list"),
    (lambda x: x[True], TypeError, "got bool"),
    (lambda x: x[..., 0, ...], TypeError, "got ellipsis"),
    (lambda x: x[0.5:], TypeError, "'float' object cannot be interpreted as an integer"),
    (lambda x: x.split([1, 2], 0), ShapeError, r"split: sizes \[1, 2\] add up to 3, but dimension "
                                               r"0 "
                                               r"of float32\[2, 3\] has 2"),
    (lambda x: x.split(0), ShapeError, "split: the size of a piece must be an integer >= 1, got 0"),
    (lambda x: x.split(1, 2), AxisError, "split: dim=2 is outside an array of 2 dimensions"),
    (lambda x: x.split([2, 1], -3), AxisError, "split: dim=-3 is outside"),
    (lambda x: x.transpose(0, 2), AxisError, "transpose: dim=2 is outside an array of 2 "
                                             "dimensions"),
    (lambda x: x[0].T, AxisError, "transpose: dim=-2 is outside an array of 1 dimensions"),
    (lambda x: x.squeeze(2), AxisError, "squeeze: dim=2 is outside an array of 2 dimensions"),
    (lambda x: x.unsqueeze(3), AxisError, "unsqueeze: dim=3 is outside"),
    (lambda x: x.flatten(0, 2), AxisError, "flatten: dim=2 is outside"),
    (lambda x: x.flatten(1, 0), AxisError, "flatten: start_dim=1 comes after end_dim=0"),
])
def test_shapes_and_axes_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call(etude.ones(2, 3))
