"""Numeric gradients: the one place that computes them.

Fourth-order central differences in float64, f'(x) ~ (8 (f(x+h) - f(x-h)) - (f(x+2h) -
f(x-2h))) / 12h, whose error is O(h^4); Abramowitz and Stegun, table 25.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.core.autograd import grad
from etude.core.errors import DTypeError
from etude.core.shapes import float64
from etude.core.tensor import Tensor, tensor

STEP = 1e-3


def numeric_gradient(fn: Callable[..., Tensor], inputs: Sequence[Tensor], weights: Tensor,
                     which: int) -> np.ndarray[Any, Any]:
    """d sum(weights * fn(*inputs)) / d inputs[which], element by element, as float64."""
    base = [t.detach().numpy().copy() for t in inputs]
    w = weights.numpy()
    result = np.empty(base[which].shape)

    def value(at: Any, by: float) -> float:
        moved = base[which].copy()
        moved[at] += by
        # The function may itself call grad, so its inputs must want gradients here too.
        args = [tensor(moved if i == which else b, requires_grad=t.requires_grad)
                for i, (b, t) in enumerate(zip(base, inputs, strict=True))]
        return float((fn(*args).detach().numpy() * w).sum())

    for at in np.ndindex(base[which].shape):
        h = STEP * max(1.0, abs(float(base[which][at])))
        near = value(at, h) - value(at, -h)
        far = value(at, 2 * h) - value(at, -2 * h)
        result[at] = (8 * near - far) / (12 * h)
    return result


def gradcheck(fn: Callable[..., Tensor], inputs: Sequence[Tensor], *, tolerance: float = 1e-7,
              seed: int = 0) -> bool:
    """Whether the gradients of ``fn`` agree with numeric differences.

    The output is weighted by random numbers before it is summed. With ones in their place a softmax
    whose backward returns zeros would pass, because its outputs always sum to 1.

    ``inputs`` are float64 Tensors; those that require a gradient are checked. Returns True, or
    raises AssertionError that names the worst element. ``tolerance`` is relative to the largest
    gradient of that input, and absolute below 1.
    """
    for i, t in enumerate(inputs):
        if t.requires_grad and t.dtype != float64:
            raise DTypeError(f"gradcheck: inputs[{i}] is {t.dtype.name}; differences need float64")
    checked = [i for i, t in enumerate(inputs) if t.requires_grad]
    if not checked:
        raise ValueError("gradcheck: no input requires a gradient, so there is nothing to check")
    y = fn(*inputs)
    weights = tensor(np.random.default_rng(seed).uniform(0.5, 1.5, y.shape))
    signs = tensor(np.where(np.random.default_rng(seed + 1).random(y.shape) < 0.5, -1.0, 1.0))
    weights = (weights * signs).detach()
    found = grad(y, [inputs[i] for i in checked], weights, allow_unused=True)
    for i, g in zip(checked, found, strict=True):
        numeric = numeric_gradient(fn, inputs, weights, i)
        analytic = np.zeros_like(numeric) if g is None else g.numpy()
        bound = tolerance * max(1.0, float(np.abs(numeric).max(initial=0)))
        error = np.abs(analytic - numeric)
        if not np.all(error <= bound):
            at = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
            where = list(map(int, at))
            raise AssertionError(
                f"gradcheck: the gradient in inputs[{i}] is wrong at {where}: backward gives "
                f"{analytic[at]:.12g}, differences give {numeric[at]:.12g} (allowed error "
                f"{bound:.1e})")
    return True
