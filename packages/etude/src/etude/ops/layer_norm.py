"""Layer normalisation over the last axes. C: c_src/cpu/layer_norm.c.

Legend: x is (..., D) where D stands for all of ``normalized_shape``; one mean and one rstd
(reciprocal standard deviation) for each index of the axes before it.
Source: Ba, Kiros and Hinton 2016, Layer Normalization, section 3.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, common_dtype
from etude.table import DOMAINS, op


def prepare(attrs):
    """One integer means the last axis alone."""
    size = attrs.get("normalized_shape", ())
    if isinstance(size, (int, np.integer)):
        attrs["normalized_shape"] = (int(size),)
    return attrs


def _layer_norm_shape(x, weight=None, bias=None, *, normalized_shape, eps):
    dtype = common_dtype("layer_norm", [x, weight, bias], DOMAINS["float"])
    size = tuple(normalized_shape)
    if not size or x.shape[-len(size) :] != size:
        raise ShapeError(f"layer_norm: x {x} must end in normalized_shape {list(size)}")
    for arg, a in (("weight", weight), ("bias", bias)):
        if a is not None and a.shape != size:
            raise ShapeError(f"layer_norm: {arg} must have shape {list(size)}, got {a}")
    if 0 in size:
        raise ShapeError(f"layer_norm: normalized_shape {list(size)} is empty; it has no mean")
    rest = Spec(x.shape[: -len(size)], dtype)
    return Spec(x.shape, dtype), rest, rest


def _last(normalized_shape):
    return tuple(range(-len(normalized_shape), 0))


@op("norm", shape=_layer_norm_shape, outputs=("y", "mean", "rstd"),
    saves=("x", "weight", "mean", "rstd"), prepare=prepare,
    order="x normalized_shape weight bias eps", flops=lambda x, *_, **__: 8 * x.size)
def layer_norm(x, weight=None, bias=None, *, normalized_shape, eps=1e-5):
    """y = (x - mean) rstd weight + bias, with rstd = 1 / sqrt(var + eps), var the biased variance.

    x: (..., D); weight, bias: (D) or None; y: (..., D). Hidden outputs mean and rstd: (...).
    """
    dims = _last(normalized_shape)
    mean = x.mean(dims, keepdims=True)
    centred = x - mean
    rstd = 1 / np.sqrt((centred * centred).mean(dims, keepdims=True) + eps)
    y = centred * rstd
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias
    rest = x.shape[: -len(dims)]
    return y, mean.reshape(rest), rstd.reshape(rest)


@layer_norm.gradient
def _(F, grad, x, weight, mean, rstd, *, needs, normalized_shape, **_attrs):
    grads = F.layer_norm_backward(grad, x, weight, mean, rstd, normalized_shape=normalized_shape)
    return tuple(g if need else None for g, need in zip(grads, needs, strict=False))


@layer_norm.composite
def _(F, x, weight=None, bias=None, *, normalized_shape, eps):
    dims = _last(normalized_shape)
    centred = F.sub(x, F.mean(x, dim=dims, keepdim=True))
    var = F.mean(F.mul(centred, centred), dim=dims, keepdim=True)
    y = F.div(centred, F.sqrt(F.add(var, eps)))
    if weight is not None:
        y = F.mul(y, weight)
    return y if bias is None else F.add(y, bias)


def _layer_norm_backward_shape(grad, x, weight, mean, rstd, *, normalized_shape):
    dtype = common_dtype("layer_norm_backward", [grad, x, weight, mean, rstd], DOMAINS["float"])
    size = Spec(tuple(normalized_shape), dtype)
    return Spec(x.shape, dtype), size, size


@op("norm_backward", shape=_layer_norm_backward_shape, outputs=("dx", "dweight", "dbias"),
    nullable=("weight",), internal=True, flops=lambda grad, x, *_, **__: 14 * x.size)
def layer_norm_backward(grad, x, weight, mean, rstd, *, normalized_shape):
    """With h = (x - mean) rstd and g = grad weight:  dx = rstd (g - mean(g) - h mean(g h)).

    dweight = sum grad h and dbias = sum grad over the leading axes. grad, x: (..., D);
    weight: (D) or None; mean, rstd: (...). Returns dx (..., D), dweight (D), dbias (D).
    """
    dims = _last(normalized_shape)
    lead = tuple(range(x.ndim - len(dims)))
    column = (*mean.shape, *(1 for _ in dims))
    h = (x - mean.reshape(column)) * rstd.reshape(column)
    g = grad if weight is None else grad * weight
    dx = rstd.reshape(column) * (
        g - g.mean(dims, keepdims=True) - h * (g * h).mean(dims, keepdims=True)
    )
    return dx, (grad * h).sum(lead), grad.sum(lead)
