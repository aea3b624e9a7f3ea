"""The convention of elementwise kernels whose operands broadcast: binary, compare, select, ternary.

There is one closure for two operands and one for three, because here the cost of a call is most of
a small op: one look-up for the plan, one new array, one thunk. The look-up is by shapes, strides
and dtypes; the shape rule and the geometry run when it fails, so a kernel never sees a call that
the rule would refuse. An operand whose strides a kernel cannot take is copied first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy import ndarray

from etude.backends.native.geometry import (
    Array,
    Geometry,
    Plans,
    broadcast_to,
    check_apart,
    check_out,
    collapse,
    operands,
    padded,
    spread_steps,
    two_operands,
)
from etude.backends.native.kernel import Kernel
from etude.backends.native.memory import Memory

AXES = 3  # collapsed axes that a pointwise kernel walks


def bind_binary(kernel: Kernel) -> Callable[..., Any]:
    """z = f(x, y) with broadcasting; either may be a Python number. Also the comparisons."""
    plans = Plans()
    op, ident, name = kernel.op, kernel.host.ident, kernel.op.name
    memory, empty = kernel.host.memory, kernel.host.memory.empty

    def prepare(key: Any, x: Array, y: Array, out: Any) -> Array:
        spec = op.check((x, y), {})
        geometry = pointwise(spec.shape, x, y)
        if geometry is None:
            return call(*walkable(memory, spec.shape, x, y), out=out)
        plans[key] = (*kernel.pick(x.dtype), spec.shape, spec.dtype,
                      *[g.address for g in geometry], geometry)
        return call(x, y, out=out)

    def call(x: Array, y: Array, *, out: Any = None) -> Array:
        if x.__class__ is not ndarray or y.__class__ is not ndarray:
            x, y = two_operands(op, memory, x, y)
        key = (x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
        try:
            thunk, fn, shape, dtype, size, xs, ys, _ = plans[key]
        except KeyError:
            return prepare(key, x, y, out)
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
            check_apart(op, (out,), (x, y))
        status = thunk(fn, ident(x), ident(y), ident(out), size, xs, ys)
        if status:
            kernel.fail(status, (x, y), {})
        return out  # type: ignore[no-any-return]

    return call


def bind_select(kernel: Kernel) -> Callable[..., Any]:
    """z = f(x, y, w) with broadcasting: where, lerp. Python numbers may stand for some."""
    plans = Plans()
    op, ident, name = kernel.op, kernel.host.ident, kernel.op.name
    memory, empty = kernel.host.memory, kernel.host.memory.empty

    def prepare(key: Any, arrays: tuple[Array, ...], out: Any) -> Array:
        spec = op.check(arrays, {})
        geometry = pointwise(spec.shape, *arrays)
        if geometry is None:
            return call(*walkable(memory, spec.shape, *arrays), out=out)
        plans[key] = (*kernel.pick(spec.dtype), spec.shape, spec.dtype,
                      [g.address for g in geometry], geometry)
        return call(*arrays, out=out)

    def call(x: Array, y: Array, w: Array, *, out: Any = None) -> Array:
        if not (x.__class__ is y.__class__ is w.__class__ is ndarray):
            x, y, w = operands(op, memory, x, y, w)
        key = (x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype,
               w.shape, w.strides, w.dtype)
        try:
            thunk, fn, shape, dtype, geometry, _ = plans[key]
        except KeyError:
            return prepare(key, (x, y, w), out)
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
            check_apart(op, (out,), (x, y, w))
        status = thunk(fn, ident(x), ident(y), ident(w), ident(out), *geometry)
        if status:
            kernel.fail(status, (x, y, w), {})
        return out  # type: ignore[no-any-return]

    return call


def pointwise(shape: tuple[int, ...], *arrays: Array) -> list[Geometry] | None:
    """Sizes, then the strides of each operand; None if a kernel cannot walk them."""
    strides = [s for a in arrays if (s := spread_steps(a, shape)) is not None]
    if len(strides) < len(arrays):
        return None
    sizes, kept = collapse(shape, *strides)
    if len(sizes) > AXES or any(k[-1] not in (0, 1) for k in kept if k):
        return None
    return [Geometry(padded(sizes, AXES, 1)), *[Geometry(padded(k, AXES, 0)) for k in kept]]


def walkable(memory: Memory, shape: tuple[int, ...], *arrays: Array) -> list[Array]:
    """The operands again, copied to where ``pointwise`` takes them.

    First those with uneven inner steps are made contiguous as they are; if too many axes remain,
    all are copied out to the full shape.
    """
    copied = [a if pointwise(a.shape, a) else memory.copy(a, None) for a in arrays]
    if pointwise(shape, *copied):
        return copied
    return [memory.dense(broadcast_to(a, shape)) for a in arrays]
