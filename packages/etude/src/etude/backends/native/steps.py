"""An optimiser's op on many parameters at once, in place: ``Column.steps`` of native columns.

A step of a small model is mostly what happens around its kernels. So the parameters go through one
loop here, with a thunk for each and little else. What can be known of a parameter and its moments,
which are the same arrays in every step, is found once and forgotten when one of them goes. The op
of one parameter (``dense.py``) is the counterpart: it runs where a tap wants to see every call, and
for rows that are declined here.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.backends.native.kernel import OK, Kernel
from etude.backends.native.memory import Plans
from etude.backends.native.numbers import Numbers
from etude.core.errors import Unsupported
from etude.core.table import Op

Row = tuple[Any, ...]  # a parameter, its gradient and its moments


def is_step(op: Op) -> bool:
    """Whether ``op`` moves a parameter: it writes its results over what it was given."""
    return op.internal and bool(op.alias)


def bind_steps(kernel: Kernel) -> Callable[..., list[Row]]:
    """``steps(rows, hyper, **attrs)`` for an op of an optimiser. Returns the rows that it declines.

    Gradients lie in C order, in memory of their own; the optimiser sees to that.
    """
    op, plans, numbers, ident = kernel.op, Plans(), Numbers(kernel), kernel.host.ident

    def prepare(key: Any, row: Row, hyper: Any, attrs: dict[str, Any]) -> Any:
        """What a call of this row needs, besides the gradient; None if the kernel cannot move it
        as it lies. Raises what the shape rule does.
        """
        op.check((*row, hyper), attrs)
        p, _, *moments = row
        plain = [type(a) is np.ndarray and a.flags.c_contiguous for a in (*row, hyper)]
        if not all(plain) or not all(a.flags.writeable for a in (p, *moments)):
            return None
        try:
            thunk, fn = kernel.pick(p.dtype)
        except Unsupported:
            return None
        watch = [weakref.ref(a, lambda _: plans.pop(key, None)) for a in (p, *moments)]
        at = [ident(a) for a in (p, *moments)]
        plan = thunk, fn, p.shape, p.dtype, at, numbers((*row, hyper), attrs), watch
        plans[key] = plan
        return plan

    def steps(rows: Sequence[Row], hyper: Any, **attrs: Any) -> list[Row]:
        declined: list[Row] = []
        settings, at_hyper = (hyper.shape, hyper.dtype, *attrs.values()), ident(hyper)
        for row in rows:
            p, _, *moments = map(id, row)
            key = p, *moments, settings
            plan = plans.get(key) or prepare(key, row, hyper, attrs)
            if plan is None:
                declined.append(row)
                continue
            thunk, fn, shape, dtype, at, sizes, _ = plan
            g = row[1]
            if g.__class__ is not np.ndarray or g.shape != shape or g.dtype is not dtype or thunk(
                    fn, at[0], ident(g), *at[1:], at_hyper, *at, *sizes) != OK:
                declined.append(row)
        return declined

    return steps
