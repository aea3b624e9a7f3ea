"""Adam: steps scaled by running moments of the gradient.

The op: ``adam_step`` in ``ops/step.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from etude.optim.adamw import AdamW


class Adam(AdamW):
    """As AdamW, but weight decay is part of the gradient: g = g + weight_decay p.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1.
    """

    op = "adam_step"

    def __init__(self, params: Iterable[Any], lr: float = 1e-3,
                 betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
