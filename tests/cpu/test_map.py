"""Accuracy and limits of the vectorised functions, and every length of the loops around them."""

import numpy as np
import pytest
from cpu_cases import FLOATS, SIZES, hold, normal, rng, ulps
from scipy import special

MAPS = ("neg", "exp", "tanh", "sigmoid", "relu", "erf", "gelu")
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 5e-324, 1e-40, 1e-310, 1.0, -1.0,
           88.0, -88.0, 88.7228, 88.73, 89.5, -87.4, -100.0, -103.9, -104.5, -1e4, 1e4, 709.78,
           709.79, 745.0, -745.1, -745.2, -708.5, 3e38, -3e38)



def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: op -> (exact, from, to, most ulps in float32 and in float64)
EXACT = {
    "exp": (np.exp, -103, 88.7, 1.5, 1.5),
    "log": (np.log, 1e-30, 1e30, 1.5, 1.5),
    "tanh": (np.tanh, -12, 12, 2, 2.5),
    "sigmoid": (sigmoid, -80, 80, 2, 2),
    "erf": (special.erf, -5, 5, 1.5, 4),  # in float64 SciPy's own error is in this
    "sqrt": (np.sqrt, 0, 1e30, 0.51, 1),
}


def spread(low, high, n, dtype):
    """Numbers of every magnitude within the bounds."""
    u = rng(7).random(n)
    if low > 0:
        return np.exp(np.log(low) + u * np.log(high / low)).astype(dtype)
    even = low + u * (high - low)
    fine = np.exp(rng(8).uniform(-40, np.log(high), n))
    fine = np.where(rng(9).random(n) < 0.5, -fine, fine)
    return np.concatenate([even, fine[(fine > low) & (fine < high)]]).astype(dtype)


@pytest.mark.parametrize("name", EXACT)
def test_float32_within_a_few_ulps_of_the_exact_value(ops, name):
    exact, low, high, most, _ = EXACT[name]
    x = spread(low, high, 1_000_000, np.float32)
    assert ulps(ops[name](x), exact(x.astype(np.float64))).max() <= most


@pytest.mark.parametrize("name", EXACT)
def test_float64_within_a_few_ulps_of_the_c_library(ops, name):
    exact, low, high, _, most = EXACT[name]
    x = spread(low, high, 200_000, np.float64)
    wide = x if exact is special.erf else x.astype(np.longdouble)
    assert ulps(ops[name](x), exact(wide)).max() <= most


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES)
def test_every_length_around_the_widths_of_vectors(ops, dtype, n):
    x, y = normal(n, dtype=dtype), normal(n, dtype=dtype, seed=1)
    for name in MAPS:
        hold(ops, name, x)
    hold(ops, "log", np.abs(x) + 1)
    hold(ops, "gelu", x, approximate="tanh")
    for name in ("relu_backward", "tanh_backward", "sigmoid_backward", "gelu_backward"):
        hold(ops, name, x, y)


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinities_nan_and_subnormals_come_out_as_from_numpy(ops, dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL * 3).astype(dtype)
        for name in ("neg", "exp", "tanh", "relu", "erf", "sigmoid", "log", "sqrt"):
            got, exact = ops[name](x), EXACT.get(name, (None,))[0]
            if exact is None:
                continue
            wide = x.astype(np.float64 if exact is special.erf else np.longdouble)
            want = exact(wide).astype(dtype)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=name)
            np.testing.assert_array_equal(np.isinf(got), np.isinf(want), err_msg=name)
            np.testing.assert_array_equal(got == 0, want == 0, err_msg=name)
            number = np.isfinite(want)
            assert ulps(got[number], want[number].astype(np.float64)).max() <= 2.5, name
    negative_zero = np.full(40, -0.0, dtype)
    for name in ("tanh", "erf"):
        assert np.signbit(ops[name](negative_zero)).all(), name


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_keeps_nan(ops, dtype):
    x = np.array([np.nan, -1, 2, -np.inf, np.inf] * 9, dtype)
    np.testing.assert_array_equal(ops["relu"](x), np.maximum(x, 0))


def test_integers_negate_and_wrap_as_in_numpy(ops):
    x = np.array([0, 5, -7, np.iinfo(np.int64).min] * 5)
    np.testing.assert_array_equal(ops["neg"](x), -x)
    hold(ops, "relu", x)
