"""Losses as layers. The ops: ``ops/cross_entropy.py``, ``ops/loss.py``.

``reduction`` is "mean" or "sum" over the samples, or "none" for one loss each. PyTorch has given up
size_average and reduce, which stand among the settings for the sake of its order.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.functional.calls import refused
from etude.nn.module import Module


class _Loss(Module):
    """What losses share: the reduction."""

    _takes_tensors = True

    def __init__(self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
                 ) -> None:
        if isinstance(size_average, Tensor) or isinstance(reduce, Tensor):
            name = type(self).__name__
            raise TypeError(f"{name} is a layer, which is made first and called then: loss = "
                            f"nn.{name}(), and loss(input, target)")
        refused(type(self).__name__, "write reduction='mean', 'sum' or 'none'",
                size_average=(size_average, None), reduce=(reduce, None))
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', "
                             f"got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """-log of the probability that softmax gives to the right class. Softmax is part of it: give
    the scores of a model, not the softmax of them.

    input: (C), (N, C) or (N, C, ...) logits, float; target: (), (N) or (N, ...) int64 in 0 .. C-1,
    or ``ignore_index`` for those that do not count, or probabilities of the shape of input.
    ``weight`` (C) says how much each class counts, in the mean too. ``label_smoothing`` spreads
    that share of the target over all classes. Raises IndexError for a label out of range,
    ShapeError for an empty batch.
    """

    weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: Any = None,
                 ignore_index: int = -100, reduce: Any = None, reduction: str = "mean",
                 label_smoothing: float = 0.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(input, target, weight=self.weight, reduction=self.reduction,
                               ignore_index=self.ignore_index,
                               label_smoothing=self.label_smoothing)

    def extra_repr(self) -> str:
        words = []
        if self.reduction != "mean":
            words.append(super().extra_repr())
        if self.ignore_index != -100:
            words.append(f"ignore_index={self.ignore_index}")
        if self.label_smoothing:
            words.append(f"label_smoothing={self.label_smoothing}")
        return ", ".join(words)


class MSELoss(_Loss):
    """(input - target)^2.  input, target: one shape, float."""

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|input - target|.  input, target: one shape, float."""

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.l1_loss(input, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """-weight (pos_weight target ln p + (1 - target) ln(1 - p)) with p = sigmoid(input).

    input, target: one shape, float; weight and pos_weight broadcast to it, or are None for 1.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Tensor | None = None, size_average: Any = None,
                 reduce: Any = None, reduction: str = "mean", pos_weight: Tensor | None = None
                 ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy_with_logits(input, target, weight=self.weight,
                                                  reduction=self.reduction,
                                                  pos_weight=self.pos_weight)
