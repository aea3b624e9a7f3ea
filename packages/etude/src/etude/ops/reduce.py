"""Reductions over one axis, several, or all: sums, extremes, their places.

C: c_src/cpu/reduce.c; ``var``, ``logsumexp`` and ``prod_backward`` have files of their own.

Legend: x has any shape; ``dim`` is None (all axes), an integer or a tuple; with ``keepdim`` the
reduced axes stay, as size 1.
"""

import math

import numpy as np

from etude.core.errors import ShapeError
from etude.core.shapes import axes, axis, reduced, reduction
from etude.core.table import op


def _axes(x, dim):
    """The axes that ``dim`` means, as a tuple for NumPy."""
    return axes("reduce", dim, x.ndim)


def _count(shape, dim):
    """How many elements go into each result."""
    return math.prod(shape[d] for d in axes("reduce", dim, len(shape)))


def wide(dtype):
    """The dtype in which numbers of ``dtype`` are added up: float64 for float32, else the same."""
    return np.dtype(np.float64) if dtype == np.float32 else dtype


def widened(*arrays):
    """float32 arrays in float64, others and None as they are.

    The square of 2^100 is no number in float32, and the mean of a row of 1e8 is rounded to a
    multiple of 8. In float64 neither harms a result that float32 can hold.
    """
    return [a if a is None else a.astype(wide(a.dtype), copy=False) for a in arrays]


def rounded(dtype, *arrays):
    """Results that were ``widened``, in the dtype they are given back in."""
    return tuple(a.astype(dtype, copy=False) for a in arrays)


def total(x, dims=None, keepdims=False):
    """The sum of x over ``dims``, which every op here takes: float32 is added up in float64."""
    return _sum(x, dims, keepdims).astype(x.dtype, copy=False)


def average(x, dims=None, keepdims=False):
    """The mean of x over ``dims``, whose sum may be beyond the range of its dtype."""
    mean = _sum(x, dims, keepdims) / _count(x.shape, dims)
    return mean.astype(x.dtype, copy=False)


def _sum(x, dims, keepdims):
    """The sum in the ``wide`` dtype.

    NumPy adds pairwise along the axis that lies together in memory, but down any other one row
    after another. In float32 such a sum is off by 1 % after a million rows, and a sum of ones
    stands still at 2^24 (Higham 2002, Accuracy and Stability, section 4.2). float64 has nothing
    wider: there it is off by 10^-11.
    """
    return x.sum(dims, dtype=wide(x.dtype), keepdims=keepdims)


def _not_empty(op, x, rest, dim, keepdim):
    """As ``reduction``, for ops without a value over an empty axis: no elements have no mean."""
    if any(rest[d] == 0 for d in axes(op, dim, len(rest))):
        raise ShapeError(f"{op}: no value over an empty axis, got {x} with dim={dim}")
    return reduction(op, rest, dim, keepdim)


def spread(F, y, shape, dim, keepdim):
    """Undo a reduction's shape: ``y`` repeated along the reduced axes up to ``shape``."""
    dims = axes("reduce", dim, len(shape))
    if not keepdim:
        y = F.reshape(y, shape=reduced(shape, dims, keepdim=True))
    return F.expand(y, shape=shape)


@op("reduce", sizes=reduction, flops=1, domain="number", saves="x.shape")
def sum(x, *, dim=None, keepdim=False):
    """y = sum of x over ``dim``. x: float or int64; y: the same dtype. An empty sum is 0."""
    return total(x, _axes(x, dim), keepdim)


sum.gradient(lambda F, grad, x_shape, *, dim, keepdim, **_: spread(F, grad, x_shape, dim, keepdim))
sum.convention("""
    sum([1, ..., nan, 1]) -> nan
    sum([[inf, 1, ...], [inf, -inf, ...]], dim=1) -> [inf, nan]
    sum([]) -> 0
    sum(empty(0, 2), dim=0) -> [0, 0]""")


@op("reduce", sizes=_not_empty, flops=1, saves="x.shape")
def mean(x, *, dim=None, keepdim=False):
    """y = mean of x over ``dim``. float32 or float64. Raises ShapeError over an empty axis."""
    return average(x, _axes(x, dim), keepdim)


mean.gradient(lambda F, grad, x_shape, *, dim, keepdim, **_:
    spread(F, F.mul(grad, 1.0 / _count(x_shape, dim)), x_shape, dim, keepdim))
mean.convention("""
    mean([1, ..., nan, 1]) -> nan
    mean([[inf, 1, ...], [inf, -inf, ...]], dim=1) -> [inf, nan]
    mean([]) -> ShapeError""")


