"""Losses as layers. The ops: ``ops/cross_entropy.py``, ``ops/loss.py``.

``reduction`` is "mean" or "sum" over the samples, or "none" for one loss each.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.nn.module import Module


class _Loss(Module):
    """What losses share: the reduction."""

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', "
                             f"got {reduction!r}")
        self.reduction = reduction

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """-log of the probability that softmax gives to the right class.

    x: (N, C) logits, float; target: (N) int64 in 0 .. C-1, or ``ignore_index`` for rows that do
    not count. ``label_smoothing`` spreads that share of the target over all classes. Raises
    IndexError for a label out of range, ShapeError for an empty batch.
    """

    def __init__(self, reduction: str = "mean", ignore_index: int = -100,
                 label_smoothing: float = 0.0) -> None:
        super().__init__(reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(x, target, reduction=self.reduction,
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
    """(x - target)^2.  x, target: one shape, float."""

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return F.mse_loss(x, target, reduction=self.reduction)


class L1Loss(_Loss):
    """|x - target|.  x, target: one shape, float."""

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return F.l1_loss(x, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """-target ln p - (1 - target) ln(1 - p) with p = sigmoid(x).  x, target: one shape, float."""

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return F.binary_cross_entropy_with_logits(x, target, reduction=self.reduction)
