"""RMSprop: steps scaled by a running mean of squares.

The op: ``rmsprop_step`` in ``ops/step.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etude.optim.optimizer import Group, Optimizer


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g^2;  buf = momentum buf + g / (sqrt(v) + eps);  p = p - lr buf.

    Source: Tieleman and Hinton 2012, lecture 6.5; momentum and eps as in PyTorch.
    """

    op = "rmsprop_step"
    moments = ("v", "buf")

    def __init__(self, params: Iterable[Any], lr: float = 1e-2, alpha: float = 0.99,
                 eps: float = 1e-8, weight_decay: float = 0.0, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps,
                                  "weight_decay": weight_decay, "momentum": momentum})

    def check(self, group: Group) -> None:
        super().check(group)
        for name in ("alpha", "momentum"):
            self.require(group, name, "in [0, 1)", lambda v: 0 <= v < 1)

    def hyper(self, group: Group, step: int) -> list[float]:
        return [group[k] for k in ("lr", "alpha", "eps", "weight_decay", "momentum")]
