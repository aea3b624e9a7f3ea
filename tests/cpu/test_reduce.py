"""Reductions: all shapes of axes, long and narrow, their precision, non-numbers."""

import itertools
import math

import numpy as np
import pytest
from cpu_cases import FLOATS, SIZES, hold, normal, rng

from etude.core.table import TABLE

REDUCE = ("sum", "mean", "amax", "amin", "argmax", "argmin", "logsumexp")
SHAPES = ((1, 300_000), (300_000, 1), (5, 20_000, 3), (70_000, 7), (9000, 130), (3, 9000),
          (2, 70_001), (40, 300, 5), (6, 2, 5000), (129, 4097))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_long_narrow_and_tall(ops, dtype, shape):
    x = normal(*shape, dtype=dtype)
    for name, dim in itertools.product(REDUCE, (None, *range(len(shape)))):
        hold(ops, name, x, dim=dim, terms=x.size)
    for dim in (None, *range(len(shape))):
        hold(ops, "prod", 1 + x / 2000, dim=dim, terms=x.size)
        hold(ops, "var", x, dim=dim, correction=0, terms=x.size)
    for dim in range(len(shape)):
        hold(ops, "cumsum", x, dim=dim, terms=x.size)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", SIZES[1:])
def test_every_length_around_the_widths_of_vectors(ops, dtype, n):
    x = normal(3, n, dtype=dtype)
    for name in REDUCE:
        hold(ops, name, x, dim=1, terms=n)
        hold(ops, name, x, dim=0, terms=3)
    for dim in (0, 1):
        hold(ops, "prod", 1 + x / 100, dim=dim, terms=n)
        hold(ops, "var", x, dim=dim, correction=0, terms=n)
        hold(ops, "cumsum", x, dim=dim, terms=n)


@pytest.mark.parametrize("keepdim", [False, True])
def test_any_set_of_axes_of_any_layout(ops, keepdim):
    x = normal(3, 4, 5, 6, dtype="float64")
    for k in range(5):
        for dim in itertools.combinations(range(4), k):
            for name in ("sum", "mean", "amax", "amin", "logsumexp", "prod"):
                hold(ops, name, x, dim=dim, keepdim=keepdim, terms=360)
                hold(ops, name, x.transpose(2, 0, 3, 1), dim=dim, keepdim=keepdim, terms=360)
            for a in (x, x.transpose(2, 0, 3, 1)):
                hold(ops, "var", a, dim=dim, keepdim=keepdim, correction=0, terms=360)
                grad = TABLE["sum"](a, dim=dim, keepdim=keepdim)
                hold(ops, "prod_backward", grad, a, dim=dim, keepdim=keepdim, terms=360)
    for name, arrays in (("var", (x,)), ("prod_backward", (x[:, 0, :, 0], x))):
        want = ops[name](*arrays, dim=(1, 3))
        out = np.empty_like(want)
        assert ops[name](*arrays, dim=[1, 3], out=out) is out
        np.testing.assert_array_equal(out, want)
    for dim in (None, 0, 1, 2, 3, -1):
        hold(ops, "argmax", x[:, ::-1], dim=dim, keepdim=keepdim)
        hold(ops, "argmin", x[:, ::-1], dim=dim, keepdim=keepdim)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (4, 700), (700, 4), (3, 70, 130)])
