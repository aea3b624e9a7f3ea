"""Binders: from an op call to a kernel call, one for each class of ops (``Op.cls``).

A binder takes the kernels of one op and returns ``impl(*arrays, out=None, **attrs)``. Most
classes differ only in their numbers; a *planner* of a few lines says what these are, and
``binders_dense.py`` does the rest. Classes whose operands broadcast are in
``binders_pointwise.py``, those that walk strides or several axes in ``binders_strided.py``, the
copies in ``binders_copy.py`` and what picks by an index in ``binders_index.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.copies import bind_cat, bind_contiguous, bind_copy_into
from etude.backends.native.dense import bind_dense
from etude.backends.native.geometry import (
    Array,
    collapse,
    contiguous,
    padded,
    refuse,
    spread_steps,
)
from etude.backends.native.header import SUFFIXES
from etude.backends.native.index import (
    along,
    bind_gather,
    bind_scatter_add,
    embedding,
    embedding_backward,
    index_select,
    one_hot,
)
from etude.backends.native.library import SUFFIX, Kernel
from etude.backends.native.pointwise import bind_binary, bind_select
from etude.backends.native.strided import (
    bind_argreduce,
    bind_linear,
    bind_matmul,
    bind_reduce,
    passes,
)
from etude.core.errors import Unsupported
from etude.core.shapes import axes

Call = Callable[..., Any]
Numbers = tuple[float, ...]


def bind(kernel: Kernel) -> Call:
    """The implementation of ``kernel.op`` by these kernels."""
    call = BINDERS[kernel.op.cls](kernel)
    call.__qualname__ = kernel.op.name  # Python's own errors about arguments name the op
    return call


# ------------------------------------------------------------------ planners: the numbers of a call
# Each gets the kernel, the Specs of the outputs, every array (or None), and all attributes.


def _map(kernel: Kernel, specs: Any, x: Array, **attrs: Any) -> Numbers:
    a, b = (*kernel.attributes(attrs), 0.0, 0.0)[:2]
    return x.size, a, b


def _equal(kernel: Kernel, specs: Any, x: Array, y: Array, **attrs: Any) -> Numbers:
    return _map(kernel, specs, x, **attrs)[:2]


def _rows(kernel: Kernel, specs: Any, *arrays: Array, dim: int) -> Numbers:
    cols = arrays[0].shape[-1]
    return arrays[0].size // cols, cols


def _decline(**plain: bool) -> None:
    """Unsupported, by the name of the first attribute that is not what the kernels assume."""
    for name, ok in plain.items():
        if not ok:
            raise Unsupported(name)


def _dense_conv(dilation: Any, groups: int) -> None:
    _decline(dilation=tuple(dilation) == (1, 1), groups=groups == 1)


def _conv2d(kernel: Kernel, specs: Any, x: Array, weight: Array, bias: Any, *, stride: Any,
            padding: Any, dilation: Any, groups: int) -> Numbers:
    _dense_conv(dilation, groups)
    return (*x.shape, weight.shape[0], *weight.shape[2:], *specs[0].shape[2:], *stride, *padding)


def _conv2d_input(kernel: Kernel, specs: Any, grad: Array, weight: Array, *, input_size: Any,
                  stride: Any, padding: Any, dilation: Any, groups: int) -> Numbers:
    _dense_conv(dilation, groups)
    return (*specs[0].shape, weight.shape[0], *weight.shape[2:], *grad.shape[2:], *stride, *padding)


def _conv2d_weight(kernel: Kernel, specs: Any, grad: Array, x: Array, *, kernel_size: Any,
                   stride: Any, padding: Any, dilation: Any, groups: int) -> Numbers:
    _dense_conv(dilation, groups)
    return (*x.shape, *grad.shape[1:2], *kernel_size, *grad.shape[2:], *stride, *padding)


def _pool2d(kernel: Kernel, specs: Any, x: Array, *, kernel_size: Any, stride: Any,
            padding: Any) -> Numbers:
    n, c, h, w = x.shape
    return (n * c, h, w, *specs[0].shape[2:], *kernel_size, *(stride or kernel_size), *padding)


def _pool2d_backward(kernel: Kernel, specs: Any, grad: Array, index: Array, *,
                     input_size: Any) -> Numbers:
    n, c, oh, ow = grad.shape
    return (n * c, *input_size, oh, ow)


def _avg_pool2d(kernel: Kernel, specs: Any, x: Array, *, kernel_size: Any, stride: Any,
                padding: Any) -> Numbers:
    n, c, h, w = x.shape
    return (n * c, h, w, *specs[0].shape[2:], *kernel_size, *(stride or kernel_size), *padding)


def _avg_pool2d_backward(kernel: Kernel, specs: Any, grad: Array, *, input_size: Any,
                         kernel_size: Any, stride: Any, padding: Any) -> Numbers:
    n, c, oh, ow = grad.shape
    return (n * c, *input_size, oh, ow, *kernel_size, *(stride or kernel_size), *padding)


def _adaptive_pool2d(kernel: Kernel, specs: Any, x: Array, *, output_size: Any) -> Numbers:
    n, c, h, w = x.shape
    return (n * c, h, w, *output_size)


def _adaptive_pool2d_backward(kernel: Kernel, specs: Any, grad: Array, *,
                              input_size: Any) -> Numbers:
    n, c, oh, ow = grad.shape
    return (n * c, *input_size, oh, ow)


def _cross_entropy(kernel: Kernel, specs: Any, x: Array, target: Array, *, reduction: str,
                   ignore_index: int, label_smoothing: float) -> Numbers:
    words = {"reduction": reduction, "ignore_index": ignore_index}
    return (*x.shape, *kernel.attributes({**words, "label_smoothing": label_smoothing}))


def _cross_entropy_backward(kernel: Kernel, specs: Any, grad: Array, x: Array, target: Array,
                            lse: Array, **attrs: Any) -> Numbers:
    return _cross_entropy(kernel, specs, x, target, **attrs)


def _norm(kernel: Kernel, specs: Any, x: Array, weight: Any, bias: Any, *, normalized_shape: Any,
          eps: float) -> Numbers:
    rows = specs[1].size
    return rows, x.size // max(rows, 1), eps


def _norm_backward(kernel: Kernel, specs: Any, grad: Array, x: Array, weight: Any, mean: Array,
                   rstd: Array, *, normalized_shape: Any) -> Numbers:
    return mean.size, specs[1].size


def _rms_norm(kernel: Kernel, specs: Any, x: Array, weight: Any, *, normalized_shape: Any,
              eps: float) -> Numbers:
    rows = specs[1].size
    return rows, x.size // max(rows, 1), eps


def _rms_norm_backward(kernel: Kernel, specs: Any, grad: Array, x: Array, weight: Any,
                       rstd: Array, *, normalized_shape: Any) -> Numbers:
    return rstd.size, specs[1].size


def _batch_norm(kernel: Kernel, specs: Any, x: Array, *_: Any, eps: float) -> Numbers:
    n, c, *inner = x.shape
    return n, c, math.prod(inner), eps


def _batch_norm_backward(kernel: Kernel, specs: Any, grad: Array, *_: Any, eps: float) -> Numbers:
    return _batch_norm(kernel, specs, grad, eps=eps)


def _attention(kernel: Kernel, specs: Any, query: Array, key: Array, value: Array, attn_mask: Any,
               *_: Any, is_causal: bool, scale: float | None) -> Numbers:
    *lead, length, size = query.shape
    factor = 1 / math.sqrt(size) if scale is None else scale
    return (math.prod(lead), length, key.shape[-2], size, value.shape[-1], float(is_causal),
            factor, *_mask((*lead, length, key.shape[-2]), attn_mask))


def _mask(scores: tuple[int, ...], mask: Any) -> Numbers:
    """kind, count, outer, inner, row, column: where the mask of each score stands (etude.h)."""
    if mask is None:
        return 0, 1, 0, 0, 0, 0
    *lead, row, column = spread_steps(mask, scores) or ()
    sizes, (kept,) = collapse(scores[:-2], lead)
    if len(sizes) > 2:
        raise Unsupported("attn_mask broadcast over batch axes that do not collapse")
    outer, inner = padded(kept, 2, 0)
    kind = 1 if mask.dtype == np.bool_ else 2
    return kind, sizes[-1] if sizes else 1, outer, inner, row, column


def _attention_backward(kernel: Kernel, specs: Any, grad: Array, *arrays: Any,
                        **attrs: Any) -> Numbers:
    return _attention(kernel, specs, *arrays, **attrs)


def _size(kernel: Kernel, specs: Any, *_: Any, **__: Any) -> Numbers:
    return (specs[0].size,)


def _elements(kernel: Kernel, specs: Any, x: Array) -> Numbers:
    return (x.size,)


def _sgd(kernel: Kernel, specs: Any, *_: Any, nesterov: bool) -> Numbers:
    return specs[0].size, float(nesterov)


def _dropout(kernel: Kernel, specs: Any, x: Array, key: Array, *, p: float) -> Numbers:
    return x.size, p


def _cast(kernel: Kernel, specs: Any, x: Array, *, dtype: Any) -> Numbers:
    return x.size, list(SUFFIXES).index(SUFFIX[x.dtype])


def _scan(kernel: Kernel, specs: Any, x: Array, *, dim: int) -> Numbers:
    return along(x, dim)


def _var(kernel: Kernel, specs: Any, x: Array, *, dim: Any, keepdim: bool,
         correction: float) -> Numbers:
    found = passes(x.shape, axes("var", dim, x.ndim))
    if len(found) > 1:
        raise Unsupported("axes that are no neighbours")
    return (*found[0], float(correction))


def _triangle(kernel: Kernel, specs: Any, x: Array, *, diagonal: int) -> Numbers:
    m, n = x.shape[-2:]
    return x.size // max(m * n, 1), m, n, float(diagonal)


def _loss(kernel: Kernel, specs: Any, x: Array, target: Array, **attrs: Any) -> Numbers:
    return (x.size, *kernel.attributes(attrs))


# ------------------------------------------------------------------ a little more than numbers


def bind_rows(kernel: Kernel) -> Call:
    """Rows along any axis: another than the last is moved there, and back again."""
    last = bind_dense(kernel, _rows)

    def call(*arrays: Any, out: Any = None, dim: int = -1, **unknown: Any) -> Any:
        if unknown or not arrays:
            refuse(kernel.op, arrays, {"dim": dim, **unknown})
        if dim == -1 or dim == len(getattr(arrays[0], "shape", ())) - 1:
            return last(*arrays, out=out, dim=dim)
        kernel.op.check(arrays, {"dim": dim})
        moved = last(*[contiguous(np.moveaxis(a, dim, -1)) for a in arrays], dim=-1)
        return contiguous(np.moveaxis(moved, -1, dim), out)

    return call


def _by(planner: Callable[..., Numbers]) -> Callable[[Kernel], Call]:
    return lambda kernel: bind_dense(kernel, planner)


#: class of an op (``Op.cls``) -> its binder
BINDERS: dict[str, Callable[[Kernel], Call]] = {
    "map": _by(_map),
    "map_bool": lambda kernel: bind_dense(kernel, _elements, by_input=True),
    "equal": _by(_equal),
    "binary": bind_binary,
    "logical": bind_binary,
    "logical_map": _by(_map),
    "logical_reduce": bind_reduce,
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
    "avg_pool2d": _by(_avg_pool2d),
    "avg_pool2d_backward": _by(_avg_pool2d_backward),
    "adaptive_avg_pool2d": _by(_adaptive_pool2d),
    "adaptive_avg_pool2d_backward": _by(_adaptive_pool2d_backward),
    "gather": bind_gather,
    "scatter_add": bind_scatter_add,
    "copy": bind_contiguous,
    "copy_into": bind_copy_into,
    "cat": bind_cat,
    "cast": _by(_cast),
    "cross_entropy": _by(_cross_entropy),
    "cross_entropy_backward": _by(_cross_entropy_backward),
    "norm": _by(_norm),
    "norm_backward": _by(_norm_backward),
    "rms_norm": _by(_rms_norm),
    "rms_norm_backward": _by(_rms_norm_backward),
    "batch_norm": _by(_batch_norm),
    "batch_norm_backward": _by(_batch_norm_backward),
    "batch_norm_eval": _by(_batch_norm),
    "loss": _by(_loss),
    "index_select": _by(index_select),
    "embedding": _by(embedding),
    "embedding_backward": _by(embedding_backward),
    "one_hot": _by(one_hot),
    "scan": _by(_scan),
    "triangle": _by(_triangle),
    "var": _by(_var),
    "attention": _by(_attention),
    "attention_backward": _by(_attention_backward),
    "rand": _by(_size),
    "dropout": _by(_dropout),
    "sgd": _by(_sgd),
    "adamw": _by(_size),
    "adam": _by(_size),
    "rmsprop": _by(_size),
}
