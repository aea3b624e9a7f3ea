"""Batch normalisation, in training and evaluation, and its gradient: channel by channel, exactly.

A NaN or an infinity spoils its own channel in training, and its own place in evaluation. A channel
of equal numbers is bias throughout; with eps = 0 it is 0 / 0, NaN. The mean and the variance of an
empty batch are 0 / 0 too.
"""

import math

import numpy as np
from exact import definition
from lines import INF, LONG, NAN, dot, finite, last, once, squares, total, variance_of, wide
from mpmath import mp, mpf
from norms import affine, given, normal, rows_of, rstd_of

from etude import TABLE
from etude_check.cases.spec import call


def channels(a):
    """a as a matrix: all numbers of a channel in a row."""
    return np.moveaxis(a, 1, 0).reshape(a.shape[1], math.prod(a.shape) // max(a.shape[1], 1))


def within(place, shape):
    """Where a place of an array (N, C, ...) stands in its channel."""
    rest = (place[0], *place[2:])
    return int(np.ravel_multi_index(rest, (shape[0], *shape[2:])))


def _images(draw):
    """(x, eps): what rows_of has, with a row for each channel, in three shapes."""
    for i, (rows, eps) in enumerate(rows_of(draw)):
        c, n = rows.shape
        x = rows.T  # (N, C)
        if i % 3 == 1 and n % 2 == 0:
            x = np.ascontiguousarray(rows.reshape(c, 2, n // 2).swapaxes(0, 1))
        elif i % 3 == 2 and n % 4 == 0:
            x = np.ascontiguousarray(rows.reshape(c, 2, n // 4, 2).swapaxes(0, 1))
        yield np.ascontiguousarray(x), eps
    if draw.whole and draw.dtype == np.float32:
        yield draw.offset((10**7, 1), 3, 1), 1e-5
        yield draw.offset((3, 2, 10**6), 3, 1), 1e-5


def _affine(draw, x, i):
    weight, bias = draw.floats([x.shape[1]], -2, 2), draw.floats([x.shape[1]], -2, 2)
    return ((), (weight,), (weight, bias), (None, bias))[i % 4]


def _calls(draw):
    for i, (x, eps) in enumerate(_images(draw)):
        yield call(x, *_affine(draw, x, i), eps=eps)
    yield call(draw.magnitudes((4, 3, 2), 60, 120), draw.magnitudes((3,), -60, 0))


def _backward(draw):
    for i, (x, eps) in enumerate(_images(draw)):
        with np.errstate(all="ignore"):
            _, mean, var = TABLE["batch_norm"](x, eps=eps)
        weight = (*_affine(draw, x, i), None)[0]
        yield call(draw.floats(x.shape, -1, 1), x, weight, mean, var, eps=eps)
        if x.size < 1000 and np.isfinite(var).all() and (var + eps > 0).all():
            grad = draw.magnitudes(x.shape, -100, 120)
            yield call(grad, x, draw.magnitudes((x.shape[1],), -20, 60), mean, var, eps=eps)


def _evaluations(draw):
    for i, (x, eps) in enumerate(_images(draw)):
        if x.size < 10**6:
            c = x.shape[1]
            mean, var = draw.magnitudes((c,), -140, 120), np.abs(draw.magnitudes((c,), -140, 120))
            yield call(x, mean, var, *_affine(draw, x, i), eps=eps)
            mean = x[0].reshape(c, -1)[:, 0].copy()
            yield call(x, mean, draw.positive((c,), 0, 1), *_affine(draw, x, i + 1), eps=eps)


def _column(x):
    return (0, *range(2, x.ndim)), (x.shape[1], *(1 for _ in x.shape[2:]))


def _scale(arrays, attrs, output):
    """Model 5 of docs/bounds.md, as in layer_norm."""
    x, weight, bias = (None if a is None else wide(a) for a in given(arrays, 3))
    dims, column = _column(x)
    n, u = x.size // max(x.shape[1], 1), last(arrays[0].dtype)
    mean, var = x.mean(dims, keepdims=True), variance_of(x, dims, keepdims=True)
    s, size = np.sqrt(var + attrs["eps"]), np.abs(x).mean(dims, keepdims=True)
    of_mean = u * (n + 1) * size
    square = (2.0**-53 * (n + 1) * size) ** 2 * u / 2.0**-53
    if output == 1:
        return (of_mean + 2 * np.abs(mean)).reshape(-1)
    if output == 2:
        return (var * (4 + u * (n + 6)) + square).reshape(-1)
    h = np.abs(x - mean) / s
    error = of_mean / s + h * (4 + u * (n + 6) / 2 + square / s**2)
    if weight is not None:
        weight = np.abs(weight).reshape(column)
        error, h = (error + 2 * h) * weight, h * weight
    return error if bias is None else error + 2 * h + 2 * np.abs(bias).reshape(column)


@definition("batch_norm", calls=_calls, scale=_scale)
def batch_norm(arrays, attrs, output, places):
    x, weight, bias = given(arrays, 3)
    rows = channels(x)
    known = once(lambda c: rstd_of(rows[c].tolist(), attrs["eps"]))
    if output == 1:
        return [known(c)[0] if rows.size else NAN for c, in places]
    if output == 2:
        return [variance(rows[c].tolist()) for c, in places]
    return [affine(normal(x[p].item(), *known(p[1])), weight, bias, p[1]) for p in places]


def variance(x):
    return squares(x)[1] / len(x) if x and finite(x) else NAN


def _eval_scale(arrays, attrs, output):
    x, mean, var, weight, bias = (None if a is None else wide(a) for a in given(arrays, 5))
    _, column = _column(x)
    h = np.abs(x - mean.reshape(column)) / np.sqrt(var + attrs["eps"]).reshape(column)
    if weight is not None:
        h = h * np.abs(weight).reshape(column)
    return 6 * h if bias is None else 6 * h + 2 * np.abs(bias).reshape(column)


@definition("batch_norm_eval", calls=_evaluations, scale=_eval_scale)
def batch_norm_eval(arrays, attrs, output, places):
    x, mean, var, weight, bias = given(arrays, 5)

    def value(place):
        c = place[1]
        v, m = x[place].item(), mean[c].item()
        s = deviation(var[c].item(), attrs["eps"])
        if not finite([v, m, s]) or s == 0:
            with np.errstate(all="ignore"):
                h = float((np.float64(v) - m) / np.float64(s))
        else:
            h = (mpf(v) - m) / s
        return affine(h, weight, bias, c)
    return [value(place) for place in places]


def deviation(var, eps):
    """sqrt(var + eps), NaN below 0."""
    under = var if not math.isfinite(var) else mpf(var) + eps
    return NAN if under != under or under < 0 else INF if under == INF else mp.sqrt(under)


def _backward_scale(arrays, attrs, output):
    grad, x, weight, mean, var = (None if a is None else wide(a) for a in arrays)
    dims, column = _column(x)
    n, u = x.size // max(x.shape[1], 1), last(arrays[1].dtype)
    s = np.sqrt(var + attrs["eps"]).reshape(column)
    h, g = np.abs(x - mean.reshape(column)) / s, np.abs(grad)
    roundings = 6 + u * (n + 6)
    if output:
        return roundings * (g * h if output == 1 else g).sum(dims)
    size = g + g.mean(dims, keepdims=True) + h * (g * h).mean(dims, keepdims=True)
    size = size if weight is None else size * np.abs(weight).reshape(column)
    return (roundings + 3) * size / s


@definition("batch_norm_backward", calls=_backward, scale=_backward_scale)
def batch_norm_backward(arrays, attrs, output, places):
    grad, x, weight, mean, var = arrays
    grads, rows = channels(grad), channels(x)

    def sums(c):
        """(h, dweight, dbias, s) of a channel, with h = (x - mean) / s."""
        m, s = mean[c].item(), deviation(var[c].item(), attrs["eps"])
        g, v = grads[c].tolist(), rows[c].tolist()
        if not finite(g, v, [m]) or s != s or s == 0:
            return [NAN] * len(v), NAN, total(g), NAN
        if len(v) > LONG:
            of_gx = dot(g, (rows[c].astype(np.float64) - m).tolist())
            return None, of_gx / mpf(s), total(g), s
        h = [(mpf(a) - m) / mpf(s) for a in v]
        return h, mp.fdot(g, h), total(g), s
    known = once(sums)
    if output:
        return [known(c)[output] for c, in places]

    def value(place):
        c = place[1]
        h, dweight, dbias, s = known(c)
        if s != s:
            return NAN
        at = within(place, x.shape)
        own = (mpf(x[place].item()) - mean[c].item()) / mpf(s) if h is None else h[at]
        dx = mpf(grad[place].item()) - (dbias + own * dweight) / rows.shape[1]
        return dx / mpf(s) * (1 if weight is None else weight[c].item())
    return [value(place) for place in places]
