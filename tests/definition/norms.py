"""What the definitions of the three norms share: rows, their means, and what is asked of them."""

import math

import numpy as np
from lines import LONG, NAN, dot, finite, squares, total
from mpmath import mp, mpf


def flat(x, attrs):
    """x as a matrix: one row for each index of the leading axes."""
    return x.reshape(-1, math.prod(attrs["normalized_shape"]))


def at(place, x, attrs):
    """(row, column) of a place of x in ``flat``."""
    lead = x.ndim - len(attrs["normalized_shape"])
    return position(place[:lead], x.shape[:lead]), position(place[lead:], x.shape[lead:])


def position(place, shape):
    """Where a place of an array stands in C order."""
    return int(np.ravel_multi_index(place, shape)) if shape else 0


def rstd_of(x, eps):
    """(mean, 1 / sqrt(var + eps)) of a row."""
    if not finite(x):
        return total(x) / len(x), NAN
    mean, sum_of_squares = squares(x)
    under = sum_of_squares / len(x) + mpf(eps)
    return mean, 1 / mp.sqrt(under) if under else math.inf


def affine(h, weight, bias, column):
    """h weight + bias, in which h may be NaN."""
    if weight is not None:
        h = h * weight[column].item() if h != h else h * mpf(weight[column].item())
    return h if bias is None else h + bias[column].item()


def given(arrays, names):
    """Arrays by name, those left out being None."""
    return [*arrays, *[None] * (names - len(arrays))]


def normal(v, mean, rstd):
    """(v - mean) rstd, NaN where something in it is, and 0 / 0 where all numbers are the mean."""
    if rstd != rstd or v != v or rstd == math.inf:
        return NAN
    return (mpf(v) - mean) * rstd


def weightless(x, attrs):
    return x.shape[x.ndim - len(attrs["normalized_shape"]) :]


def down_columns(output, grads, rows, means, rstds, c):
    """dweight = sum grad h or dbias = sum grad over the rows, at column c."""
    g = grads[:, c].tolist()
    if output == 2:
        return total(g)
    return dot(g, [(v - m) * r for v, m, r in zip(numbers(rows[:, c]), means, rstds, strict=True)])


def numbers(a):
    """Elements as mpf, so that what is computed from them keeps 50 digits; floats if many."""
    values = a.tolist()
    return values if len(values) > LONG else [mpf(v) for v in values]


# ------------------------------------------------------------------ what is asked


def rows_of(draw):
    """(x, eps): numbers of every size, with offsets, equal, tiny beside eps, and huge. Their
    squares stay in the range of float64, which is what the sums run in.
    """
    eps = 1e-5
    yield draw.magnitudes((6, 9), -140, 120), eps
    yield draw.magnitudes((30, 4), -140, 120), 0.0
    yield draw.magnitudes((6, 12), -120, -110), 0.0
    yield draw.magnitudes((6, 12), 100, 120), eps
    yield draw.offset((6, 12)), eps
    yield draw.offset((6, 12), 1e4, 1), eps
    yield draw.offset((3, 64), -1e8, 50), 0.0
    yield draw.floats((6, 9), -2, 3), eps
    yield draw.floats((3, 128), -2, 3), eps
    yield draw.floats((6, 9), -2, 3) * draw.dtype.type(1e-3), eps
    yield np.repeat(draw.magnitudes((20, 1), -140, 120), 5, 1), eps
    yield odd_rows(draw), eps
    if draw.whole:
        yield draw.offset((3, 4000), 1e4, 1), 1e-5
        yield draw.offset((4000, 3), 3, 1), 1e-5


def odd_rows(draw):
    """Rows with NaN, infinities and zeros."""
    x = np.array(draw.floats((8, 5), -2, 2))
    x[0, 1], x[1, 2], x[2, 3], x[3, :2] = np.nan, np.inf, -np.inf, (np.inf, -np.inf)
    x[4], x[5], x[6] = 0.0, -0.0, 1e-40
    return x


def calls(draw):
    """``rows_of``, and 10^7 numbers in float32, in one row and in many."""
    yield from rows_of(draw)
    if draw.whole and draw.dtype == np.float32:
        for shape in ((1, 10**7), (5 * 10**6, 2)):
            yield draw.offset(shape, 3, 1), 1e-5
