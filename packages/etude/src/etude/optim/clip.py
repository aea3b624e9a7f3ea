"""Clipping of gradients, after backward and before step.

``clip_grad_norm_`` shrinks all of them by one factor, ``clip_grad_value_`` each number by itself.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

from etude import functional as F
from etude.core.creation import full
from etude.core.given import real
from etude.core.live import WATCHER
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.optim.optimizer import members, no_gradient


def _with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else members("parameters", parameters)
    found = [p for p in given if p.grad is not None]
    for p in found:
        if not isinstance(p.grad, Tensor):
            raise TypeError(no_gradient(p.grad))
    return found


def above_zero(name: str, value: Any) -> float:
    """A limit as a float. ValueError for 0, which elsewhere means "none" and here would mean that
    nothing is learned; for less, and for NaN. TypeError for what is no number.
    """
    limit = real(name, value)
    if not limit > 0:
        raise ValueError(f"{name} must be > 0, got {value}. With 0 every step would be nothing; "
                         f"leave it out where nothing is to be clipped")
    return limit


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float,
                    norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Any:
    """Scale all gradients by max_norm / norm if their common norm is larger; returns the norm.
    ``max_norm`` is above 0; infinity measures and clips nothing. The norm is the ``norm_type``-th
    root of the sum of all |g|^norm_type; for infinity it is the largest |g|.

    A norm that is infinite or NaN is returned, and the gradients become NaN or 0; with
    ``error_if_nonfinite`` it raises FloatingPointError instead. In a function that is captured
    the norm is a Tensor, float64, since its value is not known there. Source: Pascanu, Mikolov and
    Bengio 2013, On the difficulty of training recurrent neural networks, algorithm 1.
    """
    limit = above_zero("max_norm", max_norm)
    found = _with_gradient(parameters)
    with no_grad():
        watcher = WATCHER.get()
        if watcher is not None:
            if error_if_nonfinite:
                watcher.refuses("error_if_nonfinite looks at the norm of the gradients")
            return _clip_by_ops(found, limit, above_zero("norm_type", norm_type))
        norm = _norm([p.grad for p in found], above_zero("norm_type", norm_type))
        if error_if_nonfinite and not math.isfinite(norm):
            raise FloatingPointError("the norm of the gradients is not finite; with "
                                     "etude.check_nan() you see which op made it so")
        if not norm <= limit:
            for p in found:
                assert p.grad is not None
                p.grad = p.grad * (limit / (norm + 1e-6))
    return norm


def _norm(gradients: list[Any], kind: float) -> float:
    """The norm of all numbers together; 0 where there are none."""
    if kind == 2:
        return math.sqrt(sum(F.sum(F.square(g)).item() for g in gradients))
    if math.isinf(kind):
        return max([F.amax(F.abs(g)).item() for g in gradients if g.numel()], default=0.0)
    total: float = sum(F.sum(F.pow(F.abs(g), kind)).item() for g in gradients)
    return float(total ** (1 / kind))


def _clip_by_ops(found: list[Tensor], limit: float, kind: float) -> Tensor:
    """The same without a look at the numbers, for a step that is to be replayed: where nothing is
    to be clipped the factor is 1. The norm is worked out in float64, as Python's floats are.
    """
    norm = _norm_by_ops([p.grad for p in found], kind)
    factor = F.where(norm <= limit, 1.0, limit / (norm + 1e-6))
    for p in found:
        assert p.grad is not None
        p.grad = p.grad * factor.to(p.grad.dtype)
    return norm


def _norm_by_ops(gradients: list[Any], kind: float) -> Tensor:
    """``_norm`` as a Tensor, float64."""
    if math.isinf(kind):
        largest = [F.amax(F.abs(g)).to("float64") for g in gradients if g.numel()]
        return functools.reduce(F.maximum, largest, full((), 0.0, "float64"))
    powers = [F.square(g) if kind == 2 else F.pow(F.abs(g), kind) for g in gradients]
    total = functools.reduce(F.add, [F.sum(x).to("float64") for x in powers],
                             full((), 0.0, "float64"))
    norm: Tensor = F.sqrt(total) if kind == 2 else F.pow(total, 1 / kind)
    return norm


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Keep every number of every gradient within -clip_value .. clip_value, which is above 0."""
    limit = above_zero("clip_value", clip_value)
    with no_grad():
        for p in _with_gradient(parameters):
            p.grad = F.clamp(p.grad, -limit, limit)
