"""Cross-entropy of logits, fused with log_softmax. C: c_src/cpu/cross_entropy.c.

Legend: N rows (samples), C classes. Keeping the logsumexp of each row, rather than the
probabilities, is all that backward needs.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, common_dtype, int64, require_ndim
from etude.table import DOMAINS, op

REDUCTIONS = ("mean", "sum", "none")


def _cross_entropy_shape(x, target, *, reduction):
    dtype = common_dtype("cross_entropy", [x], DOMAINS["float"])
    require_ndim("cross_entropy", "x", x, 2, "N samples, C classes")
    if target.shape != x.shape[:1]:
        raise ShapeError(f"cross_entropy: target must have shape [{x.shape[0]}], one class number "
                         f"per row of x {x}, got {target}")
    if x.shape[1] == 0:
        raise ShapeError(f"cross_entropy: x {x} has no classes")
    if x.shape[0] == 0 and reduction == "mean":
        raise ShapeError(f"cross_entropy: the batch is empty (x {x}), and the mean of no losses "
                         f"has no value. Skip empty batches, or use reduction='sum'")
    loss = (x.shape[0],) if reduction == "none" else ()
    return Spec(loss, dtype), Spec(x.shape[:1], dtype)


def _check_labels(target, classes):
    if target.size and (target.min() < 0 or target.max() >= classes):
        row = int(np.argmax((target < 0) | (target >= classes)))
        raise IndexError(f"cross_entropy: target[{row}] is {target[row]}, but with {classes} "
                         f"classes labels run from 0 to {classes - 1}")


@op("cross_entropy", shape=_cross_entropy_shape, outputs=("loss", "lse"),
    fixed={"target": int64}, saves=("x", "target", "lse"), choices={"reduction": REDUCTIONS},
    flops=lambda x, target, **_: 4 * x.size)
def cross_entropy(x, target, *, reduction="mean"):
    """loss_n = ln sum_c exp(x_nc) - x_{n, target_n}; then the mean or the sum over n, or neither.

    x: (N, C) logits, float; target: (N) int64 in 0 .. C-1; loss: () or, with reduction="none",
    (N). Hidden output lse: (N), the logsumexp of each row. Raises IndexError for a label out of
    range and ShapeError for the mean of an empty batch.
    """
    _check_labels(target, x.shape[1])
    top = x.max(1, keepdims=True)
    lse = top[:, 0] + np.log(np.exp(x - top).sum(1))
    loss = lse - x[np.arange(len(x)), target]
    if reduction == "none":
        return loss, lse
    return (loss.mean() if reduction == "mean" else loss.sum()), lse


@cross_entropy.gradient
def _(F, grad, x, target, lse, *, needs, reduction):
    return F.cross_entropy_backward(grad, x, target, lse, reduction=reduction), None


@cross_entropy.composite
def _(F, x, target, *, reduction):
    n = x.shape[0]
    shifted = F.sub(x, F.amax(x, dim=1, keepdim=True))
    logp = F.sub(shifted, F.log(F.sum(F.exp(shifted), dim=1, keepdim=True)))
    loss = F.neg(F.reshape(F.gather(logp, F.reshape(target, shape=(n, 1)), dim=1), shape=(n,)))
    if reduction == "none":
        return loss
    return F.mean(loss) if reduction == "mean" else F.sum(loss)


def _cross_entropy_backward_shape(grad, x, target, lse, *, reduction):
    common_dtype("cross_entropy_backward", [grad, x, lse], DOMAINS["float"])
    return x


@op("cross_entropy_backward", shape=_cross_entropy_backward_shape, fixed={"target": int64},
    choices={"reduction": REDUCTIONS}, internal=True, flops=lambda grad, x, *_, **__: 4 * x.size)
def cross_entropy_backward(grad, x, target, lse, *, reduction="mean"):
    """dx_nc = grad_n (exp(x_nc - lse_n) - [c = target_n]), divided by N for the mean.

    grad: () or (N) as the loss; x: (N, C); target: (N) int64; lse: (N); dx: (N, C).
    """
    _check_labels(target, x.shape[1])
    dx = np.exp(x - lse[:, None])
    dx[np.arange(len(x)), target] -= 1
    scale = grad / len(x) if reduction == "mean" else grad
    return dx * np.reshape(scale, (-1, 1))
