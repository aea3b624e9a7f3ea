"""What the public functions share: arguments as people write them, brought into one form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from etude.core.errors import ShapeError
from etude.core.tensor import Tensor, tensor


class Found(NamedTuple):
    """Elements of a tensor, and where they stand along one of its dimensions (int64)."""

    values: Any
    indices: Any


def as_tensor(x: Any) -> Tensor:
    """``x`` as a Tensor: a number, a list or an array becomes one."""
    return x if isinstance(x, Tensor) else tensor(x)


def refused(name: str, why: str, **given: Any) -> None:
    """TypeError for parameters of PyTorch's that Etude has not, where they are set: (value, usual)
    by name.
    """
    for parameter, (value, usual) in given.items():
        if value is not usual and value != usual:
            raise TypeError(f"{name}: {parameter}={value!r} is not in Etude: {why}")


def batched(run: Callable[[Tensor], Any], input: Any, ndim: int) -> Any:
    """``run`` on input, which has ``ndim`` axes, or one less: a batch of one without its axis."""
    x = as_tensor(input)
    if x.ndim != ndim - 1:
        return run(x)
    y = run(x.unsqueeze(0))
    return tuple([part.squeeze(0) for part in y]) if isinstance(y, tuple) else y.squeeze(0)


def per_channel(name: str, channels: int, **given: Any) -> None:
    """ShapeError for a vector that has not one number per channel."""
    for arg, t in given.items():
        if t is not None and t.shape != (channels,):
            raise ShapeError(f"{name}: {arg} must have shape [{channels}], one number per channel, "
                             f"got {list(t.shape)}")
