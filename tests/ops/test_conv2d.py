"""Convolution and its transposes against seven nested loops and scipy.signal; adjoints."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from op_cases import Case, near, sample

import etude
from etude import DTypeError, ShapeError, ops
from etude import functional as F


def _size(size, kernel, stride, padding, dilation):
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, k, s, d in zip(size, padding, kernel, stride, dilation, strict=True)]


def _visits(x_shape, w_shape, stride, padding, dilation, groups):
    """(n, o, c, g, i, j, h, w, row, column) of every multiplication inside the image; the weight's
    channel c is channel g of the image.
    """
    (n_, _, height, width), (o_, c_, kh, kw) = x_shape, w_shape
    oh, ow = _size((height, width), (kh, kw), stride, padding, dilation)
    for n, o, c, i, j, h, w in np.ndindex(n_, o_, c_, kh, kw, oh, ow):
        row = h * stride[0] + i * dilation[0] - padding[0]
        column = w * stride[1] + j * dilation[1] - padding[1]
        if 0 <= row < height and 0 <= column < width:
            yield n, o, c, o // (o_ // groups) * c_ + c, i, j, h, w, row, column


def _conv2d(x, weight, bias=None, **attrs):
    size = _size(x.shape[2:], weight.shape[2:], attrs["stride"], attrs["padding"],
                 attrs["dilation"])
    y = np.zeros((x.shape[0], weight.shape[0], *size))
    for n, o, c, g, i, j, h, w, row, column in _visits(x.shape, weight.shape, **attrs):
        y[n, o, h, w] += x[n, g, row, column] * weight[o, c, i, j]
    if bias is not None:
        for o in range(len(bias)):
            y[:, o] += bias[o]
    return y


def _conv2d_input(grad, weight, *, input_size, groups, **attrs):
    dx = np.zeros((grad.shape[0], weight.shape[1] * groups, *input_size))
    for n, o, c, g, i, j, h, w, row, column in _visits(dx.shape, weight.shape, groups=groups,
                                                       **attrs):
        dx[n, g, row, column] += grad[n, o, h, w] * weight[o, c, i, j]
    return dx


def _conv2d_weight(grad, x, *, kernel_size, groups, **attrs):
    dw = np.zeros((grad.shape[1], x.shape[1] // groups, *kernel_size))
    for n, o, c, g, i, j, h, w, row, column in _visits(x.shape, dw.shape, groups=groups, **attrs):
        dw[o, c, i, j] += grad[n, o, h, w] * x[n, g, row, column]
    return dw


#         N  C  H  W    O  C/G KH KW  stride  padding dilation groups
LAYERS = [
    ((1, 1, 3, 3), (1, 1, 2, 2), (1, 1), (0, 0), (1, 1), 1),
    ((2, 1, 3, 3), (1, 1, 2, 2), (1, 1), (0, 0), (1, 1), 1),
    ((2, 2, 4, 5), (3, 2, 2, 3), (1, 1), (0, 0), (1, 1), 1),
    ((1, 2, 5, 4), (2, 2, 3, 2), (2, 1), (1, 0), (1, 1), 1),
    ((1, 1, 5, 6), (2, 1, 2, 3), (2, 3), (1, 2), (1, 1), 1),  # pixels that no window reaches
    ((1, 2, 1, 1), (1, 2, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((1, 1, 2, 2), (1, 1, 3, 3), (1, 2), (1, 1), (1, 1), 1),
    ((0, 2, 3, 3), (2, 2, 2, 2), (1, 1), (0, 0), (1, 1), 1),
    ((1, 1, 4, 4), (1, 1, 1, 1), (3, 3), (0, 0), (1, 1), 1),
    ((1, 1, 5, 4), (1, 1, 2, 2), (1, 1), (0, 1), (2, 3), 1),
    ((1, 4, 3, 3), (6, 2, 2, 2), (1, 1), (0, 0), (1, 1), 2),
    ((2, 3, 4, 3), (3, 1, 2, 2), (2, 1), (1, 1), (2, 1), 3),
]


def _made(rng):
    for x, w, stride, padding, dilation, groups in LAYERS:
        grad = rng.uniform(-1, 1, (x[0], w[0], *_size(x[2:], w[2:], stride, padding, dilation)))
        yield (rng.uniform(-1, 1, x), rng.uniform(-1, 1, w), grad,
               {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups})


def _conv2d_samples(rng):
    found = [sample(x, w, rng.uniform(-1, 1, len(w)), **a) for x, w, _, a in _made(rng)]
    found += [sample(x, w, **a) for x, w, _, a in _made(rng)]
    x, w, _, _ = next(_made(rng))
    return [*found, sample(x, w, None), sample(x, w, stride=2, padding=1)]


def _sizes(oracle):
    return lambda a, b, *rest, **attrs: oracle(
        np.abs(a), np.abs(b), *[r if r is None else np.abs(r) for r in rest], **attrs)


CASES = {
    "conv2d": Case(_conv2d_samples, _conv2d, scale=_sizes(_conv2d), analytic=True),
    "conv2d_input": Case(lambda rng: [sample(g, w, input_size=x.shape[2:], **a)
                                      for x, w, g, a in _made(rng)],
                         _conv2d_input, scale=_sizes(_conv2d_input)),
    "conv2d_weight": Case(lambda rng: [sample(g, x, kernel_size=w.shape[2:], **a)
                                       for x, w, g, a in _made(rng)],
                          _conv2d_weight, scale=_sizes(_conv2d_weight), ulps=8, analytic=True),
}


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(0, 4),
       st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_one_channel_is_scipys_correlation(kh, kw, padding, extra, stride, channels, tall):
    rng = np.random.default_rng(0)
    size = (kh + extra + tall, kw + extra)
    x, w = rng.uniform(-1, 1, (1, channels, *size)), rng.uniform(-1, 1, (1, channels, kh, kw))
    y = ops.conv2d(x, w, stride=stride, padding=padding)
    want = sum(scipy.signal.correlate2d(np.pad(x[0, c], padding), w[0, c], "valid")
               for c in range(channels))
    near(y[0, 0], want[::stride, ::stride], 50, 1)


@given(st.sampled_from(LAYERS), st.integers(0, 2**32 - 1))
def test_the_three_ops_are_one_anothers_transposes(layer, seed):
    """<conv2d(x, w), g> = <x, conv2d_input(g, w)> = <w, conv2d_weight(g, x)>, exactly."""
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-5, 5, s).astype(np.float32) for s in layer[:2])
    attrs = dict(zip(("stride", "padding", "dilation", "groups"), layer[2:], strict=True))
    y = ops.conv2d(x, w, **attrs)
    g = rng.integers(-5, 5, y.shape).astype(np.float32)
    want = (y.astype(int) * g.astype(int)).sum()
    dx = ops.conv2d_input(g, w, input_size=x.shape[2:], **attrs)
    dw = ops.conv2d_weight(g, x, kernel_size=w.shape[2:], **attrs)
    assert (x.astype(int) * dx.astype(int)).sum() == want
    assert (w.astype(int) * dw.astype(int)).sum() == want


def test_one_integer_serves_for_both_directions():
    x, w = etude.ones(1, 1, 5, 5), etude.ones(1, 1, 3, 3)
    assert F.conv2d(x, w, stride=2, padding=1).tolist() == F.conv2d(
        x, w, None, (2, 2), [1, 1]).tolist()
    assert F.conv2d(x, w, stride=2, padding=1).tolist()[0][0] == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]


def test_flops_are_those_of_the_loops_without_padding():
    x, w = np.ones((2, 3, 5, 6)), np.ones((4, 3, 2, 3))
    attrs = {"stride": (2, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    visits = sum(1 for _ in _visits(x.shape, w.shape, **attrs))
    assert ops.conv2d.flops(x, w, **attrs) == 2 * visits
    g = ops.conv2d(x, w, **attrs)
    assert ops.conv2d_input.flops(g, w, input_size=(5, 6), **attrs) == 2 * visits
    assert ops.conv2d_weight.flops(g, x, kernel_size=(2, 3), **attrs) == 2 * visits


X, W = etude.ones(2, 3, 5, 5), etude.ones(4, 3, 2, 2)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: F.conv2d(X[0, 0], W), ShapeError, r"conv2d: x must have 4 dimensions "
                                               r"\(N, C, H, W\), got float32\[5, 5\]"),
    (lambda: F.conv2d(X, W[0]), ShapeError, r"conv2d: weight must be \(O, C/groups, KH, KW\) with "
                                            r"C = 3 from x float32\[2, 3, 5, 5\], groups = 1"),
    (lambda: F.conv2d(X, W[:, :2]), ShapeError, "with C = 3 from x .*, groups = 1, got float32"),
    (lambda: F.conv2d(X, W, etude.ones(3)), ShapeError, r"conv2d: bias must have shape \[4\]: "
                                                        r"\(O\) with O = 4 from weight "),
    (lambda: F.conv2d(X[:, :, :1], W), ShapeError, r"conv2d: kernel \[2, 2\] does not fit into an "
                                                   r"image of \[1, 5\] with padding \[0, 0\]"),
    (lambda: F.conv2d(X, W, stride=0), ShapeError, "conv2d: stride must be one or two integers >= "
                                                   "1"),
    (lambda: F.conv2d(X, W, padding=-1), ShapeError, "conv2d: padding must be one or two integers "
                                                     ">= 0, got -1"),
    (lambda: F.conv2d(X, W, stride=(1, 2, 3)), ShapeError, "stride must be one or two integers"),
    (lambda: ops.conv2d(X.data, W.data.astype(float)), DTypeError, "conv2d: operands must share "
                                                                   "one "
     "dtype"),
    (lambda: ops.conv2d_input(np.ones((1, 4, 3, 3)), np.ones((4, 3, 2, 2)), input_size=(5, 5)),
     ShapeError, "conv2d_input: grad must have shape .*OH = 4, OW = 4, got float"),
    (lambda: ops.conv2d_weight(np.ones((1, 4, 3, 3)), np.ones((1, 3, 5, 5)), kernel_size=(2, 2)),
     ShapeError, r"conv2d_weight: grad must have shape .*OH = 4, OW = 4, got float"),
])
def test_calls_that_do_not_fit(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("stride", [50, (2**31, 1), (1, 2**40), 2**61])
def test_a_stride_that_is_never_taken_costs_nothing(backend, stride):
    """One output along an axis is the same for any stride, in time and memory as well."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(2, 4, 5, 6)), rng.normal(size=(3, 4, 3, 3))
    down, right = (stride, stride) if isinstance(stride, int) else stride
    found = []
    with etude.use(backend):
        for s in (stride, (min(down, 5), min(right, 6))):
            both = [etude.tensor(a, requires_grad=True) for a in (x, weight)]
            y = F.conv2d(*both, stride=s)
            found.append([y.detach(), *etude.grad(y.square().sum(), both)])
    for got, want in zip(*found, strict=True):
        near(got.numpy(), want.numpy(), 16, 1)
