"""Public forms of the losses: PyTorch's parameters, weights, and any number of axes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import DTypeError, ShapeError
from etude.core.given import real
from etude.core.live import looks_at
from etude.core.shapes import FLOATS, Spec, bool_, int64
from etude.core.tensor import Tensor
from etude.functional.calls import as_tensor, per_channel, refused

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss"]

#: A share below this is no rounding error of one that is 0.
LEAST = -1e-5


def _today(name: str, size_average: Any, reduce: Any) -> None:
    refused(name, "PyTorch has given it up too; write reduction='mean', 'sum' or 'none'",
            size_average=(size_average, None), reduce=(reduce, None))


def reduced(loss: Any, reduction: str) -> Any:
    """The mean or the sum of losses, or the losses themselves."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")
    return loss if reduction == "none" else OPS[reduction](loss)


def mse_loss(input: Any, target: Any, size_average: Any = None, reduce: Any = None,
             reduction: str = "mean") -> Any:
    """(input - target)^2, then its mean or sum, or neither. Two arrays of one shape, float."""
    _today("mse_loss", size_average, reduce)
    return OPS["mse_loss"](input, target, reduction=reduction)


def l1_loss(input: Any, target: Any, size_average: Any = None, reduce: Any = None,
            reduction: str = "mean") -> Any:
    """|input - target|, then its mean or sum, or neither. Two arrays of one shape, float."""
    _today("l1_loss", size_average, reduce)
    return OPS["l1_loss"](input, target, reduction=reduction)


def binary_cross_entropy_with_logits(
        input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
        reduction: str = "mean", pos_weight: Any = None) -> Any:
    """-pos_weight target ln p - (1 - target) ln(1 - p) with p = sigmoid(input), times weight; then
    its mean or sum, or neither. Nothing overflows.

    input, target: one shape, float; weight and pos_weight broadcast to it, or are None.
    """
    name = "binary_cross_entropy_with_logits"
    _today(name, size_average, reduce)
    input, target = as_tensor(input), as_tensor(target)
    if input.dtype not in FLOATS and target.dtype in FLOATS:
        raise _swapped(name, "logits, target", input, target)
    weight = None if weight is None else as_tensor(weight)
    if pos_weight is None:
        loss = OPS[name](input, target, reduction="none" if weight is not None else reduction)
    else:
        pos_weight = as_tensor(pos_weight)
        if input.shape != target.shape:
            raise ShapeError(f"{name}: target {list(target.shape)} must have the shape of input "
                             f"{list(input.shape)}")
        yes = OPS["softplus"](-input, threshold=math.inf)  # -ln p
        no = OPS["softplus"](input, threshold=math.inf)  # -ln(1 - p)
        # What is not asked for costs nothing, even where it would cost infinitely much.
        loss = (target * pos_weight * OPS["where"](target == 0, 0.0, yes)
                + (1 - target) * OPS["where"](target == 1, 0.0, no))
    if weight is None and pos_weight is None:
        return loss
    return reduced(loss if weight is None else loss * weight, reduction)


def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None,
                  ignore_index: int = -100, reduce: Any = None, reduction: str = "mean",
                  label_smoothing: float = 0.0) -> Any:
    """-ln softmax(input) at the class ``target``, then its mean or sum, or neither.

    input: (N, C), (N, C, d1, ...) or (C), logits; target: (N), (N, d1, ...) or (), int64, or floats
    of input's shape, which are probabilities of the classes; weight: (C), one for each class, or
    None. Softmax is part of it: give the scores of a model, not the softmax of them. The mean is
    over the weights of the targets that count; see ``etude.ops.cross_entropy``.
    """
    if size_average is not None or reduce is not None:
        _today("cross_entropy", size_average, reduce)
    x, target = as_tensor(input), as_tensor(target)
    if len(x.array.shape) == 2 and len(target.array.shape) == 1:  # the usual call
        return OPS["cross_entropy"](x, target, weight, reduction=reduction,
                                    ignore_index=ignore_index, label_smoothing=label_smoothing)
    if x.ndim == 0:
        raise ShapeError("cross_entropy: input must be (C), (N, C) or (N, C, d1, ...), got a "
                         "single number")
    last = 0 if x.ndim == 1 else 1  # the axis of the classes
    _asked_rightly(x, target, last)
    if target.dtype != int64 and target.shape == x.shape and target.dtype != bool_:
        return _soft_cross_entropy(x, target, weight, last, ignore_index, reduction,
                                   label_smoothing)
    if x.ndim != 2:
        if target.shape != (*x.shape[:last], *x.shape[last + 1 :]):
            raise ShapeError(f"cross_entropy: target {target.dtype.name}{list(target.shape)} must "
                             f"have the shape of input {list(x.shape)} without the classes, or "
                             f"that shape, as probabilities")
        rest = [d for d in range(x.ndim) if d != last]
        x = x.permute(*rest, last).reshape(target.numel(), x.shape[last])
    shape = target.shape
    loss = OPS["cross_entropy"](
        x, target.reshape(-1), weight, reduction=reduction, ignore_index=ignore_index,
        label_smoothing=label_smoothing)
    return loss.reshape(shape) if reduction == "none" and shape != loss.shape else loss


