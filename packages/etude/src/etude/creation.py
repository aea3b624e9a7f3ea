"""Making tensors: tensor, from_numpy, zeros, ones, full, arange and their like."""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.backend import STATE
from etude.errors import DTypeError, ShapeError
from etude.shapes import check_shape, float32, float64, supported
from etude.tensor import OPS, Tensor, varargs


def tensor(data: Any, dtype: Any = None, requires_grad: bool = False, device: str = "cpu"
           ) -> Tensor:
    """A new tensor with a copy of ``data``: numbers, nested lists, an array or a Tensor.

    Python floats become float32; arrays keep float32, float64, int64 and bool, and other dtypes
    take the nearest of these. Raises ShapeError for ragged lists, DTypeError for text and the
    like.
    """
    if isinstance(data, Tensor):
        data = data.detach().to("cpu").numpy()
    try:
        x = np.array(data)
    except ValueError:
        raise ShapeError("tensor(): the nested lists have different lengths, so they form no "
                         "array; pad them first") from None
    if x.dtype.kind not in "fiub":
        raise DTypeError(f"tensor(): needs numbers or bools, got {type(data).__name__} that NumPy "
                         f"reads as {x.dtype}")
    if dtype is not None:
        x = x.astype(_float_or(dtype))
    elif x.dtype == float64 and not isinstance(data, (np.ndarray, np.generic)):
        x = x.astype(float32)
    x = np.ascontiguousarray(supported(x)).reshape(x.shape)
    return Tensor(STATE.get().tables[device].upload(x), requires_grad)


def _float_or(dtype: Any) -> Any:
    found = np.dtype(dtype)
    supported(np.empty(0, found))  # raises for what Etude does not have
    return found


def from_numpy(x: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over the memory of ``x``, not a copy. ``x`` has one of Etude's four dtypes."""
    if not isinstance(x, np.ndarray) or supported(x) is not x:
        raise DTypeError(f"from_numpy(): needs a NumPy array of float32, float64, int64 or bool, "
                         f"got {getattr(x, 'dtype', type(x).__name__)}; etude.tensor converts")
    return Tensor(x)


def full(shape: Any, value: float, dtype: Any = None, requires_grad: bool = False,
         device: str = "cpu") -> Tensor:
    """A tensor with ``value`` everywhere; by default of the dtype ``tensor(value)`` has."""
    found = tensor(value).dtype if dtype is None else np.dtype(dtype)
    sizes = (shape,) if isinstance(shape, int) else check_shape("full", shape)
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
    first, last = (0, start) if stop is None else (start, stop)
    x = np.arange(first, last, step)
    wanted = dtype if dtype is not None else (float32 if x.dtype.kind == "f" else x.dtype)
    return Tensor(STATE.get().tables[device].upload(supported(x.astype(wanted))))
