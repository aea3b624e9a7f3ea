"""Batch and root-mean-square normalisation: with and without arrays, wide and narrow."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal

from etude.core.table import TABLE

BATCHES = ((2, 1), (50, 10), (300, 64), (37, 65), (700, 129), (2, 3, 1), (4, 3, 5, 7),
           (2, 70, 1, 1), (8, 5, 70, 80), (3, 2, 33), (5, 64, 3, 3))
ROWS = ((37, 64), (5, 1000), (3, 7), (2, 9000), (300, 16), (4, 1), (700, 129))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", BATCHES)
def test_batch_norm(ops, dtype, shape):
    x, grad = 3 * normal(*shape, dtype=dtype) + 1, normal(*shape, dtype=dtype, seed=1)
    weight, bias = normal(shape[1], dtype=dtype, seed=2), normal(shape[1], dtype=dtype, seed=3)
    _, mean, var = TABLE["batch_norm"](x)
    for w in (weight, None):
        for b in (bias, None):
            hold(ops, "batch_norm", x, w, b, terms=4 * x.size)
            hold(ops, "batch_norm_eval", x, bias, np.abs(weight), w, b, terms=99, eps=1e-3)
        hold(ops, "batch_norm_backward", grad, x, w, mean, var, terms=99 * x.size)


def test_batch_norm_far_from_zero(ops):
    x = normal(40, 3, 50, 50) + 1000
    y, mean, var = ops["batch_norm"](x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, wide.var((0, 2, 3)), rtol=1e-5)
    assert abs(y.std() - 1) < 1e-3


def test_a_channel_with_nan_is_nan_and_the_others_are_not(ops):
    for shape in ((20, 5), (4, 5, 6, 6)):
        x = normal(*shape)
        x[1, 2] = np.nan
        y, mean, _ = ops["batch_norm"](x)
        assert np.isnan(y[:, 2]).all()
        assert np.isnan(mean[2])
        assert np.isfinite(np.delete(y, 2, 1)).all()


@pytest.mark.parametrize("size", [2.0**-100, 2.0**70, 2.0**119])
def test_rows_and_channels_whose_squares_leave_the_range_of_float(ops, size):
    rows, images = size * normal(5, 33), size * normal(4, 3, 6, 5)
    for x in (rows[:, 1:].copy(), rows):
        weight, bias = normal(x.shape[1], seed=1), normal(x.shape[1], seed=2)
        for eps in (0.0, 1e-5):
            layer = {"normalized_shape": x.shape[1:], "eps": eps}
            for some in ((), (weight,), (weight, bias), (None, bias)):
                y, mean, rstd = ops["layer_norm"](x, *some, **layer)
                want, *_ = hold_scaled("layer_norm", size, (y, mean, rstd), x, *some, **layer)
                assert eps or np.abs(want).max() > 0.5
            hold_scaled("rms_norm", size, ops["rms_norm"](x, weight, **layer), x, weight, **layer)
    for x in (images, images[:, :, 0, 0].copy()):
        weight, bias = normal(3, seed=1), normal(3, seed=2)
        for some in ((), (weight, bias)):
            hold_scaled("batch_norm", size, ops["batch_norm"](x, *some, eps=0.0), x, *some, eps=0.0)


def hold_scaled(name, size, got, *arrays, **attrs):
    """Hold results against the reference's, each of them measured by its own size."""
    with np.errstate(over="ignore"):  # the variance is beyond float, and so infinite
        want = TABLE[name](*arrays, **attrs)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-5 * min(np.abs(w).max(), 3e38))
    return want


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", ROWS)
def test_rms_norm(ops, dtype, shape):
    x, grad = 3 * normal(*shape, dtype=dtype) + 1, normal(*shape, dtype=dtype, seed=1)
    weight = normal(shape[1], dtype=dtype, seed=2)
    size = {"normalized_shape": shape[1:]}
    _, rstd = TABLE["rms_norm"](x, **size)
    for w in (weight, None):
        hold(ops, "rms_norm", x, w, **size, terms=shape[1])
        hold(ops, "rms_norm_backward", grad, x, w, rstd, **size, terms=99 * x.size)


def test_rms_norm_over_several_axes(ops):
    x, weight = normal(6, 4, 5), normal(4, 5)
    hold(ops, "rms_norm", x, weight, normalized_shape=(4, 5), eps=1e-3)
    hold(ops, "rms_norm", x, normalized_shape=(6, 4, 5))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 17, 4096, 4097, 70_001])
def test_losses(ops, dtype, n):
    x, target = 20 * normal(n, dtype=dtype), normal(n, dtype=dtype, seed=1)
    for name in ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits"):
        for reduction in ("mean", "sum", "none"):
            hold(ops, name, x, target, reduction=reduction, terms=n)


def test_losses_keep_nan_and_do_not_overflow(ops):
    x = np.array([1e4, -1e4, np.nan, np.inf, 0], np.float32)
    target = np.array([1, 0, 1, 1, np.nan], np.float32)
    with np.errstate(all="ignore"):
        for name in ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits"):
            hold(ops, name, x, target, reduction="none")
            assert np.isnan(ops[name](x, target))
