"""Wrong cross-entropies: the weights of the classes left out somewhere, forward and backward."""

import numpy as np

from etude_check.zoo import mutant, reference


def _forward(x, target, weight, **attrs):
    return reference("cross_entropy")(x, target, weight, **attrs)


def _backward(grad, x, target, weight, top, log_sum, **attrs):
    return reference("cross_entropy_backward")(grad, x, target, weight, top, log_sum, **attrs)


def _labels(target, ignore_index):
    """(which rows count, their labels)."""
    counts = target != ignore_index
    return counts, target[counts]


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="The weights of the classes are not looked at.")
def cross_entropy_weight_ignored(x, target, weight=None, **attrs):
    return _forward(x, target, None, **attrs)


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="The mean divides by the number of rows that count, not by the weights of their "
                "classes.")
def cross_entropy_weight_mean(x, target, weight=None, *, reduction="mean", ignore_index=-100,
                              **attrs):
    if reduction != "mean" or weight is None:
        return _forward(x, target, weight, reduction=reduction, ignore_index=ignore_index, **attrs)
    total, *saved = _forward(x, target, weight, reduction="sum", ignore_index=ignore_index, **attrs)
    return total / x.dtype.type((target != ignore_index).sum()), *saved


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="Smoothing spreads its share over the classes without their weights.")
def cross_entropy_weight_smoothing(x, target, weight=None, *, reduction="mean", ignore_index=-100,
                                   label_smoothing=0.0):
    attrs = {"reduction": reduction, "ignore_index": ignore_index}
    hard, *saved = _forward(x, target, weight, **attrs)
    if not label_smoothing:
        return hard, *saved
    even = _forward(x, target, None, **attrs, label_smoothing=1.0)[0]
    if reduction == "mean" and weight is not None:
        counts, labels = _labels(target, ignore_index)
        even = even * x.dtype.type(counts.sum()) / weight[labels].sum()
    return ((1 - label_smoothing) * hard + label_smoothing * even).astype(x.dtype), *saved


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="The share that smoothing spreads gets the weight of the label, instead of each "
                "class its own.")
def cross_entropy_weight_of_label(x, target, weight=None, *, reduction="mean", ignore_index=-100,
                                  **attrs):
    loss, *saved = _forward(x, target, None, reduction="none", ignore_index=ignore_index, **attrs)
    counts = target != ignore_index
    worth = counts.astype(x.dtype) if weight is None else np.where(
        counts, weight[np.where(counts, target, 0)], x.dtype.type(0))
    loss = loss * worth
    if reduction == "none":
        return loss, *saved
    return loss.sum() if reduction == "sum" else loss.sum() / worth.sum(), *saved


@mutant("cross_entropy", kills="tail", where="index",
        mistake="The weight is looked up by the number of the row instead of its label.")
def cross_entropy_weight_of_row(x, target, weight=None, *, ignore_index=-100, **attrs):
    if weight is None:
        return _forward(x, target, None, ignore_index=ignore_index, **attrs)
    reduction = attrs.pop("reduction", "mean")
    loss, *saved = _forward(x, target, None, reduction="none", ignore_index=ignore_index, **attrs)
    worth = np.where(target == ignore_index, 0, np.resize(weight, len(x))).astype(x.dtype)
    loss = loss * worth
    if reduction == "none":
        return loss, *saved
    return loss.sum() if reduction == "sum" else loss.sum() / worth.sum(), *saved


@mutant("cross_entropy", kills="tail", where="numerics",
        mistake="The mean divides by the weights of all labels, also of rows that are ignored: "
                "theirs is that of class 0, which stands in for ignore_index.")
def cross_entropy_weight_of_ignored(x, target, weight=None, *, reduction="mean",
                                    ignore_index=-100, **attrs):
    if reduction != "mean" or weight is None:
        return _forward(x, target, weight, reduction=reduction, ignore_index=ignore_index, **attrs)
    total, *saved = _forward(x, target, weight, reduction="sum", ignore_index=ignore_index, **attrs)
    return total / weight[np.where(target == ignore_index, 0, target)].sum(), *saved


# ------------------------------------------------------------------ backward


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="The weights of the classes are forgotten on the way back.")
def cross_entropy_backward_weight_ignored(grad, x, target, weight, top, log_sum, **attrs):
    return _backward(grad, x, target, None, top, log_sum, **attrs)


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="The mean divides by the number of rows that count, not by the weights of their "
                "classes.")
def cross_entropy_backward_weight_mean(grad, x, target, weight, top, log_sum, *, reduction="mean",
                                       ignore_index=-100, **attrs):
    if reduction == "mean" and weight is not None:
        count = max((target != ignore_index).sum(), 1)
        grad, reduction = grad / grad.dtype.type(count), "sum"
    return _backward(grad, x, target, weight, top, log_sum, reduction=reduction,
                     ignore_index=ignore_index, **attrs)


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="The share of smoothing goes back without the weights of the classes.")
def cross_entropy_backward_weight_smoothing(grad, x, target, weight, top, log_sum, *,
                                            reduction="mean", ignore_index=-100,
                                            label_smoothing=0.0):
    attrs = {"reduction": reduction, "ignore_index": ignore_index}
    hard = _backward(grad, x, target, weight, top, log_sum, **attrs)
    if not label_smoothing:
        return hard
    even = _backward(grad, x, target, None, top, log_sum, **attrs, label_smoothing=1.0)
    if reduction == "mean" and weight is not None:
        counts, labels = _labels(target, ignore_index)
        even = even * x.dtype.type(counts.sum()) / weight[labels].sum()
    return ((1 - label_smoothing) * hard + label_smoothing * even).astype(x.dtype)


@mutant("cross_entropy_backward", kills="tail", where="backward",
        mistake="Every class is pulled by its own weight, w_c p_c, instead of by the label's.")
def cross_entropy_backward_weight_of_class(grad, x, target, weight, top, log_sum, **attrs):
    dx = _backward(grad, x, target, weight, top, log_sum, **attrs)
    if weight is None:
        return dx
    counts, labels = _labels(target, attrs.get("ignore_index", -100))
    own = weight[labels][:, None]
    out = dx.copy()
    out[counts] = np.where(own == 0, dx[counts], dx[counts] * weight / np.where(own == 0, 1, own))
    return out
