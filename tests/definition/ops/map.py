"""Maps: one number in, one number out."""

import math

import numpy as np
from exact import pointwise, real, wrapped
from mpmath import mp

from etude_check.cases.spec import call

NONE = {"approximate": "none"}
TANH = {"approximate": "tanh"}


def odd(x):
    """An odd function: a zero stays itself."""
    return x if x == 0 else None


def slopes(low, high, attrs=({},)):
    """Calls (grad, y) of a backward op that is given a result y in low .. high: y over the range,
    y at and beside its ends, and y near 0; grad of every size.
    """
    def calls(draw):
        n = draw.count
        ends = draw.among((low, high, 0.0, 0.5, 1.0), [n])
        small = np.abs(draw.magnitudes([n], high=-1)) if low == 0 else draw.magnitudes([n], high=-1)
        for y in (draw.floats([n], low, high), np.clip(ends, low, high), small):
            for grad in (draw.floats([n]), draw.magnitudes([n])):
                for some in attrs:
                    yield call(grad, y, **some)
        yield call(draw.among((0.0, np.inf, -np.inf, np.nan), [n]), np.clip(ends, low, high),
                   **attrs[0])
    return calls


# ------------------------------------------------------------------ exact, or rounded once


@pointwise("neg", special=lambda x: -x)
def neg(x):
    return wrapped(-x)


@pointwise("abs", special=lambda x: abs(x))
def absolute(x):
    return wrapped(abs(x))


@pointwise("sign")
def sign(x):
    return (x > 0) - (x < 0)


@pointwise("square")
def square(x):
    return wrapped(x * x)


@pointwise("reciprocal", special=lambda x: math.copysign(math.inf, x) if x == 0 else None)
def reciprocal(x):
    return 1 / x


@pointwise("sqrt", special=odd)
def sqrt(x):
    return math.nan if x < 0 else mp.sqrt(x)


@pointwise("rsqrt", special=lambda x: math.copysign(math.inf, x) if x == 0 else None)
def rsqrt(x):
    return math.nan if x < 0 else 1 / mp.sqrt(x)


@pointwise("relu", special=odd)
def relu(x):
    return x if x > 0 else 0


@pointwise("relu_backward", special=lambda grad, y: grad if y > 0 else 0.0)
def relu_backward(grad, y):
    return grad if y > 0 else 0


# ------------------------------------------------------------------ elementary functions


@pointwise("exp")
def exp(x):
    return mp.exp(x)


@pointwise("expm1", special=odd)
def expm1(x):
    return mp.expm1(x)


@pointwise("log", special=lambda x: -math.inf if x == 0 else None)
def log(x):
    return math.nan if x < 0 else mp.log(x)


@pointwise("log1p", special=odd)
def log1p(x):
    return -math.inf if x == -1 else math.nan if x < -1 else mp.log1p(x)


@pointwise("sin", special=odd)
def sin(x):
    return mp.sin(x)


@pointwise("cos")
def cos(x):
    return mp.cos(x)


@pointwise("tanh", special=odd)
def tanh(x):
    return mp.tanh(x)


@pointwise("tanh_backward", calls=slopes(-1, 1))
def tanh_backward(grad, y):
    return grad * (1 - y * y)


@pointwise("sigmoid")
def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


@pointwise("sigmoid_backward", calls=slopes(0, 1))
def sigmoid_backward(grad, y):
    return grad * y * (1 - y)


@pointwise("erf", special=odd)
def erf(x):
    return mp.erf(x)


# ------------------------------------------------------------------ gelu


def normal(x):
    """The normal distribution function and its density."""
    if abs(x) > 1e6:  # whose squares are too large for mpmath
        return real(x > 0), real(0)
    return mp.erfc(-x / mp.sqrt(2)) / 2, mp.exp(-real(x) * x / 2) / mp.sqrt(2 * mp.pi)


def bent(x):
    """sigmoid(z) = (1 + tanh(z / 2)) / 2, which is nearly the normal distribution function, and
    its derivative.
    """
    root = mp.sqrt(2 / mp.pi)
    e = mp.exp(-2 * root * (x + real(0.044715) * x**3))
    return 1 / (1 + e), e / (1 + e) ** 2 * 2 * root * (1 + 3 * real(0.044715) * x**2)


@pointwise("gelu", special=odd, attrs=(NONE, TANH))
def gelu(x, *, approximate):
    if math.isinf(x):
        return x if x > 0 else math.nan
    return real(x) * (bent if approximate == "tanh" else normal)(x)[0]


def finite_gradients(draw):
    """Infinity times a slope that is too small for a float is NaN, and not of the formula."""
    for given in draw.pointwise(2, (NONE, TANH)):
        grad, x = given.arrays
        yield call(np.where(np.isfinite(grad), grad, draw.dtype.type(1)), x, **given.attrs)


@pointwise("gelu_backward", calls=finite_gradients)
def gelu_backward(grad, x, *, approximate):
    phi, slope = (bent if approximate == "tanh" else normal)(x)
    return real(grad) * (phi + real(x) * slope)
