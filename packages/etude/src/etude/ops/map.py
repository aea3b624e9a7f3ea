"""Maps: one number in, one number out, element by element. C: c_src/cpu/map.c.

Legend: x, y, grad have any shape, all the same. Derivatives are elementary calculus; the source
of a formula is named where it is not.
"""

import math
from typing import Any

import numpy as np

from etude.core.table import op

TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
REST = 0.12837916709551257  # 2/sqrt(pi) - 1, to more digits than the difference would have
SERIES = 20  # terms of erf's series, of which the next is below 1e-19 where |x| <= 1
FRACTION = 200  # steps of erfc's continued fraction; at x = 1 the rest is below 1e-16
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)
GELU_CUBE = 0.044715


@op("map", domain="number", flops=1)
def neg(x):
    """y = -x, elementwise. x: any shape, float or int64; y: as x."""
    return -x


neg.gradient(lambda F, grad, **_: F.neg(grad))
neg.convention("neg([nan, inf, 0.0, -0.0]) -> [nan, -inf, -0.0, 0.0]")


@op("map", domain="number", saves="x", flops=1)
def abs(x):
    """y = |x|, elementwise. x: any shape, float or int64; y: as x. The subgradient at 0 is 0."""
    return np.abs(x)


abs.gradient(lambda F, grad, x, **_: F.mul(grad, F.sign(x)))
abs.convention("abs([nan, -inf, -0.0]) -> [nan, inf, 0.0]")


@op("map", domain="number", flops=1)
def sign(x):
    """y = -1, 0 or 1 as x is below, at or above 0; NaN stays NaN. Float or int64; gradient 0."""
    return np.sign(x)


def flat(F, grad, **_):
    """The gradient of what is piecewise constant: 0, also where ``grad`` is NaN."""
    return F.full(shape=grad.shape, value=0.0, dtype=grad.dtype)


sign.gradient(flat)
sign.convention("sign([nan, -inf, inf, -0.0]) -> [nan, -1, 1, 0]")


@op("map", saves="y", flops=2, ieee=True)
def rsqrt(x):
    """y = x^(-1/2), elementwise; inf at 0 and NaN below. x, y: any shape, float."""
    return 1 / np.sqrt(x)


rsqrt.gradient(lambda F, grad, y, **_: F.mul(F.mul(grad, -0.5), F.mul(y, F.mul(y, y))))
rsqrt.convention("rsqrt([nan, inf, 0.0, -0.0, -1]) -> [nan, 0.0, inf, -inf, nan]")


@op("map", saves="y", flops=1, ieee=True)
def reciprocal(x):
    """y = 1 / x, elementwise; infinite at 0. x, y: any shape, float32 or float64."""
    return 1 / x


reciprocal.gradient(lambda F, grad, y, **_: F.neg(F.mul(grad, F.mul(y, y))))
reciprocal.convention("reciprocal([nan, inf, -inf, 0.0, -0.0]) -> [nan, 0.0, -0.0, inf, -inf]")


@op("map", domain="number", saves="x", flops=1)
def square(x):
    """y = x^2, elementwise. x: any shape, float or int64; y: as x."""
    return x * x


square.gradient(lambda F, grad, x, **_: F.mul(F.mul(grad, x), 2.0))
square.convention("square([nan, -inf, -0.0]) -> [nan, inf, 0.0]")


@op("map", saves="x", flops=1, ieee=True)
def expm1(x):
    """y = e^x - 1, elementwise, without the cancellation near 0. x, y: any shape, float."""
    return np.expm1(x)


# e^x, and not y + 1, which is 1 - 1 far below 0.
expm1.gradient(lambda F, grad, x, **_: F.mul(grad, F.exp(x)))
expm1.convention("expm1([nan, inf, -inf, -0.0]) -> [nan, inf, -1, -0.0]")


@op("map", saves="x", flops=1, ieee=True)
def log1p(x):
    """y = ln(1 + x), elementwise, exact near 0; -inf at -1 and NaN below. Any shape, float."""
    return np.log1p(x)


log1p.gradient(lambda F, grad, x, **_: F.div(grad, F.add(x, 1.0)))
log1p.convention("log1p([nan, inf, -1, -2, -0.0]) -> [nan, inf, -inf, nan, -0.0]")


@op("map", saves="x", flops=1, ieee=True)
def sin(x):
    """y = sin x, elementwise, x in radians; NaN at infinity. x, y: any shape, float."""
    return np.sin(x)


sin.gradient(lambda F, grad, x, **_: F.mul(grad, F.cos(x)))
sin.convention("sin([nan, inf, -inf, -0.0]) -> [nan, nan, nan, -0.0]")


@op("map", saves="x", flops=1, ieee=True)
def cos(x):
    """y = cos x, elementwise, x in radians; NaN at infinity. x, y: any shape, float."""
    return np.cos(x)


cos.gradient(lambda F, grad, x, **_: F.neg(F.mul(grad, F.sin(x))))
cos.convention("cos([nan, inf, -inf, -0.0]) -> [nan, nan, nan, 1]")


