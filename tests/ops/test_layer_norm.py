"""layer_norm against exact fractions; scale and shift invariance, hidden statistics."""

import math
from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, near, sample

import etude
from etude import ShapeError, ops
from etude import functional as F

EPS = 1e-5


def _statistics(row, eps):
    values = [Fraction(v) for v in row]
    mean = sum(values) / len(values)
    var = sum((v - mean) ** 2 for v in values) / len(values)
    return mean, 1 / math.sqrt(var + Fraction(eps))


def _rows(x, normalized_shape):
    return x.reshape(-1 if x.size else 0, math.prod(normalized_shape))


def _layer_norm(x, weight=None, bias=None, *, normalized_shape, eps):
    found = [_statistics(row, eps) for row in _rows(x, normalized_shape).tolist()]
    y = np.array([[float(Fraction(v) - mean) * rstd for v in row] for row, (mean, rstd) in zip(
        _rows(x, normalized_shape).tolist(), found, strict=True)]).reshape(x.shape)
    lead = x.shape[: x.ndim - len(normalized_shape)]
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return (y, np.array([float(m) for m, _ in found]).reshape(lead),
            np.array([r for _, r in found]).reshape(lead))


def _backward(grad, x, weight, mean, rstd, *, normalized_shape):
    """The Jacobian of a row, element by element: dy_i/dx_j = rstd w_i (i = j - 1/D - h_i h_j/D)."""
    rows, grads = _rows(x, normalized_shape), _rows(grad, normalized_shape)
    d = math.prod(normalized_shape)
    w = np.ones(d) if weight is None else weight.reshape(d)
    h = (rows - mean.reshape(-1, 1)) * rstd.reshape(-1, 1)
    dx = np.zeros_like(rows)
    for n in range(len(rows)):
        for i in range(d):
            for j in range(d):
                jacobian = rstd.reshape(-1)[n] * w[i] * (
                    (i == j) - 1 / d - h[n, i] * h[n, j] / d)
                dx[n, j] += grads[n, i] * jacobian
    return (dx.reshape(x.shape), (grads * h).sum(0).reshape(normalized_shape),
            grads.sum(0).reshape(normalized_shape))


PLACES = [((3,), (3,)), ((6,), (6,)), ((2, 4), (4,)), ((5, 4), (4,)), ((2, 3, 2), (3, 2)),
          ((2, 3, 2), (2,)), ((3, 1), (1,)), ((0, 4), (4,)), ((2, 0, 3), (3,))]


def _samples(rng):
    found = []
    for shape, size in PLACES:
        x, w, b = rng.uniform(-2, 2, shape), rng.uniform(0.5, 2, size), rng.uniform(-1, 1, size)
        for given in ((x,), (x, w), (x, w, b), (x, None, b)):
            found.append(sample(*given, normalized_shape=size, eps=1e-2))
    return [*found, sample(x, normalized_shape=3), sample(
        1e4 + rng.uniform(-1, 1, (2, 5)), normalized_shape=(5,), smooth=False)]


def _scale(x, weight=None, bias=None, *, normalized_shape, eps):
    _, mean, rstd = _layer_norm(x, normalized_shape=normalized_shape, eps=eps)
    ones = (1,) * len(normalized_shape)
    size = (np.abs(x).max(initial=1) + np.abs(x)) * rstd.reshape(*rstd.shape, *ones) + 1
    lost = (np.abs(x).max(initial=1) * rstd) ** 2
    return ((size * (1 if weight is None else weight) + (0 if bias is None else np.abs(bias))),
            np.abs(x).max(initial=1) + 0 * mean, rstd * (1 + np.finfo(np.float32).eps * lost))


def _backwards(rng):
    for s in _samples(rng):
        if s.smooth and len(s.arrays) < 3:
            x, *w = s.arrays
            size = s.attrs["normalized_shape"]
            size = (size,) if isinstance(size, int) else size
            _, mean, rstd = _layer_norm(x, normalized_shape=size, eps=0.01)
            yield sample(rng.uniform(-1, 1, x.shape), x, w[0] if w else None, mean, rstd,
                         normalized_shape=size)


