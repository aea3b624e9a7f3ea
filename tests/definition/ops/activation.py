"""Activations with a parameter."""

import math

from exact import pointwise, real
from mpmath import mp


@pointwise("leaky_relu", attrs=[{"negative_slope": s} for s in (0.01, 0.0, -0.5, 1.5)])
def leaky_relu(x, *, negative_slope):
    return x if x > 0 else x * negative_slope


@pointwise("elu", attrs=[{"alpha": a} for a in (1.0, 0.7, 0.0, 1e-30)])
def elu(x, *, alpha):
    return x if x > 0 else real(alpha) * mp.expm1(x)


@pointwise("silu")
def silu(x):
    return real(x) / (1 + mp.exp(-x)) if x > 0 else real(x) * mp.exp(x) / (1 + mp.exp(x))


@pointwise("softplus", attrs=[{}, {"beta": 0.7}, {"beta": 2.0, "threshold": 1.0}, {"beta": 100.0}])
def softplus(x, *, beta, threshold):
    return x if beta * x > threshold else mp.log1p(mp.exp(beta * x)) / beta


@pointwise("clamp", attrs=[{"min": -1.0}, {"max": 0.3}, {"min": 0.0, "max": 0.1},
                           {"min": 1.0, "max": -1.0}, {"min": 0.5, "max": math.inf}],
           special=lambda x, *, min, max: x if x == 0 and within(x, min, max) else None)
def clamp(x, *, min, max):
    """Of whole numbers the bounds are the whole numbers within."""
    low, high = min, max
    if isinstance(x, int):
        low, high = (b if b is None or math.isinf(b) else to_whole(b)
                     for b, to_whole in ((min, math.ceil), (max, math.floor)))
    x = x if low is None or x >= low else low
    return x if high is None or x <= high else high


def within(x, low, high):
    return (low is None or low <= x) and (high is None or x <= high)
