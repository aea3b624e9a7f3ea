"""Clipping of gradients, after backward and before step.

``clip_grad_norm_`` shrinks all of them by one factor, ``clip_grad_value_`` each number by itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from etude import functional as F
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.optim.optimizer import members


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else members("parameters", parameters)
    return [p for p in given if p.grad is not None]


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float,
                    error_if_nonfinite: bool = False) -> float:
    """Scale all gradients by max_norm / norm if their common 2-norm is larger; returns the norm.

    A norm that is infinite or NaN is returned, and the gradients become NaN or 0; with
    ``error_if_nonfinite`` it raises FloatingPointError instead. Source: Pascanu, Mikolov and
    Bengio 2013, On the difficulty of training recurrent neural networks, algorithm 1.
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be >= 0, got {max_norm}")
    found = _with_gradient(parameters)
    with no_grad():
        norm = math.sqrt(sum(F.sum(F.square(p.grad)).item() for p in found))
        if error_if_nonfinite and not math.isfinite(norm):
            raise FloatingPointError("the norm of the gradients is not finite; with "
                                     "etude.check_nan() you see which op made it so")
        if not norm <= max_norm:
            for p in found:
                assert p.grad is not None
                p.grad = p.grad * (max_norm / (norm + 1e-6))
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Keep every number of every gradient within -clip_value .. clip_value."""
    if not clip_value >= 0:
        raise ValueError(f"clip_value must be >= 0, got {clip_value}")
    with no_grad():
        for p in _with_gradient(parameters):
            p.grad = F.clamp(p.grad, -clip_value, clip_value)
