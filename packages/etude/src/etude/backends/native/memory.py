"""The memory that the arrays of native calls are in: the host's, or that of a device.

Binders work on NumPy arrays alone. Over the host's memory these are the arrays of the call. Of an
array of a device they are its address, shape and strides, which NumPy can slice, transpose and
compare like any other, and whose elements nobody may touch (``etude_cuda`` makes them). So whatever
does touch elements between a call and its kernel goes through a ``Memory``: new arrays, copies in C
order, numbers that stand for arrays, and what the reference reads when it words an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etude.backends.native.kernel import holding, keep
from etude.core.array import in_bytes
from etude.core.errors import Unsupported
from etude.core.shapes import STORED
from etude.core.state import current

Array = np.ndarray[Any, Any]
MOST_PLANS = 4096  # per op; shapes that vary without end must not fill the memory


class Plans(dict[Any, Any]):
    """What was found out about the calls of an op so far. When it is full, it forgets all."""

    def __setitem__(self, key: Any, plan: Any) -> None:
        if len(self) >= MOST_PLANS:
            self.clear()
        super().__setitem__(key, plan)


@dataclass(frozen=True)
class Memory:
    """Where arrays are, and all that is done there without a kernel."""

    empty: Callable[..., Array]  # shape, dtype -> an array whose elements are anything
    copy: Callable[[Array, Array | None], Array]  # x, out -> x in C order, or in the steps of out
    constant: Callable[[Any, np.dtype[Any]], Array]  # a number -> an array without axes
    read: Callable[[Any], Any]  # an operand, where NumPy may read it
    #: (number, dtype) -> its array; 0.0 and -0.0 are equal, so they go by name
    scalars: Plans = field(default_factory=Plans, repr=False)

    def number(self, value: Any, dtype: np.dtype[Any]) -> Array:
        """A number of Python as an operand; the array of one seen before is found again."""
        key = value or repr(value), dtype
        found: Array | None = self.scalars.get(key)
        if found is None:
            found = self.scalars[key] = self.constant(value, dtype)
        return found

    def dense(self, x: Array) -> Array:
        """``x``, or a contiguous copy of it."""
        if x.flags.c_contiguous:
            return x
        if x.dtype in STORED:
            return in_bytes(self.copy(in_bytes(x), None), x.dtype)  # type: ignore[no-any-return]
        return self.copy(x, None)


def _copy(x: Array, out: Array | None) -> Array:
    """A copy in C order. A column in use that has the op makes it, and the receipt shows it;
    else NumPy does: what prepares a kernel's call is no op that fell back to the reference.
    """
    table = current("cpu")
    if any("contiguous" in column.ops for column in table.stack):
        copy = table["contiguous"]
        return copy(x) if out is None else copy(x, out=out)  # type: ignore[no-any-return]
    if holding():
        raise Unsupported("no column in use makes the copy that the kernel needs")
    if out is None:
        out = np.empty(x.shape, x.dtype)
    np.copyto(out, x)
    keep(x)
    keep(out)
    return out


#: The memory of the device "cpu".
HOST_MEMORY = Memory(np.empty, _copy, np.array, lambda x: x)
