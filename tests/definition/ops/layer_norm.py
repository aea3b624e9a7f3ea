"""Layer normalisation, exactly.

A NaN or an infinity spoils its own row, since the mean of that row is none. Rows of equal numbers
are bias, for their variance is 0; with eps = 0 that is 0 / 0, NaN.
"""

import math

import norms
import numpy as np
from exact import definition
from lines import LONG, last, once, variance_of, wide
from mpmath import mp, mpf
from norms import affine, at, down_columns, flat, given, normal, position, rstd_of, weightless

from etude import TABLE
from etude_check.cases.spec import call


def _calls(draw):
    for i, (x, eps) in enumerate(norms.calls(draw)):
        size = x.shape[1:]
        weight, bias = draw.floats(size, -2, 2), draw.floats(size, -2, 2)
        for some in ((), (weight,), (weight, bias), (None, bias))[i % 2 :: 2]:
            yield call(x, *some, normalized_shape=size, eps=eps)
    x = draw.magnitudes((3, 2, 3, 2), 60, 120)
    yield call(x, draw.magnitudes((3, 2), -60, 2), normalized_shape=(3, 2))


def _backward(draw):
    for i, (x, eps) in enumerate(norms.calls(draw)):
        size = x.shape[1:]
        weight = draw.floats(size, -2, 2) if i % 2 else None
        with np.errstate(all="ignore"):
            _, mean, rstd = TABLE["layer_norm"](x, normalized_shape=size, eps=eps)
        yield call(draw.floats(x.shape, -1, 1), x, weight, mean, rstd, normalized_shape=size)
        if x.size < 1000 and np.isfinite(rstd).all():
            grad = draw.magnitudes(x.shape, -100, 120)
            yield call(grad, x, draw.magnitudes(size, -20, 60), mean, rstd, normalized_shape=size)


def _scale(arrays, attrs, output):
    """Model 5 of docs/bounds.md, with sums in float64: D = (n + 1) mean|x| / s."""
    x, weight, bias = (None if a is None else wide(a) for a in given(arrays, 3))
    dims = tuple(range(x.ndim - len(attrs["normalized_shape"]), x.ndim))
    n, u = math.prod(attrs["normalized_shape"]), last(arrays[0].dtype)
    s = np.sqrt(variance_of(x, dims, keepdims=True) + attrs["eps"])
    size = np.abs(x).mean(dims, keepdims=True)
    of_mean = u * (n + 1) * size
    off = 2.0**-53 * (n + 1) * size / s  # D, and what its square adds to the variance
    of_rstd = 4 + u * (n + 6) / 2 + u * off * off / 2.0**-53
    if output == 1:
        return (of_mean + 2 * np.abs(x.mean(dims, keepdims=True))).reshape(x.shape[: dims[0]])
    if output == 2:
        return (of_rstd / s).reshape(x.shape[: dims[0]])
    h = (x - x.mean(dims, keepdims=True)) / s
    error = of_mean / s + np.abs(h) * of_rstd
    if weight is not None:
        error, h = (error + 2 * np.abs(h)) * np.abs(weight), h * weight
    return error if bias is None else error + 2 * np.abs(h) + 2 * np.abs(bias)


@definition("layer_norm", calls=_calls, scale=_scale)
def layer_norm(arrays, attrs, output, places):
    x, weight, bias = given(arrays, 3)
    rows = flat(x, attrs)
    known = once(lambda r: rstd_of(rows[r].tolist(), attrs["eps"]))
    if output:
        return [known(position(p, x.shape[: len(p)]))[output - 1] for p in places]

    def value(place):
        r, c = at(place, x, attrs)
        mean, rstd = known(r)
        return affine(normal(rows[r, c].item(), mean, rstd), weight, bias, place[-len(
            attrs["normalized_shape"]):])
    return [value(place) for place in places]


def _backward_scale(arrays, attrs, output):
    grad, x, weight, mean, rstd = (None if a is None else wide(a) for a in arrays)
    dims = tuple(range(x.ndim - len(attrs["normalized_shape"]), x.ndim))
    column = (*mean.shape, *(1 for _ in dims))
    n, rows, u = math.prod(attrs["normalized_shape"]), mean.size, last(arrays[1].dtype)
    h = np.abs(x - mean.reshape(column)) * rstd.reshape(column)
    lead = tuple(range(x.ndim - len(dims)))
    if output:
        return 4 * np.abs(grad * h if output == 1 else grad).sum(lead) * (1 + u * rows)
    g = np.abs(grad if weight is None else grad * weight)
    parts = [g, g.mean(dims, keepdims=True), h * (g * h).mean(dims, keepdims=True)]
    return rstd.reshape(column) * (6 + u * (n + 3)) * (parts[0] + parts[1] + parts[2])


@definition("layer_norm_backward", calls=_backward, scale=_backward_scale)
def layer_norm_backward(arrays, attrs, output, places):
    grad, x, weight, mean, rstd = arrays
    rows, grads = flat(x, attrs), flat(grad, attrs)
    means, rstds = mean.ravel().tolist(), rstd.ravel().tolist()
    weights = None if weight is None else weight.ravel().tolist()
    if output:
        return [down_columns(output, grads, rows, means, rstds, position(p, weightless(
            x, attrs))) for p in places]
    row = once(lambda r: backward_row(grads[r].tolist(), rows[r].tolist(), weights, means[r],
                                      rstds[r]))
    return [row(at(p, x, attrs)[0])(at(p, x, attrs)[1]) for p in places]


def backward_row(grad, x, weights, mean, rstd):
    """rstd (g - mean(g) - h mean(g h)) with h = (x - mean) rstd and g = grad weight."""
    n = len(x)
    short = n <= LONG
    number = mpf if short else float
    g = [number(v) for v in grad] if weights is None else [
        number(v) * w for v, w in zip(grad, weights, strict=True)]
    h = [(number(v) - mean) * number(rstd) for v in x]
    add = mp.fsum if short else math.fsum
    of_g = add(g) / n
    of_gh = (mp.fdot(g, h) if short else math.fsum(map(float.__mul__, g, h))) / n
    return lambda c: rstd * (mpf(g[c]) - of_g - h[c] * of_gh)
