"""Making tensors of a shape: zeros, ones, full, arange and their like.

``tensor`` and ``from_numpy``, which make them of data, are in ``tensor.py``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.shapes import check_shape, dtype_of, float32, int64, supported, varargs
from etude.core.state import STATE
from etude.core.tensor import Tensor, tensor


def full(size: Any, fill_value: float, dtype: Any = None, requires_grad: bool = False,
         device: str = "cpu") -> Tensor:
    """A tensor with ``fill_value`` everywhere; by default of the dtype ``tensor(fill_value)`` has.
    """
    found = tensor(fill_value).dtype if dtype is None else dtype_of("full", dtype)
    sizes = check_shape("full", size)
    x: Tensor = OPS["full"](shape=sizes, value=fill_value, dtype=found, device=device)
    return x.requires_grad_() if requires_grad else x


def zeros(*size: Any, dtype: Any = float32, requires_grad: bool = False, device: str = "cpu",
          **named: Any) -> Tensor:
    """A tensor of zeros: ``zeros(2, 3)``, ``zeros((2, 3))`` or ``zeros(size=(2, 3))``."""
    return full(varargs(size, "zeros", named, "size"), 0, dtype, requires_grad, device)


def ones(*size: Any, dtype: Any = float32, requires_grad: bool = False, device: str = "cpu",
         **named: Any) -> Tensor:
    """A tensor of ones: ``ones(2, 3)``, ``ones((2, 3))`` or ``ones(size=(2, 3))``."""
    return full(varargs(size, "ones", named, "size"), 1, dtype, requires_grad, device)


def zeros_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False,
               device: str | None = None) -> Tensor:
    """Zeros of the shape and, where none is given, the dtype and device of ``input``."""
    return full(input.shape, 0, dtype or input.dtype, requires_grad, device or input.device)


def ones_like(input: Tensor, *, dtype: Any = None, requires_grad: bool = False,
              device: str | None = None) -> Tensor:
    """Ones of the shape and, where none is given, the dtype and device of ``input``."""
    return full(input.shape, 1, dtype or input.dtype, requires_grad, device or input.device)


def arange(start: float = 0, end: float | None = None, step: float = 1, dtype: Any = None,
           device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """start, start + step, ... below ``end``; with one argument, from 0 to it.

    Where ``dtype`` is int64, the three numbers are rounded towards 0 first, as in PyTorch.
    """
    first, last = (0, start) if end is None else (start, end)
    if dtype is not None and dtype_of("arange", dtype) == int64:
        first, last, step = int(first), int(last), int(step)
    if step == 0:
        raise ValueError(f"arange: step must not be 0; from {first} it would never arrive")
    x = np.arange(first, last, step)
    wanted = dtype if dtype is not None else (float32 if x.dtype.kind == "f" else x.dtype)
    made = Tensor(STATE.get().tables[device].upload(supported(x.astype(wanted))))
    return made.requires_grad_() if requires_grad else made
