"""Root-mean-square normalisation over the last axes. C: c_src/cpu/rms_norm.c.

Legend: x is (..., D) where D stands for all of ``normalized_shape``; one rstd (reciprocal root
mean square) for each index before it. Source: Zhang and Sennrich 2019, equation 4.
"""

import numpy as np

from etude.core.table import op
from etude.ops.layer_norm import last_axes, not_empty, prepare
from etude.ops.reduce import average, rounded, total, widened


def _eps(dtype, eps):
    return float(np.finfo(dtype).eps) if eps is None else eps


@op("rms_norm", shape="normalized_shape = *D, x: ... *D, weight: *D -> ... *D, ...",
    sizes=not_empty, flops="5 ... *D", outputs="y rstd", saves="x weight rstd",
    prepare=prepare, order="x normalized_shape weight eps", kernel="rows = ..., cols = *D")
def rms_norm(x, weight=None, *, normalized_shape, eps=None):
    """y = x rstd weight, with rstd = 1 / sqrt(mean(x^2) + eps).

    x, y: (..., D); weight: (D) or None. Where eps is None it is the dtype's, the step from 1 to the
    next number: 2^-23 in float32, 2^-52 in float64. Hidden output rstd: (...).
    """
    dims = last_axes(normalized_shape)
    z, weight = widened(x, weight)
    rstd = 1 / np.sqrt(average(z * z, dims, keepdims=True) + _eps(x.dtype, eps))
    y = z * rstd if weight is None else z * rstd * weight
    return rounded(x.dtype, y, rstd.reshape(x.shape[: -len(dims)]))


rms_norm.gradient(lambda F, grad, x, weight, rstd, *, normalized_shape, **_:
    F.rms_norm_backward(grad, x, weight, rstd, normalized_shape=normalized_shape))
rms_norm.convention("""
    rms_norm([[nan, 1], [inf, 1], [0, 0]], normalized_shape=2) -> [[nan, nan], [nan, 0], [0, 0]]
    rms_norm(empty(0, 2), normalized_shape=2) -> empty(0, 2), []
    rms_norm(empty(2, 0), normalized_shape=0) -> ShapeError""")


@rms_norm.composite
def _(F, x, weight=None, *, normalized_shape, eps):
    square = F.mean(F.mul(x, x), dim=last_axes(normalized_shape), keepdim=True)
    y = F.div(x, F.sqrt(F.add(square, _eps(x.dtype, eps))))
    return y if weight is None else F.mul(y, weight)


@op("rms_norm_backward", nullable="weight", outputs="dx dweight", flops="9 ... *D",
    shape="normalized_shape = *D, x grad: ... *D, weight: *D, rstd: ... -> ... *D, *D",
    kernel="rows = ..., cols = *D", internal=True)
def rms_norm_backward(grad, x, weight, rstd, *, normalized_shape):
    """With h = x rstd and g = grad weight:  dx = rstd (g - h mean(g h)); dweight = sum grad h.

    grad, x: (..., D); weight: (D) or None; rstd: (...). Returns dx (..., D) and dweight (D).
    """
    dims, dtype = last_axes(normalized_shape), x.dtype
    grad, x, weight, rstd = widened(grad, x, weight, rstd)
    column = rstd.reshape(*rstd.shape, *(1 for _ in dims))
    h = x * column
    g = grad if weight is None else grad * weight
    dx = column * (g - h * average(g * h, dims, keepdims=True))
    return rounded(dtype, dx, total(grad * h, tuple(range(x.ndim - len(dims)))))


rms_norm_backward.convention("""
    f([[nan, 0], [0, 0]], [[1, 1], [0, 0]], None, [1, 1], normalized_shape=(2,))
        -> [[nan, nan], [0, 0]], [nan, 0]
    f([[inf, 0]], [[1, 1]], None, [1], normalized_shape=(2,)) -> [[nan, -inf]], [inf, 0]
    f(empty(0, 2), empty(0, 2), None, [], normalized_shape=(2,)) -> empty(0, 2), [0, 0]""")
