"""Losses between two arrays of one shape."""

import math

import numpy as np
from exact import definition, number, real
from mpmath import mp

from etude_check.cases.spec import call

REDUCTIONS = ("none", "mean", "sum")


def pairs(draw):
    """Pairs of every size, one by one and reduced; infinities and NaN one by one. In float64 the
    sum itself may overflow, and is no mean then.
    """
    for given in draw.pointwise(2):
        yield call(*given.arrays, reduction="none")
        if all(np.isfinite(a).all() for a in given.arrays):
            some = given.arrays
            if draw.dtype == np.float64:
                some = [np.where(np.abs(a) < 2.0**500, a, 1) for a in some]
            yield from (call(*some, reduction=r) for r in REDUCTIONS[1:])


def with_targets(draw):
    """Logits of every size; targets 0, 1, between, next to both, and outside."""
    n = draw.count
    targets = (draw.rng.integers(0, 2, n).astype(draw.dtype), draw.floats([n], 0, 1),
               draw.among((0.0, 1.0, 0.5), [n]), draw.floats([n]))
    for x in (draw.magnitudes([n]), draw.floats([n], -100, 100), draw.floats([n]),
              draw.offset([n])):
        for target in targets:
            yield from (call(x, target, reduction=r) for r in REDUCTIONS)
    yield call(draw.among((math.inf, -math.inf), [n], near=False), targets[0], reduction="none")


def loss(op, calls):
    """Decorator: a loss by that of one element, then its mean or sum."""
    def enter(formula):
        @definition(op, calls=calls)
        def values(arrays, attrs, output, places):
            x, target = arrays
            if attrs["reduction"] == "none":
                return [one(formula, x[place], target[place]) for place in places]
            total = sum(one(formula, *pair) for pair in zip(x.ravel(), target.ravel()))
            return [total / x.size if attrs["reduction"] == "mean" else total]
        return formula
    return enter


def one(formula, x, target):
    x, target = number(x), number(target)
    return math.nan if x != x or target != target else formula(x, target)


@loss("mse_loss", pairs)
def mse_loss(x, target):
    return (x - target) * (x - target)


@loss("l1_loss", pairs)
def l1_loss(x, target):
    return abs(x - target)


@loss("binary_cross_entropy_with_logits", with_targets)
def binary_cross_entropy_with_logits(x, target):
    """-target ln p - (1 - target) ln(1 - p) with p = sigmoid(x); 0 times infinity is 0 here."""
    up, down = mp.log1p(mp.exp(-abs(x))), abs(x)  # -ln p and what -ln(1 - p) has more, at x > 0
    weight = 1 - target if x > 0 else target
    return up + (real(weight) * down if weight else 0)
