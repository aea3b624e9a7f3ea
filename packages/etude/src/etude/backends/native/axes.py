"""Conventions around an axis: rows, reductions, gather and scatter_add.

The kernels are those of ``dense.py``; what stands here brings a call into the form they take. A
reduction over several separate axes becomes several kernel calls, the innermost axes first. Where
that is not the same, as in a variance, the axes are moved together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.dense import bind_dense
from etude.backends.native.geometry import (
    NEEDED,
    Plans,
    check_apart,
    check_out,
    refuse,
)
from etude.backends.native.kernel import Kernel, keep
from etude.backends.native.numbers import along, passes
from etude.core.shapes import axes, axis, reduced

Call = Callable[..., Any]


def bind_rows(kernel: Kernel) -> Call:
    """Rows along any axis: another than the last is moved there, and back again."""
    copy = kernel.host.memory.copy

    def moved(arrays: tuple[Any, ...], out: Any, attrs: dict[str, Any]) -> Any:
        dim = attrs["dim"]
        if dim in (-1, arrays[0].ndim - 1):
            return None
        y = along_last(*[copy(np.moveaxis(a, dim, -1), None) for a in arrays], dim=-1)
        keep(y)
        return copy(np.moveaxis(y, -1, dim), out)

    along_last = bind_dense(kernel, moved)
    return along_last


def bind_reduce(kernel: Kernel) -> Call:
    """Sums, means and maxima over any axes: of separate ones, one run of neighbours at a time."""
    run, op, plans = bind_dense(kernel), kernel.op, Plans()

    def plan_of(x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
        """None where one pass will do, else the axes of the first, the others, the last shape."""
        spec = op.check((x,), {"dim": dim, "keepdim": keepdim})
        dims = axes(op.name, dim, x.ndim)
        (first, _), *more = passes(x.shape, dims)
        if not more:
            return None
        kept = reduced(x.shape, dims, keepdim=True)
        return first, tuple([d for d in dims if d not in first]), kept, spec

    def call(x: Any, *, out: Any = None, dim: Any = None, keepdim: bool = False,
             **unknown: Any) -> Any:
        if dim.__class__ is list:
            dim = tuple(dim)
        if dim.__class__ is not tuple or len(dim) < 2 or unknown or not hasattr(x, "shape"):
            return run(x, out=out, dim=dim, keepdim=keepdim, **unknown)
        key = x.shape, x.dtype, dim, keepdim, keepdim.__class__
        plan = plans.get(key, plans)
        if plan is plans:
            plan = plans[key] = plan_of(x, dim, keepdim)
        if plan is None:
            return run(x, out=out, dim=dim, keepdim=keepdim)
        first, rest, kept, spec = plan
        part = run(x, dim=first, keepdim=True)
        keep(part)
        if out is None:
            return call(part, dim=rest, keepdim=True).reshape(spec.shape)
        check_out(op.name, out, spec.shape, spec.dtype)
        call(part, dim=rest, keepdim=True, out=out.reshape(kept))
        return out

    return call


def bind_together(kernel: Kernel) -> Call:
    """var and prod_backward, whose kernels want neighbouring axes: others are moved to the end."""
    run, op, memory, orders = bind_dense(kernel), kernel.op, kernel.host.memory, Plans()

    def call(*arrays: Any, out: Any = None, dim: Any = None, **attrs: Any) -> Any:
        if dim.__class__ is list:
            dim = tuple(dim)
        x: Any = arrays[-1] if arrays else None
        if dim.__class__ is not tuple or len(dim) < 2 or not hasattr(x, "shape"):
            return run(*arrays, out=out, dim=dim, **attrs)
        key = x.shape, dim
        if key not in orders:
            op.check(arrays, {"dim": dim, **attrs})
            orders[key] = order_of(x.shape, dim)
        if orders[key] is None:
            return run(*arrays, out=out, dim=dim, **attrs)
        spec = op.check(arrays, {"dim": dim, **attrs})
        left, order = orders[key]
        kept = tuple([x.shape[d] for d in left])
        moved = memory.copy(np.transpose(x, order), None)
        together = {**attrs, "dim": tuple(range(len(left), x.ndim)), "keepdim": False}
        if op.cls == "var":
            if out is not None:
                check_out(op.name, out, spec.shape, spec.dtype)
                run(moved, out=out.reshape(kept), **together)
                return out
            return run(moved, **together).reshape(spec.shape)
        found = run(memory.dense(arrays[0]).reshape(kept), moved, **together)
        keep(found)
        if out is not None:
            check_out(op.name, out, spec.shape, spec.dtype)
        return memory.copy(np.transpose(found, np.argsort(order)), out)

    def order_of(shape: tuple[int, ...], dim: tuple[int, ...]) -> Any:
        """The axes that stay, and all with ``dim`` behind them; None where dim are neighbours."""
        dims = axes(op.name, dim, len(shape))
        if len(passes(shape, dims)) == 1:
            return None
        left = [d for d in range(len(shape)) if d not in dims]
        return left, (*left, *sorted(dims))

    return call


def bind_gather(kernel: Kernel) -> Call:
    """x is cut to the size of index along every axis but ``dim``, as the kernel wants it."""
    cut, op, cuts = bind_dense(kernel), kernel.op, Plans()
    if op.name != "gather":  # index_select: a row of indices for the whole axis
        return cut

    def call(x: Any, index: Any, *, out: Any = None, **attrs: Any) -> Any:
        try:
            key = x.shape, x.dtype, index.shape, index.dtype, attrs["dim"], attrs["dim"].__class__
            within = cuts[key]
        except (AttributeError, KeyError, TypeError):  # the first of its kind, or none at all
            op.check((x, index), attrs)
            within = cuts[key] = _within(x.shape, index.shape, axis(op.name, attrs["dim"], x.ndim))
        return cut(x if within is None else x[within], index, out=out, **attrs)

    return call


def _within(shape: tuple[int, ...], smaller: tuple[int, ...], dim: int) -> Any:
    """The index of the part of ``shape`` that has the ``smaller`` sizes along all axes but ``dim``;
    None if that is all of it.
    """
    if all(n == m or i == dim for i, (n, m) in enumerate(zip(shape, smaller, strict=True))):
        return None
    return tuple([slice(None) if i == dim else slice(n) for i, n in enumerate(smaller)])


def bind_scatter_add(kernel: Kernel) -> Call:
    """The result starts as a copy of x, and the kernel adds src to it in place."""
    ident, op, memory, plans = kernel.host.ident, kernel.op, kernel.host.memory, Plans()

    def prepare(arrays: tuple[Any, ...], dim: Any) -> Any:
        """Kernel and result, the parts of x and src that index reaches, and the numbers."""
        spec = op.check(arrays, {"dim": dim})
        x, index, src = arrays
        dim = axis(op.name, dim, x.ndim)
        reached = _within(x.shape, index.shape, dim)
        outer, _, inner = along(index.shape, dim)
        return (*kernel.pick(spec.dtype), spec.shape, spec.dtype, reached,
                _within(src.shape, index.shape, -1), (outer, x.shape[dim], index.shape[dim], inner))

    def call(x: Any, index: Any, src: Any, *, out: Any = None, dim: Any = NEEDED,
             **unknown: Any) -> Any:
        if unknown or dim is NEEDED:
            refuse(op, (x, index, src), {"dim": dim, **unknown})
        try:
            key = (x.shape, x.dtype, index.shape, index.dtype, src.shape, src.dtype, dim,
                   dim.__class__)
            plan = plans[key]
        except (AttributeError, KeyError, TypeError):  # the first of its kind, or none at all
            plan = plans[key] = prepare((x, index, src), dim)
        thunk, fn, shape, dtype, reached, used, numbers = plan
        index = memory.dense(np.asarray(index))
        src = memory.dense(src if used is None else src[used])
        if out is None:
            y = memory.copy(x, None)
        else:
            y = out
            check_out(op.name, y, shape, dtype)
            check_apart(op, (y,), (index, src))
            if y is not x:
                memory.copy(x, y)
        part = y if reached is None else y[reached]
        sums = memory.dense(part)  # where index is smaller than x, a copy of what it reaches
        status = thunk(fn, ident(index), ident(src), ident(sums), *numbers)
        if status:
            kernel.fail(status, (x, index, src), {"dim": dim})
        if sums is not part:
            keep(sums)
            memory.copy(sums, part)
        return y

    return call
