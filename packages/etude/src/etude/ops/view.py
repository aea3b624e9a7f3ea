"""Views: another shape over the same memory. No column implements them.

They belong to the array type: the lines below serve NumPy arrays and device arrays
(``etude.core.array``) alike, and move no data. Where ``reshape`` finds no view, Tensor makes a copy
first, with the op ``contiguous`` (``copy.py``).
"""

import builtins
import math

from etude.core.array import expand_view, reshape_view, slice_view
from etude.core.errors import AxisError, ShapeError
from etude.core.shapes import Spec, axes, axis, broadcast, check_shape, sum_to
from etude.core.table import op

#: One entry for each axis: an int, or (start, stop, step). None adds an axis and takes none of x.
Index = tuple[object, ...]


def _reshaped(op, x, shape):
    sizes = list(shape)
    if sizes.count(-1) == 1:
        known = math.prod(n for n in sizes if n != -1)
        if known == 0 or x.size % known:
            raise ShapeError(f"{op}: {x} has {x.size} elements, which does not divide into {sizes}")
        sizes[sizes.index(-1)] = x.size // known
    if math.prod(check_shape(op, sizes)) != x.size:
        raise ShapeError(f"{op}: {x} has {x.size} elements, {sizes} has {math.prod(sizes)}. One "
                         f"size may be -1, meaning the rest")
    return {"Y": tuple(sizes)}


@op("view", shape="... -> *Y", sizes=_reshaped, domain="any", saves="x.shape")
def reshape(x, *, shape):
    """y = the elements of x in C order under another shape; one size may be -1, the rest.

    As an op on arrays it never copies, and raises ShapeError where the strides allow no view.
    """
    sizes = _reshaped("reshape", x, shape)["Y"] if -1 in shape else tuple(shape)
    return reshape_view(x, sizes)


reshape.gradient(lambda F, grad, x_shape, **_: F.reshape(grad, shape=x_shape))


def _permuted(op, x, dims):
    order = [axis(op, d, x.ndim) for d in dims]
    if sorted(order) != list(range(x.ndim)):
        raise AxisError(f"{op}: dims={tuple(dims)} must name each of the {x.ndim} dimensions "
                        f"of {x} once")
    return {"Y": tuple(x.shape[d] for d in order)}


@op("view", shape="... -> *Y", sizes=_permuted, domain="any")
def permute(x, *, dims):
    """y[i_dims[0], i_dims[1], ...] = x[i_0, i_1, ...]: the axes of x in another order."""
    return x.transpose(dims)


@permute.gradient
def _(F, grad, *, needs, dims):
    back = [0] * len(dims)
    for to, source in enumerate(dims):
        back[source] = to
    return F.permute(grad, dims=tuple(back))


def _expanded(op, x, S):
    if broadcast(op, x.shape, S) != S:
        raise ShapeError(f"{op}: {x} does not stretch to {list(S)}; only sizes of 1 do, and new "
                         f"axes go in front")


@op("view", shape="x: ..., shape = *S -> *S", sizes=_expanded, domain="any", saves="x.shape")
def expand(x, *, shape):
    """y = x repeated along axes of size 1 up to ``shape``, without copying (stride 0)."""
    return expand_view(x, tuple(shape))


expand.gradient(lambda F, grad, x_shape, **_: sum_to(F, grad, x_shape))


def _sliced(op, x, index):
    sizes, at = [], 0
    for entry in index:
        if entry is None:
            sizes.append(1)
            continue
        if at == x.ndim:
            raise AxisError(f"indexing: {consumed(index)} indices for {x}, which has {x.ndim} "
                            f"dimensions")
        n = x.shape[at]
        if isinstance(entry, tuple):
            sizes.append(len(range(*builtins.slice(*entry).indices(n))))
        elif not -n <= entry < n:
            raise AxisError(f"indexing: index {entry} is outside dimension {at} of {x}")
        at += 1
    return {"Y": (*sizes, *x.shape[at:])}


def consumed(index):
    """How many axes of x an index takes: one for each entry that is not None."""
    return len([entry for entry in index if entry is not None])


@op("view", shape="... -> *Y", sizes=_sliced, domain="any", saves="x.shape")
def slice(x, *, index):
    """y = x[index], basic indexing as a view.

    ``index`` has one entry per axis: an integer takes the axis away, (start, stop, step) keeps
    part of it, None adds an axis of size 1. ``Tensor.__getitem__`` writes it from Python's form.
    """
    return slice_view(x, index)


slice.gradient(lambda F, grad, x_shape, *, index, **_:
    F.slice_backward(grad, shape=x_shape, index=index))


def _split_shape(x, *, sizes, dim):
    d = axis("split", dim, x.ndim)
    sizes = check_shape("split", sizes)
    if sum(sizes) != x.shape[d]:
        raise ShapeError(f"split: sizes {list(sizes)} add up to {sum(sizes)}, but dimension {dim} "
                         f"of {x} has {x.shape[d]}")
    return tuple(Spec((*x.shape[:d], n, *x.shape[d + 1 :]), x.dtype) for n in sizes)


@op("view", shape=_split_shape, domain="any", outputs="*ys")
def split(x, *, sizes, dim=0):
    """ys = x cut along ``dim`` into views of the given sizes, in order."""
    d = axis("split", dim, x.ndim)
    parts, start = [], 0
    for n in sizes:
        parts.append(slice_view(x, ((None, None, None),) * d + ((start, start + n, 1),)))
        start += n
    return tuple(parts)


split.gradient(lambda F, grads, *, dim, **_: F.cat(*grads, dim=dim))


def _flipped(op, rest, dims):
    axes(op, dims, len(rest))


@op("view", shape="... -> ...", sizes=_flipped, domain="any")
def flip(x, *, dims):
    """y = x read backwards along each of ``dims``, as a view with negative strides."""
    flipped = axes("flip", dims, x.ndim)
    steps = [-1 if d in flipped else 1 for d in range(x.ndim)]
    return slice_view(x, tuple((None, None, step) for step in steps))


flip.gradient(lambda F, grad, *, dims, **_: F.flip(grad, dims=dims))
