"""Binders of the copies: contiguous, cat and stack, pad and slice_backward.

Each is one strided copy, or several, into the memory of the result or a part of it; which steps
both sides take is worked out here, once per shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy import empty

from etude.backends.native.geometry import (
    NEEDED,
    Array,
    Geometry,
    Plans,
    broadcast_to,
    check_out,
    collapse,
    refuse,
    steps,
)
from etude.backends.native.library import Kernel
from etude.core.array import c_strides, slice_view
from etude.core.errors import Unsupported
from etude.core.shapes import axis

MOST_AXES = 16  # of the copy family in etude.h


def bind_contiguous(kernel: Kernel) -> Callable[..., Any]:
    """y = x in C order; into the strides of ``out`` where one is given."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name

    def call(x: Array, *, out: Any = None) -> Array:
        if x is None:
            refuse(kernel.op, (x,), {})
        if out is None:
            out = empty(x.shape, x.dtype)
        else:
            check_out(name, out, x.shape, x.dtype, dense=False)
        key = (x.__class__, x.shape, x.strides, x.dtype, out.strides)
        plan = plans.get(key)
        if plan is None:
            kernel.op.check((x,), {})
            x = np.asarray(x)
            to = steps(out)
            if to is None:
                raise Unsupported("strides that are no whole elements")
            plans[key] = plan = (*kernel.pick(x.dtype), *_copy(x, to))
        thunk, fn, numbers, _ = plan
        status = thunk(fn, ident(x), ident(out), *numbers)
        if status:
            kernel.fail(status, (x,), {})
        return out  # type: ignore[no-any-return]

    return call


def _copy(x: Array, to: Sequence[int]) -> tuple[tuple[int, ...], list[Geometry]]:
    """The numbers of the copy family, and what must stay alive for them."""
    strides = steps(x)
    if strides is None:
        raise Unsupported("strides that are no whole elements")
    sizes, kept = collapse(x.shape, strides, [0 if n == 1 else s for n, s in zip(x.shape, to)])
    if len(sizes) > MOST_AXES:
        raise Unsupported(f"more than {MOST_AXES} axes that do not collapse")
    geometry = [Geometry(sizes or [1]), *[Geometry(k or [1]) for k in kept]]
    return (len(sizes) or 1, *[g.address for g in geometry]), geometry


def bind_cat(kernel: Kernel) -> Callable[..., Any]:
    """One strided copy for each of the arrays, along an axis they have (cat) or a new one."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name

    def prepare(xs: tuple[Array, ...], dim: int) -> Any:
        spec = kernel.op.check(xs, {"dim": dim})
        before = (slice(None),) * axis(name, dim, len(spec.shape))
        pieces, start = [], 0
        for x in xs if name == "cat" else [np.expand_dims(x, dim) for x in xs]:
            end = start + x.shape[len(before)]
            pieces.append(((*before, slice(start, end)), *_copy(x, c_strides(spec.shape))))
            start = end
        return (*kernel.pick(spec.dtype), spec.shape, spec.dtype, pieces)

    def call(*xs: Array, out: Any = None, dim: int = 0, **unknown: Any) -> Array:
        if unknown:
            refuse(kernel.op, xs, unknown)
        key = (*[(x.shape, x.strides, x.dtype) for x in xs], dim, dim.__class__)
        plan = plans.get(key)
        if plan is None:
            xs = tuple([np.asarray(x) for x in xs])
            plans[key] = plan = prepare(xs, dim)
        thunk, fn, shape, dtype, pieces = plan
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
        for x, (where, numbers, _) in zip(xs, pieces, strict=True):
            part = out[where]  # named: an id is worth nothing once its object is gone
            status = thunk(fn, ident(x), ident(part), *numbers)
            if status:
                kernel.fail(status, xs, {"dim": dim})
        return out  # type: ignore[no-any-return]

    return call


def bind_copy_into(kernel: Kernel) -> Callable[..., Any]:
    """One strided copy into a larger array: pad, slice_backward."""
    return bind_pad(kernel) if kernel.op.name == "pad" else bind_slice_backward(kernel)


def bind_pad(kernel: Kernel) -> Callable[..., Any]:
    """An array full of the value, and one strided copy into its middle."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name

    def call(x: Array, *, out: Any = None, padding: Any = NEEDED, value: float = 0.0,
             **unknown: Any) -> Array:
        if unknown or padding is NEEDED or x is None:
            refuse(kernel.op, (x,), {"padding": padding, "value": value, **unknown})
        key = (x.__class__, x.shape, x.strides, x.dtype, tuple(padding))
        plan = plans.get(key)
        if plan is None:
            spec = kernel.op.check((x,), {"padding": tuple(padding), "value": value})
            before = [0] * (x.ndim - len(padding) // 2) + list(padding[::2])[::-1]
            where = (..., *[slice(b, b + n) for b, n in zip(before, x.shape, strict=True)])
            copy = _copy(np.asarray(x), c_strides(spec.shape))
            plans[key] = plan = (*kernel.pick(x.dtype), spec.shape, spec.dtype, where, *copy)
        thunk, fn, shape, dtype, where, numbers, _ = plan
        if out is None:
            out = np.full(shape, value, dtype)
        else:
            check_out(name, out, shape, dtype)
            out.fill(value)
        part = out[where]
        status = thunk(fn, ident(x), ident(part), *numbers)
        if status:
            kernel.fail(status, (x,), {"padding": padding, "value": value})
        return out  # type: ignore[no-any-return]

    return call


def bind_slice_backward(kernel: Kernel) -> Callable[..., Any]:
    """Zeros, and one strided copy into the view that the slice was."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name

    def call(grad: Array, *, out: Any = None, shape: Any = NEEDED, index: Any = NEEDED,
             **unknown: Any) -> Array:
        if unknown or shape is NEEDED or index is NEEDED or grad is None:
            refuse(kernel.op, (grad,), {"shape": shape, "index": index, **unknown})
        if out is None:
            out = np.zeros(shape, grad.dtype)
        else:
            check_out(name, out, tuple(shape), grad.dtype)
            out.fill(0)
        part = slice_view(out, index)
        key = (grad.__class__, grad.shape, grad.strides, grad.dtype, shape, index)
        plan = plans.get(key)
        if plan is None:
            kernel.op.check((grad,), {"shape": shape, "index": index})
            grad = broadcast_to(grad, part.shape)
            to = steps(part)
            assert to is not None  # out is contiguous
            plans[key] = plan = (*kernel.pick(grad.dtype), *_copy(grad, to))
        thunk, fn, numbers, _ = plan
        status = thunk(fn, ident(grad), ident(part), *numbers)
        if status:
            kernel.fail(status, (grad,), {"shape": shape, "index": index})
        return out  # type: ignore[no-any-return]

    return call
