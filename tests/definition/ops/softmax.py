"""softmax and its logarithm, and their gradients: row by row, the exponentials by mpmath.

NaN or +inf in a row spoils the whole row, and so does a row of -inf alone; -inf beside numbers has
probability 0. A row of no elements has none.
"""

import math

import numpy as np
from exact import definition
from lines import INF, LONG, NAN, by_lines, dot, few, total, wide
from mpmath import mp, mpf

from etude import TABLE
from etude_check.cases.spec import call


def spoilt(x):
    """Whether no element of the row has a value."""
    return any(v != v or v == INF for v in x) or max(x) == -INF


def exp_less(v, top):
    """e^(v - top), where v may be -inf."""
    return mpf(0) if v == -INF else mp.exp(mpf(v) - top)


def sum_of_exp(x, top):
    """sum e^(x - top)."""
    if len(x) <= LONG:
        return mp.fsum(exp_less(v, top) for v in x)
    return mpf(math.fsum(math.exp(v - top) for v in x))


def rows_of(draw):
    """(x, dim) of ops that take the exponentials of rows."""
    for x, dim in ((draw.magnitudes((12, 9)), 1), (draw.magnitudes((7, 12)), 0),
                   (draw.magnitudes((3, 5, 4), -20, 7), 1), (draw.magnitudes((4, 33), -3, 3), -1),
                   (draw.offset((6, 9)), 1), (draw.offset((6, 9), -1e8, 20), 1),
                   (draw.offset((9, 6), 1e4, 3), 0), (draw.floats((5, 17), -100, 100), 1),
                   (masked(draw), 1), (level(draw), 1), (draw.magnitudes((20, 1)), 1),
                   (draw.offset((3, 1000), 0, 4), 1), (draw.bits((20, 5)), 1)):
        yield x, dim
    if draw.whole:
        yield draw.offset((1000, 17), 0, 4), 1
        yield draw.offset((3, 4000), 1e6, 4), 1
        yield draw.magnitudes((3, 4000), -10, 4), 1
    if draw.whole and draw.dtype == np.float32:
        for shape, dim in (((10**7,), 0), ((10**7, 2), 0), ((2, 10**7), 1), ((2, 10**6, 3), 1)):
            yield draw.offset(shape, 3, 1), dim


def masked(draw):
    """Rows of which more and more is -inf, the last of them all; others with NaN or +inf."""
    x = draw.floats((12, 7), -8, 8)
    x = np.array(x)
    for i in range(8):
        x[i, :i] = -np.inf
    x[8, 2], x[9, 3], x[10, 4] = np.nan, np.inf, np.inf
    x[10, 5], x[11] = -np.inf, np.inf
    return x


def level(draw):
    """Rows of equal numbers at every level: probabilities 1 / n, whatever the level."""
    levels = np.array([0.0, -0.0, 1.0, 1e4, -1e6, 1e8, -1e9, 2.0**120, -(2.0**120), 1e-40])
    return np.repeat(levels[:, None], 3, 1).astype(draw.dtype)


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
        tops = np.full((2, 64), 2.0**124, draw.dtype)  # whose sum is beyond float32
        yield call(tops, TABLE[forward](np.zeros_like(tops)))
    return calls


def parts(x, dim):
    """(d = |x - max x|, 0 where x is infinite; p; sum p d; log sum e^-d), rows as NumPy arrays."""
    away = np.abs(x - x.max(dim, keepdims=True, initial=-np.inf))
    e = np.exp(-away)
    whole = e.sum(dim, keepdims=True)
    away = np.where(np.isfinite(x), away, 0)
    return away, e / whole, (e * away).sum(dim, keepdims=True) / whole, np.log(whole)


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
