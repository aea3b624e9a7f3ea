"""Accuracy and limits of the vectorised functions, and every length of the loops around them."""

import numpy as np
import pytest
from cpu_cases import FLOATS, POSITIVE_MAPS, SIZES, hold, normal, of_class, rng, ulps
from scipy import special

from etude.core.errors import Unsupported
from etude.core.table import TABLE

SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 5e-324, 1e-40, 1e-310, 1.0, -1.0,
           88.0, -88.0, 88.7228, 88.73, 89.5, -87.4, -100.0, -103.9, -104.5, -1e4, 1e4, 709.78,
           709.79, 745.0, -745.1, -745.2, -708.5, 3e38, -3e38)



def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: op -> (exact, from, to, most ulps in float32 and in float64)
EXACT = {
    "exp": (np.exp, -103, 88.7, 1.5, 1.5),
    "log": (np.log, 1e-30, 1e30, 1.5, 1.5),
    "tanh": (np.tanh, -12, 12, 3, 2.5),
    "sigmoid": (sigmoid, -80, 80, 3, 2.5),
    "erf": (special.erf, -5, 5, 1.5, 4),  # in float64 SciPy's own error is in this
    "sqrt": (np.sqrt, 0, 1e30, 0.51, 1),
    "expm1": (np.expm1, -50, 88.7, 2, 2),
    "log1p": (np.log1p, -0.999, 1e30, 2, 2),
    "sin": (np.sin, -1e6, 1e6, 1.6, 1),
    "cos": (np.cos, -1e6, 1e6, 1.6, 1),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1e-30, 1e30, 1.8, 1.6),
}

#: most ulps of a sine or cosine
ANGLE = {"float32": 1.6, "float64": 1}


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
    for name in of_class("map", "map_bool"):
        hold(ops, name, x)
    for name in POSITIVE_MAPS:
        hold(ops, name, np.abs(x) + 1)
    hold(ops, "clamp", x, min=-1, max=0.5)
    hold(ops, "gelu", x, approximate="tanh")
    for name in ("relu_backward", "tanh_backward", "sigmoid_backward", "gelu_backward"):
        hold(ops, name, x, y)


@pytest.mark.parametrize("dtype", FLOATS)
def test_infinities_nan_and_subnormals_come_out_as_from_numpy(ops, dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL * 3).astype(dtype)
        for name in EXACT:
            got, exact = ops[name](x), EXACT[name][0]
            wide = x.astype(np.float64 if exact is special.erf else np.longdouble)
            want = exact(wide).astype(dtype)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=name)
            np.testing.assert_array_equal(np.isinf(got), np.isinf(want), err_msg=name)
            np.testing.assert_array_equal(got == 0, want == 0, err_msg=name)
            number = np.isfinite(want)
            assert ulps(got[number], want[number].astype(np.float64)).max() <= 3, name
    negative_zero = np.full(40, -0.0, dtype)
    for name in ("tanh", "erf", "sin", "expm1", "log1p"):
        assert np.signbit(ops[name](negative_zero)).all(), name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["exp", "log"])
def test_a_rare_number_leaves_the_bits_of_its_neighbours_alone(ops, dtype, name):
    x = np.abs(normal(600, dtype=dtype)) + 1
    want = ops[name](x)
    for rare in (np.nan, np.inf, -np.inf, -1000, 0):
        given = x.copy()
        given[300] = rare
        with np.errstate(all="ignore"):
            got = ops[name](given)
        others = np.arange(600) != 300
        np.testing.assert_array_equal(got[others], want[others])


@pytest.mark.parametrize("dtype", FLOATS)
def test_activations_and_rounding_of_infinities_and_nan_are_the_references(ops, dtype):
    with np.errstate(all="ignore"):
        x = np.array(SPECIAL * 3).astype(dtype)
        for name in ("abs", "sign", "square", "reciprocal", "floor", "ceil", "round", "isnan",
                     "leaky_relu", "elu", "silu", "softplus"):
            hold(ops, name, x)
        for bounds in ({"min": -1}, {"max": 2.5}, {"min": -1, "max": 1}, {"min": 2, "max": 1},
                       {"min": -np.inf}, {"max": np.inf}):
            hold(ops, "clamp", x, **bounds)
        hold(ops, "round", (np.arange(-40, 40) / 2).astype(dtype))
        hold(ops, "minimum", x, x[::-1].copy())


