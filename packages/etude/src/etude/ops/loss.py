"""Losses between two arrays of one shape: mse_loss, l1_loss and binary cross-entropy on logits.

C: c_src/cpu/loss.c. Legend: x (the prediction) and target have any shape, the same, and are float;
the loss is () or, with reduction="none", has that shape. The gradient rules are written in other
ops, so they can be differentiated again.
"""

import math

import numpy as np

from etude.core.errors import ShapeError
from etude.core.table import op
from etude.ops.cross_entropy import REDUCTIONS
from etude.ops.reduce import average, total

CHOICES: dict[str, tuple[str, ...]] = {"reduction": REDUCTIONS}


def _losses(op, x, rest, reduction):
    if 0 in rest and reduction == "mean":
        raise ShapeError(f"{op}: the mean over no elements has no value (x {x})")
    return {"L": rest if reduction == "none" else ()}


def _reduce(loss, reduction):
    if reduction == "none":
        return loss
    return average(loss) if reduction == "mean" else total(loss)


def _share(F, grad, x, reduction):
    """What each element of the unreduced loss receives."""
    return F.mul(grad, 1.0 / math.prod(x.shape)) if reduction == "mean" else grad


@op("loss", sizes=_losses, flops=3, saves="x target", outputs="loss", choices=CHOICES)
def mse_loss(x, target, *, reduction="mean"):
    """loss = (x - target)^2, then its mean or sum, or neither."""
    return _reduce((x - target) ** 2, reduction)


@mse_loss.gradient
def _(F, grad, x, target, *, needs, reduction):
    dx = F.mul(F.mul(F.sub(x, target), 2.0), _share(F, grad, x, reduction))
    return dx, F.neg(dx) if needs[1] else None


mse_loss.convention("""
    mse_loss([0, ..., nan], [0, ..., 0]) -> nan
    mse_loss([inf, inf, 0], [inf, 0, inf], reduction="none") -> [nan, inf, inf]
    mse_loss([], []) -> ShapeError
    mse_loss([], [], reduction="sum") -> 0""")


@op("loss", sizes=_losses, flops=3, saves="x target", outputs="loss", choices=CHOICES)
def l1_loss(x, target, *, reduction="mean"):
    """loss = |x - target|, then its mean or sum, or neither; the subgradient at 0 is 0."""
    return _reduce(np.abs(x - target), reduction)


@l1_loss.gradient
def _(F, grad, x, target, *, needs, reduction):
    dx = F.mul(F.sign(F.sub(x, target)), _share(F, grad, x, reduction))
    return dx, F.neg(dx) if needs[1] else None


l1_loss.convention("""
    l1_loss([0, ..., nan], [0, ..., 0]) -> nan
    l1_loss([inf, inf, 0], [inf, 0, inf], reduction="none") -> [nan, inf, inf]
    l1_loss([], []) -> ShapeError
    l1_loss([], [], reduction="sum") -> 0""")


@op("loss", sizes=_losses, flops=6, saves="x target", outputs="loss", choices=CHOICES)
def binary_cross_entropy_with_logits(x, target, *, reduction="mean"):
    """loss = |x| w + ln(1 + e^-|x|), with w = 1 - target where x > 0, else target; then its mean or
    sum, or neither.

    That is -target ln p - (1 - target) ln(1 - p) with p = sigmoid(x), without overflow. Where w is
    0, a right answer, |x| w is 0 even if x is infinite.
    """
    size = np.where(x > 0, x, -x)
    w = np.where(x > 0, 1 - target, target)
    cost = np.where(w == 0, 0, size) * w
    return _reduce(cost + np.log1p(np.exp(-size)), reduction)


@binary_cross_entropy_with_logits.gradient
def _(F, grad, x, target, *, needs, reduction):
    # p - target = (1 - target) p - target sigmoid(-x), which is no 1 - 1 where p is nearly right.
    share, dx = _share(F, grad, x, reduction), None
    if needs[0]:
        up = F.mul(F.sub(1.0, target), F.sigmoid(x))
        dx = F.mul(F.sub(up, F.mul(target, F.sigmoid(F.neg(x)))), share)
    return dx, F.neg(F.mul(x, share)) if needs[1] else None


binary_cross_entropy_with_logits.convention("""
    f([0, ..., nan], [0, ..., 0]) -> nan
    f([inf, -inf, inf, -inf], [1, 0, 0, 1], reduction="none") -> [0, 0, inf, inf]
    f([], []) -> ShapeError
    f([], [], reduction="sum") -> 0""")
