"""Reductions over one axis, several, or all: sum, mean, amax, argmax. C: c_src/cpu/reduce.c.

Legend: x has any shape; ``dim`` is None (all axes), an integer or a tuple; with ``keepdim`` the
reduced axes stay, as size 1.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, axes, axis, common_dtype, int64, reduced
from etude.table import DOMAINS, op


def _axes(x, dim):
    return axes("reduce", dim, x.ndim)


def _reduced(name, domain):
    def rule(x, *, dim, keepdim):
        dtype = common_dtype(name, [x], DOMAINS[domain])
        dims = axes(name, dim, x.ndim)
        if name != "sum" and any(x.shape[d] == 0 for d in dims):
            raise ShapeError(f"{name}: no value over an empty axis, got {x} with dim={dim}")
        return Spec(reduced(x.shape, dims, keepdim), dtype)

    return rule


def spread(F, y, shape, dim, keepdim):
    """Undo a reduction's shape: ``y`` repeated along the reduced axes up to ``shape``."""
    dims = axes("reduce", dim, len(shape))
    if not keepdim:
        y = F.reshape(y, shape=reduced(shape, dims, keepdim=True))
    return F.expand(y, shape=shape)


@op("reduce", shape=_reduced("sum", "number"), domain="number", saves=("x.shape",),
    flops=lambda x, **_: x.size)
def sum(x, *, dim=None, keepdim=False):
    """y = sum of x over ``dim``. x: float or int64; y: the same dtype. An empty sum is 0."""
    return x.sum(_axes(x, dim), keepdims=keepdim)


@sum.gradient
def _(F, grad, x_shape, *, needs, dim, keepdim):
    return spread(F, grad, x_shape, dim, keepdim)


@op("reduce", shape=_reduced("mean", "float"), saves=("x.shape",), flops=lambda x, **_: x.size)
def mean(x, *, dim=None, keepdim=False):
    """y = mean of x over ``dim``. float32 or float64. Raises ShapeError over an empty axis."""
    return x.mean(_axes(x, dim), keepdims=keepdim)


@mean.gradient
def _(F, grad, x_shape, *, needs, dim, keepdim):
    count = 1
    for d in axes("mean", dim, len(x_shape)):
        count *= x_shape[d]
    return spread(F, F.mul(grad, 1.0 / count), x_shape, dim, keepdim)


@op("reduce", shape=_reduced("amax", "number"), domain="number", saves=("x", "y"),
    flops=lambda x, **_: x.size)
def amax(x, *, dim=None, keepdim=False):
    """y = largest element of x over ``dim``; NaN if there is one. float or int64.

    Elements that tie share the gradient evenly, as in PyTorch. Raises ShapeError over an empty
    axis.
    """
    return x.max(_axes(x, dim), keepdims=keepdim)


@amax.gradient
def _(F, grad, x, y, *, needs, dim, keepdim):
    largest = F.eq(x, spread(F, y, x.shape, dim, keepdim))
    share = F.cast(largest, dtype=grad.dtype)
    count = F.sum(share, dim=dim, keepdim=keepdim)
    return F.mul(share, spread(F, F.div(grad, count), x.shape, dim, keepdim))


def _argmax_shape(x, *, dim, keepdim):
    common_dtype("argmax", [x], DOMAINS["any"])
    dims = tuple(range(x.ndim)) if dim is None else (axis("argmax", dim, x.ndim),)
    if any(x.shape[d] == 0 for d in dims):
        raise ShapeError(f"argmax: no value over an empty axis, got {x} with dim={dim}")
    return Spec(reduced(x.shape, dims, keepdim), int64)


@op("argreduce", shape=_argmax_shape, domain="any", flops=lambda x, **_: x.size)
def argmax(x, *, dim=None, keepdim=False):
    """y = index of the largest element along ``dim`` (None: of the flattened array); int64.

    The first of several equals wins; NaN counts as largest. No gradient.
    """
    return np.argmax(x, axis=dim, keepdims=keepdim).astype(np.int64)
