"""Public forms of ops that cut, join and extend: cat, split, pad and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.given import in_order, integer, whole
from etude.core.shapes import axis, check_shape, varargs
from etude.core.tensor import Tensor, tensor
from etude.functional.calls import as_tensor

__all__ = ["cat", "expand", "flip", "pad", "permute", "reshape", "split", "stack"]


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after another along ``dim``; all other sizes agree."""
    given = [as_tensor(x) for x in in_order("cat", tensors)]
    if not given:
        raise ShapeError("cat: needs at least one tensor, got an empty list")
    return OPS["cat"](*given, dim=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, one after another along a new axis ``dim``."""
    given = [as_tensor(x) for x in in_order("stack", tensors)]
    if not given:
        raise ShapeError("stack: needs at least one tensor, got an empty list")
    return OPS["stack"](*given, dim=dim)


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> Any:
    """``tensor`` cut along ``dim`` into views: equal pieces of one size, or of given sizes."""
    x = as_tensor(tensor)
    if np.iterable(split_size_or_sections):
        sizes = check_shape("split", split_size_or_sections)
    else:
        size = integer("split: the size of a piece", split_size_or_sections, 1, ShapeError)
        n = x.shape[axis("split", dim, x.ndim)]
        sizes = tuple([min(size, n - at) for at in range(0, n, size)]) or (0,)
    return OPS["split"](x, sizes=sizes, dim=dim)


def reshape(input: Any, shape: Any) -> Any:
    """See ``Tensor.reshape``."""
    return as_tensor(input).reshape(shape)


def expand(input: Any, size: Any) -> Any:
    """See ``Tensor.expand``."""
    return as_tensor(input).expand(size)


def permute(input: Any, dims: Any) -> Any:
    """See ``Tensor.permute``."""
    return as_tensor(input).permute(dims)


def flip(input: Any, *dims: Any, **named: Any) -> Any:
    """``input`` read backwards along each of ``dims``: ``flip(x, 0, 1)`` or ``flip(x, (0, 1))``."""
    return OPS["flip"](as_tensor(input), dims=varargs(dims, "flip", named, "dims"))


_BORDERS = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}  # PyTorch's, NumPy's


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """``input`` with a border. pad: (before, after) of the last axis, then of the one before, and
    so on; a negative number cuts so much off.

    mode: "constant" puts ``value`` (0) there; "reflect" mirrors what is inside without repeating
    the edge, "replicate" repeats the edge, "circular" goes on at the other end. Any dtype.
    """
    x, found = as_tensor(input), [whole(n) for n in pad] if np.iterable(pad) else [None]
    amounts = [n for n in found if n is not None]
    if mode != "constant" and mode not in _BORDERS:
        names = ", ".join(map(repr, ("constant", *_BORDERS)))
        raise ValueError(f"pad: mode must be one of {names}, got {mode!r}")
    if None in found or len(found) % 2 or len(found) > 2 * x.ndim:
        raise ShapeError(f"pad: pad is (before, after) of the last axis, then of the one before "
                         f"it, and so on, integers and at most {2 * x.ndim} of them for "
                         f"{x.dtype.name}{list(x.shape)}; got {pad!r}")
    if mode != "constant" and value is not None and value != 0:
        raise ValueError(f"pad: value={value!r} is for mode='constant', got mode={mode!r}")
    pairs = [(x.ndim - 1 - i // 2, amounts[i], amounts[i + 1]) for i in range(0, len(amounts), 2)]
    if mode != "constant":
        return _bordered(x, pairs, mode)
    for dim, before, after in pairs:
        if min(before, after) < 0:
            x = _within(x, dim, max(-before, 0), x.shape[dim] - max(-after, 0))
    more = tuple([max(n, 0) for n in amounts])
    return OPS["pad"](x, padding=more, value=0.0 if value is None else value)


def _bordered(x: Tensor, pairs: list[tuple[int, int, int]], mode: str) -> Any:
    for dim, before, after in pairs:
        if mode == "circular":  # what is cut off does not come back at the other end
            x = _within(x, dim, max(-before, 0), x.shape[dim] - max(-after, 0))
            before, after = max(before, 0), max(after, 0)
        n, around = x.shape[dim], (max(before, 0), max(after, 0))
        most = {"reflect": n - 1, "circular": n, "replicate": max(around) if n else 0}[mode]
        if max(around) > max(most, 0):
            raise ShapeError(f"pad: mode={mode!r} takes the border from inside, so at most "
                             f"{max(most, 0)} on each side of dimension {dim} of {list(x.shape)}; "
                             f"got {(before, after)}")
        kind: Any = _BORDERS[mode]
        places = tensor(np.pad(np.arange(n), around, kind)).to(x.device)
        places = _within(places, 0, max(-before, 0), len(places) - max(-after, 0))
        x = OPS["index_select"](x, places, dim=dim)
    return x


def _within(x: Tensor, dim: int, begin: int, end: int) -> Any:
    """Elements begin .. end - 1 along a dimension, as a view."""
    if begin > end:
        raise ShapeError(f"pad: no element is left of dimension {dim} of {list(x.shape)}")
    if (begin, end) == (0, x.shape[dim]):
        return x
    return OPS["slice"](x, index=(*[(None, None, None)] * dim, (begin, end, 1)))
