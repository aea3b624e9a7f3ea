"""Pools: every kind of window, bins that overlap or hold one pixel, and windows side by side."""

import itertools

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal

from etude.core.table import TABLE

SIDE_BY_SIDE = {"kernel_size": (2, 2), "stride": (2, 2)}
SIDES = [(2, 8), (3, 9), (4, 14), (5, 15), (8, 16), (6, 17), (2, 28), (7, 33), (32, 32)]


def few_values(*shape, dtype):
    """Numbers with many ties, zeros of both signs, infinities and NaN."""
    values = np.array([0, -0.0, 1, 1, 2, -1, np.inf, -np.inf, np.nan], dtype)
    return values[np.random.default_rng(0).integers(0, len(values), shape)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [(1, 1), (5, 4), (12, 13), (30, 33)])
def test_average_pool(ops, dtype, size):
    x = normal(2, 3, *size, dtype=dtype)
    for k, s, p in itertools.product([(1, 1), (2, 2), (3, 2), (5, 4)], [(1, 1), (2, 3), (5, 4)],
                                     [(0, 0), (1, 1), (0, 1), (2, 2)]):
        if any(2 * b > a or n + 2 * b < a for a, b, n in zip(k, p, size)):
            continue
        window = {"kernel_size": k, "stride": s, "padding": p}
        y = hold(ops, "avg_pool2d", x, **window)
        hold(ops, "avg_pool2d_backward", normal(*y.shape, dtype=dtype), input_size=size, **window)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (12, 13), (30, 33)])
def test_adaptive_average_pool(ops, dtype, size):
    x = normal(2, 3, *size, dtype=dtype)
    for output in itertools.product((1, 3, 7, 20), (1, 2, 13)):
        y = hold(ops, "adaptive_avg_pool2d", x, output_size=output, terms=9)
        grad = normal(*y.shape, dtype=dtype)
        hold(ops, "adaptive_avg_pool2d_backward", grad, input_size=size, terms=99)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("width", [512, 513, 1300])
@pytest.mark.parametrize("output", [(1, 1), (2, 3), (4, 511), (3, 1299), (1, 2000)])
def test_adaptive_average_pool_of_lines_that_are_taken_in_parts(ops, dtype, width, output):
    size = (3, width)
    x, grad = normal(2, 1, *size, dtype=dtype), normal(2, 1, *output, dtype=dtype)
    hold(ops, "adaptive_avg_pool2d", x, output_size=output, terms=3 * width)
    hold(ops, "adaptive_avg_pool2d_backward", grad, input_size=size, terms=99)


@pytest.mark.parametrize("output", [(1, 1), (2, 2), (3, 3)])
def test_the_gradient_of_an_adaptive_pool_is_a_sum_that_begins_at_0(ops, output):
    grad = np.full((1, 1, *output), -0.0, np.float32)
    dx = ops["adaptive_avg_pool2d_backward"](grad, input_size=(4, 5))
    np.testing.assert_array_equal(np.signbit(dx), False)


def test_nan_stays_in_the_windows_that_see_it(ops):
    x = normal(1, 1, 9, 9)
    x[0, 0, 4, 4] = np.nan
    window = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    got = np.isnan(ops["avg_pool2d"](x, **window))
    np.testing.assert_array_equal(got, np.isnan(TABLE["avg_pool2d"](x, **window)))
    assert got.sum() == 9


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIDES)
def test_maxima_of_windows_side_by_side(ops, dtype, size):
    for x in (normal(3, 5, *size, dtype=dtype), few_values(3, 5, *size, dtype=dtype)):
        y, index = ops["max_pool2d"](x, **SIDE_BY_SIDE)
        want, where = TABLE["max_pool2d"](x, **SIDE_BY_SIDE)
        np.testing.assert_array_equal(y, want)
        np.testing.assert_array_equal(index, where)
        grad = normal(*y.shape, dtype=dtype)
        np.testing.assert_array_equal(ops["max_pool2d_backward"](grad, index, input_size=size),
                                      TABLE["max_pool2d_backward"](grad, where, input_size=size))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("size", SIDES)
@pytest.mark.parametrize("divisor", [None, 3])
def test_means_of_windows_side_by_side(ops, dtype, size, divisor):
    window = {**SIDE_BY_SIDE, "divisor_override": divisor}
    y = hold(ops, "avg_pool2d", normal(3, 5, *size, dtype=dtype), **window)
    grad = normal(*y.shape, dtype=dtype)
    hold(ops, "avg_pool2d_backward", grad, input_size=size, **window)
    strange = few_values(3, 5, *size, dtype=dtype)
    with np.errstate(invalid="ignore"):
        want = TABLE["avg_pool2d"](strange, **window)
    np.testing.assert_array_equal(np.isfinite(ops["avg_pool2d"](strange, **window)),
                                  np.isfinite(want))


@pytest.mark.parametrize("bad", [-1, 64, np.iinfo(np.int64).min, np.iinfo(np.int64).max])
def test_an_index_outside_of_its_plane_is_an_error(ops, bad):
    y, index = ops["max_pool2d"](normal(2, 3, 8, 8), **SIDE_BY_SIDE)
    index[1, 2, 3, 3] = bad
    with pytest.raises(IndexError):
        ops["max_pool2d_backward"](y, index, input_size=(8, 8))
