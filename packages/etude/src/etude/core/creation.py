"""Making tensors of a shape: zeros, ones, full, arange and their like.

``tensor`` and ``from_numpy``, which make them of data, are in ``tensor.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.shapes import check_shape, float32, supported, varargs
from etude.core.state import STATE
from etude.core.tensor import Tensor, tensor


def full(shape: Any, value: float, dtype: Any = None, requires_grad: bool = False,
         device: str = "cpu") -> Tensor:
    """A tensor with ``value`` everywhere; by default of the dtype ``tensor(value)`` has."""
    found = tensor(value).dtype if dtype is None else np.dtype(dtype)
    sizes = check_shape("full", shape)
    x: Tensor = OPS["full"](shape=sizes, value=value, dtype=found, device=device)
    return x.requires_grad_() if requires_grad else x


def zeros(*shape: Any, dtype: Any = float32, requires_grad: bool = False, device: str = "cpu"
          ) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(varargs(shape), 0, dtype, requires_grad, device)


def ones(*shape: Any, dtype: Any = float32, requires_grad: bool = False, device: str = "cpu"
         ) -> Tensor:
    """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
    return full(varargs(shape), 1, dtype, requires_grad, device)


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of the shape, dtype and device of ``x``."""
    return full(x.shape, 0, x.dtype, device=x.device)


def ones_like(x: Tensor) -> Tensor:
    """Ones of the shape, dtype and device of ``x``."""
    return full(x.shape, 1, x.dtype, device=x.device)


def arange(start: float, stop: float | None = None, step: float = 1, dtype: Any = None,
           device: str = "cpu") -> Tensor:
    """start, start + step, ... below ``stop``; with one argument, from 0 to it."""
    if step == 0:
        raise ValueError(f"arange: step must not be 0; from {start} it would never arrive")
    first, last = (0, start) if stop is None else (start, stop)
    x = np.arange(first, last, step)
    wanted = dtype if dtype is not None else (float32 if x.dtype.kind == "f" else x.dtype)
    return Tensor(STATE.get().tables[device].upload(supported(x.astype(wanted))))
