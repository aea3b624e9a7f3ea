"""Normalisation by the root mean square, exactly. What is asked is as for layer_norm.

A NaN or an infinity spoils its own row. With eps = 0 a row of zeros is 0 / 0, NaN.
"""

import math

import norms
import numpy as np
from exact import definition
from lines import LONG, NAN, dot, finite, last, once, wide
from mpmath import mp, mpf
from norms import at, down_columns, flat, given, position, weightless

from etude import TABLE
from etude_check.cases.spec import call


def _calls(draw):
    for i, (x, eps) in enumerate(norms.calls(draw)):
        size = x.shape[1:]
        weight = draw.floats(size, -2, 2)
        yield call(x, *((weight,) if i % 2 else ()), normalized_shape=size, eps=eps)
        yield call(x, weight, normalized_shape=size)
    x = draw.magnitudes((3, 2, 3, 2), 60, 120)
    yield call(x, draw.magnitudes((3, 2), -60, 2), normalized_shape=(3, 2))


def _backward(draw):
    for i, (x, eps) in enumerate(norms.calls(draw)):
        size = x.shape[1:]
        with np.errstate(all="ignore"):
            _, rstd = TABLE["rms_norm"](x, normalized_shape=size, eps=eps)
        weight = draw.floats(size, -2, 2) if i % 2 else None
        yield call(draw.floats(x.shape, -1, 1), x, weight, rstd, normalized_shape=size)
        if x.size < 1000 and np.isfinite(rstd).all():
            grad = draw.magnitudes(x.shape, -100, 120)
            yield call(grad, x, draw.magnitudes(size, -20, 60), rstd, normalized_shape=size)


def _eps(x, attrs):
    return float(np.finfo(x.dtype).eps) if attrs["eps"] is None else attrs["eps"]


def rstd_of(x, eps):
    if not finite(x):
        return NAN if any(v != v for v in x) else mpf(0)
    square = dot(x, x) / len(x) + mpf(eps)
    return 1 / mp.sqrt(square) if square else math.inf


def _scale(arrays, attrs, output):
    """Squares are of one sign: nothing cancels."""
    x, weight = (None if a is None else wide(a) for a in given(arrays, 2))
    dims = tuple(range(x.ndim - len(attrs["normalized_shape"]), x.ndim))
    n = math.prod(attrs["normalized_shape"])
    rstd = 1 / np.sqrt((x * x).mean(dims, keepdims=True) + _eps(arrays[0], attrs))
    roundings = 6 + last(arrays[0].dtype) * (n + 6) / 2
    if output:
        return (rstd * roundings).reshape(x.shape[: dims[0]])
    y = np.abs(x) * rstd * roundings
    return y if weight is None else y * np.abs(weight)


@definition("rms_norm", calls=_calls, scale=_scale)
def rms_norm(arrays, attrs, output, places):
    x, weight = given(arrays, 2)
    rows = flat(x, attrs)
    known = once(lambda r: rstd_of(rows[r].tolist(), _eps(x, attrs)))
    if output:
        return [known(position(p, x.shape[: len(p)])) for p in places]

    def value(place):
        r, c = at(place, x, attrs)
        v, rstd = rows[r, c].item(), known(r)
        y = float(v) * float(rstd) if not finite([v, rstd]) else v * rstd
        return y if weight is None else y * weight[place[-weight.ndim :]].item()
    return [value(place) for place in places]


def _backward_scale(arrays, attrs, output):
    grad, x, weight, rstd = (None if a is None else wide(a) for a in arrays)
    dims = tuple(range(x.ndim - len(attrs["normalized_shape"]), x.ndim))
    column, u = rstd.reshape(*rstd.shape, *(1 for _ in dims)), last(arrays[1].dtype)
    h = np.abs(x) * column
    if output:
        lead = tuple(range(x.ndim - len(dims)))
        return 4 * np.abs(grad * h).sum(lead) * (1 + u * rstd.size)
    g = np.abs(grad if weight is None else grad * weight)
    size = g + h * (g * h).mean(dims, keepdims=True)
    return column * (6 + u * (math.prod(attrs["normalized_shape"]) + 3)) * size


@definition("rms_norm_backward", calls=_backward, scale=_backward_scale)
def rms_norm_backward(arrays, attrs, output, places):
    grad, x, weight, rstd = arrays
    rows, grads, rstds = flat(x, attrs), flat(grad, attrs), rstd.ravel().tolist()
    weights = None if weight is None else weight.ravel().tolist()
    if output:
        means, size = [0.0] * len(rstds), weightless(x, attrs)
        return [down_columns(1, grads, rows, means, rstds, position(p, size)) for p in places]
    row = once(lambda r: _row(grads[r].tolist(), rows[r].tolist(), weights, rstds[r]))
    return [row(at(p, x, attrs)[0])(at(p, x, attrs)[1]) for p in places]


def _row(grad, x, weights, rstd):
    """rstd (g - h mean(g h)) with h = x rstd and g = grad weight."""
    short = len(x) <= LONG
    number = mpf if short else float
    g = [number(v) for v in grad] if weights is None else [
        number(v) * w for v, w in zip(grad, weights, strict=True)]
    h = [number(v) * rstd for v in x]
    of_gh = (mp.fdot(g, h) if short else math.fsum(map(float.__mul__, g, h))) / len(x)
    return lambda c: rstd * (mpf(g[c]) - h[c] * of_gh)
