"""Making tensors: full and what is built on it."""

import numpy as np
import pytest
from op_cases import Case, sample

import etude
from etude import DTypeError, ShapeError
from etude.core.shapes import DTYPES


def _full(shape, value, dtype):
    y = np.empty(shape, dtype)
    for at in np.ndindex(*shape):
        y[at] = value
    return y


CASES = {
    "full": Case(lambda rng: [sample(shape=s, value=v, dtype=d) for d in DTYPES
                              for s, v in (((), 1), ((2, 3), 0), ((4, 3), 0.0), ((0, 2), 1))] + [
        sample(shape=(2,), value=0.1, dtype=np.dtype("float32")),
        sample(shape=(3,), value=float("nan"), dtype=np.dtype("float64"))], _full, ulps=0),
}


def test_the_default_dtype_is_that_of_the_value():
    for value, dtype in ((True, "bool"), (2, "int64"), (0.5, "float32")):
        assert etude.full((2,), value).dtype == dtype
    assert etude.zeros(2, 3).dtype == etude.ones(()).dtype == np.float32


def test_shapes_are_given_as_numbers_or_as_one_tuple():
    assert etude.zeros(2, 3).shape == etude.zeros((2, 3)).shape == etude.full([2, 3], 1).shape
    assert etude.full(3, 1.0).tolist() == [1, 1, 1]
    assert etude.ones(()).shape == ()
    x = etude.tensor([[1, 2]])
    assert (etude.zeros_like(x).tolist(), etude.ones_like(x).dtype) == ([[0, 0]], np.int64)


def test_arange():
    assert (etude.arange(3).tolist(), etude.arange(3).dtype) == ([0, 1, 2], np.int64)
    assert (etude.arange(1, 2, 0.5).tolist(), etude.arange(1, 2, 0.5).dtype) == ([1, 1.5],
                                                                                 np.float32)
    assert etude.arange(4, 0, -2, dtype=etude.float64).tolist() == [4, 2]


def test_data_is_copied_and_floats_of_python_are_float32():
    x = np.array([1.0, 2.0])
    t = etude.tensor(x)
    x[0] = 9
    assert (t.tolist(), t.dtype) == ([1, 2], np.float64)
    assert etude.tensor([1.0]).dtype == np.float32
    assert etude.tensor(np.float64(1)).dtype == np.float64
    assert etude.tensor([1, 2.5]).dtype == np.float32
    assert etude.tensor(t).tolist() == [1, 2]
    assert etude.tensor([1.5], dtype=etude.int64).tolist() == [1]


@pytest.mark.parametrize(("given", "kept"), [
    ("float16", "float32"), (">f4", "float32"), ("float32", "float32"), (">f8", "float64"), (
        "longdouble",
        "float64"),
    ("int8", "int64"), ("uint8", "int64"), ("int64", "int64"), ("uint64", "int64"),
    ("bool", "bool")])
def test_other_dtypes_take_the_nearest_of_four(given, kept):
    t = etude.tensor(np.array([0, 1], given))
    assert t.dtype == kept
    assert t.dtype.isnative
    assert t.tolist() == [0, 1]


def test_from_numpy_shares_memory():
    x = np.array([1.0, 2.0])
    t = etude.from_numpy(x)
    x[0] = 9
    assert t.tolist() == [9, 2]
    with pytest.raises(DTypeError, match=r"from_numpy\(\): needs a NumPy array of float32, .*got "
                                         r"float16; etude.tensor converts"):
        etude.from_numpy(np.zeros(2, np.float16))
    with pytest.raises(DTypeError, match="got list"):
        etude.from_numpy([1.0])


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: etude.tensor([[1, 2], [3]]), ShapeError, "the nested lists have different lengths"),
    (lambda: etude.tensor("abc"), DTypeError, "needs numbers or bools, got str that NumPy reads"),
    (lambda: etude.tensor([1j]), DTypeError, "needs numbers or bools, got list that NumPy reads as "
                                             "complex128"),
    (lambda: etude.tensor(None), DTypeError, "got NoneType"),
    (lambda: etude.tensor([2**63]), DTypeError, r"9223372036854775808: int64 ends at 2\^63 - 1"),
    (lambda: etude.tensor([1], requires_grad=True), DTypeError, "only float tensors have "
                                                                "gradients, "
                                                                "this one is int64"),
    (lambda: etude.zeros(-1), ShapeError, r"full: a shape is made of integers >= 0, got \[-1\]"),
    (lambda: etude.zeros(2.5), ShapeError, "a shape is made of integers"),
    (lambda: etude.zeros(2, dtype="float16"), DTypeError, "full: dtype must be one of bool, int64, "
                                                          "float32, float64, got float16"),
])
def test_what_no_tensor_can_be_made_from(call, error, words):
    with pytest.raises(error, match=words):
        call()
