"""AdamW: steps scaled by running moments, with weight decay apart.

The op: ``adamw_step`` in ``ops/step.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etude.optim.optimizer import Group, Optimizer, require


class AdamW(Optimizer):
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
    p = p (1 - lr weight_decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps).

    t counts the steps of each parameter. Source: Loshchilov and Hutter 2019, Decoupled Weight
    Decay Regularization, algorithm 2.
    """

    op = "adamw_step"
    moments = ("m", "v")

    def __init__(self, params: Iterable[Any], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps,
                                  "weight_decay": weight_decay})

    def check(self, group: Group) -> None:
        super().check(group)
        if not isinstance(group["betas"], tuple) or len(group["betas"]) != 2:
            raise ValueError(f"{type(self).__name__}: betas must be two numbers, got "
                             f"{group['betas']!r}")
        for i, beta in enumerate(group["betas"]):
            require(f"{type(self).__name__}: betas[{i}]", beta, "in [0, 1)", lambda v: 0 <= v < 1)

    def hyper(self, group: Group, step: int) -> list[float]:
        beta1, beta2 = group["betas"]
        return [group["lr"], beta1, beta2, group["eps"], group["weight_decay"],
                1 - beta1**step, 1 - beta2**step]
