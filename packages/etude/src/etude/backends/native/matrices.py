"""The convention of matrix products: matmul and linear.

Transposed and batched matrices reach the kernel as they lie, by their strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from etude.backends.native.geometry import (
    Array,
    Plans,
    broadcast_to,
    check_apart,
    check_out,
    collapse,
    refuse,
    spread_steps,
    steps,
)
from etude.backends.native.kernel import Kernel
from etude.backends.native.memory import Memory
from etude.core.errors import BackendError


def bind_matrices(kernel: Kernel) -> Callable[..., Any]:
    """The binder of an op of the type matmul. Raises BackendError for one that has none."""
    binders = {"matmul": bind_matmul, "linear": bind_linear}
    if kernel.op.name not in binders:
        raise BackendError(f"{kernel.op.name}: the function type matmul is for the ops "
                           f"{', '.join(binders)}")
    return binders[kernel.op.name](kernel)


def bind_matmul(kernel: Kernel) -> Callable[..., Any]:
    """z = x y for every index of the batch axes, which broadcast."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name
    memory, empty = kernel.host.memory, kernel.host.memory.empty

    def prepare(key: Any, x: Array, y: Array, out: Any) -> Array:
        spec = kernel.op.check((x, y), {})
        numbers = _products(spec.shape, x, y)
        if numbers is None:
            return call(*_even(memory, spec.shape[:-2], x, y), out=out)
        plans[key] = (*kernel.pick(x.dtype), spec.shape, spec.dtype, numbers)
        return call(x, y, out=out)

    def call(x: Array, y: Array, *, out: Any = None) -> Array:
        try:
            key = (x.__class__, x.shape, x.strides, x.dtype, y.shape, y.strides, y.dtype)
            thunk, fn, shape, dtype, numbers = plans[key]
        except KeyError:
            return prepare(key, x, y, out)
        except AttributeError:
            refuse(kernel.op, (x, y), {})
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
            check_apart(kernel.op, (out,), (x, y))
        status = thunk(fn, ident(x), ident(y), 0, ident(out), *numbers)
        if status:
            kernel.fail(status, (x, y), {})
        return out  # type: ignore[no-any-return]

    return call


def _products(shape: tuple[int, ...], x: Array, y: Array) -> tuple[int, ...] | None:
    """batch, m, n, k and all strides; None if the batch axes of an operand are uneven."""
    *batch, m, n = shape
    k = x.shape[-1]
    a = spread_steps(x, (*batch, m, k))
    b = spread_steps(y, (*batch, k, n))
    if a is None or b is None:
        return None
    sizes, (a_batch, b_batch) = collapse(batch, a[:-2], b[:-2])
    if len(sizes) > 1:
        return None
    count, a_step, b_step = (sizes[0], a_batch[0], b_batch[0]) if sizes else (1, 0, 0)
    (a_row, a_col), (b_row, b_col) = _matrix(x, a), _matrix(y, b)
    if b_step == 0 and a_step == m * a_row:  # one tall product instead of many
        count, m, a_step = 1, count * m, 0
    return count, m, n, k, a_step, a_row, a_col, b_step, b_row, b_col


def _matrix(x: Array, strides: Sequence[int]) -> tuple[int, int]:
    """Row and column steps, those of a contiguous matrix along axes of size 1."""
    column = 1 if x.shape[-1] == 1 else strides[-1]
    return (max(x.shape[-1], 1) if x.shape[-2] == 1 else strides[-2]), column


def _even(memory: Memory, batch: Sequence[int], x: Array, y: Array) -> list[Array]:
    """The operands, copied as far as needed for one step to lead from product to product."""
    def uneven(a: Array) -> bool:
        strides = steps(a)
        return strides is None or len(collapse(a.shape[:-2], strides[:-2])[0]) > 1

    copied = [memory.copy(a, None) if uneven(a) else a for a in (x, y)]
    shape = (*batch, x.shape[-2], y.shape[-1])
    if _products(shape, *copied) is None:
        copied = [memory.copy(broadcast_to(a, (*batch, *a.shape[-2:])), None)
                  for a in copied]
    return copied


def bind_linear(kernel: Kernel) -> Callable[..., Any]:
    """y = x weight^T + bias, the weight read transposed as it lies."""
    plans = Plans()
    ident, name = kernel.host.ident, kernel.op.name
    memory, empty = kernel.host.memory, kernel.host.memory.empty

    def prepare(key: Any, x: Array, weight: Array, bias: Any, out: Any) -> Array:
        spec = kernel.op.check((x, weight, bias), {})
        a, w = steps(x), steps(weight)
        sizes, kept = ([], []) if a is None else collapse(x.shape[:-1], a[:-1])
        even = bias is None or bias.flags.c_contiguous
        if a is None or w is None or len(sizes) > 1 or not even:
            if x.size == 0:  # it counts as contiguous, whatever its strides
                x = empty(x.shape, x.dtype)
            bias = None if bias is None else memory.dense(bias)
            return call(memory.dense(x), memory.dense(weight), bias, out=out)
        m, a_row = (sizes[0], kept[0][0]) if sizes else (1, x.shape[-1])
        (n, k), (b_col, b_row) = weight.shape, _matrix(weight, w)
        numbers = (1, m, n, k, 0, a_row, 1 if k == 1 else a[-1], 0, b_row, b_col)
        plans[key] = (*kernel.pick(x.dtype), spec.shape, spec.dtype, numbers)
        return call(x, weight, bias, out=out)

    def call(x: Array, weight: Array, bias: Any = None, *, out: Any = None) -> Array:
        try:
            key = (x.__class__, x.shape, x.strides, x.dtype, weight.shape, weight.strides,
                   weight.dtype, bias is None or (bias.shape, bias.strides, bias.dtype))
            thunk, fn, shape, dtype, numbers = plans[key]
        except KeyError:
            return prepare(key, x, weight, bias, out)
        except AttributeError:
            refuse(kernel.op, (x, weight, bias), {})
        if out is None:
            out = empty(shape, dtype)
        else:
            check_out(name, out, shape, dtype)
            check_apart(kernel.op, (out,), (x, weight, bias))
        status = thunk(fn, ident(x), ident(weight), 0 if bias is None else ident(bias),
                       ident(out), *numbers)
        if status:
            kernel.fail(status, (x, weight, bias), {})
        return out  # type: ignore[no-any-return]

    return call
