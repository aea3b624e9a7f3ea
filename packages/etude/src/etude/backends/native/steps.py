"""An optimiser's op on many parameters at once, in place: ``Column.steps`` of native columns.

A step of a small model is mostly what happens around its kernels. So the parameters go through one
loop here, with a thunk for each and little else. The op of one parameter (``dense.py``) is the
counterpart: it runs where a tap wants to see every call, and for rows that are declined here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from etude.backends.native.kernel import OK, Kernel
from etude.backends.native.memory import Plans
from etude.backends.native.numbers import Numbers
from etude.core.errors import Unsupported
from etude.core.table import Op

Row = tuple[Any, ...]  # a parameter, its gradient and its moments

looks = attrgetter("__class__", "shape", "strides", "dtype", "flags.writeable")


def is_step(op: Op) -> bool:
    """Whether ``op`` moves a parameter: it writes its results over what it was given."""
    return op.internal and bool(op.alias)


def bind_steps(kernel: Kernel) -> Callable[..., list[Row]]:
    """``steps(rows, hyper, **attrs)`` for an op of an optimiser. Returns the rows that it declines.
    """
    op, plans, numbers, ident = kernel.op, Plans(), Numbers(kernel), kernel.host.ident

    def prepare(key: Any, row: Row, hyper: Any, attrs: dict[str, Any]) -> Any:
        """The thunk, the kernel and the numbers for rows that look like this one; None for rows
        that the kernel cannot move as they lie. Raises what the shape rule does.
        """
        op.check((*row, hyper), attrs)
        p, g, *moments = row
        plain = [type(a) is np.ndarray and a.flags.c_contiguous for a in (*row, hyper)]
        if not all(plain) or not all(a.flags.writeable for a in (p, *moments)):
            return None
        try:
            plans[key] = plan = (*kernel.pick(p.dtype), numbers((*row, hyper), attrs))
        except Unsupported:
            return None
        return plan

    def steps(rows: Sequence[Row], hyper: Any, **attrs: Any) -> list[Row]:
        declined, settings, at_hyper = [], (looks(hyper), *attrs.values()), ident(hyper)
        for row in rows:
            key = (*map(looks, row), settings)
            plan = plans.get(key) or prepare(key, row, hyper, attrs)
            if plan is None:
                declined.append(row)
                continue
            thunk, fn, sizes = plan
            p, g, *moments = map(ident, row)
            if thunk(fn, p, g, *moments, at_hyper, p, *moments, *sizes) != OK:
                declined.append(row)
        return declined

    return steps
