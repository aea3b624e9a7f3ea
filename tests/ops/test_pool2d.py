"""Pooling against loops over windows; ties, NaN, -inf, borders, overlap."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_cases import Case, apart, near, sample

import etude
from etude import ShapeError, ops
from etude import functional as F


def _window(x, h, w, kernel_size, stride, padding, dilation=(1, 1)):
    """(row, column) of the pixels under one window, in order."""
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            row = h * stride[0] + i * dilation[0] - padding[0]
            column = w * stride[1] + j * dilation[1] - padding[1]
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                yield row, column


def _windows(size, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    """How many windows along each axis: those that end before the padding does, and with ceil_mode
    one more, if it begins before the image ends.
    """
    for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation, strict=True):
        starts = [at for at in range(-p, n + p, s) if at + d * (k - 1) < n + p]
        more = starts[-1] + s
        yield len(starts) + (ceil_mode and starts[-1] + d * (k - 1) + 1 < n + p and more < n)


def _max_pool2d(x, *, kernel_size, stride, padding, dilation=(1, 1), ceil_mode=False):
    oh, ow = _windows(x.shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    y = np.empty((*x.shape[:2], oh, ow))
    index = np.empty(y.shape, int)
    for n, c, h, w in np.ndindex(y.shape):
        best = None
        for row, column in _window(x, h, w, kernel_size, stride, padding, dilation):
            v = x[n, c, row, column].item()
            if best is None or v > best[0] or (math.isnan(v) and not math.isnan(best[0])):
                best = v, row * x.shape[3] + column
        y[n, c, h, w], index[n, c, h, w] = best
    return y, index


def _max_pool2d_backward(grad, index, *, input_size):
    dx = np.zeros((*grad.shape[:2], *input_size))
    for at in np.ndindex(grad.shape):
        dx[(*at[:2], *divmod(int(index[at]), input_size[1]))] += grad[at]
    return dx


LAYERS = [
    ((1, 1, 4, 4), {"kernel_size": (2, 2)}), ((2, 2, 4, 4), {"kernel_size": 2}),
    ((1, 2, 5, 4), {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 1)}),
    ((2, 1, 5, 6), {"kernel_size": 3, "stride": 2, "padding": 1}),  # overlapping windows
    ((1, 1, 3, 3), {"kernel_size": (1, 1), "stride": 2}), ((0, 2, 4, 4), {"kernel_size": 2}),
    ((1, 1, 4, 5), {"kernel_size": 2, "stride": 3}), ((1, 3, 2, 2), {"kernel_size": 2}),
    ((1, 2, 5, 6), {"kernel_size": 2, "stride": 2, "ceil_mode": True}),
    ((1, 1, 6, 5), {"kernel_size": (3, 2), "stride": (2, 3), "padding": 1, "ceil_mode": True}),
]
DILATED = [
    ((1, 2, 7, 6), {"kernel_size": (2, 3), "stride": (2, 1), "dilation": (3, 2)}),
    ((1, 1, 6, 7), {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2,
                    "ceil_mode": True}),
]
DIVIDED = [({"count_include_pad": False}), {"divisor_override": 3}, {"divisor_override": -2}]


def _backwards(rng):
    for shape, attrs in (*LAYERS, *DILATED):
        _, index = ops.max_pool2d(apart(rng, shape), **attrs)
        yield sample(rng.uniform(-1, 1, index.shape), index, input_size=shape[2:])


def _divisor(x, h, w, kernel_size, stride, padding, count_include_pad, divisor_override):
    """How many pixels count, those of the padding as pixels of a larger image."""
    if divisor_override is not None:
        return divisor_override
    if not count_include_pad:
        return len(list(_window(x, h, w, kernel_size, stride, padding)))
    around = np.pad(x[:1, :1], ((0, 0), (0, 0), *((p, p) for p in padding)))
    return len(list(_window(around, h, w, kernel_size, stride, (0, 0))))


def _avg_pool2d(x, *, kernel_size, stride, padding, ceil_mode, **counted):
    oh, ow = _windows(x.shape[2:], kernel_size, stride, padding, ceil_mode=ceil_mode)
    y = np.zeros((*x.shape[:2], oh, ow))
    window = kernel_size, stride, padding
    for n, c, h, w in np.ndindex(y.shape):
        y[n, c, h, w] = math.fsum(x[n, c, i, j] for i, j in _window(x, h, w, *window)) / _divisor(
            x, h, w, *window, **counted)
    return y


def _avg_pool2d_backward(grad, *, input_size, kernel_size, stride, padding, ceil_mode, **counted):
    dx = np.zeros((*grad.shape[:2], *input_size))
    window = kernel_size, stride, padding
    for n, c, h, w in np.ndindex(grad.shape):
        for i, j in _window(dx, h, w, *window):
            dx[n, c, i, j] += grad[n, c, h, w] / _divisor(dx, h, w, *window, **counted)
    return dx


def _averages(rng):
    for shape, attrs in LAYERS:
        for counted in ({}, *DIVIDED):
            yield sample(rng.uniform(-1, 1, shape), **attrs, **counted)


def _avg_backwards(rng):
    for s in _averages(rng):
        y = ops.avg_pool2d(*s.arrays, **s.attrs)
        yield sample(rng.uniform(-1, 1, y.shape), input_size=s.arrays[0].shape[2:], **s.attrs)


def _bin(i, n, count):
    return range(math.floor(i * n / count), math.ceil((i + 1) * n / count))


def _adaptive(x, *, output_size):
    y = np.zeros((*x.shape[:2], *output_size))
    for n, c, h, w in np.ndindex(y.shape):
        seen = [x[n, c, i, j] for i in _bin(h, x.shape[2], output_size[0])
                for j in _bin(w, x.shape[3], output_size[1])]
        y[n, c, h, w] = math.fsum(seen) / len(seen)
    return y


def _adaptive_backward(grad, *, input_size):
    dx = np.zeros((*grad.shape[:2], *input_size))
    for n, c, h, w in np.ndindex(grad.shape):
        seen = [(i, j) for i in _bin(h, input_size[0], grad.shape[2])
                for j in _bin(w, input_size[1], grad.shape[3])]
        for i, j in seen:
            dx[n, c, i, j] += grad[n, c, h, w] / len(seen)
    return dx


BINS = [((1, 1, 4, 4), (1, 1)), ((2, 2, 4, 4), (1, 1)), ((1, 2, 5, 3), (2, 3)),
        ((1, 1, 3, 5), (4, 2)), ((0, 2, 4, 4), (2, 2))]

CASES = {
    "avg_pool2d": Case(lambda rng: list(_averages(rng)),
                       _avg_pool2d, scale=lambda x, **_: np.array(1.0), analytic=True),
    "avg_pool2d_backward": Case(lambda rng: list(_avg_backwards(rng)), _avg_pool2d_backward,
                                ulps=8, scale=lambda g, **_: np.array(1.0), analytic=True),
    "adaptive_avg_pool2d": Case(lambda rng: [sample(rng.uniform(-1, 1, s), output_size=o)
                                             for s, o in BINS] + [
        sample(rng.uniform(-1, 1, (1, 1, 4, 4)), output_size=3)], _adaptive,
        scale=lambda x, **_: np.array(1.0), analytic=True),
    "adaptive_avg_pool2d_backward": Case(
        lambda rng: [sample(rng.uniform(-1, 1, (*s[:2], *o)), input_size=s[2:]) for s, o in BINS],
        _adaptive_backward, ulps=8, scale=lambda g, **_: np.array(2.0), analytic=True),
    "max_pool2d": Case(lambda rng: [sample(apart(rng, s), **a) for s, a in (*LAYERS, *DILATED)],
                       _max_pool2d, ulps=0),
    "max_pool2d_backward": Case(lambda rng: list(_backwards(rng)), _max_pool2d_backward,
                                scale=lambda grad, index, **attrs: _max_pool2d_backward(
                                    np.abs(grad), index, **attrs)),
}


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2),
       st.integers(0, 3), st.booleans(), st.data())
def test_any_geometry_with_ties_nan_and_infinities(kh, kw, sh, sw, extra, ceil_mode, data):
    padding = (data.draw(st.integers(0, kh // 2)), data.draw(st.integers(0, kw // 2)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.choice([0.0, 1.0, 2.0, -math.inf, math.inf, math.nan], (1, 2, kh + extra, kw + extra),
                   p=[0.2, 0.2, 0.1, 0.4, 0.05, 0.05])
    attrs = {"kernel_size": (kh, kw), "stride": (sh, sw), "padding": padding,
             "ceil_mode": ceil_mode}
    y, index = ops.max_pool2d(x, **attrs)
    want, places = _max_pool2d(x, **attrs)
    near(y, want, 0)
    assert np.array_equal(index, places)


def test_the_first_of_equal_pixels_gets_all_of_the_gradient():
    x = etude.tensor(np.array([[[[1.0, 3.0], [3.0, 3.0]]]]), requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[0, 1], [0, 0]]]]


def test_a_window_of_minus_infinities_never_points_into_the_border():
    x = etude.tensor(np.full((1, 1, 2, 2), -np.inf), requires_grad=True)
    F.max_pool2d(x, 2, 2, 1).sum().backward()
    assert x.grad.tolist() == [[[[1, 1], [1, 1]]]]


def test_overlapping_windows_add_their_gradients():
    x = etude.tensor([[[[0.0, 9.0, 0.0]]]], requires_grad=True)
    F.max_pool2d(x, (1, 2), 1).sum().backward()
    assert x.grad.tolist() == [[[[0, 2, 0]]]]


def test_the_stride_is_the_window_by_default():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y, index = ops.max_pool2d(x, kernel_size=2)
    assert y.tolist() == [[[[5, 7], [13, 15]]]]
    assert index.tolist() == [[[[5, 7], [13, 15]]]]


def test_flops_are_one_comparison_for_each_pixel_of_each_window():
    assert ops.max_pool2d.flops(np.ones((2, 3, 4, 6)), kernel_size=(2, 3), stride=(2, 3),
                                padding=(0, 0)) == 2 * 3 * 4 * 6


@pytest.mark.parametrize(("shape", "attrs", "words"), [
    ((4, 4), {"kernel_size": 2}, r"max_pool2d: x must have 4 dimensions \(N, C, H, W\)"),
    ((1, 1, 4, 4), {"kernel_size": 2, "padding": 2}, r"max_pool2d: padding \[2, 2\] is more than "
                                                     r"half of the window \[2, 2\]"),
    ((1, 1, 4, 4), {"kernel_size": 5}, r"max_pool2d: kernel \[5, 5\] does not fit into an image of "
                                       r"\[4, 4\]"),
    ((1, 1, 4, 4), {"kernel_size": 0}, "max_pool2d: kernel_size must be one or two integers >= 1"),
    ((1, 1, 4, 4), {"kernel_size": (2, 2, 2)}, "kernel_size must be one or two integers"),
    ((1, 1, 4, 4), {"kernel_size": 2, "stride": 0}, "max_pool2d: stride must be one or two "
                                                    "integers"),
])
def test_calls_that_do_not_fit(shape, attrs, words):
    with pytest.raises(ShapeError, match=words):
        F.max_pool2d(etude.ones(*shape), **attrs)
