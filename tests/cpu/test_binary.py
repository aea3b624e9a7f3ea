"""Two and three operands: broadcasting, strides, Python numbers, dtypes, non-numbers."""

import itertools

import numpy as np
import pytest
from cpu_cases import FLOATS, SIZES, hold, normal, rng

import etude
from etude.core.table import TABLE

BINARY = ("add", "sub", "mul", "div", "maximum")
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
SHAPES = [((5, 7), (7,)), ((5, 7), (5, 1)), ((5, 1), (1, 7)), ((3, 4, 5), (4, 1)), ((1,), (6, 5)),
          ((2, 3, 4, 5), (3, 1, 5)), ((2, 3, 4, 5), (2, 1, 4, 1)),
          ((2, 1, 3, 1, 5), (1, 4, 1, 6, 5)),
          ((), (4, 3)), ((1, 1, 1), (2, 3, 4)), ((300, 200), (200,)), ((300, 1), (1, 200))]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_every_kind_of_broadcast(ops, dtype, a, b):
    x, y = normal(*a, dtype=dtype), normal(*b, dtype=dtype, seed=1)
    for name in (*BINARY, *COMPARE):
        hold(ops, name, x, y)
        hold(ops, name, y, x)
    hold(ops, "lerp", x, y, np.abs(x))
    hold(ops, "where", x > 0, x, y)
    hold(ops, "where", y > 0, x, y)
    hold(ops, "where", y > 0, y, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_every_length_around_the_widths_of_vectors(ops, dtype, n):
    x, y = normal(n, dtype=dtype), normal(n, dtype=dtype, seed=1)
    for name in (*BINARY, *COMPARE):
        hold(ops, name, x, y)
        hold(ops, name, x, y[:1] if n else y)
    for c, a, b in itertools.product((x > 0, np.array([True])), (x, x[:1]), (y, y[:1])):
        if n:
            hold(ops, "where", c, a, b)
            hold(ops, "lerp", a, b, a)


@pytest.mark.parametrize("dtype", FLOATS)
def test_views_of_any_stride(ops, dtype):
    x, y = normal(24, 36, dtype=dtype), normal(24, 36, dtype=dtype, seed=1)
    views = (lambda a: a[::2, ::3], lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T,
             lambda a: a[3:, 5:], lambda a: np.broadcast_to(a[:1], (24, 36)),
             lambda a: np.broadcast_to(a[:, :1], (24, 36)))
    for view in views:
        hold(ops, "sub", view(x), view(y))
        hold(ops, "gt", view(x), np.ascontiguousarray(view(y)))
        hold(ops, "lerp", view(x), view(y), 0.5)
    record = np.zeros(40, [("a", "u1"), ("x", dtype)])  # strides that are no whole elements
    record["x"] = normal(40, dtype=dtype)
    with etude.use("reference"), pytest.raises(etude.Unsupported, match="no whole elements"):
        ops["contiguous"](record["x"])


@pytest.mark.parametrize("dtype", FLOATS)
def test_python_numbers_take_the_dtype_of_the_array(ops, dtype):
    x = normal(33, dtype=dtype)
    for number in (2, 2.5, 0.1, -1, 0.0, True, np.float64(0.3), np.float32(0.3)):
        number = dtype_of(number, dtype)
        for name in (*BINARY, *COMPARE):
            hold(ops, name, x, number)
            if name != "div" or number:
                hold(ops, name, number, x)
    hold(ops, "where", x > 0, 1.0, x)
    hold(ops, "where", x > 0, x, 0)
    hold(ops, "lerp", x, 0.5, 0.25)


def dtype_of(number, dtype):
    return np.dtype(dtype).type(number) if isinstance(number, np.generic) else number


def test_zero_and_negative_zero_are_different_numbers(ops):
    x = np.ones(4, np.float32)
    assert np.isposinf(ops["div"](x, 0.0)).all()
    assert np.isneginf(ops["div"](x, -0.0)).all()
    assert np.isposinf(ops["div"](x, 0.0)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_powers(ops, dtype):
    x = np.abs(normal(65, dtype=dtype)) + 0.1
    for y in (2.0, 3.0, 0.5, -1.0, -0.5, 1.0, 0.0, 2.7):
        hold(ops, "pow", x, y)
    hold(ops, "pow", x, normal(65, dtype=dtype))
    hold(ops, "pow", 2.0, x)
    edge = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -2.0, 1.0], dtype)
    for y in edge.tolist() + [0.5, 3.0, -1.0, 2.0]:
        hold(ops, "pow", edge, np.full_like(edge, y))


@pytest.mark.parametrize("rare", [0.0, np.inf, np.nan])
def test_a_power_does_not_depend_on_the_numbers_around_it(ops, rare):
    x, y = normal(700, dtype=np.float32), 5 * normal(700, dtype=np.float32)
    y[::2] = np.round(y[::2])
    want = ops["pow"](x, y)
    beside = np.arange(len(x)) % 100 == 0
    for base, exponent in ((np.where(beside, np.float32(rare), x), y),
                           (x, np.where(beside, np.float32(rare), y))):
        got = ops["pow"](base, exponent)
        np.testing.assert_array_equal(got[~beside], want[~beside])


@pytest.mark.parametrize("dtype", FLOATS)
def test_maximum_and_comparisons_of_nan(ops, dtype):
    some = np.array([np.nan, 1, -1, np.inf, -np.inf, 0.0, -0.0], dtype)
    x, y = (np.ascontiguousarray(a) for a in np.broadcast_arrays(some[:, None], some))
    for name in ("maximum", *COMPARE):
        hold(ops, name, x, y)


def test_integers_and_bools(ops):
    x, y = rng(0).integers(-9, 9, (13, 21)), rng(1).integers(-9, 9, 21)
    for name in ("add", "sub", "mul", "maximum", *COMPARE):
        hold(ops, name, x, y)
        hold(ops, name, x, 3)
    for name in COMPARE:
        hold(ops, name, x > 0, y > 0)
    hold(ops, "where", x > 0, x, y)
    hold(ops, "where", x > 0, x > 2, y > 0)
    big = np.array([np.iinfo(np.int64).max] * 9)
    np.testing.assert_array_equal(ops["add"](big, 1), big + 1)


def test_powers_and_quotients_of_whole_numbers(ops):
    x, y = rng(0).integers(-2000, 2000, (13, 21)), rng(1).integers(-9, 9, 21)
    y[y == 0] = 9
    x[0, :4], y[:4] = -(2**63), (-1, 1, 2**62, -(2**63))
    with np.errstate(all="ignore"):  # -2^63 / -1 wraps, and so do large powers
        for name in ("floor_divide", "remainder"):
            hold(ops, name, x, y)
            hold(ops, name, x.T, y[:, None])
            hold(ops, name, x, -7)
            hold(ops, name, 12345, y)
        hold(ops, "pow", x, np.abs(y) % 70)
        for exponent in (0, 1, 2, 63, 64, 2**62):
            hold(ops, "pow", x, exponent)


@pytest.mark.parametrize(("name", "y"), [("pow", -1), ("floor_divide", 0), ("remainder", 0)])
def test_a_number_that_whole_numbers_do_not_take_is_the_error_of_the_reference(ops, name, y):
    x = np.arange(12).reshape(3, 4)
    for operand in (y, np.array([[1], [y], [1]]), np.where(x == 11, y, 1)):
        with pytest.raises((ValueError, ZeroDivisionError)) as expected:
            TABLE[name](x, operand)
        with pytest.raises(expected.type, match=str(expected.value).split(";")[0]):
            ops[name](x, operand)
