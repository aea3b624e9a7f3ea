"""softmax and its logarithm, and their gradients: row by row, the exponentials by mpmath.

NaN or +inf in a row spoils the whole row, and so does a row of -inf alone; -inf beside numbers has
probability 0. A row of no elements has none.
"""

import math

import numpy as np
from exact import definition
from lines import INF, NAN, by_lines, dot, few, total, wide
from logits import exp_less, parts, rows_of, spoilt, sum_of_exp
from mpmath import mp, mpf

from etude import TABLE
from etude_check.cases.spec import call


def _calls(draw):
    for x, dim in rows_of(draw):
        yield call(x, dim=dim)


def _backward(forward):
    def calls(draw):
        for x, dim in rows_of(draw):
            with np.errstate(all="ignore"):
                y = TABLE[forward](x, dim=dim)
            yield call(draw.floats(x.shape, -1, 1), y, dim=dim)
            if x.size < 1000:
                yield call(draw.magnitudes(x.shape), y, dim=dim)
                yield call(draw.offset(x.shape), y, dim=dim)
                yield call(draw.infinite(x.shape), y, dim=dim)
        tops = np.full((2, 64), 2.0**124, draw.dtype)  # whose sum is beyond float32
        yield call(tops, TABLE[forward](np.zeros_like(tops)))
    return calls


def _softmax_scale(arrays, attrs, output):
    """Model 4 of docs/bounds.md."""
    x, dim = arrays[0], attrs["dim"]
    away, p, mean, _ = parts(wide(x), dim)
    return p * (away + mean + few(x.shape[dim]) + 11)


@definition("softmax", calls=_calls, scale=_softmax_scale)
def softmax(arrays, attrs, output, places):
    return by_lines(_softmax, arrays, attrs["dim"], places)


def _softmax(x):
    if spoilt(x):
        return lambda i: NAN
    top = max(x)
    whole = sum_of_exp(x, top)
    return lambda i: exp_less(x[i], top) / whole


def _log_softmax_scale(arrays, attrs, output):
    """The distance from the maximum and the logarithm are rounded, and the sum in it."""
    x, dim = arrays[0], attrs["dim"]
    away, _, mean, log = parts(wide(x), dim)
    return 2 * away + 4 * log + mean + few(x.shape[dim]) + 8


@definition("log_softmax", calls=_calls, scale=_log_softmax_scale)
def log_softmax(arrays, attrs, output, places):
    return by_lines(_log_softmax, arrays, attrs["dim"], places)


def _log_softmax(x):
    if spoilt(x):
        return lambda i: NAN
    top = max(x)
    log = mp.log(sum_of_exp(x, top))
    return lambda i: -INF if x[i] == -INF else mpf(x[i]) - top - log


def _softmax_backward_scale(arrays, attrs, output):
    grad, y = map(wide, arrays)
    size = np.abs(grad * y).sum(attrs["dim"], keepdims=True)
    return np.abs(y) * (3 * np.abs(grad) + (few(y.shape[attrs["dim"]]) + 4) * size)


@definition("softmax_backward", calls=_backward("softmax"), scale=_softmax_backward_scale)
def softmax_backward(arrays, attrs, output, places):
    return by_lines(_softmax_backward, arrays, attrs["dim"], places)


def _softmax_backward(grad, y):
    along = dot(grad, y)
    return lambda i: product(y[i], less(grad[i], along))


def _log_softmax_backward_scale(arrays, attrs, output):
    grad, y = map(wide, arrays)
    size = np.abs(grad).sum(attrs["dim"], keepdims=True)
    return 3 * np.abs(grad) + np.exp(y) * (few(y.shape[attrs["dim"]]) + 6) * size


@definition("log_softmax_backward", calls=_backward("log_softmax"),
            scale=_log_softmax_backward_scale)
def log_softmax_backward(arrays, attrs, output, places):
    return by_lines(_log_softmax_backward, arrays, attrs["dim"], places)


def _log_softmax_backward(grad, y):
    whole = total(grad)
    return lambda i: less(grad[i], product(exp(y[i]), whole))


def exp(v):
    if v != v or v == INF:
        return v
    return mpf(0) if v == -INF else mp.exp(v)


def product(a, b):
    """a b, of which either may be a Python float that is infinite or NaN: as IEEE 754 has it."""
    if any(isinstance(v, float) and not math.isfinite(v) for v in (a, b)):
        return float(a) * float(b)
    return mpf(a) * b


def less(a, b):
    """a - b, likewise."""
    if any(isinstance(v, float) and not math.isfinite(v) for v in (a, b)):
        return float(a) - float(b)
    return mpf(a) - b
