"""Random numbers: Philox 4x64-10 in Python's whole numbers, and what is made of its bits.

Salmon, Moraes, Dror and Shaw 2011, Parallel Random Numbers: As Easy as 1, 2, 3, section 3.3 and
table 2. NumPy's generator counts from 1.
"""

from functools import cache

import numpy as np
from exact import Fraction, definition, number, to_dtype
from mpmath import mp

from etude_check.cases.spec import call

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
WORD = 2**64


@cache
def block(key, counter):
    """Four words of 64 bits: ten rounds of products and exclusive ors."""
    c = [counter % WORD, counter // WORD, 0, 0]
    k = list(key)
    for _ in range(10):
        high0, low0 = divmod(MULTIPLIERS[0] * c[0], WORD)
        high1, low1 = divmod(MULTIPLIERS[1] * c[2], WORD)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(word + step) % WORD for word, step in zip(k, WEYL)]
    return c


def word(key, i):
    """Word i of the stream that a key, an int64 array, names."""
    return block(tuple(int(k) % WORD for k in key), 1 + i // 4)[i % 4]


def half(key, i):
    """24 bits: of the low half of a word where i is even, of the high one where it is odd."""
    return (word(key, i // 2) >> 32 * (i % 2)) % 2**32 >> 8


def flat(shape, place):
    return int(np.ravel_multi_index(place, shape)) if shape else 0


def keys(draw):
    for key in ([0, 0], [1, 2], [-1, -(2**63)], [2**62 + 5, 77]):
        for shape in ((), (1,), (7,), (3, 5), (draw.count,)):
            yield call(np.array(key), shape=shape, dtype=draw.dtype)


@definition("rand", calls=keys)
def rand(arrays, attrs, output, places):
    at = [flat(attrs["shape"], place) for place in places]
    if np.dtype(attrs["dtype"]) == np.float64:
        return [Fraction(word(arrays[0], i) >> 11, 2**53) for i in at]
    return [Fraction(half(arrays[0], i), 2**24) for i in at]


@definition("randn", calls=keys)
def randn(arrays, attrs, output, places):
    found = []
    for place in places:
        i = flat(attrs["shape"], place)
        low, high = half(arrays[0], i // 2 * 2), half(arrays[0], i // 2 * 2 + 1)
        radius = to_dtype(mp.sqrt(-2 * mp.log(Fraction(low + 1, 2**24))), "float32")
        turn = (mp.sin if i % 2 else mp.cos)(2 * mp.pi * Fraction(high, 2**24))
        found.append(radius * to_dtype(turn, "float32"))
    return found


def shares(draw):
    """The last p is a number that is drawn: the element stays."""
    for key in ([0, 0], [3, 9]):
        for p in (0.0, 0.1, 0.5, 0.999, half(key, 5) / 2**24):
            yield call(draw.magnitudes([draw.count]), np.array(key), p=p)
            yield call(draw.specials(), np.array(key), p=p)


@definition("dropout", calls=shares)
def dropout(arrays, attrs, output, places):
    x, key = arrays
    p = to_dtype(attrs["p"], "float32")
    scale = to_dtype(1 / (1 - attrs["p"]), x.dtype)
    return [number(x[place]) * scale if Fraction(half(key, flat(x.shape, place)), 2**24) >= p
            else 0 for place in places]
