"""Arithmetic on two operands, in fractions and in whole numbers modulo 2^64."""

import math
from fractions import Fraction

from exact import pointwise, wrapped
from mpmath import mp

from etude_check.cases.spec import call


def divided(x, y):
    """x / y of two floats as IEEE 754 has it where y is 0."""
    if y != 0:
        return x / y
    if x == 0 or x != x:
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1, y)


@pointwise("add", special=lambda x, y: x + y)
def add(x, y):
    return wrapped(x + y)


@pointwise("sub", special=lambda x, y: x - y)
def sub(x, y):
    return wrapped(x - y)


@pointwise("mul", special=lambda x, y: x * y)
def mul(x, y):
    return wrapped(x * y)


@pointwise("div", special=divided)
def div(x, y):
    return x / y


@pointwise("maximum")
def maximum(x, y):
    return max(x, y)


@pointwise("minimum")
def minimum(x, y):
    return min(x, y)


# ------------------------------------------------------------------ division with a rest


def quotients(draw):
    """Pairs of every kind; of whole numbers none with 0 below, which is an error."""
    for given in draw.pointwise(2):
        x, y = given.arrays
        if y.dtype.kind == "i":
            y[y == 0] = 7
        yield call(x, y)


def floored(x, y):
    if y == 0:
        return divided(x, y)
    if math.isinf(x) or x != x or y != y:
        return math.nan
    if x == 0:
        return divided(x, y)
    return -1.0 if (x < 0) != (y < 0) else 0.0  # y is infinite


@pointwise("floor_divide", special=floored, calls=quotients)
def floor_divide(x, y):
    return wrapped(x // y) if isinstance(x, int) else x // y


def rest(x, y):
    if y == 0 or math.isinf(x) or x != x or y != y:
        return math.nan
    if x == 0:
        return math.copysign(0.0, y)
    return x if (x < 0) == (y < 0) else y  # y is infinite


@pointwise("remainder", special=rest, calls=quotients)
def remainder(x, y):
    return x % y


# ------------------------------------------------------------------ powers


def powers(draw):
    """Every size of x and of y; y such that x^y is no infinity; whole y; x near 1 and y large."""
    if draw.dtype.kind == "i":
        for given in draw.pointwise(2):
            yield call(given.arrays[0], abs(given.arrays[1] >> 1))
        return
    yield from draw.pointwise(2)
    n = draw.count
    x = abs(draw.magnitudes([n]))
    yield call(x, draw.floats([n], -1, 1))
    signs = draw.rng.choice([-1, 1], n).astype(draw.dtype)
    yield call(x * signs, draw.rng.integers(-4, 5, n).astype(draw.dtype))
    yield call(1 + draw.magnitudes([n], -22, -1), draw.magnitudes([n], 0, 25))
    for y in (2.0, 3.0, 0.5, -1.0, -0.5, 1 / 3, 0.0, 10.0):
        yield call(x, y)
        yield call(draw.specials(), y)


def special_power(x, y):
    """IEEE 754-2019, section 9.2.1."""
    if y == 0 or x == 1:
        return 1
    if x != x or y != y:
        return math.nan
    whole_and_odd = not math.isinf(y) and y % 2 == 1
    if math.isinf(y):
        if x == -1:
            return 1
        return math.inf if (abs(x) > 1) == (y > 0) else 0.0
    size = math.inf if (x == 0) == (y < 0) else 0.0
    return math.copysign(size, x) if whole_and_odd else size


@pointwise("pow", special=special_power, calls=powers)
def power(x, y):
    if isinstance(x, int):
        return wrapped(pow(x, y, 2**64))
    if x < 0 and y.denominator != 1:
        return math.nan
    if x == 1 or y == 0:
        return Fraction(1)
    size = mp.exp(y * mp.log(abs(x))) if abs(x) != 1 else 1
    return -size if x < 0 and y % 2 == 1 else size
