"""Matrix products: matmul (batched) and linear. C: c_src/cpu/matmul.c.

Legend: M, K, N sizes of one product; ... batch axes, which broadcast.
"""

import math

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, broadcast, common_dtype
from etude.table import DOMAINS, op


def _matmul_shape(x, y):
    dtype = common_dtype("matmul", [x, y], DOMAINS["float"])
    if x.ndim < 2 or y.ndim < 2:
        raise ShapeError(f"matmul: both operands need at least 2 dimensions, got {x} and {y}")
    if x.shape[-1] != y.shape[-2]:
        raise ShapeError(f"matmul: {x} has {x.shape[-1]} columns but {y} has {y.shape[-2]} rows; "
                         f"the two must be equal. Is one of them to be transposed?")
    batch = broadcast("matmul, batch axes", x.shape[:-2], y.shape[:-2])
    return Spec((*batch, x.shape[-2], y.shape[-1]), dtype)


def _matmul_flops(x, y):
    return 2 * math.prod(_matmul_shape_of(x, y)) * x.shape[-1]


def _matmul_shape_of(x, y):
    return (*np.broadcast_shapes(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])


@op("matmul", shape=_matmul_shape, saves=("x", "y"), outputs=("z",), flops=_matmul_flops)
def matmul(x, y):
    """z_mn = sum_k x_mk y_kn for every index of the batch axes.

    x: (..., M, K); y: (..., K, N); z: (..., M, N), batch axes broadcast. float32 or float64.
    """
    return np.matmul(x, y)


def _transposed(F, x):
    n = len(x.shape)
    return F.permute(x, dims=(*range(n - 2), n - 1, n - 2))


@matmul.gradient
def _(F, grad, x, y, *, needs):
    dx = F.matmul(grad, _transposed(F, y)) if needs[0] else None
    dy = F.matmul(_transposed(F, x), grad) if needs[1] else None
    return dx, dy


def _linear_shape(x, weight, bias=None):
    dtype = common_dtype("linear", [x, weight, bias], DOMAINS["float"])
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: x must be (..., in) and weight (out, in) with the same in, got "
                         f"x {x} and weight {weight}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias must have shape [{weight.shape[0]}], one number per row "
                         f"of weight, got {bias}")
    return Spec((*x.shape[:-1], weight.shape[0]), dtype)


@op("linear", shape=_linear_shape, saves=("x", "weight"),
    flops=lambda x, weight, bias=None: 2 * x.size * weight.shape[0])
def linear(x, weight, bias=None):
    """y = x weight^T + bias. x: (..., K); weight: (N, K); bias: (N) or None; y: (..., N)."""
    y = x @ weight.T
    return y if bias is None else y + bias


@linear.gradient
def _(F, grad, x, weight, *, needs):
    dx = dweight = dbias = None
    rows = F.reshape(grad, shape=(math.prod(grad.shape[:-1]), weight.shape[0]))
    flat = F.reshape(x, shape=(rows.shape[0], weight.shape[1]))
    if needs[0]:
        dx = F.reshape(F.matmul(rows, weight), shape=x.shape)
    if needs[1]:
        dweight = F.matmul(F.permute(rows, dims=(1, 0)), flat)
    if len(needs) > 2 and needs[2]:
        dbias = F.sum(rows, dim=0)
    return dx, dweight, dbias
