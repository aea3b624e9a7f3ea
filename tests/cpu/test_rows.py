"""softmax, cross-entropy and layer norm: short, long and single rows; large and missing numbers."""

import numpy as np
import pytest
from cpu_cases import FLOATS, hold, normal, rng

from etude.core.table import TABLE

SHAPES = ((1, 1), (7, 3), (50, 10), (33, 16), (5, 17), (1000, 65), (3, 4096), (3, 4097),
          (2, 30_000))
NORM_SHAPES = ((37, 64), (5, 1000), (3, 7), (2, 9000), (300, 16), (4, 1), (700, 129))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax(ops, dtype, shape):
    x, grad = 5 * normal(*shape, dtype=dtype), normal(*shape, dtype=dtype, seed=1)
    for name in ("softmax", "log_softmax"):
        y = hold(ops, name, x, terms=shape[1])
        hold(ops, name + "_backward", grad, y, terms=shape[1])
        hold(ops, name, x, dim=0, terms=shape[0])


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_along_an_inner_axis(ops, dtype):
    x, grad = normal(2, 5, 4, 3, dtype=dtype), normal(2, 5, 4, 3, dtype=dtype, seed=1)
    for dim in (0, 1, 2, -2):
        y = hold(ops, "softmax", x, dim=dim)
        hold(ops, "softmax_backward", grad, y, dim=dim)


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_of_large_infinite_and_missing_numbers(ops, dtype):
    x = normal(6, 40, dtype=dtype)
    x[0] *= 1e30
    x[1, 3] = np.inf
    x[2, 5] = np.nan
    x[3, :20] = -np.inf
    x[4] = -1e4
    with np.errstate(invalid="ignore"):
        for name in ("softmax", "log_softmax"):
            got, want = ops[name](x), TABLE[name](x)
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(ops, dtype, shape, reduction):
    x, target = 5 * normal(*shape, dtype=dtype), rng(1).integers(0, shape[1], shape[0])
    loss = hold(ops, "cross_entropy", x, target, reduction=reduction, terms=shape[0] * 99)
    _, *saved = TABLE["cross_entropy"](x, target, reduction=reduction)
    grad = np.asarray(normal(*loss.shape, dtype=dtype))
    hold(ops, "cross_entropy_backward", grad, x, target, None, *saved, reduction=reduction)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("ignore", "smoothing"), [(3, 0.0), (-100, 0.1), (3, 0.25)])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_to_ignore_smoothing_and_weights(ops, dtype, reduction, ignore, smoothing, weighted):
    x, target = 3 * normal(40, 10, dtype=dtype), rng(1).integers(0, 10, 40)
    weight = rng(2).uniform(0, 2, 10).astype(dtype) if weighted else None
    attrs = {"reduction": reduction, "ignore_index": ignore, "label_smoothing": smoothing}
    target[7] = ignore
    loss = hold(ops, "cross_entropy", x, target, weight, terms=4000, **attrs)
    _, *saved = TABLE["cross_entropy"](x, target, weight, **attrs)
    grad = np.asarray(normal(*loss.shape, dtype=dtype))
    hold(ops, "cross_entropy_backward", grad, x, target, weight, *saved, terms=99, **attrs)


def test_the_mean_of_losses_whose_sum_leaves_the_range_of_float(ops):
    x = np.float32(2.0**124) * rng().random((100, 3), np.float32)
    hold(ops, "cross_entropy", x, rng(1).integers(0, 3, 100))


@pytest.mark.parametrize("wrong", [-1, 10, 2**40])
def test_a_label_out_of_range_is_named_as_by_the_reference(ops, wrong):
    x, target = normal(20, 10), np.zeros(20, np.int64)
    target[13] = wrong
    with pytest.raises(IndexError, match=rf"target\[13\] is {wrong}, but with 10 classes"):
        ops["cross_entropy"](x, target)
    zeros = np.zeros(20, np.float32)
    with pytest.raises(IndexError, match=rf"target\[13\] is {wrong}"):
        ops["cross_entropy_backward"](np.ones((), np.float32), x, target, None, zeros, zeros)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", NORM_SHAPES)
def test_layer_norm(ops, dtype, shape):
    x, grad = 3 * normal(*shape, dtype=dtype) + 1, normal(*shape, dtype=dtype, seed=1)
    weight, bias = normal(shape[1], dtype=dtype, seed=2), normal(shape[1], dtype=dtype, seed=3)
    size = {"normalized_shape": shape[1:]}
    for w in (weight, None):
        for b in (bias, None):
            hold(ops, "layer_norm", x, w, b, **size, terms=shape[1])
    _, mean, rstd = TABLE["layer_norm"](x, **size)
    for w in (weight, None):
        hold(ops, "layer_norm_backward", grad, x, w, mean, rstd, **size, terms=99 * x.size)


def test_layer_norm_over_several_axes_and_with_arrays_left_out(ops):
    x, weight = normal(6, 4, 5), normal(4, 5)
    hold(ops, "layer_norm", x, weight, normalized_shape=(4, 5), eps=1e-3)
    hold(ops, "layer_norm", x, normalized_shape=(5,))
    hold(ops, "layer_norm", x, normalized_shape=(6, 4, 5))
