"""Binders of what picks by an index: gather, scatter_add, index_select, embedding, one_hot."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.dense import bind_dense
from etude.backends.native.geometry import Array, check_out, dense
from etude.backends.native.library import Kernel
from etude.core.errors import Unsupported
from etude.core.shapes import axis

Call = Callable[..., Any]
Numbers = tuple[float, ...]


def index_select(kernel: Kernel, specs: Any, x: Array, index: Array, *, dim: int) -> Numbers:
    outer, n, inner = along(x, dim)
    return outer, n, index.size, inner


def embedding(kernel: Kernel, specs: Any, index: Array, weight: Array) -> Numbers:
    return (index.size, *weight.shape)


def embedding_backward(kernel: Kernel, specs: Any, grad: Array, index: Array, *,
                       num_embeddings: int) -> Numbers:
    return index.size, num_embeddings, grad.shape[-1]


def one_hot(kernel: Kernel, specs: Any, index: Array, *, num_classes: int) -> Numbers:
    return index.size, num_classes


def _gather(kernel: Kernel, specs: Any, x: Array, index: Array, *, dim: int) -> Numbers:
    return _around(x, index, dim)


def along(x: Array, dim: int) -> tuple[int, int, int]:
    """(outer, n, inner): the axes before ``dim``, its own size, and the axes behind it."""
    d = dim % x.ndim
    return math.prod(x.shape[:d]), x.shape[d], math.prod(x.shape[d + 1 :])


def _around(x: Array, index: Array, dim: int) -> tuple[int, ...]:
    """(outer, n, index_n, inner): x is outer x n x inner, index outer x index_n x inner."""
    d = dim % x.ndim
    outer = inner = 1
    for n in index.shape[:d]:
        outer *= n
    for n in index.shape[d + 1 :]:
        inner *= n
    return outer, x.shape[d], index.shape[d], inner


def bind_gather(kernel: Kernel) -> Call:
    """x is cut to the size of index along every axis but ``dim``, as the kernel wants it."""
    cut = bind_dense(kernel, _gather)

    def call(x: Array, index: Array, *, out: Any = None, **attrs: Any) -> Any:
        kernel.op.check((x, index), attrs)
        dim = attrs["dim"]
        d = dim % x.ndim
        within = tuple([slice(None) if i == d else slice(n) for i, n in enumerate(index.shape)])
        return cut(x[within], index, out=out, dim=dim)

    return call


def bind_scatter_add(kernel: Kernel) -> Call:
    """The result starts as a copy of x, and the kernel adds src to it in place."""
    ident = kernel.host.ident

    def call(x: Array, index: Array, src: Array, *, out: Any = None, **attrs: Any) -> Any:
        spec = kernel.op.check((x, index, src), attrs)
        dim = attrs["dim"]
        thunk, fn = kernel.pick(spec.dtype)
        d = axis("scatter_add", dim, x.ndim)
        if any(n != m for i, (n, m) in enumerate(zip(x.shape, index.shape)) if i != d):
            raise Unsupported("index smaller than x")
        index = dense(np.asarray(index))
        src = dense(src[tuple([slice(n) for n in index.shape])])
        y = np.empty(spec.shape, spec.dtype) if out is None else out
        check_out("scatter_add", y, spec.shape, spec.dtype)
        np.copyto(y, x)
        status = thunk(fn, ident(index), ident(src), ident(y), *_around(x, index, d))
        if status:
            kernel.fail(status, (x, index, src), attrs)
        return y

    return call
