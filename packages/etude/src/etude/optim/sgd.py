"""SGD: stochastic gradient descent with momentum.

The op: ``sgd_step`` in ``ops/step.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etude.optim.optimizer import Group, Optimizer


class SGD(Optimizer):
    """g = g + weight_decay p;  v = momentum v + (1 - dampening) g;  p = p - lr v, or, with
    ``nesterov``, p = p - lr (g + momentum v). The first v is g.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum in deep
    learning, section 2, in PyTorch's form: the learning rate stays outside v.
    """

    op = "sgd_step"
    moments = ("v",)

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, momentum: float = 0.0,
                 dampening: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False
                 ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "dampening": dampening,
                                  "weight_decay": weight_decay, "nesterov": nesterov})

    def check(self, group: Group) -> None:
        super().check(group)
        self.require(group, "momentum", "in [0, 1)", lambda v: 0 <= v < 1)
        self.require(group, "dampening", "in [0, 1]", lambda v: 0 <= v <= 1)
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise ValueError("nesterov looks ahead along the momentum, so momentum must be > 0 and "
                             "dampening 0")

    def attrs(self, group: Group) -> dict[str, Any]:
        return {"nesterov": True} if group["nesterov"] else {}

    def scale(self, group: Group, step: int) -> float:
        """1 - dampening, from the second step on: the op adds g to v as it is."""
        return 1 - group["dampening"] if group["momentum"] and step > 1 else 1.0

    def hyper(self, group: Group, step: int) -> list[float]:
        decay = group["weight_decay"] * self.scale(group, step)
        return [group["lr"], group["momentum"], decay]
