"""Public forms of arithmetic, logic and order: what PyTorch adds to the op by a keyword.

``all``, ``any`` and ``round`` here are functions of tensors; those of Python are not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.shapes import bool_, int64
from etude.core.tensor import Tensor
from etude.functional.calls import Found, as_tensor

__all__ = ["add", "all", "any", "clamp", "div", "logical_and", "logical_not", "logical_or",
           "matmul", "round", "sub", "topk", "var"]


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha other, with broadcasting. float or int64."""
    return OPS["add"](input, other if alpha == 1 else OPS["mul"](other, alpha))


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha other, with broadcasting. float or int64."""
    return OPS["sub"](input, other if alpha == 1 else OPS["mul"](other, alpha))


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other, with broadcasting; rounded towards zero for "trunc", down for "floor"."""
    if rounding_mode is None:
        return OPS["div"](input, other)
    if rounding_mode == "floor":
        return OPS["floor_divide"](input, other)
    if rounding_mode != "trunc":
        raise ValueError(f"div: rounding_mode must be None, 'trunc' or 'floor', got "
                         f"{rounding_mode!r}")
    if _whole(input) and _whole(other):
        down = OPS["floor_divide"](input, other)
        rest = OPS["remainder"](input, other)
        up = OPS["logical_and"](OPS["lt"](down, 0), OPS["ne"](rest, 0))
        return down + OPS["cast"](up, dtype=int64)
    z = OPS["div"](input, other)
    return OPS["where"](OPS["lt"](z, 0.0), OPS["ceil"](z), OPS["floor"](z))


def _whole(x: Any) -> bool:
    """Whether x is an integer, or a tensor of integers."""
    return getattr(x, "dtype", None) == int64 or (isinstance(x, int) and not isinstance(x, bool))


def round(input: Any, *, decimals: int = 0) -> Any:
    """To whole numbers, halves to the even one, or to so many decimals (below 0: tens, ...)."""
    decimals = integer("round: decimals", decimals, -400)
    if decimals == 0:
        return OPS["round"](input)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return OPS["round"](input * scale) / scale
    return OPS["round"](input / scale) * scale


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """input kept within min .. max, either of which may be None; NaN stays NaN.

    The bounds are numbers, or tensors that broadcast with input; then they have gradients too. The
    gradient of input passes where min <= input <= max. float or int64.
    """
    bounds = [b for b in (min, max) if b is not None]
    if not [b for b in bounds if isinstance(b, (Tensor, np.ndarray)) or b != b]:  # or NaN
        if [b for b in bounds if isinstance(b, float)]:
            input = as_tensor(input)
            input = input.float() if input.dtype == int64 else input
        return OPS["clamp"](input, min=min, max=max)
    y = input if min is None else _bounded("lt", input, min)
    return y if max is None else _bounded("gt", y, max)


def _bounded(beyond: str, x: Any, bound: Any) -> Any:
    """x, and the bound where x lies beyond it, or where it is NaN."""
    array = isinstance(bound, (Tensor, np.ndarray))
    no_number = OPS["ne"](bound, bound) if array else bound != bound
    outside = OPS["logical_or"](OPS[beyond](x, bound), no_number)
    return OPS["where"](outside, bound, x)


def _truth(x: Any) -> Any:
    """x as bools: whether it is not 0."""
    if isinstance(x, (bool, int, float)):
        return bool(x)
    x = as_tensor(x)
    return x if x.dtype == bool_ else OPS["cast"](x, dtype=bool_)


def logical_and(input: Any, other: Any) -> Any:
    """Whether both hold, with broadcasting; a number holds if it is not 0. Gives bools."""
    return OPS["logical_and"](_truth(input), _truth(other))


def logical_or(input: Any, other: Any) -> Any:
    """Whether one of the two holds, with broadcasting; a number holds if it is not 0."""
    return OPS["logical_or"](_truth(input), _truth(other))


def logical_not(input: Any) -> Any:
    """Whether it does not hold; a number holds if it is not 0. Gives bools."""
    return OPS["logical_not"](_truth(input))


def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether every element over ``dim`` holds; true where there is none. Gives bools."""
    return OPS["all"](_truth(input), dim=dim, keepdim=keepdim)


def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether some element over ``dim`` holds; false where there is none. Gives bools."""
    return OPS["any"](_truth(input), dim=dim, keepdim=keepdim)


def matmul(input: Any, other: Any) -> Any:
    """Matrix product; a vector on the left is a row, on the right a column, and loses that axis.

    input: (..., M, K) or (K); other: (..., K, N) or (K); batch axes broadcast.
    """
    x, y = as_tensor(input), as_tensor(other)
    row, column = x.ndim == 1, y.ndim == 1
    z = OPS["matmul"](x.unsqueeze(0) if row else x, y.unsqueeze(1) if column else y)
    z = z.squeeze(-1) if column else z
    return z.squeeze(-1 if column else -2) if row else z


def correction_of(name: str, dim: Any, unbiased: bool | None, correction: float | None
                  ) -> tuple[Any, float]:
    """(dim, correction) of PyTorch's three forms: var(x, False), var(x, 0, False), correction=0."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise TypeError(f"{name}: give unbiased or correction, not both")
    if correction is None:
        correction = 0 if unbiased is False else 1
    return dim, correction


def var(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Any:
    """sum (x - mean)^2 / (n - correction) over ``dim``; correction is 1, or 0 where ``unbiased`` is
    False. float.
    """
    dim, by = correction_of("var", dim, unbiased, correction)
    return OPS["var"](input, dim=dim, keepdim=keepdim, correction=by)


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Found:
    """The k largest elements along ``dim``, largest first, or the k smallest; (values, indices).

    They are sorted in any case: PyTorch leaves their order open where ``sorted`` is False.
    """
    return Found(*OPS["topk"](input, k=integer("topk: k", k, 0, ShapeError), dim=dim,
                              largest=bool(largest)))
