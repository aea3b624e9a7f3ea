"""Binders: from an op call to a kernel call, one for each class of ops.

A binder takes the kernels of one op and returns ``impl(*arrays, out=None, **attrs)``. Most
classes differ only in their sizes, so one binder serves them (``bind_dense``), told by a *planner*
of a few lines what the numbers of a call are: contiguous inputs, then outputs, then numbers, in
the order of etude.h. The elementwise classes are in ``binders_pointwise.py``, those that walk
strides or several axes (matmul, reductions, copies) in ``binders_strided.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import empty

from etude.binders_pointwise import bind_binary, bind_equal, bind_map, bind_select, dense
from etude.binders_strided import (
    bind_argreduce,
    bind_cat,
    bind_contiguous,
    bind_linear,
    bind_matmul,
    bind_reduce,
    bind_slice_backward,
)
from etude.errors import Unsupported
from etude.geometry import Array, Plans, check_out, contiguous
from etude.native import SUFFIX, SUFFIXES, Kernel
from etude.shapes import Spec, axis

Call = Callable[..., Any]
Numbers = tuple[float, ...]


def bind(kernel: Kernel) -> Call:
    """The implementation of ``kernel.op`` by these kernels."""
    return BINDERS[kernel.op.cls](kernel)


def bind_dense(kernel: Kernel, planner: Callable[..., Numbers]) -> Call:
    """A call of contiguous inputs, fresh outputs and a few numbers that the planner knows."""
    plans = Plans()
    op, ident = kernel.op, kernel.host.ident

    def prepare(key: Any, arrays: tuple[Any, ...], out: Any, attrs: dict[str, Any]) -> Any:
        answer = op.check(arrays, attrs)
        plain = [a if a is None else dense(np.asarray(a)) for a in arrays]
        if any(a is not b for a, b in zip(arrays, plain)):
            return call(*plain, out=out, **attrs)
        specs = (answer,) if isinstance(answer, Spec) else answer
        absent = (None,) * (len(op.arrays) - len(arrays))
        numbers = planner(specs, *arrays, *absent, **{**op.attrs, **attrs})
        plans[key] = (*kernel.pick(specs[0].dtype), specs, [0 for _ in absent], numbers)
        return call(*arrays, out=out, **attrs)

    def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        key = (*[None if a is None else (a.__class__, a.shape, a.strides, a.dtype)
                 for a in arrays], *attrs.items())
        try:
            thunk, fn, specs, absent, numbers = plans[key]
        except KeyError:
            return prepare(key, arrays, out, attrs)
        if out is None:
            outs = [empty(shape, dtype) for shape, dtype in specs]
        else:
            outs = out if out.__class__ is tuple else (out,)
            for o, (shape, dtype) in zip(outs, specs, strict=True):
                check_out(op.name, o, shape, dtype)
        status = thunk(fn, *[0 if a is None else ident(a) for a in arrays], *absent,
                       *[ident(o) for o in outs], *numbers)
        if status:
            kernel.fail(status, arrays, attrs)
        return outs[0] if len(outs) == 1 else tuple(outs)

    return call


# ------------------------------------------------------------------ planners: the numbers of a call
# Each gets the Specs of the outputs, every array or None, and all attributes.


def _rows(specs: Any, *arrays: Array, dim: int) -> Numbers:
    cols = arrays[0].shape[-1]
    return arrays[0].size // cols, cols


def _conv2d(specs: Any, x: Array, weight: Array, bias: Any, *, stride: Any, padding: Any) -> Numbers:
    return (*x.shape, weight.shape[0], *weight.shape[2:], *specs[0].shape[2:], *stride, *padding)


def _conv2d_input(specs: Any, grad: Array, weight: Array, *, input_size: Any, stride: Any,
                  padding: Any) -> Numbers:
    return (*specs[0].shape, weight.shape[0], *weight.shape[2:], *grad.shape[2:], *stride, *padding)


def _conv2d_weight(specs: Any, grad: Array, x: Array, *, kernel_size: Any, stride: Any,
                   padding: Any) -> Numbers:
    return (*x.shape, *grad.shape[1:2], *kernel_size, *grad.shape[2:], *stride, *padding)


def _pool2d(specs: Any, x: Array, *, kernel_size: Any, stride: Any, padding: Any) -> Numbers:
    n, c, h, w = x.shape
    return (n * c, h, w, *specs[0].shape[2:], *kernel_size, *(stride or kernel_size), *padding)


def _pool2d_backward(specs: Any, grad: Array, index: Array, *, input_size: Any) -> Numbers:
    n, c, oh, ow = grad.shape
    return (n * c, *input_size, oh, ow)


def _cross_entropy(specs: Any, x: Array, target: Array, *, reduction: str) -> Numbers:
    return (*x.shape, ("mean", "sum", "none").index(reduction))


def _cross_entropy_backward(specs: Any, grad: Array, x: Array, target: Array, lse: Array, *,
                            reduction: str) -> Numbers:
    return (*x.shape, ("mean", "sum", "none").index(reduction))


def _norm(specs: Any, x: Array, weight: Any, bias: Any, *, normalized_shape: Any,
          eps: float) -> Numbers:
    rows = specs[1].size
    return rows, x.size // max(rows, 1), eps


def _norm_backward(specs: Any, grad: Array, x: Array, weight: Any, mean: Array, rstd: Array, *,
                   normalized_shape: Any) -> Numbers:
    return mean.size, specs[1].size


def _size(specs: Any, *_: Any, **__: Any) -> Numbers:
    return (specs[0].size,)


def _dropout(specs: Any, x: Array, key: Array, *, p: float) -> Numbers:
    return x.size, p


def _cast(specs: Any, x: Array, *, dtype: Any) -> Numbers:
    return x.size, list(SUFFIXES).index(SUFFIX[x.dtype])


def _gather(specs: Any, x: Array, index: Array, *, dim: int) -> Numbers:
    return _around(x, index, dim)


def _around(x: Array, index: Array, dim: int) -> tuple[int, ...]:
    """(outer, n, index_n, inner): x is outer x n x inner, index outer x index_n x inner."""
    d = dim % x.ndim
    outer = inner = 1
    for n in index.shape[:d]:
        outer *= n
    for n in index.shape[d + 1 :]:
        inner *= n
    return outer, x.shape[d], index.shape[d], inner


# ------------------------------------------------------------------ a little more than numbers


def bind_rows(kernel: Kernel) -> Call:
    """Rows along any axis: another than the last is moved there, and back again."""
    last = bind_dense(kernel, _rows)

    def call(*arrays: Any, out: Any = None, dim: int = -1) -> Any:
        ndim = arrays[0].ndim
        if dim == -1 or dim == ndim - 1:
            return last(*arrays, out=out, dim=-1)
        kernel.op.check(arrays, {"dim": dim})
        moved = last(*[contiguous(np.moveaxis(a, dim, -1)) for a in arrays], dim=-1)
        return contiguous(np.moveaxis(moved, -1, dim), out)

    return call


def bind_gather(kernel: Kernel) -> Call:
    """x is cut to the size of index along every axis but ``dim``, as the kernel wants it."""
    cut = bind_dense(kernel, _gather)

    def call(x: Array, index: Array, *, out: Any = None, dim: int) -> Any:
        kernel.op.check((x, index), {"dim": dim})
        d = dim % x.ndim
        within = tuple([slice(None) if i == d else slice(n) for i, n in enumerate(index.shape)])
        return cut(x[within], index, out=out, dim=dim)

    return call


def bind_scatter_add(kernel: Kernel) -> Call:
    """The result starts as a copy of x, and the kernel adds src to it in place."""
    ident = kernel.host.ident

    def call(x: Array, index: Array, src: Array, *, out: Any = None, dim: int) -> Any:
        spec = kernel.op.check((x, index, src), {"dim": dim})
        thunk, fn = kernel.pick(spec.dtype)
        d = axis("scatter_add", dim, x.ndim)
        if any(n != m for i, (n, m) in enumerate(zip(x.shape, index.shape)) if i != d):
            raise Unsupported("index smaller than x")
        index, src = dense(index), dense(src[tuple([slice(n) for n in index.shape])])
        y = np.empty(spec.shape, spec.dtype) if out is None else out
        check_out("scatter_add", y, spec.shape, spec.dtype)
        np.copyto(y, x)
        status = thunk(fn, ident(index), ident(src), ident(y), *_around(x, index, d))
        if status:
            kernel.fail(status, (x, index, src), {"dim": dim})
        return y

    return call


def _by(planner: Callable[..., Numbers]) -> Callable[[Kernel], Call]:
    return lambda kernel: bind_dense(kernel, planner)


#: class of an op (``Op.cls``) -> its binder
BINDERS: dict[str, Callable[[Kernel], Call]] = {
    "map": bind_map,
    "equal": bind_equal,
    "binary": bind_binary,
    "compare": bind_binary,
    "select": bind_select,
    "reduce": bind_reduce,
    "argreduce": bind_argreduce,
    "rows": bind_rows,
    "rows_backward": bind_rows,
    "matmul": bind_matmul,
    "linear": bind_linear,
    "conv2d": _by(_conv2d),
    "conv2d_input": _by(_conv2d_input),
    "conv2d_weight": _by(_conv2d_weight),
    "pool2d": _by(_pool2d),
    "pool2d_backward": _by(_pool2d_backward),
    "gather": bind_gather,
    "scatter_add": bind_scatter_add,
    "copy": bind_contiguous,
    "copy_into": bind_slice_backward,
    "cat": bind_cat,
    "cast": _by(_cast),
    "cross_entropy": _by(_cross_entropy),
    "cross_entropy_backward": _by(_cross_entropy_backward),
    "norm": _by(_norm),
    "norm_backward": _by(_norm_backward),
    "rand": _by(_size),
    "dropout": _by(_dropout),
    "sgd": _by(_size),
    "adamw": _by(_size),
}
