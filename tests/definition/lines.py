"""What the definitions of several families share: lines of an array, sums and products.

All results are exact to 50 digits, but for lines longer than LONG: those are added up by
``math.fsum`` from terms whose errors stay below 2^-52, which is enough to judge float32.
"""

import math

import numpy as np
from mpmath import mp, mpf

LONG = 4200  # mpmath needs a microsecond or more for a term
SPLIT = 2.0**27 + 1  # halves a double: Dekker, Numerische Mathematik 18 (1971)
INF, NAN = math.inf, math.nan


def along(x, dim, place):
    """The line of x along ``dim`` through ``place``, as Python numbers."""
    index = list(place)
    index[dim] = slice(None)
    return x[tuple(index)].tolist()


def by_lines(fn, arrays, dim, places):
    """``fn(*lines)`` answers for a line, once: position on it -> value."""
    known, found = {}, []
    for place in places:
        d = dim % len(place)
        key = place[:d] + place[d + 1 :]
        if key not in known:
            known[key] = fn(*(along(a, d, place) for a in arrays))
        found.append(known[key](place[d]))
    return found


def once(fn):
    """``fn`` of one argument, which remembers its answers."""
    known = {}

    def asked(key):
        if key not in known:
            known[key] = fn(key)
        return known[key]
    return asked


def finite(*lines):
    return all(math.isfinite(v) for line in lines for v in line)


def total(values):
    """The sum. Infinities and NaN add up as IEEE 754 has it; integers stay integers."""
    if values and isinstance(values[0], int):
        return sum(values)
    if not finite(values):
        return sum(v for v in values if not math.isfinite(v))
    return mp.fsum(values) if len(values) <= LONG else mpf(math.fsum(values))


def dot(a, b):
    """sum a_i b_i; with infinities or NaN as IEEE 754 has it."""
    if not finite(a, b):
        return float(sum(x * y for x, y in zip(a, b, strict=True)))
    if len(a) <= LONG:
        return mp.fdot(a, b)
    return mpf(math.fsum(_products(np.array(a), np.array(b))))


def _products(a, b):
    """Doubles whose sum is that of the products: each product rounded, and its rounding error."""
    product = a * b
    (high, low), (above, below) = _halves(a), _halves(b)
    error = ((high * above - product) + high * below + low * above) + low * below
    return np.concatenate([product, error]).tolist()


def _halves(a):
    high = a * SPLIT - (a * SPLIT - a)
    return high, a - high


def squares(x):
    """(mean, sum (x - mean)^2) of finite numbers."""
    n = len(x)
    if n <= LONG:
        mean = mp.fsum(x) / n
        return mean, mp.fsum((v - mean) ** 2 for v in map(mpf, x))
    mean = math.fsum(x) / n  # rounded; what it lacks is made good below
    centred = np.array(x) - mean
    off = math.fsum(centred.tolist()) / n
    return mpf(mean) + off, mpf(math.fsum(_products(centred, centred))) - n * mpf(off) ** 2


# ------------------------------------------------------------------ bounds, as NumPy arrays


def few(n):
    """min(n, 8 sqrt n): what n roundings add up to, in units of u. See docs/bounds.md."""
    return min(n, 8 * math.sqrt(n))


def wide(a):
    return a.astype(np.float64)


def last(dtype):
    """2^-53 in units of u: how much each addition in float64 may err, seen from the dtype of the
    result. A sum of n terms errs by n of them at most, and in float64 along most axes NumPy adds
    one row after another: equal numbers come near to that.
    """
    return 2.0**-53 / (2.0**-24 if dtype == np.float32 else 2.0**-53)


def variance_of(x, dims, keepdims=False):
    """The variance in float64; 0 for equal numbers, whose mean may be rounded."""
    centred = x - x.mean(dims, keepdims=True)
    centred = centred - centred.mean(dims, keepdims=True)
    return (centred * centred).mean(dims, keepdims=keepdims)
