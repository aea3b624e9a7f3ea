"""Root-mean-square normalisation over the last axes. C: c_src/cpu/rms_norm.c.

Legend: x is (..., D) where D stands for all of ``normalized_shape``; one rstd (reciprocal root
mean square) for each index before it. Source: Zhang and Sennrich 2019, equation 4.
"""

import numpy as np

from etude.errors import ShapeError
from etude.ops.layer_norm import _last, prepare
from etude.shapes import Spec, common_dtype
from etude.table import DOMAINS, op


def _rms_norm_shape(x, weight=None, *, normalized_shape, eps):
    dtype = common_dtype("rms_norm", [x, weight], DOMAINS["float"])
    size = tuple(normalized_shape)
    if not size or x.shape[-len(size) :] != size or 0 in size:
        raise ShapeError(f"rms_norm: x {x} must end in normalized_shape {list(size)}, not empty")
    if weight is not None and weight.shape != size:
        raise ShapeError(f"rms_norm: weight must have shape {list(size)}, got {weight}")
    return Spec(x.shape, dtype), Spec(x.shape[: -len(size)], dtype)


@op("rms_norm", shape=_rms_norm_shape, outputs=("y", "rstd"), saves=("x", "weight", "rstd"),
    prepare=prepare, order="x normalized_shape weight eps", flops=lambda x, *_, **__: 5 * x.size)
def rms_norm(x, weight=None, *, normalized_shape, eps=1e-6):
    """y = x rstd weight, with rstd = 1 / sqrt(mean(x^2) + eps).

    x, y: (..., D); weight: (D) or None. Hidden output rstd: (...).
    """
    dims = _last(normalized_shape)
    rstd = 1 / np.sqrt((x * x).mean(dims, keepdims=True) + eps)
    y = x * rstd
    return (y if weight is None else y * weight), rstd.reshape(x.shape[: -len(dims)])


@rms_norm.gradient
def _(F, grad, x, weight, rstd, *, needs, normalized_shape, **_attrs):
    grads = F.rms_norm_backward(grad, x, weight, rstd, normalized_shape=normalized_shape)
    return tuple(g if need else None for g, need in zip(grads, needs, strict=False))


@rms_norm.composite
def _(F, x, weight=None, *, normalized_shape, eps):
    square = F.mean(F.mul(x, x), dim=_last(normalized_shape), keepdim=True)
    y = F.div(x, F.sqrt(F.add(square, eps)))
    return y if weight is None else F.mul(y, weight)


def _rms_norm_backward_shape(grad, x, weight, rstd, *, normalized_shape):
    dtype = common_dtype("rms_norm_backward", [grad, x, weight, rstd], DOMAINS["float"])
    return Spec(x.shape, dtype), Spec(tuple(normalized_shape), dtype)


@op("rms_norm_backward", shape=_rms_norm_backward_shape, nullable=("weight",),
    outputs=("dx", "dweight"), internal=True, flops=lambda grad, x, *_, **__: 9 * x.size)
def rms_norm_backward(grad, x, weight, rstd, *, normalized_shape):
    """With h = x rstd and g = grad weight:  dx = rstd (g - h mean(g h)); dweight = sum grad h.

    grad, x: (..., D); weight: (D) or None; rstd: (...). Returns dx (..., D) and dweight (D).
    """
    dims = _last(normalized_shape)
    column = rstd.reshape(*rstd.shape, *(1 for _ in dims))
    h = x * column
    g = grad if weight is None else grad * weight
    dx = column * (g - h * (g * h).mean(dims, keepdims=True))
    return dx, (grad * h).sum(tuple(range(x.ndim - len(dims))))