@op("map", saves="y", flops=1, ieee=True)
def exp(x):
    """y = e^x, elementwise; inf where it overflows. x, y: any shape, float32 or float64."""
    return np.exp(x)


exp.gradient(lambda F, grad, y, **_: F.mul(grad, y))
exp.convention("exp([nan, inf, -inf, -0.0]) -> [nan, inf, 0.0, 1]")


@op("map", saves="x", flops=1, ieee=True)
def log(x):
    """y = ln x, elementwise; -inf at 0 and NaN below. x, y: any shape, float32 or float64."""
    return np.log(x)


log.gradient(lambda F, grad, x, **_: F.div(grad, x))
log.convention("log([nan, inf, 0.0, -0.0, -1]) -> [nan, inf, -inf, -inf, nan]")


@op("map", saves="y", flops=1, ieee=True)
def sqrt(x):
    """y = x^(1/2), elementwise; NaN below 0. x, y: any shape, float32 or float64."""
    return np.sqrt(x)


sqrt.gradient(lambda F, grad, y, **_: F.div(grad, F.mul(y, 2.0)))
sqrt.convention("sqrt([nan, inf, -inf, -0.0]) -> [nan, inf, nan, -0.0]")


@op("map", saves="y", flops=1)
def tanh(x):
    """y = tanh x, elementwise. x, y: any shape, float32 or float64."""
    return np.tanh(x)


tanh.gradient(lambda F, grad, y, **_: F.tanh_backward(grad, y))
tanh.convention("tanh([nan, inf, -inf, -0.0]) -> [nan, 1, -1, -0.0]")


@op("equal", saves="grad y", internal=True, flops=3)
def tanh_backward(grad, y):
    """dx = grad (1 - y^2), where y = tanh x. All of one shape and dtype."""
    return grad * (1 - y * y)


tanh_backward.gradient(lambda F, grad, first, y, *, needs: (
    F.tanh_backward(grad, y) if needs[0] else None,
    F.mul(F.mul(F.mul(grad, first), y), -2.0) if needs[1] else None))
tanh_backward.convention("tanh_backward([nan, 1, inf], [1, nan, 1]) -> [nan, nan, nan]")


@op("map", saves="y", flops=4)
def sigmoid(x):
    """y = 1 / (1 + e^-x), elementwise, from e^-|x| so that nothing overflows.

    x, y: any shape, float32 or float64.
    """
    e = np.exp(np.where(x >= 0, -x, x))
    return np.where(x >= 0, 1, e) / (1 + e)


sigmoid.gradient(lambda F, grad, y, **_: F.sigmoid_backward(grad, y))
sigmoid.convention("sigmoid([nan, inf, -inf, -0.0]) -> [nan, 1, 0.0, 0.5]")


@op("equal", saves="grad y", internal=True, flops=3)
def sigmoid_backward(grad, y):
    """dx = grad y (1 - y), where y = sigmoid x. All of one shape and dtype."""
    return grad * y * (1 - y)


sigmoid_backward.gradient(lambda F, grad, first, y, *, needs: (
    F.sigmoid_backward(grad, y) if needs[0] else None,
    F.mul(F.mul(grad, first), F.sub(1.0, F.mul(y, 2.0))) if needs[1] else None))
sigmoid_backward.convention("f([nan, 1, inf, inf], [1, nan, 0, 1]) -> [nan, nan, nan, nan]")


@op("map", domain="number", saves="y", flops=1)
def relu(x):
    """y = 0 where x < 0, else x, elementwise: NaN stays NaN, and -0 stays -0.

    x: any shape, float or int64; y: as x. Of 0 and -0 np.maximum may return either, so it passes
    over the zeros.
    """
    return np.maximum(x, x.dtype.type(0), out=x.copy(), where=x != 0)


relu.gradient(lambda F, grad, y, **_: F.relu_backward(grad, y))
relu.convention("relu([nan, inf, -inf, -0.0]) -> [nan, inf, 0.0, -0.0]")


@op("equal", saves="y", internal=True, flops=1)
def relu_backward(grad, y):
    """dx = grad where y > 0, else 0: the subgradient at the kink is 0. One shape and dtype."""
    return np.where(y > 0, grad, grad.dtype.type(0))


relu_backward.gradient(lambda F, grad, y, *, needs:
    (F.relu_backward(grad, y) if needs[0] else None, None))
relu_backward.convention("""
    relu_backward([1, nan, nan, inf, 1], [0.0, -0.0, 1, inf, nan]) -> [0, 0, nan, inf, 0]""")


