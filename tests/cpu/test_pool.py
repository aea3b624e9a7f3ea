"""Pools that average: every kind of window, and bins that overlap or hold one pixel."""

import itertools

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal

from etude.core.table import TABLE


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


def test_nan_stays_in_the_windows_that_see_it(ops):
    x = normal(1, 1, 9, 9)
    x[0, 0, 4, 4] = np.nan
    window = {"kernel_size": (3, 3), "stride": (1, 1), "padding": (1, 1)}
    got = np.isnan(ops["avg_pool2d"](x, **window))
    np.testing.assert_array_equal(got, np.isnan(TABLE["avg_pool2d"](x, **window)))
    assert got.sum() == 9
