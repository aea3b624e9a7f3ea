"""Losses as layers. The op: ops/cross_entropy.py."""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.nn.module import Module
from etude.tensor import Tensor


class CrossEntropyLoss(Module):
    """-log of the probability that softmax gives to the right class: the mean over the samples,
    the sum, or with ``reduction="none"`` one loss for each.

    x: (N, C) logits, float; target: (N) int64 in 0 .. C-1. Raises IndexError for a label out of
    range, ShapeError for an empty batch.
    """

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"CrossEntropyLoss: reduction must be 'mean', 'sum' or 'none', got "
                             f"{reduction!r}")
        self.reduction = reduction

    def forward(self, x: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(x, target, reduction=self.reduction)

    def extra_repr(self) -> str:
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"