def test_the_gradient_of_a_product_divides_by_nothing(ops, dtype, shape):
    x = (1 + normal(*shape, dtype=dtype) / 50).astype(dtype)
    for dim in range(len(shape)):
        grad = TABLE["sum"](x, dim=dim)
        for zeros in (0, 1, 2):
            at = [slice(None)] * len(shape)
            at[dim] = slice(shape[dim] // 2, shape[dim] // 2 + zeros)
            a = x.copy()
            a[tuple(at)] = 0
            hold(ops, "prod_backward", grad, a, dim=dim, terms=shape[dim])
    a = np.array([[np.inf, 0, 1], [np.nan, 2, 3], [1e-30, 1e30, 1e30]], dtype)
    with np.errstate(all="ignore"):
        hold(ops, "prod_backward", np.ones(3, dtype), a, dim=1)
        hold(ops, "prod_backward", np.ones(3, dtype), a.T.copy(), dim=0)


def test_a_sum_is_more_precise_than_adding_up_in_order(ops):
    x = rng(0).random(4_000_000).astype(np.float32)
    exact = x.sum(dtype=np.float64)
    assert abs(ops["sum"](x) - exact) / exact < 1e-6
    assert abs(ops["sum"](x.reshape(-1, 2), dim=0).sum(dtype=np.float64) - exact) / exact < 3e-6


def test_a_million_equal_rows_do_not_drift(ops):
    rows, tenth = 1_000_000, float(np.float32(0.1))
    x = np.full((rows, 2), 0.1, np.float32)
    zeros, ones, index = np.zeros(rows, np.float32), np.ones(rows, np.float32), np.zeros(
        rows, np.int64)
    _, means, variances = ops["batch_norm"](x)
    found = {
        "sum": ops["sum"](x, dim=0) / rows, "mean": ops["mean"](x, dim=0), "batch_norm": means,
        "cumsum": ops["cumsum"](x, dim=0)[-1] / rows,
        "one cumsum": ops["cumsum"](x[:, 0].copy(), dim=0)[-1:] / rows,
        "logsumexp": ops["logsumexp"](x, dim=0) - np.float32(math.log(rows)),
        "batch_norm_backward": ops["batch_norm_backward"](
            x, x, None, zeros[:2], ones[:2])[2] / rows,
        "layer_norm_backward": ops["layer_norm_backward"](
            x, x, None, zeros, ones, normalized_shape=(2,))[2] / rows,
        "rms_norm_backward": ops["rms_norm_backward"](
            x, x, None, ones, normalized_shape=(2,))[1] / rows / tenth,
        "embedding_backward": ops["embedding_backward"](x, index, num_embeddings=1)[0] / rows,
        "scatter_add": ops["scatter_add"](
            np.zeros((1, 2), np.float32), np.stack([index] * 2, 1), x, dim=0)[0] / rows,
        "one scatter_add": ops["scatter_add"](zeros[:1], index, x[:, 0].copy(), dim=0) / rows}
    for name, y in found.items():
        # The kit allows 8 sqrt n u, 5e-4; adding up row after row gives 1e-2.
        np.testing.assert_allclose(y, tenth, rtol=1e-4, err_msg=name)
    np.testing.assert_allclose(variances, 0, atol=1e-9)
    np.testing.assert_allclose(ops["var"](x, dim=0), 0, atol=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [3, 40, 64, 65, 200, 5000])
def test_nan_is_the_largest_and_of_equals_the_first_wins(ops, dtype, n):
    x = rng(n).integers(0, 3, (4, n)).astype(dtype)
    x[1, n // 2 :] = np.nan
    x[2] = -np.inf
    x[3, n - 1] = np.nan
    for a, dim in ((x, 1), (np.ascontiguousarray(x.T), 0)):
        hold(ops, "argmax", a, dim=dim)
        hold(ops, "amax", a, dim=dim)
        hold(ops, "amin", a, dim=dim)
        hold(ops, "argmin", a, dim=dim)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [3, 40, 65, 5000])
def test_logsumexp_and_var_of_infinities_and_nan(ops, dtype, n):
    x = normal(7, n, dtype=dtype)
    x[1] = -np.inf
    x[2, 1] = np.inf
    x[3, 0] = np.nan
    x[4] = np.nan
    x[5, : n // 2] = -np.inf
    x[6] += 1e30
    with np.errstate(all="ignore"):
        for a, dim in ((x, 1), (np.ascontiguousarray(x.T), 0)):
            hold(ops, "logsumexp", a, dim=dim, terms=n)
            hold(ops, "var", a[:6] if dim else a[:, :6], dim=dim, terms=n)
            hold(ops, "cumsum", a, dim=dim)


@pytest.mark.parametrize("dtype", FLOATS)
def test_var_of_numbers_far_from_zero(ops, dtype):
    x = (normal(400, 300, dtype="float64") + 1e3).astype(dtype)
    for dim in (0, 1):
        exact = x.astype(np.longdouble).var(dim, ddof=1)
        np.testing.assert_allclose(ops["var"](x, dim=dim), exact.astype(dtype), rtol=2e-4)


@pytest.mark.parametrize("shape", [(3, 500), (500, 3), (4, 130, 70)])
def test_means_and_variances_of_which_the_sum_leaves_the_range_of_float(ops, shape):
    x = np.float32(2.0**126) * (1 + rng().random(shape, np.float32))
    y = np.float32(2.0**61) * normal(*shape)
    for dim in range(len(shape)):
        for name, given in (("mean", x), ("var", y)):
            want = ops[name](given.astype(np.float64), dim=dim)
            np.testing.assert_allclose(ops[name](given, dim=dim), want, rtol=1e-5)
    assert np.isinf(ops["sum"](x, dim=0)).any()
    x[1] = np.inf
    assert np.isinf(ops["mean"](x, dim=0)).all()


def test_integers_add_up_exactly(ops):
    x = rng(0).integers(-1000, 1000, (321, 45))
    for dim in (None, 0, 1):
        for name in ("sum", "amax", "amin", "argmax", "argmin", "prod"):
            hold(ops, name, x, dim=dim)
    hold(ops, "argmax", x > 990, dim=1)
    hold(ops, "argmin", x < 990, dim=1)
    hold(ops, "cumsum", x, dim=0)
    hold(ops, "cumsum", x * 2**50, dim=1)
