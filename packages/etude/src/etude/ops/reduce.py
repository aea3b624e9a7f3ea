"""Reductions over one axis, several, or all: sums, extremes, their places. C: reduce.c.

Legend: x has any shape; ``dim`` is None (all axes), an integer or a tuple; with ``keepdim`` the
reduced axes stay, as size 1.
"""

import math

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
        if name not in ("sum", "prod") and any(x.shape[d] == 0 for d in dims):
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


@op("reduce", shape=_reduced("prod", "number"), domain="number", saves=("x",),
    flops=lambda x, **_: x.size)
def prod(x, *, dim=None, keepdim=False):
    """y = product of x over ``dim``. x: float or int64; y: the same dtype. Empty: 1."""
    return x.prod(_axes(x, dim), keepdims=keepdim)


@prod.gradient
def _(F, grad, x, *, needs, dim, keepdim):
    return F.prod_backward(grad, x, dim=dim, keepdim=keepdim)


@prod.composite
def _(F, x, *, dim, keepdim):
    y = x
    for d in axes("prod", dim, len(x.shape)):  # one factor after another, keeping the axis
        factors = F.split(y, sizes=(1,) * y.shape[d], dim=d)
        y = factors[0] if factors else F.add(F.sum(y, dim=d, keepdim=True), 1)  # empty: 0 + 1
        for factor in factors[1:]:
            y = F.mul(y, factor)
    dims = axes("prod", dim, len(x.shape))
    return y if keepdim else F.reshape(y, shape=reduced(x.shape, dims, keepdim=False))


def _prod_backward_shape(grad, x, *, dim, keepdim):
    common_dtype("prod_backward", [grad, x], DOMAINS["float"])
    return x


@op("prod_backward", shape=_prod_backward_shape, internal=True,
    flops=lambda grad, x, **_: 4 * x.size)
def prod_backward(grad, x, *, dim=None, keepdim=False):
    """dx_i = grad times the product of all other elements; right where x holds zeros too."""
    dims = axes("prod", dim, x.ndim)
    if not keepdim:
        grad = grad.reshape(reduced(x.shape, dims, keepdim=True))
    kept = [d for d in range(x.ndim) if d not in dims]
    count = math.prod(x.shape[d] for d in dims)
    rows = x.transpose(*kept, *dims).reshape(*(x.shape[d] for d in kept), count)
    one = np.ones_like(rows[..., :1])
    before = np.concatenate([one, rows[..., :-1]], -1).cumprod(-1)
    after = np.concatenate([one, rows[..., :0:-1]], -1).cumprod(-1)[..., ::-1]
    shape = tuple(x.shape[d] for d in (*kept, *dims))
    others = (before * after).reshape(shape).transpose(np.argsort((*kept, *dims)))
    return grad * others


def _var_shape(x, *, dim, keepdim, correction):
    spec = _reduced("var", "float")(x, dim=dim, keepdim=keepdim)
    if _count(x.shape, dim) <= correction:
        raise ShapeError(f"var: {_count(x.shape, dim)} elements with correction={correction} have "
                         f"no variance, got {x} with dim={dim}")
    return spec


def _count(shape, dim):
    return math.prod(shape[d] for d in axes("reduce", dim, len(shape)))


@op("var", shape=_var_shape, saves=("x",), flops=lambda x, **_: 4 * x.size)
def var(x, *, dim=None, keepdim=False, correction=1):
    """y = sum (x - mean)^2 / (n - correction) over ``dim``; correction 1 is the unbiased one.

    x: float; needs more than ``correction`` elements. Computed in two passes.
    """
    dims = _axes(x, dim)
    centred = x - x.mean(dims, keepdims=True)
    return (centred * centred).sum(dims, keepdims=keepdim) / x.dtype.type(
        _count(x.shape, dim) - correction)


@var.gradient
def _(F, grad, x, *, needs, dim, keepdim, correction):
    centred = F.sub(x, F.mean(x, dim=dim, keepdim=True))
    share = F.mul(spread(F, grad, x.shape, dim, keepdim), 2.0 / (_count(x.shape, dim) - correction))
    return F.mul(share, centred)


@op("reduce", shape=_reduced("logsumexp", "float"), saves=("x", "y"),
    flops=lambda x, **_: 4 * x.size)
def logsumexp(x, *, dim=None, keepdim=False):
    """y = ln sum e^x over ``dim``, with the maximum taken off first. float32 or float64.

    A row of -inf alone gives -inf. Raises ShapeError over an empty axis.
    """
    dims = _axes(x, dim)
    top = x.max(dims, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    with np.errstate(divide="ignore"):
        y = top + np.log(np.exp(x - top).sum(dims, keepdims=True))
    return y if keepdim else y.reshape(reduced(x.shape, dims, keepdim=False))


@logsumexp.gradient
def _(F, grad, x, y, *, needs, dim, keepdim):
    y = F.where(F.eq(y, -math.inf), 0.0, y)  # of a row of -inf: exp(x - y) is then 0, as it should
    weight = F.exp(F.sub(x, spread(F, y, x.shape, dim, keepdim)))
    return F.mul(weight, spread(F, grad, x.shape, dim, keepdim))


def _arg_shape(name):
    def rule(x, *, dim, keepdim):
        common_dtype(name, [x], DOMAINS["any"])
        dims = tuple(range(x.ndim)) if dim is None else (axis(name, dim, x.ndim),)
        if any(x.shape[d] == 0 for d in dims):
            raise ShapeError(f"{name}: no value over an empty axis, got {x} with dim={dim}")
        return Spec(reduced(x.shape, dims, keepdim), int64)

    return rule


@op("argreduce", shape=_arg_shape("argmin"), domain="any", flops=lambda x, **_: x.size)
def argmin(x, *, dim=None, keepdim=False):
    """y = index of the smallest element along ``dim`` (None: of the flattened array); int64.

    The first of several equals wins; NaN counts as smallest. No gradient.
    """
    return np.argmin(x, axis=dim, keepdims=keepdim).astype(np.int64)


@op("argreduce", shape=_arg_shape("argmax"), domain="any", flops=lambda x, **_: x.size)
def argmax(x, *, dim=None, keepdim=False):
    """y = index of the largest element along ``dim`` (None: of the flattened array); int64.

    The first of several equals wins; NaN counts as largest. No gradient.
    """
    return np.argmax(x, axis=dim, keepdims=keepdim).astype(np.int64)
