"""The kernels of c_src/cuda take another road for small, thin, deep, odd and large operands. Each
road gives what the reference gives, and the same bits in every call.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from etude.core.table import TABLE

sys.path.insert(0, str(Path(__file__).parent))
from device_cases import There


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.fixture
def hold(lab_column):
    """Asks the device and the reference, and compares all outputs; ``terms`` were added up."""
    def ask(name, *arrays, terms, **attrs):
        want = TABLE[name](*arrays, **attrs)
        got, again = (There(lab_column).call(name, *arrays, **attrs) for _ in range(2))
        if not isinstance(want, tuple):
            want, got, again = (want,), (got,), (again,)
        for w, g, a in zip(want, got, again, strict=True):
            eps = 8 * np.finfo(w.dtype).eps * terms**0.5 if w.dtype.kind == "f" else 0
            np.testing.assert_allclose(g, w, rtol=eps, atol=eps * terms**0.5, err_msg=name)
            np.testing.assert_array_equal(g, a, err_msg=f"{name} repeated")

    return ask


@pytest.mark.parametrize(("m", "n", "k"), [
    (1, 5, 33), (3, 130, 70), (4, 65, 1100),  # rows of A: dots or stripes
    (65, 1, 33), (70, 4, 1100),  # columns of B: the transposed product
    (64, 64, 16), (5, 5, 1), (67, 61, 19), (33, 129, 40),  # tiles, whole and with tails
    (40, 40, 2100),  # cut along k
    (1540, 1540, 8), (1412, 1540, 12),  # large tiles
])
def test_a_product_of_any_shape(hold, m, n, k):
    a, b = normal(m, k), normal(k, n, seed=1)
    hold("matmul", a, b, terms=k)
    if m * n < 10_000:
        hold("matmul", a, normal(n, k, seed=1).T, terms=k)
        hold("matmul", normal(k, m).T, b, terms=k)
        hold("matmul", normal(k, m).T, normal(n, k, seed=1).T, terms=k)
        hold("linear", a, normal(n, k, seed=1), normal(n, seed=2), terms=k)


def test_stacks_of_products(hold):
    hold("matmul", normal(3, 1, 20, 24), normal(2, 24, 36, seed=1), terms=24)
    hold("matmul", normal(3, 2, 24), normal(3, 24, 70, seed=1), terms=24)
    hold("matmul", normal(7, 9, 24), normal(24, 8, seed=1), terms=24)


@pytest.mark.parametrize("attrs", [
    {}, {"stride": (2, 3), "padding": (1, 2)}, {"dilation": (2, 1), "padding": (3, 0)},
    {"stride": (2, 2), "dilation": (2, 3), "padding": (4, 4)}, {"stride": (9, 9)},
])
@pytest.mark.parametrize(("groups", "channels", "filters"), [(1, 5, 66), (2, 12, 10), (6, 6, 12)])
def test_convolutions_of_any_geometry(hold, attrs, groups, channels, filters):
    x, weight = normal(2, channels, 11, 12), normal(filters, channels // groups, 3, 2, seed=1)
    y = TABLE["conv2d"](x, weight, groups=groups, **attrs)
    grad, terms = normal(*y.shape, seed=2), 6 * filters
    hold("conv2d", x, weight, normal(filters), groups=groups, terms=terms, **attrs)
    hold("conv2d_input", grad, weight, input_size=(11, 12), groups=groups, terms=terms, **attrs)
    hold("conv2d_weight", grad, x, kernel_size=(3, 2), groups=groups, terms=300, **attrs)


def test_a_convolution_of_large_tiles_and_a_deep_gradient(hold):
    x, weight = normal(4, 4, 64, 64), normal(72, 4, 1, 1, seed=1)
    hold("conv2d", x, weight, terms=4)
    hold("conv2d_weight", normal(4, 72, 64, 64, seed=2), x, kernel_size=(1, 1), terms=16384)


@pytest.mark.parametrize(("L", "S", "D", "E"), [(1, 1, 1, 1), (65, 70, 8, 68), (130, 64, 67, 3)])
@pytest.mark.parametrize("mask", [None, "causal", "bool", "real"])
def test_attention_over_tiles_and_tails(hold, L, S, D, E, mask):
    query, key, value = normal(2, L, D), normal(2, S, D, seed=1), normal(2, S, E, seed=2)
    grad, attrs, attn_mask = normal(2, L, E, seed=3), {"is_causal": mask == "causal"}, None
    if mask == "bool":
        attn_mask = normal(L, S, seed=4) > 0
        attn_mask[0] = False  # a query that sees no key
    if mask == "real":
        attn_mask = normal(L, 1, seed=4)
    saved = TABLE["scaled_dot_product_attention"](query, key, value, attn_mask, **attrs)
    hold("scaled_dot_product_attention", query, key, value, attn_mask, terms=S + D, **attrs)
    hold("attention_backward", grad, query, key, value, attn_mask, *saved, terms=4 * (S + D),
         **attrs)


@pytest.mark.parametrize("cols", [1, 31, 64, 1023, 1028, 17001])
def test_rows_of_a_warp_a_block_and_a_large_block(hold, cols):
    x, grad, w = normal(5, cols), normal(5, cols, seed=1), normal(cols, seed=2)
    for op in ("softmax", "log_softmax"):
        hold(op, x, terms=cols)
        hold(f"{op}_backward", grad, TABLE[op](x), terms=cols)
    hold("logsumexp", x, dim=1, terms=cols)
    size = {"normalized_shape": (cols,)}
    hold("layer_norm", x, w, grad[0], terms=cols, **size)
    _, mean, rstd = TABLE["layer_norm"](x, **size)
    if cols > 1:
        hold("layer_norm_backward", grad, x, w, mean, rstd, terms=cols, **size)
    target = np.array([0, cols - 1, -100, cols // 2, 0])
    for smoothing in (0.0, 0.25):
        hold("cross_entropy", x, target, w**2, label_smoothing=smoothing, terms=cols)
        _, top, log_sum = TABLE["cross_entropy"](x, target)
        hold("cross_entropy_backward", np.float32(2), x, target, w**2, top, log_sum,
             label_smoothing=smoothing, terms=cols)


@pytest.mark.parametrize("shape", [(200, 3), (3, 40), (9, 2, 900), (70, 5, 3, 4)])
def test_channels_of_pixels_and_of_single_numbers(hold, shape):
    x, grad = normal(*shape) + 100, normal(*shape, seed=1)
    w, b = normal(shape[1], seed=2), normal(shape[1], seed=3)
    count = x.size // shape[1]
    _, mean, var = TABLE["batch_norm"](x)
    hold("batch_norm", x, w, b, terms=1000 * count)  # x is 100 deviations from 0
    hold("batch_norm_backward", grad, x, w, mean, var, terms=count)
    hold("batch_norm_eval", x, mean, var, w, b, terms=1000)


def test_gradients_that_meet_in_one_pixel_add_up_in_order(hold):
    grad, index = normal(2, 1, 20, 30), np.zeros((2, 1, 20, 30), np.int64)
    hold("max_pool2d_backward", grad, index, input_size=(4, 5), terms=600)
    index[1] = np.arange(600).reshape(20, 30) % 7
    hold("max_pool2d_backward", grad, index, input_size=(4, 5), terms=600)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("shape", [(5,), (3, 70), (70, 3), (2, 300, 3), (1, 5000)])
def test_the_best_of_rows_and_columns_in_order(hold, dtype, shape):
    x = (3 * normal(*shape)).astype(np.int64).astype(dtype)  # many are equal
    if dtype != np.int64:
        x[..., ::7], x[..., 1::9] = np.nan, -0.0
    for dim, n in enumerate(shape):
        for k in {1, n // 2, n}:
            for largest in (True, False):
                hold("topk", x, k=k, dim=dim, largest=largest, terms=1)


def test_the_ends_of_int64_are_in_order(hold):
    x = np.array([0, -(2**63), 2**63 - 1, -1, 1, -(2**63)])
    for largest in (True, False):
        hold("topk", x, k=6, largest=largest, terms=1)


@pytest.mark.parametrize("shape", [(1,), (3, 40), (40, 3), (2, 300, 5), (1, 5000), (600, 2)])
def test_the_gradient_of_a_product_with_and_without_zeros(hold, shape):
    x = 1 + normal(*shape) / 50
    for dim, n in enumerate(shape):
        grad = TABLE["sum"](x, dim=dim)
        for zeros in (0, 1, 2):
            a = np.moveaxis(x.copy(), dim, 0)
            a[n // 2 : n // 2 + zeros] = 0
            hold("prod_backward", grad, np.moveaxis(a, 0, dim), dim=dim, terms=n)


def test_axes_apart_and_an_index_smaller_than_x(hold):
    x = 1 + normal(3, 4, 5, 6) / 50
    for dim in ((0, 2), (1, 3), (0, 3)):
        hold("var", x, dim=dim, terms=60)
        hold("prod_backward", TABLE["sum"](x, dim=dim), x, dim=dim, terms=60)
    index, src = np.arange(12).reshape(2, 3, 2) % 4, normal(2, 4, 3, seed=1)
    hold("scatter_add", normal(3, 4, 5), index, src, dim=1, terms=3)


def test_whole_numbers_have_powers_and_quotients_and_bounds(hold):
    x, y = (normal(13, 21) * 2000).astype(np.int64), np.arange(-10, 11) * 3 + 1
    x[0, :2], y[:2] = -(2**63), (-1, 5)
    with np.errstate(all="ignore"):
        for name in ("floor_divide", "remainder"):
            hold(name, x, y, terms=1)
        hold("pow", x, np.abs(y), terms=1)
    hold("clamp", x, min=-2.5, max=700, terms=1)
    for name, refused in (("pow", -1), ("floor_divide", 0), ("remainder", 0)):
        with pytest.raises((ValueError, ZeroDivisionError)) as expected:
            TABLE[name](x, refused)
        with pytest.raises(expected.type):
            hold(name, np.where(x == x.max(), refused, 1), refused, terms=1)


def test_a_label_or_an_index_out_of_range_is_an_error_and_touches_no_memory(hold):
    for label in (-1, 3, 2**40):
        with pytest.raises(IndexError, match="target"):
            hold("cross_entropy", normal(2, 3), np.array([0, label]), terms=3)
    with pytest.raises(IndexError):
        hold("max_pool2d_backward", normal(1, 1, 1, 1), np.full((1, 1, 1, 1), 2**33),
             input_size=(2, 2), terms=1)