@op("reduce", sizes=_not_empty, flops=1, domain="number", saves="x y")
def amax(x, *, dim=None, keepdim=False):
    """y = largest element of x over ``dim``; NaN if there is one. float or int64.

    Elements that tie share the gradient evenly, as in PyTorch. Raises ShapeError over an empty
    axis.
    """
    return x.max(_axes(x, dim), keepdims=keepdim)


@op("reduce", sizes=_not_empty, flops=1, domain="number", saves="x y")
def amin(x, *, dim=None, keepdim=False):
    """y = smallest element of x over ``dim``; NaN if there is one. float or int64.

    Elements that tie share the gradient evenly, as in PyTorch. Raises ShapeError over an empty
    axis.
    """
    return x.min(_axes(x, dim), keepdims=keepdim)


def _to_extreme(F, grad, x, y, *, needs, dim, keepdim):
    """The gradient in equal parts to the elements of x that are y; to none where y is NaN."""
    extreme = F.eq(x, spread(F, y, x.shape, dim, keepdim))
    share = F.cast(extreme, dtype=grad.dtype)
    count = F.sum(share, dim=dim, keepdim=keepdim)
    return F.mul(share, spread(F, F.div(grad, count), x.shape, dim, keepdim))


amax.gradient(_to_extreme)
amax.convention("""
    amax([1, ..., nan, inf]) -> nan
    amax([-inf, ...]) -> -inf
    amax([-0.0, 0.0]) -> 0  # either zero
    amax([2, 1, ..., 2]) -> 2
    amax([]) -> ShapeError""")
amin.gradient(_to_extreme)
amin.convention("""
    amin([1, ..., nan, -inf]) -> nan
    amin([inf, ...]) -> inf
    amin([0.0, -0.0]) -> 0  # either zero
    amin([1, 2, ..., 1]) -> 1
    amin([]) -> ShapeError""")


@op("reduce", sizes=reduction, flops=1, domain="number", saves="x")
def prod(x, *, dim=None, keepdim=False):
    """y = product of x over ``dim``. x: float or int64; y: the same dtype. Empty: 1.

    float32 is multiplied in float64, so that a product may leave the range of float32 on the way.
    """
    product = x.prod(_axes(x, dim), dtype=wide(x.dtype), keepdims=keepdim)
    return product.astype(x.dtype, copy=False)


prod.gradient(lambda F, grad, x, *, dim, keepdim, **_:
    F.prod_backward(grad, x, dim=dim, keepdim=keepdim))
prod.convention("""
    prod([1, ..., nan, 0]) -> nan
    prod([[0, inf, ...], [-inf, 1, ...]], dim=1) -> [nan, -inf]
    prod([]) -> 1
    prod(empty(0, 2), dim=0) -> [1, 1]""")


@prod.composite
def _(F, x, *, dim, keepdim):
    dims = axes("prod", dim, len(x.shape))
    y = x
    for d in dims:  # one factor after another; the axis stays, with size 1
        factors = F.split(y, sizes=(1,) * y.shape[d], dim=d)
        if not factors:  # an empty product is 1: an empty sum is 0, and 1 more
            y = F.add(F.sum(y, dim=d, keepdim=True), 1)
            continue
        y = factors[0]
        for factor in factors[1:]:
            y = F.mul(y, factor)
    return y if keepdim else F.reshape(y, shape=reduced(x.shape, dims, keepdim=False))


@op("prod_backward", shape="x: ..., grad: *R -> ...", sizes=reduction, flops=4, internal=True,
    kernel="outer n inner = x along dim")
def prod_backward(grad, x, *, dim=None, keepdim=False):
    """dx_i = grad times the product of all other elements.

    That is grad y / x_i, but also where x_i is 0: it is the product of the elements before i times
    the product of those after it.
    """
    dims, dtype = axes("prod", dim, x.ndim), x.dtype
    grad, x = widened(grad, x)
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
    return (grad * others).astype(dtype, copy=False)


prod_backward.convention("""
    prod_backward(1, [0, 1, ...]) -> [1, 0, ...]  # x is 0 there, and no divisor
    prod_backward(1, [0, 1, ..., 0]) -> [0, 0, ..., 0]
    prod_backward(1, [nan, 1, ...]) -> [1, nan, ...]
    prod_backward(nan, [1, ...]) -> [nan, ...]
    prod_backward(1, [inf, 0, 1, ...]) -> [0, inf, nan, ...]
    prod_backward(1, []) -> []""")


def _more_than(op, x, rest, dim, keepdim, correction):
    count = math.prod(rest[d] for d in axes(op, dim, len(rest)))
    if count <= correction:
        raise ShapeError(f"{op}: {count} elements with correction={correction:g} have "
                         f"no variance, got {x} with dim={dim}")
    return _not_empty(op, x, rest, dim, keepdim)


