"""SGD: stochastic gradient descent with momentum. The op: sgd_step in ops/step.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etude.optim.optimizer import Group, Optimizer, require


class SGD(Optimizer):
    """v = momentum v + g + weight_decay p;  p = p - lr v.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum in deep
    learning, section 2, in PyTorch's form: the learning rate stays outside v.
    """

    op = "sgd_step"
    moments = ("v",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0,
                 weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def check(self, group: Group) -> None:
        super().check(group)
        require("momentum", group["momentum"], 0 <= group["momentum"] < 1, "in [0, 1)")

    def hyper(self, group: Group, step: int) -> list[float]:
        return [group["lr"], group["momentum"], group["weight_decay"]]
