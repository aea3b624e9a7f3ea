"""The convention of copies: contiguous, cat and stack, pad and slice_backward.

Each is one strided copy, or several, into the memory of the result or a part of it; which steps
both sides take is worked out here, once per shape. A constant is copied too, from one number by
steps of 0: whatever writes memory is a native call, so that replaying the calls replays it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.backends.native.geometry import (
    NEEDED,
    Array,
    Geometry,
    Plans,
    broadcast_to,
    check_apart,
    check_out,
    collapse,
    overlap,
    refuse,
    same_elements,
    steps,
)
from etude.backends.native.kernel import Kernel, keep
from etude.backends.native.memory import Memory
from etude.core.array import c_strides, slice_view
from etude.core.errors import BackendError, Unsupported
from etude.core.shapes import axis

MOST_AXES = 16  # of the function type copy in etude.h


def bind_contiguous(kernel: Kernel) -> Callable[..., Any]:
    """y = x in C order; into the strides of ``out`` where one is given."""
    plans = Plans()
    ident, name, empty = kernel.host.ident, kernel.op.name, kernel.host.memory.empty

    def call(x: Array, *, out: Any = None) -> Array:
        if x is None:
            refuse(kernel.op, (x,), {})
        if out is None:
            out = empty(x.shape, x.dtype)
        else:
            check_out(name, out, x.shape, x.dtype, dense=False)
            if overlap(out, x) and not same_elements(out, x):
                x = call(x)
                keep(x)
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
    """The numbers of the function type, and what must stay alive for them."""
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
    ident, name, empty = kernel.host.ident, kernel.op.name, kernel.host.memory.empty

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
            check_apart(kernel.op, (out,), xs)
        for x, (where, numbers, _) in zip(xs, pieces, strict=True):
            part = out[where]  # named: an id is worth nothing once its object is gone
            status = thunk(fn, ident(x), ident(part), *numbers)
            if status:
                kernel.fail(status, xs, {"dim": dim})
        return out  # type: ignore[no-any-return]

    return call


def bind_pad(kernel: Kernel) -> Callable[..., Any]:
    """An array full of the value, and one strided copy into its middle."""
    plans = Plans()
    ident, name, empty = kernel.host.ident, kernel.op.name, kernel.host.memory.empty
    memory = kernel.host.memory

    def prepare(x: Array, padding: tuple[int, ...], value: float) -> Any:
        spec = kernel.op.check((x,), {"padding": padding, "value": value})
        before = [0] * (x.ndim - len(padding) // 2) + list(padding[::2])[::-1]
        where = (..., *[slice(b, b + n) for b, n in zip(before, x.shape, strict=True)])
        fill = _fill(memory, spec.shape, spec.dtype, value)
        copy = _copy(np.asarray(x), c_strides(spec.shape))
        return (*kernel.pick(x.dtype), spec.shape, spec.dtype, fill, where, copy)

    def call(x: Array, *, out: Any = None, padding: Any = NEEDED, value: float = 0.0,
             **unknown: Any) -> Array:
        if unknown or padding is NEEDED or x is None:
            refuse(kernel.op, (x,), {"padding": padding, "value": value, **unknown})
        key = (x.__class__, x.shape, x.strides, x.dtype, tuple(padding), value or repr(value))
        plan = plans.get(key)
        if plan is None:
            plans[key] = plan = prepare(x, tuple(padding), value)
        thunk, fn, shape, dtype, (constant, around, _), where, (numbers, _) = plan
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
            check_apart(kernel.op, (out,), (x,))
        part = out[where]  # named: an id is worth nothing once its object is gone
        status = (thunk(fn, ident(constant), ident(out), *around)
                  or thunk(fn, ident(x), ident(part), *numbers))
        if status:
            kernel.fail(status, (x,), {"padding": padding, "value": value})
        return out  # type: ignore[no-any-return]

    return call


def _fill(memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any], value: float
          ) -> tuple[Array, tuple[int, ...], list[Geometry]]:
    """One number, and the copy of it to everywhere in ``shape``."""
    constant = memory.constant(np.array(value).astype(dtype), dtype)
    return constant, *_copy(broadcast_to(constant, shape), c_strides(shape))


def bind_slice_backward(kernel: Kernel) -> Callable[..., Any]:
    """Zeros, and one strided copy into the view that the slice was."""
    plans = Plans()
    ident, name, empty = kernel.host.ident, kernel.op.name, kernel.host.memory.empty
    memory = kernel.host.memory

    def prepare(grad: Array, shape: tuple[int, ...], index: Any, part: Array) -> Any:
        kernel.op.check((grad,), {"shape": shape, "index": index})
        to = steps(part)
        assert to is not None  # part is a view of a contiguous array
        copy = _copy(broadcast_to(grad, part.shape), to)
        return (*kernel.pick(grad.dtype), _fill(memory, shape, grad.dtype, 0), copy)

    def call(grad: Array, *, out: Any = None, shape: Any = NEEDED, index: Any = NEEDED,
             **unknown: Any) -> Array:
        if unknown or shape is NEEDED or index is NEEDED or grad is None:
            refuse(kernel.op, (grad,), {"shape": shape, "index": index, **unknown})
        if out is None:
            out = empty(shape, grad.dtype)
        else:
            check_out(name, out, tuple(shape), grad.dtype)
            check_apart(kernel.op, (out,), (grad,))
        part = slice_view(out, index)
        key = (grad.__class__, grad.shape, grad.strides, grad.dtype, shape, index)
        plan = plans.get(key)
        if plan is None:
            plans[key] = plan = prepare(grad, tuple(shape), index, part)
        thunk, fn, (constant, around, _), (numbers, _) = plan
        status = (thunk(fn, ident(constant), ident(out), *around)
                  or thunk(fn, ident(grad), ident(part), *numbers))
        if status:
            kernel.fail(status, (grad,), {"shape": shape, "index": index})
        return out  # type: ignore[no-any-return]

    return call


#: op -> its binder; all share the function type, a strided copy
COPIES = {"contiguous": bind_contiguous, "cat": bind_cat, "stack": bind_cat, "pad": bind_pad,
          "slice_backward": bind_slice_backward}


def bind_copy(kernel: Kernel) -> Callable[..., Any]:
    """The binder of an op of the type copy. Raises BackendError for one that has none."""
    if kernel.op.name not in COPIES:
        raise BackendError(f"{kernel.op.name}: the function type copy is for the ops "
                           f"{', '.join(COPIES)}")
    return COPIES[kernel.op.name](kernel)
