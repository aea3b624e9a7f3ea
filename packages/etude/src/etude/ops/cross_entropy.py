"""Cross-entropy of logits, fused with log_softmax. C: c_src/cpu/cross_entropy.c.

Legend: N rows (samples), C classes. The forward pass keeps two numbers of each row, (N), and not
the probabilities, (N, C), which backward makes again from them: the largest logit ``top`` and
``log_sum`` = ln sum_c exp(x_nc - top_n). They are kept apart because their sum, the logsumexp,
rounds log_sum away where logits are large: 1e8 + ln 3 is 1e8 in float32.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.table import op
from etude.ops.reduce import average, rounded, total, widened

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


def _labels(x, target, weight, ignore_index):
    """(label, counts, worth): class 0 in place of ignored labels, whether a row counts, and the
    weight of its class, 0 if it does not.
    """
    _check_labels(target, x.shape[1], ignore_index)
    counts = target != ignore_index
    label = np.where(counts, target, 0)
    worth = counts.astype(x.dtype) if weight is None else np.where(counts, weight[label], 0)
    return label, counts, worth.astype(x.dtype, copy=False)


@op("cross_entropy", shape="x: N C, target: N int64, weight: C -> *L, N, N", sizes=_losses,
    flops="4 N C", outputs="loss top log_sum", saves="x target weight top log_sum",
    choices={"reduction": REDUCTIONS})
def cross_entropy(x, target, weight=None, *, reduction="mean", ignore_index=-100,
                  label_smoothing=0.0):
    """loss_n = (1 - s) w_t (log_sum_n - z_nt) + s mean_c w_c (log_sum_n - z_nc), where t is
    target_n, z_nc = x_nc - top_n, log_sum_n = ln sum_c exp(z_nc), s is ``label_smoothing`` and w is
    ``weight``, or 1; then the sum over n, or that divided by the sum of the w_t, or neither. A
    number added to all logits of a row changes nothing.

    x: (N, C) logits, float; target: (N) int64 in 0 .. C-1, or ``ignore_index``: such rows have
    loss 0 and do not count in the mean; weight: (C) or None. loss: () or, with reduction="none",
    (N). Hidden outputs top and log_sum: (N). Raises IndexError for a label out of range and
    ShapeError for the mean of an empty batch. Smoothing: Szegedy et al. 2016, section 7.
    """
    dtype, (x, weight) = x.dtype, widened(x, weight)
    label, counts, worth = _labels(x, target, weight, ignore_index)
    top = x.max(1)
    z = x - top[:, None]
    log_sum = np.log(total(np.exp(z), 1))
    loss = worth * (log_sum - z[np.arange(len(x)), label])
    if label_smoothing:
        cost = log_sum[:, None] - z
        even = average(cost if weight is None else cost * weight, 1)
        loss = (1 - label_smoothing) * loss + label_smoothing * even
    loss = np.where(counts, loss, x.dtype.type(0))
    if reduction != "none":
        loss = total(loss)
    if reduction == "mean":
        with np.errstate(invalid="ignore"):  # if every row is ignored: 0 / 0 is NaN, as in PyTorch
            loss = loss / total(worth)
    return rounded(dtype, loss, top, log_sum)


@cross_entropy.gradient
def _(F, grad, x, target, weight, top, log_sum, *, needs, **attrs):
    dx = (F.cross_entropy_backward(grad, x, target, weight, top, log_sum, **attrs) if needs[0]
          else None)
    if True not in needs[2:]:
        return dx, None
    return dx, None, _into_weight(F, grad, x, target, weight, top, log_sum, **attrs)


cross_entropy.convention("""
    cross_entropy([[0, ..., nan], [0, -inf, ...]], [0, 0], reduction="none") -> [nan, 0]
    cross_entropy([[-inf, 0, -inf, ...], [0, inf, 0, ...]], [0, 0], reduction="none") -> [inf, nan]
    cross_entropy([[nan, 0], [0, -inf]], [-100, 0]) -> 0  # what is ignored leaves no trace
    cross_entropy([[0, 1], ...], [-100, ...]) -> nan  # every row is ignored: 0 / 0
    cross_entropy([[0, 1], ...], [-100, ...], reduction="sum") -> 0
    cross_entropy([[0, 1], ...], [0, ...], [0, 1]) -> nan  # the labels weigh nothing: 0 / 0
    cross_entropy(empty(0, 2), [], reduction="sum") -> 0
    cross_entropy(empty(0, 2), []) -> ShapeError
    cross_entropy(empty(2, 0), [0, 0]) -> ShapeError
    cross_entropy([[0, 1]], [2]) -> IndexError""")


def _into_weight(F, grad, x, target, weight, top, log_sum, *, reduction, ignore_index,
                 label_smoothing):
    """The gradient of the class weights, sum_n grad_n q_nc (log_sum_n - z_nc), where q is what is
    asked of a class; for the mean also through the sum that it divides by.
    """
    rows, classes = x.shape
    column = (rows, 1)
    cost = F.sub(F.reshape(F.add(top, log_sum), shape=column), x)
    counts = F.cast(F.ne(target, ignore_index), dtype=x.dtype)
    label = F.where(F.eq(target, ignore_index), 0, target)
    right = F.cast(F.one_hot(label, num_classes=classes), dtype=x.dtype)
    right = F.mul(right, F.reshape(counts, shape=column))
    asked = F.mul(F.reshape(counts, shape=column), label_smoothing / classes)
    costs = F.mul(F.add(F.mul(right, 1.0 - label_smoothing), asked), cost)
    if reduction == "none":
        return F.sum(F.mul(costs, F.reshape(grad, shape=column)), dim=0)
    each = F.sum(costs, dim=0)
    if reduction == "sum":
        return F.mul(each, grad)
    numbers = F.sum(right, dim=0)
    whole = F.sum(F.mul(numbers, weight))
    mean = F.div(F.sum(F.mul(each, weight)), whole)
    return F.mul(F.div(F.sub(each, F.mul(numbers, mean)), whole), grad)


@cross_entropy.composite
def _(F, x, target, weight=None, *, reduction, ignore_index, label_smoothing):
    n = x.shape[0]
    cost = F.neg(F.log_softmax(x, dim=1))
    ignored = F.eq(target, ignore_index)
    label = F.where(ignored, 0, target)
    loss = F.reshape(F.gather(cost, F.reshape(label, shape=(n, 1)), dim=1), shape=(n,))
    worth = F.cast(F.eq(ignored, False), dtype=x.dtype)
    if weight is not None:
        worth = F.where(ignored, 0.0, F.index_select(weight, label, dim=0))
        loss, cost = F.mul(loss, worth), F.mul(cost, weight)
    if label_smoothing:
        loss = F.lerp(loss, F.mean(cost, dim=1), label_smoothing)
    loss = F.where(ignored, 0.0, loss)
    if reduction == "none":
        return loss
    return F.sum(loss) if reduction == "sum" else F.div(F.sum(loss), F.sum(worth))


@op("cross_entropy_backward", nullable="weight", sizes=_losses, flops="4 N C",
    shape="x: N C, target: N int64, weight: C, top log_sum: N, grad: *L -> N C",
    choices={"reduction": REDUCTIONS}, internal=True)
def cross_entropy_backward(grad, x, target, weight, top, log_sum, *, reduction="mean",
                           ignore_index=-100, label_smoothing=0.0):
    """dx_nc = grad_n ((1 - s) w_t (p_nc - [c = t]) + s / C (p_nc sum_k w_k - w_c)), where p_nc =
    exp(x_nc - top_n - log_sum_n); for the mean divided by the sum of the w_t, unless that is 0.

    grad: () or (N) as the loss; x: (N, C); target: (N) int64; weight: (C) or None; top, log_sum:
    (N); dx: (N, C), 0 in the rows that are ignored.
    """
    dtype, (grad, x, weight, top, log_sum) = x.dtype, widened(grad, x, weight, top, log_sum)
    label, counts, worth = _labels(x, target, weight, ignore_index)
    at_label = np.arange(len(x)), label
    dx = np.exp(x - top[:, None] - log_sum[:, None])
    own = x.dtype.type(1 - label_smoothing) * worth
    if label_smoothing:
        every = np.ones(x.shape[1], x.dtype) if weight is None else weight
        share = x.dtype.type(label_smoothing / x.shape[1])
        dx = dx * (own + share * total(every))[:, None] - share * every
    elif weight is not None:
        dx = dx * own[:, None]
    dx[at_label] -= own
    if reduction == "mean":
        weights = total(worth)
        grad = grad / weights if weights else grad
    dx = np.where(counts[:, None], dx * np.reshape(grad, (-1, 1)), x.dtype.type(0))
    return dx.astype(dtype, copy=False)


cross_entropy_backward.convention("""
    f(1, [[nan, 0], [0, -inf]], [0, 0], None, [nan, 0], [nan, 0], reduction="sum")
        -> [[nan, nan], [0, 0]]
    f(1, [[nan, 0], [0, -inf]], [-100, 0], None, [nan, 0], [nan, 0]) -> [[0, 0], [0, 0]]
    f(1, [[0, -inf], ...], [-100, ...], None, [0, ...], [0, ...]) -> [[0, 0], ...]
        # every row is ignored
    f(1, [[0, -inf], ...], [1, ...], [1, 0], [0, ...], [0, ...]) -> [[0, 0], ...]
        # the labels weigh nothing
    f(1, empty(0, 2), [], None, [], [], reduction="sum") -> empty(0, 2)
    f(nan, [[0, 0]], [0], None, [0], [0]) -> [[nan, nan]]
    f(1, empty(0, 2), [], None, [], []) -> ShapeError""")