def _backward_scale(grad, x, weight, mean, rstd, *, normalized_shape):
    top = 1 + np.abs(x).max(initial=0) * np.abs(rstd).max(initial=0)
    return (np.abs(grad).sum() * np.abs(rstd).max(initial=0) * top * top
            * (1 if weight is None else np.abs(weight).max(initial=1)) + 0 * x,
            np.abs(grad).sum() * top, np.abs(grad).sum())


CASES = {
    "layer_norm": Case(_samples, _layer_norm, scale=_scale, ulps=6, analytic=True),
    "layer_norm_backward": Case(lambda rng: list(_backwards(rng)), _backward,
                                scale=_backward_scale),
}


def test_rows_come_out_with_mean_zero_and_variance_one():
    x = np.random.default_rng(0).normal(3, 10, (50, 16))
    y, mean, rstd = ops.layer_norm(x, normalized_shape=(16,), eps=0.0)
    near(y.mean(1), np.zeros(50), 16, 1)
    near((y * y).mean(1), np.ones(50), 16)
    near(mean, x.mean(1), 4, 10)
    near(rstd, 1 / x.std(1), 8)


def test_the_result_ignores_scale_and_shift_of_a_row():
    x = np.random.default_rng(0).normal(0, 1, (4, 8))
    y = ops.layer_norm(x, normalized_shape=(8,), eps=0.0)[0]
    near(ops.layer_norm(1024 * x - 64, normalized_shape=(8,), eps=0.0)[0], y, 200, 1)


def test_a_constant_row_gives_zeros_because_of_eps():
    y, _, rstd = ops.layer_norm(np.full((1, 4), 7.0), normalized_shape=(4,))
    assert y.tolist() == [[0, 0, 0, 0]]
    near(rstd, [1 / math.sqrt(1e-5)], 2)


def test_one_integer_means_the_last_axis():
    x = etude.tensor(np.random.default_rng(0).normal(0, 1, (2, 3, 4)))
    assert F.layer_norm(x, 4).tolist() == F.layer_norm(x, (4,)).tolist()
    assert F.layer_norm(x, np.int64(4)).tolist() == F.layer_norm(x, [4]).tolist()
    near(ops.layer_norm(x.data, normalized_shape=4)[0], F.layer_norm(x, 4).numpy(), 0)


def test_a_weight_made_from_the_input_is_not_counted_twice():
    """Under create_graph the composite runs on the inputs, and one may depend on another."""
    found = []
    for create_graph in (False, True):
        x = etude.tensor([0.5, 1.0, 3.0], dtype=etude.float64, requires_grad=True)
        y = F.layer_norm(x, 3, x * x, x) * etude.tensor([1.0, -2.0, 0.5], dtype=etude.float64)
        found.append(etude.grad(y.sum(), x, create_graph=create_graph)[0].detach().numpy())
    near(*found, 64, 1)


@pytest.mark.parametrize(("arrays", "size", "words"), [
    (((2, 3),), 4, r"layer_norm: x must be .* = \[4\] from normalized_shape, got float32\[2, 3\]"),
    (((3,),), (2, 3), r"layer_norm: x must be .* = \[2, 3\] from normalized_shape"),
    (((2, 3),), (), r"layer_norm: normalized_shape \[\] is empty"),
    (((2, 0),), 0, r"layer_norm: normalized_shape \[0\] is empty; it has no mean"),
    (((2, 3), (2,)), 3, r"layer_norm: weight must have shape \[3\], .*, got float32\[2\]"),
    (((2, 3), (3,), (1,)), 3, r"layer_norm: bias must have shape \[3\], .*, got float32\[1\]"),
])
def test_shapes_that_do_not_fit(arrays, size, words):
    x, *rest = (etude.ones(*s) for s in arrays)
    with pytest.raises(ShapeError, match=words):
        F.layer_norm(x, size, *rest)
