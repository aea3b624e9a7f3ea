"""Rows of logits, which softmax, logsumexp, cross-entropy and attention take exponentials of."""

import math

import numpy as np
from lines import INF, LONG
from mpmath import mp, mpf


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


def parts(x, dim):
    """(d = |x - max x|, 0 where x is infinite; p; sum p d; log sum e^-d), rows as NumPy arrays."""
    away = np.abs(x - x.max(dim, keepdims=True, initial=-np.inf))
    e = np.exp(-away)
    whole = e.sum(dim, keepdims=True)
    away = np.where(np.isfinite(x), away, 0)
    return away, e / whole, (e * away).sum(dim, keepdims=True) / whole, np.log(whole)