def _erf_and_erfc(x):
    """erf x and 1 - erf x in float64, each from the formula that loses no digit where x lies.

    Up to |x| = 1 the series erf x = 2/sqrt(pi) sum_n (-1)^n x^(2n+1) / (n! (2n+1)), as x and the
    rest, which is small beside it. Beyond, where its terms cancel, the continued fraction
    erfc x = e^(-x^2) / sqrt(pi) / (x + 1/2 / (x + 2/2 / (x + 3/2 / ...))). Abramowitz and Stegun
    1964, 7.1.5 and 7.1.14.
    """
    wide = x.astype(np.result_type(x, np.float64))
    sign = np.where(wide.real < 0, -1, 1)
    size = wide * sign
    far = np.abs(size) > 1
    z = np.where(far, 0, size)
    series: Any = 0.0
    for n in range(SERIES, 0, -1):  # from the smallest term to the largest
        series = z * z * ((-1) ** n / (math.factorial(n) * (2 * n + 1)) + series)
    near = z + z * (REST + TWO_OVER_ROOT_PI * series)
    z = np.where(far, np.minimum(size, 30), 1)  # erfc 30 is 0
    fraction: Any = 0.0
    for n in range(FRACTION, 0, -1):
        fraction = n / 2 / (z + fraction)
    rest = np.exp(-z * z) / (math.sqrt(math.pi) * (z + fraction))
    erfc = np.where(far, np.where(sign < 0, 2 - rest, rest), 1 - sign * near)
    return sign * np.where(far, 1 - rest, near), erfc


def _phi(x):
    """The normal distribution function: erfc(-x / sqrt 2) / 2. Its left end is no difference."""
    wide = x.astype(np.result_type(x, np.float64))
    return (0.5 * _erf_and_erfc(-math.sqrt(0.5) * wide)[1]).astype(x.dtype)


@op("map", saves="x", flops=1)
def erf(x):
    """y = 2/sqrt(pi) integral_0^x e^(-t^2) dt, elementwise. x, y: any shape, float.

    Source: Abramowitz and Stegun 1964, chapter 7; computed in float64, within 2 units in the last
    place.
    """
    return _erf_and_erfc(x)[0].astype(x.dtype)


erf.gradient(lambda F, grad, x, **_:
    F.mul(grad, F.mul(F.exp(F.neg(F.mul(x, x))), TWO_OVER_ROOT_PI)))
erf.convention("erf([nan, inf, -inf, -0.0]) -> [nan, 1, -1, -0.0]")


def _within_60(x):
    """``x``, or +-60 beyond it, where Phi is 0 or 1 and its slope 0, but x^2 might overflow."""
    return np.where(x < -60, -60, np.where(x > 60, 60, x))


def _bend(x):
    """z with (1 + tanh(z / 2)) / 2 = sigmoid(z) = Phi(x), approximately, and dz/dx."""
    x = _within_60(x)
    z = 2 * SQRT_2_OVER_PI * (x + GELU_CUBE * x * x * x)
    return z, 2 * SQRT_2_OVER_PI * (1 + 3 * GELU_CUBE * x * x)


@op("map", saves="x", choices={"approximate": ("none", "tanh")}, flops=8,
    kernel="n = ..., a = approximate, b = 0")
def gelu(x, *, approximate="none"):
    """y = x Phi(x), with Phi the normal distribution function. x, y: any shape, float.

    approximate="none": Phi(x) = (1 + erf(x / sqrt 2)) / 2.
    approximate="tanh": Phi(x) ~ (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2.
    Source: Hendrycks and Gimpel 2016, Gaussian Error Linear Units, section 2.
    """
    if approximate == "tanh":
        return x * sigmoid.reference(_bend(x)[0])
    return x * _phi(x)


gelu.gradient(lambda F, grad, x, *, approximate, **_:
    F.gelu_backward(grad, x, approximate=approximate))
gelu.convention("""
    gelu([nan, inf, -inf, -0.0]) -> [nan, inf, nan, -0.0]  # -inf times 0
    gelu([nan, inf, -inf, -0.0], approximate="tanh") -> [nan, inf, nan, -0.0]""")


@gelu.composite
def _(F, x, *, approximate):
    if approximate == "tanh":
        near = F.clamp(x, min=-60.0, max=60.0)  # as _within_60
        cube = F.mul(F.mul(F.mul(near, near), near), GELU_CUBE)
        return F.mul(x, F.sigmoid(F.mul(F.add(near, cube), 2 * SQRT_2_OVER_PI)))
    return F.mul(F.mul(x, 0.5), F.add(F.erf(F.mul(x, math.sqrt(0.5))), 1.0))


@op("equal", internal=True, choices={"approximate": ("none", "tanh")}, flops=14,
    kernel="n = ..., a = approximate")
def gelu_backward(grad, x, *, approximate="none"):
    """dx = grad (Phi(x) + x Phi'(x)). grad, x: one shape and dtype; dx: as x."""
    if approximate == "tanh":
        z, slope = _bend(x)
        phi, rest = sigmoid.reference(z), sigmoid.reference(-z)
        return grad * (phi + x * (phi * rest * slope))
    density = np.exp(-0.5 * _within_60(x) ** 2) / math.sqrt(2 * math.pi)
    return grad * (_phi(x) + x * density)


gelu_backward.convention("""
    gelu_backward([nan, 1, 1, 1], [0, nan, inf, -inf]) -> [nan, nan, nan, nan]  # inf times 0""")