def _asked_rightly(x: Tensor, target: Tensor, classes: int) -> None:
    """DTypeError for labels in the place of logits, ShapeError for one-hot labels of integers."""
    if x.dtype not in FLOATS and target.dtype in FLOATS:
        raise _swapped("cross_entropy", "logits, labels", x, target)
    if target.dtype not in FLOATS and target.shape == x.shape and x.shape[classes] > 1:
        raise ShapeError(f"cross_entropy: target {Spec(target.shape, target.dtype)} has the shape "
                         f"of input, as one-hot labels do. Give the number of the class, "
                         f"target.argmax({classes}), or, as probabilities, target.float()")


def _swapped(name: str, order: str, x: Tensor, target: Tensor) -> DTypeError:
    return DTypeError(f"{name}: got input {Spec(x.shape, x.dtype)} and target "
                      f"{Spec(target.shape, target.dtype)}. What the model says comes first: "
                      f"{name}({order})")


def _probabilities(x: Tensor, target: Tensor) -> None:
    """ValueError for a target that is what a model says, and no probabilities."""
    order = "What the model says comes first: cross_entropy(logits, probabilities)"
    if target.node is not None and not x.requires_grad:
        raise ValueError(f"cross_entropy: target is the result of {target.node.op.name!r} and has "
                         f"a gradient, input has none. {order}")
    if not isinstance(target.array, np.ndarray):
        return
    looks_at(target.array)
    if target.array.min(initial=0) < LEAST:
        raise ValueError(f"cross_entropy: target has the shape of input, so it holds "
                         f"probabilities, and {target.array.min():.3g} is none. {order}")


def _soft_cross_entropy(x: Tensor, target: Tensor, weight: Any, classes: int, ignore_index: int,
                        reduction: str, label_smoothing: float) -> Any:
    """cross_entropy with a probability for each class instead of the one that is right."""
    name, count = "cross_entropy", x.shape[classes]
    _probabilities(x, target)
    if ignore_index != -100:
        raise ValueError(f"{name}: ignore_index={ignore_index} is for labels, and target has "
                         f"probabilities")
    if not 0 <= real(f"{name}: label_smoothing", label_smoothing) <= 1:
        raise ValueError(f"{name}: label_smoothing is a share, 0 to 1, got {label_smoothing}")
    if weight is not None:
        per_channel(name, count, weight=as_tensor(weight))
    if x.numel() == 0 and reduction == "mean":
        raise ShapeError(f"{name}: the batch is empty (input {list(x.shape)}), and the mean of no "
                         f"losses has no value. Skip empty batches, or use reduction='sum'")
    if label_smoothing:
        target = OPS["lerp"](target, 1.0 / count, label_smoothing)
    cost = -(target * OPS["log_softmax"](x, dim=classes))
    if weight is not None:
        cost = cost * as_tensor(weight).reshape(-1, *(1 for _ in x.shape[classes + 1 :]))
    loss = OPS["sum"](cost, dim=classes)
    return loss.sum() / max(loss.numel(), 1) if reduction == "mean" else reduced(loss, reduction)
