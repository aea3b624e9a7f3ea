"""Copies, casts and indexing by arrays."""

import itertools

import numpy as np
import pytest
from cpu_cases import hold, normal, rng

import etude
from etude import TABLE, DTypeError
from etude.core.errors import Unsupported
from etude.core.state import current

DTYPES = ("float32", "float64", "int64", "bool")


def some(*shape, dtype):
    return (10 * normal(*shape, dtype="float64")).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_layout_becomes_contiguous(ops, dtype):
    x = some(3, 4, 5, 6, dtype=dtype)
    for order in itertools.permutations(range(4)):
        hold(ops, "contiguous", x.transpose(order))
        hold(ops, "contiguous", x[::-1, :, ::2].transpose(order))
    hold(ops, "contiguous", np.broadcast_to(x[:, :1], x.shape))
    hold(ops, "contiguous", np.broadcast_to(x[0, 0, 0, 0], (7, 9)))
    for shape in ((33, 65), (1, 200), (257, 31), (1000, 900)):
        hold(ops, "contiguous", some(*shape, dtype=dtype).T)
        hold(ops, "contiguous", some(*shape, dtype=dtype)[:, ::2])
    hold(ops, "contiguous", some(*[2] * 12, dtype=dtype).transpose(range(11, -1, -1)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_cat_and_slice_backward(ops, dtype):
    x, y = some(4, 5, 6, dtype=dtype), some(4, 5, 6, dtype=dtype)
    for dim in (0, 1, 2, -1):
        hold(ops, "cat", x, y[::-1], x, dim=dim)
        hold(ops, "cat", x, dim=dim)
    hold(ops, "cat", x, y[:, :0], y[:, 2:], dim=1)
    hold(ops, "slice_backward", x, shape=(9, 5, 20), index=((7, None, -2), (0, 5, 1), (1, 19, 3)))
    hold(ops, "slice_backward", x[0], shape=(3, 5, 6), index=(1,))
    hold(ops, "slice_backward", x[:, None, 0, 0], shape=(4,), index=((0, 4, 1), None))
    hold(ops, "slice_backward", x[0, 0, 0, ...], shape=(3, 2), index=(1, -1))


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("to", DTYPES)
def test_casts(ops, source, to):
    for n in (0, 1, 15, 33, 70_001):
        hold(ops, "cast", some(n, dtype=source), dtype=np.dtype(to))
    hold(ops, "cast", some(7, 8, dtype=source).T, dtype=np.dtype(to))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_and_scatter_add(ops, dtype):
    x = some(6, 7, 8, dtype=dtype)
    for dim in range(3):
        shape = list(x.shape)
        shape[dim] = 11
        index = rng(dim).integers(0, x.shape[dim], shape)
        src = some(*shape, dtype=dtype)
        hold(ops, "gather", x, index, dim=dim)
        hold(ops, "gather", x, index[:3, :2, :5], dim=dim)
        if dtype != "bool":
            hold(ops, "scatter_add", x, index, src, dim=dim, terms=99)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("shape", "dim"), [((7,), 0), ((2, 3), 1), ((3, 100), 0), ((2, 3, 5), 1)])
def test_many_repeats_add_up_to_the_bits_of_the_reference(ops, dtype, shape, dim):
    many = tuple(5000 if d == dim else n for d, n in enumerate(shape))
    x, src = some(*shape, dtype=dtype), some(*many, dtype=dtype)
    index = rng(1).integers(0, shape[dim], many)
    got = ops["scatter_add"](x, index, src, dim=dim)
    np.testing.assert_array_equal(got, TABLE["scatter_add"](x, index, src, dim=dim))


def test_an_index_out_of_range_is_named_as_by_the_reference(ops):
    x, index = normal(5, 6), np.zeros((5, 2), np.int64)
    for wrong in (6, -1):
        index[3, 1] = wrong
        with pytest.raises(IndexError, match=f"gather: index {wrong} is outside dimension 1"):
            ops["gather"](x, index, dim=1)
        with pytest.raises(IndexError, match=f"scatter_add: index {wrong} is outside dimension 1"):
            ops["scatter_add"](x, index, x, dim=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_stack_pad_and_triangles_of_every_dtype_and_layout(ops, dtype):
    x = some(4, 5, 6, dtype=dtype)
    for a in (x, x.transpose(2, 0, 1), x[:, ::-1, ::2]):
        for dim in (0, 1, 3, -1, -2):
            hold(ops, "stack", a, a[::-1], a, dim=dim)
        for padding in ((), (1, 2), (0, 3, 2, 0), (1, 1, 1, 1, 1, 1)):
            hold(ops, "pad", a, padding=padding, value=1)
        for diagonal in (-100, -2, 0, 1, 100):
            hold(ops, "tril", a, diagonal=diagonal)
            hold(ops, "triu", a, diagonal=diagonal)


@pytest.mark.parametrize("dtype", DTYPES)
def test_contiguous_copies_into_any_strides_of_out(ops, dtype):
    x, wide = some(6, 5, dtype=dtype), np.zeros((12, 20), dtype)
    for out in (wide[::2, 3:8], wide.T[:6, 1:6], wide[5::-1, ::4]):
        assert ops["contiguous"](x, out=out) is out
        np.testing.assert_array_equal(out, x)


def test_a_copy_into_its_own_memory_reads_all_before_it_writes(ops):
    a = etude.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert a.copy_(a.T).tolist() == [[1, 3], [2, 4]]
    assert a.copy_(a).tolist() == [[1, 3], [2, 4]]
    b = etude.arange(5)
    assert b.copy_(b.flip((0,))).tolist() == [4, 3, 2, 1, 0]
    c = etude.arange(8).float()
    c[::2].copy_(c[:4])
    assert c.tolist() == [0, 1, 1, 3, 2, 5, 3, 7]
    x = normal(300, 300)
    big = etude.tensor(x)
    assert np.array_equal(big.copy_(big.T).numpy(), x.T)


@pytest.mark.parametrize(("name", "arrays", "attrs"), [
    ("exp", lambda m: [m[1:]], {}), ("add", lambda m: [m[1:], m[:-1]], {}),
    ("where", lambda m: [m[1:] > 2, m[1:], m[:-1]], {}), ("clamp", lambda m: [m[1:]], {"min": 1.0}),
    ("softmax", lambda m: [m[1:].reshape(2, 4)], {}), ("cumsum", lambda m: [m[:-1]], {"dim": 0}),
    ("matmul", lambda m: [m[:4].reshape(2, 2), m[4:8].reshape(2, 2)], {}),
    ("cat", lambda m: [m[4:8], m[:4]], {"dim": 0}),
    ("pad", lambda m: [m[2:6]], {"padding": (2, 2)}),
    ("slice_backward", lambda m: [m[2:6]], {"shape": (8,), "index": ((4, 8, 1),)})])
def test_an_out_that_overlaps_an_input_elsewhere_is_left_to_the_reference(ops, name, arrays, attrs):
    memory = np.arange(9, dtype=np.float32) / 3
    want = TABLE[name](*arrays(memory.copy()), **attrs)
    out = memory[:8][:want.size].reshape(want.shape)
    with pytest.raises(Unsupported, match="out overlaps an input"):
        ops[name](*arrays(memory), out=out, **attrs)
    with etude.use("cpu"):
        current("cpu")[name](*arrays(memory), out=out, **attrs)
    assert np.array_equal(out, want)


def test_the_same_memory_in_the_same_order_is_fine_where_an_op_is_elementwise(ops):
    x = normal(40, 3)
    for name, attrs in (("exp", {}), ("clamp", {"max": 0.5}), ("softmax", {"dim": -1})):
        own = x.copy()
        assert ops[name](own, out=own, **attrs) is own
        np.testing.assert_array_equal(own, ops[name](x, **attrs))
    own = x.copy()
    ops["mul"](own, own, out=own)
    np.testing.assert_array_equal(own, x * x)
    with pytest.raises(Unsupported, match="out overlaps an input"):
        ops["cumsum"](own, dim=0, out=own)


@pytest.mark.parametrize("name", ["relu", "exp", "softmax", "contiguous", "sum"])
def test_another_byte_order_is_refused_also_after_a_call_with_this_one(ops, name):
    x = normal(2, 3)
    ops[name](x)
    with pytest.raises((DTypeError, Unsupported)):
        ops[name](x.astype(x.dtype.newbyteorder()))
    with pytest.raises(DTypeError, match=r"float32\[2, 3\] in another byte order"):
        TABLE[name](x.astype(x.dtype.newbyteorder()))
