"""Cross-entropy of logits, fused with log_softmax. C: c_src/cpu/cross_entropy.c.

Legend: N rows (samples), C classes. The forward pass keeps two numbers of each row, (N), and not
the probabilities, (N, C), which backward makes again from them: the largest logit ``top`` and
``log_sum`` = ln sum_c exp(x_nc - top_n). They are kept apart because their sum, the logsumexp,
rounds log_sum away where logits are large: 1e8 + ln 3 is 1e8 in float32.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.table import op
from etude.ops.reduce import average, total

REDUCTIONS = ("mean", "sum", "none")


def _losses(op, x, N, C, reduction, label_smoothing):
    if C == 0:
        raise ShapeError(f"{op}: x {x} has no classes")
    if N == 0 and reduction == "mean":
        raise ShapeError(f"{op}: the batch is empty (x {x}), and the mean of no losses has no "
                         f"value. Skip empty batches, or use reduction='sum'")
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{op}: label_smoothing is a share, 0 to 1, got {label_smoothing}")
    return {"L": (N,) if reduction == "none" else ()}


def _check_labels(target, classes, ignore_index):
    wrong = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise IndexError(f"cross_entropy: target[{row}] is {target[row]}, but with {classes} "
                         f"classes labels run from 0 to {classes - 1}")


@op("cross_entropy", shape="x: N C, target: N int64 -> *L, N, N", sizes=_losses, flops="4 N C",
    outputs="loss top log_sum", saves="x target top log_sum", choices={"reduction": REDUCTIONS})
def cross_entropy(x, target, *, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    """loss_n = log_sum_n - (1 - s) z_{n, target_n} - s mean_c z_nc, where z_nc = x_nc - top_n,
    log_sum_n = ln sum_c exp(z_nc) and s is ``label_smoothing``; then the mean or the sum over n, or
    neither. A number added to all logits of a row changes nothing.

    x: (N, C) logits, float; target: (N) int64 in 0 .. C-1, or ``ignore_index``: such rows have
    loss 0 and do not count in the mean. loss: () or, with reduction="none", (N). Hidden outputs
    top and log_sum: (N). Raises IndexError for a label out of range and ShapeError for the mean of
    an empty batch. Smoothing: Szegedy et al. 2016, section 7.
    """
    _check_labels(target, x.shape[1], ignore_index)
    top = x.max(1)
    z = x - top[:, None]
    log_sum = np.log(total(np.exp(z), 1))
    counts = target != ignore_index
    label = np.where(counts, target, 0)
    loss = log_sum - z[np.arange(len(x)), label]
    if label_smoothing:
        loss = (1 - label_smoothing) * loss + label_smoothing * (log_sum - average(z, 1))
    loss = np.where(counts, loss, x.dtype.type(0))
    if reduction == "none":
        return loss, top, log_sum
    loss = total(loss)
    if reduction == "sum":
        return loss, top, log_sum
    with np.errstate(invalid="ignore"):  # if every row is ignored: 0 / 0 is NaN, as in PyTorch
        return loss / x.dtype.type(counts.sum()), top, log_sum


cross_entropy.gradient(lambda F, grad, x, target, top, log_sum, *, needs, **attrs:
    (F.cross_entropy_backward(grad, x, target, top, log_sum, **attrs), None))


@cross_entropy.composite
def _(F, x, target, *, reduction, ignore_index, label_smoothing):
    n = x.shape[0]
    logp = F.log_softmax(x, dim=1)
    ignored = F.eq(target, ignore_index)
    label = F.reshape(F.where(ignored, 0, target), shape=(n, 1))
    loss = F.neg(F.reshape(F.gather(logp, label, dim=1), shape=(n,)))
    if label_smoothing:
        loss = F.lerp(loss, F.neg(F.mean(logp, dim=1)), label_smoothing)
    loss = F.where(ignored, 0.0, loss)
    if reduction == "none":
        return loss
    if reduction == "sum":
        return F.sum(loss)
    return F.div(F.sum(loss), F.sum(F.cast(F.eq(ignored, False), dtype=x.dtype)))


@op("cross_entropy_backward", shape="x: N C, target: N int64, top log_sum: N, grad: *L -> N C",
    sizes=_losses, flops="4 N C", choices={"reduction": REDUCTIONS}, internal=True)
def cross_entropy_backward(grad, x, target, top, log_sum, *, reduction="mean", ignore_index=-100,
                           label_smoothing=0.0):
    """dx_nc = grad_n (exp(x_nc - top_n - log_sum_n) - (1 - s) [c = target_n] - s / C), over N for
    the mean.

    grad: () or (N) as the loss; x: (N, C); target: (N) int64; top, log_sum: (N); dx: (N, C), 0 in
    the rows that are ignored.
    """
    _check_labels(target, x.shape[1], ignore_index)
    counts = target != ignore_index
    label = np.where(counts, target, 0)
    dx = np.exp(x - top[:, None] - log_sum[:, None])
    dx[np.arange(len(x)), label] -= x.dtype.type(1 - label_smoothing)
    if label_smoothing:
        dx -= x.dtype.type(label_smoothing / x.shape[1])
    scale = grad / max(int(counts.sum()), 1) if reduction == "mean" else grad
    return np.where(counts[:, None], dx * np.reshape(scale, (-1, 1)), x.dtype.type(0))
