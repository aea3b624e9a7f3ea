"""Conventions around an axis: rows, reductions, gather and scatter_add.

The kernels are those of ``dense.py``; what stands here brings a call into the form they take. A
reduction over several separate axes becomes several kernel calls, the innermost axes first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.dense import bind_dense
from etude.backends.native.geometry import (
    Plans,
    check_apart,
    check_out,
    refuse,
)
from etude.backends.native.kernel import Kernel, keep
from etude.backends.native.numbers import along, passes
from etude.core.errors import Unsupported
from etude.core.shapes import axes, axis, reduced

Call = Callable[..., Any]


def bind_rows(kernel: Kernel) -> Call:
    """Rows along any axis: another than the last is moved there, and back again."""
    last, copy = bind_dense(kernel), kernel.host.memory.copy

    def call(*arrays: Any, out: Any = None, dim: int = -1, **unknown: Any) -> Any:
        if unknown or not arrays:
            refuse(kernel.op, arrays, {"dim": dim, **unknown})
        if dim == -1 or dim == len(getattr(arrays[0], "shape", ())) - 1:
            return last(*arrays, out=out, dim=dim)
        kernel.op.check(arrays, {"dim": dim})
        moved = last(*[copy(np.moveaxis(a, dim, -1), None) for a in arrays], dim=-1)
        keep(moved)
        return copy(np.moveaxis(moved, -1, dim), out)

    return call


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


def bind_gather(kernel: Kernel) -> Call:
    """x is cut to the size of index along every axis but ``dim``, as the kernel wants it."""
    cut, op = bind_dense(kernel), kernel.op
    if op.name != "gather":  # index_select: a row of indices for the whole axis
        return cut

    def call(x: Any, index: Any, *, out: Any = None, **attrs: Any) -> Any:
        op.check((x, index), attrs)
        dim = attrs["dim"] % x.ndim
        within = tuple([slice(None) if i == dim else slice(n) for i, n in enumerate(index.shape)])
        return cut(x[within], index, out=out, dim=dim)

    return call


def bind_scatter_add(kernel: Kernel) -> Call:
    """The result starts as a copy of x, and the kernel adds src to it in place."""
    ident, op, memory = kernel.host.ident, kernel.op, kernel.host.memory

    def call(x: Any, index: Any, src: Any, *, out: Any = None, **attrs: Any) -> Any:
        spec = op.check((x, index, src), attrs)
        dim = axis(op.name, attrs["dim"], x.ndim)
        thunk, fn = kernel.pick(spec.dtype)
        if any(n != m for i, (n, m) in enumerate(zip(x.shape, index.shape)) if i != dim):
            raise Unsupported("index smaller than x")
        index = memory.dense(np.asarray(index))
        src = memory.dense(src[tuple([slice(n) for n in index.shape])])
        y = memory.empty(spec.shape, spec.dtype) if out is None else out
        check_out(op.name, y, spec.shape, spec.dtype)
        check_apart(op, (y,), (index, src))
        if y is not x:
            memory.copy(x, y)
        outer, n, inner = along(x.shape, dim)
        status = thunk(fn, ident(index), ident(src), ident(y), outer, n, index.shape[dim], inner)
        if status:
            kernel.fail(status, (x, index, src), attrs)
        return y

    return call