def test_clamp_declines_a_bound_that_is_nan(ops):
    with pytest.raises(Unsupported, match="NaN"):
        ops["clamp"](np.ones(3, np.float32), min=np.nan)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("most", [1e3, 1e6, 1e7, 1e30])
def test_angles_of_any_size(ops, dtype, most):
    x = rng(5).uniform(-most, most, 20_000).astype(dtype)
    x[::300] /= most  # small ones and large ones in one block
    for name, exact in (("sin", np.sin), ("cos", np.cos)):
        assert ulps(ops[name](x), exact(x.astype(np.longdouble))).max() <= ANGLE[dtype], name


@pytest.mark.parametrize("dtype", FLOATS)
def test_multiples_of_a_quarter_turn(ops, dtype):
    x = (np.arange(-4000, 4000) * (np.pi / 2)).astype(dtype)
    wide = x.astype(np.longdouble)
    for name, exact in (("sin", np.sin), ("cos", np.cos)):
        assert ulps(ops[name](x), exact(wide)).max() <= ANGLE[dtype], name


@pytest.mark.parametrize("n", SIZES)
def test_logic_at_every_length(ops, n):
    x, y = rng(n).random((3, n)) < 0.5, rng(n + 1).random(n) < 0.5
    for name in ("logical_and", "logical_or"):
        hold(ops, name, x, y)
        hold(ops, name, x[:, :1], y)
        hold(ops, name, x, True)
    hold(ops, "logical_not", x)
    rare = rng(n).random((3, n)) < 1 / (n + 1)
    for dim in (None, 0, 1):
        for keepdim in (False, True):
            hold(ops, "any", rare, dim=dim, keepdim=keepdim)
            hold(ops, "all", ~rare, dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_keeps_nan(ops, dtype):
    x = np.array([np.nan, -1, 2, -np.inf, np.inf] * 9, dtype)
    np.testing.assert_array_equal(ops["relu"](x), np.maximum(x, 0))


@pytest.mark.parametrize("dtype", FLOATS)
def test_relu_and_clamp_keep_the_sign_of_zero(ops, dtype):
    x = np.array([-0.0, 0.0, 1.0] * 30, dtype)
    for name, attrs in (("relu", {}), ("clamp", {"min": 0.0}), ("clamp", {"max": 0.0}),
                        ("clamp", {"min": -1.0, "max": 1.0})):
        zero = x[x == 0]
        assert np.array_equal(np.signbit(ops[name](x, **attrs)[x == 0]), np.signbit(zero)), name


@pytest.mark.parametrize(("name", "attribute"), [("clamp", "min"), ("elu", "alpha"),
                                                 ("leaky_relu", "negative_slope")])
def test_a_call_with_one_zero_is_not_taken_for_the_call_with_the_other(ops, name, attribute):
    x = np.array([-1.0], np.float32)
    for zero in (0.0, -0.0, 0.0, -0.0):
        want = TABLE[name].reference(x, **{attribute: zero})
        got = ops[name](x, **{attribute: zero})
        assert np.signbit(got) == np.signbit(want), (name, zero)


def test_integers_negate_and_wrap_as_in_numpy(ops):
    x = np.array([0, 5, -7, np.iinfo(np.int64).min] * 5)
    np.testing.assert_array_equal(ops["neg"](x), -x)
    for name in ("relu", "abs", "sign", "square"):
        hold(ops, name, x)
    for bounds in ({"min": -3}, {"max": 4.5}, {"min": -2.5, "max": 0.5}, {"min": 9, "max": -9},
                   {"min": -np.inf}, {"max": np.inf}, {"min": 1e30}, {"max": -1e30}):
        hold(ops, "clamp", x, **bounds)
    hold(ops, "minimum", x, x[::-1].copy())
