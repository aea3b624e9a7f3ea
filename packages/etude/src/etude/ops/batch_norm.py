"""Batch normalisation, in training and in evaluation. C: c_src/cpu/batch_norm.c.

Legend: x is (N, C, ...): N samples, C channels, then any axes of space. Means, variances and sums
are taken over all axes but the channels. Source: Ioffe and Szegedy 2015, Batch Normalization,
algorithm 1.
"""

import math

import numpy as np

from etude.core.errors import ShapeError
from etude.core.given import eps_of
from etude.core.table import op
from etude.ops.reduce import average, rounded, total, widened


def _from_0(op, eps):
    eps_of(op, eps)


def _more_than_one(op, x, N, rest, eps):
    eps_of(op, eps)
    if x.size and N * math.prod(rest) < 2:
        raise ShapeError(f"{op}: in training each channel needs more than one value, got {x}")


def _over(x):
    """The axes to reduce, and the shape that lines channels up with x."""
    return (0, *range(2, len(x.shape))), (x.shape[1], *(1 for _ in x.shape[2:]))


def _affine(y, weight, bias, column):
    """y weight + bias, channel by channel; either may be None."""
    if weight is not None:
        y = y * weight.reshape(column)
    return y if bias is None else y + bias.reshape(column)


@op("batch_norm", shape="x: N C ..., weight bias: C -> N C ..., C, C", sizes=_more_than_one,
    flops=8, outputs="y mean var", shown=3, saves="x weight mean var", kernel="inner = ...")
def batch_norm(x, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) weight + bias, with mean and var of this batch.

    x, y: (N, C, ...); weight, bias: (C) or None. Also mean (C) and the biased variance var (C),
    which ``nn.BatchNorm`` blends into its running buffers.
    """
    dims, column = _over(x)
    z, weight, bias = widened(x, weight, bias)
    with np.errstate(invalid="ignore"):  # mean and var of an empty batch are 0 / 0, NaN
        mean = average(z, dims)
        centred = z - mean.reshape(column)
        var = average(centred * centred, dims)
    y = centred / np.sqrt(var + eps).reshape(column)
    return rounded(x.dtype, _affine(y, weight, bias, column), mean, var)


batch_norm.gradient(lambda F, grad, x, weight, mean, var, *, eps, **_:
    F.batch_norm_backward(grad, x, weight, mean, var, eps=eps))
batch_norm.convention("""
    batch_norm([[0, nan, inf], [0, 0, 0], ...])
        -> [[0, nan, nan], ...], [0, nan, _], [0, nan, nan]  # Welford's mean of inf is NaN
    batch_norm(empty(0, 2)) -> empty(0, 2), [nan, nan], [nan, nan]
    batch_norm([[1, 2]]) -> ShapeError  # one value has no spread""")


@batch_norm.composite
def _(F, x, weight=None, bias=None, *, eps):
    dims, column = _over(x)
    centred = F.sub(x, F.mean(x, dim=dims, keepdim=True))
    var = F.mean(F.mul(centred, centred), dim=dims, keepdim=True)
    y = F.div(centred, F.sqrt(F.add(var, eps)))
    if weight is not None:
        y = F.mul(y, F.reshape(weight, shape=column))
    return y if bias is None else F.add(y, F.reshape(bias, shape=column))


@op("batch_norm_backward", shape="x grad: N C ..., weight mean var: C -> N C ..., C, C", flops=14,
    nullable="weight", outputs="dx dweight dbias", kernel="inner = ...", internal=True)
def batch_norm_backward(grad, x, weight, mean, var, *, eps=1e-5):
    """dx = weight / s (grad - mean(grad) - h mean(grad h)), with s = sqrt(var + eps) and
    h = (x - mean) / s.

    dweight = sum grad h, dbias = sum grad. Means and sums over all axes but the channels.
    """
    (dims, column), dtype = _over(x), x.dtype
    grad, x, weight, mean, var = widened(grad, x, weight, mean, var)
    s = np.sqrt(var + eps)
    h = (x - mean.reshape(column)) / s.reshape(column)
    dweight, dbias = total(grad * h, dims), total(grad, dims)
    count = x.size // max(x.shape[1], 1)
    dx = grad - (dbias.reshape(column) + h * dweight.reshape(column)) / count
    scale = 1 / s if weight is None else weight / s
    return rounded(dtype, dx * scale.reshape(column), dweight, dbias)


batch_norm_backward.convention("""
    f([[nan, inf, 0], [0, 0, 0]], [[1, 1, 1], [-1, -1, -1]], None, [0, 0, 0], [1, 1, 1])
        -> [[nan, nan, 0], [nan, _, 0]], [nan, inf, 0], [nan, inf, 0]
    f(empty(0, 1), empty(0, 1), None, [0], [1]) -> empty(0, 1), [0], [0]""")


@op("batch_norm_eval", shape="x: N C ..., mean var weight bias: C -> N C ...",
    sizes=_from_0, flops=4, internal=True, saves="x mean var weight", alias={"y": "x"},
    kernel="inner = ...")
def batch_norm_eval(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) weight + bias, with the running mean and var (C)."""
    _, column = _over(x)
    z, mean, var, weight, bias = widened(x, mean, var, weight, bias)
    y = (z - mean.reshape(column)) / np.sqrt(var + eps).reshape(column)
    return _affine(y, weight, bias, column).astype(x.dtype, copy=False)


@batch_norm_eval.gradient
def _(F, grad, x, mean, var, weight, *, needs, eps):
    dims, column = _over(x)
    s = F.reshape(F.sqrt(F.add(var, eps)), shape=column)
    h = F.div(F.sub(x, F.reshape(mean, shape=column)), s)
    scaled = grad if weight is None else F.mul(grad, F.reshape(weight, shape=column))
    dx = F.div(scaled, s)
    # needs[3:] is short or empty in a call without weight or bias.
    return (dx,
            F.neg(F.sum(dx, dim=dims)) if needs[1] else None,
            F.mul(F.sum(F.div(F.mul(dx, h), s), dim=dims), -0.5) if needs[2] else None,
            F.sum(F.mul(grad, h), dim=dims) if True in needs[3:4] else None,
            F.sum(grad, dim=dims) if True in needs[4:] else None)


batch_norm_eval.convention("""
    f([[nan, inf, 1], [1, 1, 1]], [1, 1, 1], [1, 1, 1]) -> [[nan, inf, 0], [0, 0, 0]]
    f([[1, 1]], [nan, 0], [1, inf]) -> [[nan, 0]]
    f(empty(0, 1), [0], [1]) -> empty(0, 1)""")
