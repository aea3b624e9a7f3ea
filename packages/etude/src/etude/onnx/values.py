"""What the readers in ``families/`` share: integers out of Tensors, and axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.creation import full
from etude.core.live import unwatched
from etude.core.shapes import axis as axis_of
from etude.core.tensor import Tensor, tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused


class Known(Tensor):
    """A value that follows from shapes and constants alone. Python may look at it in a captured
    step as well: a replay of that step, which has the same shapes, would see the same numbers.
    """

    __slots__ = ()


def host(x: Tensor) -> np.ndarray[Any, Any]:
    """The numbers in a Tensor, for Python to look at."""
    if not isinstance(x, Known):
        return x.detach().numpy()
    with unwatched():
        return x.numpy()


def ints(x: Tensor) -> list[int]:
    """The integers of a Tensor of one axis or none, such as a shape."""
    return [int(n) for n in host(x).reshape(-1)]


def number(x: Tensor | None, default: Any = None) -> Any:
    """The one number in a Tensor, which may stand in an axis of its own, or a default."""
    return default if x is None else host(x).reshape(()).item()


def like(x: Tensor, values: Any, dtype: Any = None) -> Tensor:
    """``values`` as a Tensor where x is, and of its dtype unless given."""
    return tensor(np.asarray(values, x.dtype if dtype is None else dtype)).to(x.device)


def filled(x: Tensor, shape: Any, value: float) -> Tensor:
    """``value`` everywhere, of the dtype of x, and where x is."""
    return full(shape, value, x.dtype, device=x.device)


def dtype_numbered(kind: int) -> np.dtype[Any]:
    """Etude's dtype for ONNX's number of one: of int8 to int32 it is int64."""
    from etude.onnx.tensors import NARROW, OURS

    if kind not in OURS and kind not in NARROW:
        raise Refused(f"the dtype number {kind}; Etude has float32, float64, int64 and bool")
    return np.dtype(np.int64 if kind in NARROW else OURS[kind])


def axes_of(node: Node, x: Tensor, given: Any) -> tuple[int, ...]:
    """Axes out of an attribute or a Tensor, counted from the front."""
    numbers = ints(given) if isinstance(given, Tensor) else given
    return tuple([axis_of(node.op, a, x.ndim) for a in numbers])


def one_of(node: Node, attribute: str, default: str, *allowed: str) -> str:
    """A text attribute, if it is one of those that the reader knows."""
    found = node.get(attribute, default)
    if found not in allowed:
        raise Refused(f"{attribute} = {found!r}; Etude reads {', '.join(map(repr, allowed))}")
    return str(found)


def moved(x: Tensor, order: list[int]) -> Tensor:
    """x with its axes in another order."""
    return x if order == sorted(order) else x.permute(order)