@op("var", shape="... -> *R", sizes=_more_than, flops=4, saves="x",
    kernel="outer n inner = x along dim")
def var(x, *, dim=None, keepdim=False, correction=1.0):
    """y = sum (x - mean)^2 / (n - correction) over ``dim``; correction 1 is the unbiased one.

    x: float; needs more than ``correction`` elements. Computed in two passes.
    """
    dims, (z,) = _axes(x, dim), widened(x)
    centred = z - average(z, dims, keepdims=True)
    squares = total(centred * centred, dims, keepdim)
    return (squares / (_count(x.shape, dim) - correction)).astype(x.dtype, copy=False)


@var.gradient
def _(F, grad, x, *, needs, dim, keepdim, correction):
    centred = F.sub(x, F.mean(x, dim=dim, keepdim=True))
    factor = 2.0 / (_count(x.shape, dim) - correction)
    return F.mul(F.mul(spread(F, grad, x.shape, dim, keepdim), factor), centred)


var.convention("""
    var([1, ..., nan, 1]) -> nan
    var([1, ..., inf]) -> nan
    var([3]) -> ShapeError  # one element has no unbiased variance
    var([], correction=0) -> ShapeError""")


@op("reduce", sizes=_not_empty, flops=4, saves="x", ieee=True)
def logsumexp(x, *, dim=None, keepdim=False):
    """y = ln sum e^x over ``dim``, with the maximum taken off first. float32 or float64.

    A row of -inf alone gives -inf. Raises ShapeError over an empty axis.
    """
    dims = _axes(x, dim)
    top = x.max(dims, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    y = top + np.log(total(np.exp(x - top), dims, keepdims=True))
    return y if keepdim else y.reshape(reduced(x.shape, dims, keepdim=False))


@logsumexp.gradient
def _(F, grad, x, *, needs, dim, keepdim):
    # Not exp(x - y): where x is large, y = 1e8 + ln 3 is rounded to 1e8.
    return F.mul(shares(F, x, dim), spread(F, grad, x.shape, dim, keepdim))


logsumexp.convention("""
    logsumexp([0, ..., nan, inf]) -> nan
    logsumexp([[0, ..., inf], [-inf, ..., inf]], dim=1) -> [inf, inf]
    logsumexp([-inf, ...]) -> -inf  # ln 0
    logsumexp([]) -> ShapeError""")


def shares(F, x, dim):
    """softmax of x over any axes, through F; rows of -inf alone give 0 instead of NaN."""
    top = F.amax(x, dim=dim, keepdim=True)
    e = F.exp(F.sub(x, F.where(F.eq(top, -math.inf), 0.0, top)))
    whole = F.sum(e, dim=dim, keepdim=True)
    return F.div(e, F.where(F.eq(whole, 0.0), 1.0, whole))


def _one_axis(op, x, rest, dim, keepdim):
    if dim is not None:
        axis(op, dim, len(rest))
    return _not_empty(op, x, rest, dim, keepdim)


@op("argreduce", sizes=_one_axis, flops=1, domain="any")
def argmin(x, *, dim=None, keepdim=False):
    """y = index of the smallest element along ``dim`` (None: of the flattened array); int64.

    The first of several equals wins; NaN counts as smallest. No gradient.
    """
    return np.argmin(x, axis=dim, keepdims=keepdim).astype(np.int64)


argmin.convention("""
    argmin([1, 0, 1, ..., 0]) -> 1  # the first of equals
    argmin([1, nan, -inf, ..., nan]) -> 1  # NaN is least
    argmin([[inf, inf, ...], [0.0, -0.0, ...]], dim=1) -> [0, 0]
    argmin([True, False, True, ..., False]) -> 1
    argmin([]) -> ShapeError""")


@op("argreduce", sizes=_one_axis, flops=1, domain="any")
def argmax(x, *, dim=None, keepdim=False):
    """y = index of the largest element along ``dim`` (None: of the flattened array); int64.

    The first of several equals wins; NaN counts as largest. No gradient.
    """
    return np.argmax(x, axis=dim, keepdims=keepdim).astype(np.int64)


argmax.convention("""
    argmax([1, 2, 1, ..., 2]) -> 1  # the first of equals
    argmax([1, nan, inf, ..., nan]) -> 1  # NaN is largest
    argmax([[-inf, -inf, ...], [-0.0, 0.0, ...]], dim=1) -> [0, 0]
    argmax([False, True, False, ..., True]) -> 1
    argmax([]) -> ShapeError""")
