"""Activations with a parameter or a formula of their own.
C: c_src/cpu/activation.c; silu: c_src/cpu/map.c.

Legend: x, y, grad have any shape, all the same. ``relu``, ``gelu``, ``sigmoid`` and ``tanh`` are in
``map.py``.
"""

import math

import numpy as np

from etude.core.table import op

LEAST, MOST = -(2**63), 2**63 - 1  # of int64


@op("map", saves="x", flops=2, kernel="n = ..., a = negative_slope, b = 0")
def leaky_relu(x, *, negative_slope=0.01):
    """y = x where x > 0, else negative_slope x. Source: Maas, Hannun and Ng 2013, section 2."""
    return np.where(x > 0, x, x * negative_slope)


leaky_relu.gradient(lambda F, grad, x, *, negative_slope, **_:
    F.where(F.gt(x, 0.0), grad, F.mul(grad, negative_slope)))
leaky_relu.convention("""
    leaky_relu([nan, inf, -inf, -0.0]) -> [nan, inf, -inf, -0.0]
    leaky_relu(-inf, negative_slope=0.0) -> nan  # 0 times infinity""")


@op("map", saves="x", flops=3, kernel="n = ..., a = alpha, b = 0")
def elu(x, *, alpha=1.0):
    """y = x where x > 0, else alpha (e^x - 1). Source: Clevert et al. 2016, equation 15."""
    return np.where(x > 0, x, alpha * np.expm1(np.where(x > 0, 0, x)))


@elu.gradient
def _(F, grad, x, *, needs, alpha):
    # alpha e^x, and not y + alpha, which is alpha - alpha far below 0; e^x of what is above 0
    # might overflow, and is not wanted.
    above = F.gt(x, 0.0)
    return F.where(above, grad, F.mul(F.mul(grad, alpha), F.exp(F.where(above, 0.0, x))))


elu.convention("elu([nan, inf, -inf, -0.0]) -> [nan, inf, -1, -0.0]")


@op("map", saves="x", flops=5)
def silu(x):
    """y = x / (1 + e^-x), also called swish. Source: Hendrycks and Gimpel 2016, section 4."""
    e = np.exp(np.where(x >= 0, -x, x))
    return x * np.where(x >= 0, 1, e) / (1 + e)


@silu.gradient
def _(F, grad, x, *, needs):
    s = F.sigmoid(x)
    return F.mul(grad, F.mul(s, F.add(F.mul(x, F.sub(1.0, s)), 1.0)))


silu.convention("silu([nan, inf, -inf, -0.0]) -> [nan, inf, nan, -0.0]  # -inf times 0")


@op("map", saves="x", flops=5, kernel="n = ..., a = beta, b = threshold")
def softplus(x, *, beta=1.0, threshold=20.0):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > ``threshold``.

    As max(x, 0) + ln(1 + e^-|beta x|) / beta, so that nothing overflows. The threshold is
    PyTorch's: at 20 the two differ by 2e-9.
    """
    z = x * beta
    y = (np.where(z > 0, z, 0) + np.log1p(np.exp(np.where(z > 0, -z, z)))) / beta
    return np.where(z > threshold, x, y)


@softplus.gradient
def _(F, grad, x, *, needs, beta, threshold):
    z = F.mul(x, beta)
    return F.where(F.gt(z, threshold), grad, F.mul(grad, F.sigmoid(z)))


softplus.convention("softplus([nan, inf, -inf]) -> [nan, inf, 0.0]")


def _bounds(op, min, max):
    if min is None and max is None:
        raise ValueError(f"{op}: give min, max or both; got neither")


def _whole(bound, rounded):
    """A bound for int64: compared with a float, numbers beyond 2^53 would be floats too."""
    if bound is None or math.isnan(bound):
        return None
    if math.isinf(bound):
        return LEAST if bound < 0 else MOST
    return LEAST if rounded(bound) < LEAST else MOST if rounded(bound) > MOST else rounded(bound)


@op("map", sizes=_bounds, domain="number", saves="x", flops=2,
    kernel="n = ..., a = min, b = max")
def clamp(x, *, min=None, max=None):
    """y = x kept within min .. max, either of which may be None: min where x < min, and then max
    where that is above max.

    All else stays as it is, NaN and -0 too. The gradient passes where min <= x <= max. float or
    int64, of which the bounds are whole numbers as well: a bound of 0.5 keeps what a 1 keeps as
    the least, and a 0 as the largest.
    """
    if x.dtype.kind == "i":
        min, max = _whole(min, math.ceil), _whole(max, math.floor)
    y = x if min is None else np.where(x < min, min, x)
    y = y if max is None else np.where(y > max, max, y)
    return y.astype(x.dtype, copy=False)


@clamp.gradient
def _(F, grad, x, *, needs, min, max):
    if min is not None:
        grad = F.where(F.ge(x, min), grad, 0.0)
    if max is not None:
        grad = F.where(F.le(x, max), grad, 0.0)
    return grad


clamp.convention("""
    clamp([nan, inf, -inf, -0.0], min=-1, max=1) -> [nan, 1, -1, -0.0]
    clamp([-0.0, 0.0], min=0, max=0) -> [-0.0, 0.0]  # neither is below the other
    clamp([1, 5, 9], min=4, max=2) -> [2, 2, 2]  # max wins over min""")
