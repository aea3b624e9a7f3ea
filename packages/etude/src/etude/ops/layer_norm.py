"""Layer normalisation over the last axes. C: c_src/cpu/layer_norm.c.

Legend: x is (..., D) where D stands for all of ``normalized_shape``; one mean and one rstd
(reciprocal standard deviation) for each index of the axes before it.
Source: Ba, Kiros and Hinton 2016, Layer Normalization, section 3.
"""

import numpy as np

from etude.core.errors import ShapeError
from etude.core.given import eps_of
from etude.core.table import op
from etude.ops.reduce import average, rounded, total, widened


def prepare(attrs):
    """One integer means the last axis alone."""
    size = attrs.get("normalized_shape", ())
    if type(size) is int:  # and no bool: the shape rule refuses that
        attrs["normalized_shape"] = (size,)
    return attrs


def not_empty(op, D, eps):
    """ShapeError for a row without elements; ValueError for an eps below 0."""
    if eps is not None:  # rms_norm has a default of its own; a backward has none
        eps_of(op, eps)
    if not D or 0 in D:
        raise ShapeError(f"{op}: normalized_shape {list(D)} is empty; it has no mean")


def last_axes(normalized_shape):
    """The axes that are normalised, counted from the end."""
    return tuple(range(-len(normalized_shape), 0))


@op("norm", shape="normalized_shape = *D, x: ... *D, weight bias: *D -> ... *D, ..., ...",
    sizes=not_empty, flops="8 ... *D", outputs="y mean rstd", saves="x weight mean rstd",
    prepare=prepare, order="x normalized_shape weight bias eps", kernel="rows = ..., cols = *D")
def layer_norm(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    """y = (x - mean) rstd weight + bias, with rstd = 1 / sqrt(var + eps), var the biased variance.

    x: (..., D); weight, bias: (D) or None; y: (..., D). Hidden outputs mean and rstd: (...).
    """
    dims, rest = last_axes(normalized_shape), x.shape[: -len(normalized_shape)]
    z, weight, bias = widened(x, weight, bias)
    mean = average(z, dims, keepdims=True)
    centred = z - mean
    rstd = 1 / np.sqrt(average(centred * centred, dims, keepdims=True) + eps)
    y = centred * rstd
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    return rounded(x.dtype, y, mean.reshape(rest), rstd.reshape(rest))


layer_norm.gradient(lambda F, grad, x, weight, mean, rstd, *, normalized_shape, **_:
    F.layer_norm_backward(grad, x, weight, mean, rstd, normalized_shape=normalized_shape))
layer_norm.convention("""
    layer_norm([[nan, 0], [inf, 0], [1, 1]], normalized_shape=2) -> [[nan, nan], [nan, nan], [0, 0]]
    layer_norm(empty(0, 2), normalized_shape=2) -> empty(0, 2), [], []
    layer_norm(empty(2, 0), normalized_shape=0) -> ShapeError""")


@layer_norm.composite
def _(F, x, weight=None, bias=None, *, normalized_shape, eps):
    dims = last_axes(normalized_shape)
    centred = F.sub(x, F.mean(x, dim=dims, keepdim=True))
    var = F.mean(F.mul(centred, centred), dim=dims, keepdim=True)
    y = F.div(centred, F.sqrt(F.add(var, eps)))
    if weight is not None:
        y = F.mul(y, weight)
    return y if bias is None else F.add(y, bias)


@op("norm_backward", nullable="weight", outputs="dx dweight dbias", internal=True,
    shape="normalized_shape = *D, x grad: ... *D, weight: *D, mean rstd: ... -> ... *D, *D, *D",
    flops="14 ... *D", kernel="rows = ..., cols = *D")
def layer_norm_backward(grad, x, weight, mean, rstd, *, normalized_shape):
    """With h = (x - mean) rstd and g = grad weight:  dx = rstd (g - mean(g) - h mean(g h)).

    dweight = sum grad h and dbias = sum grad over the leading axes. grad, x: (..., D);
    weight: (D) or None; mean, rstd: (...). Returns dx (..., D), dweight (D), dbias (D).
    """
    dims, dtype = last_axes(normalized_shape), x.dtype
    grad, x, weight, mean, rstd = widened(grad, x, weight, mean, rstd)
    lead = tuple(range(x.ndim - len(dims)))
    column = (*mean.shape, *(1 for _ in dims))
    h = (x - mean.reshape(column)) * rstd.reshape(column)
    g = grad if weight is None else grad * weight
    mean_g = average(g, dims, keepdims=True)
    mean_gh = average(g * h, dims, keepdims=True)
    dx = rstd.reshape(column) * (g - mean_g - h * mean_gh)
    return rounded(dtype, dx, total(grad * h, lead), total(grad, lead))


layer_norm_backward.convention("""
    f([[nan, 0], [0, 0]], [[0, 0], [0, 0]], None, [0, 0], [1, 1], normalized_shape=(2,))
        -> [[nan, nan], [0, 0]], [nan, 0], [nan, 0]
    f([[inf, 0]], [[1, 0]], None, [0], [1], normalized_shape=(2,))
        -> [[nan, nan]], [inf, 0], [inf, 0]
    f(empty(0, 2), empty(0, 2), None, [], [], normalized_shape=(2,)) -> empty(0, 2), [0, 0], [0, 0]
   """)
