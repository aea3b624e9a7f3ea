"""Matrix products: matmul (batched) and linear. C: c_src/cpu/matmul.c.

Legend: M, K, N sizes of one product; ... batch axes, which broadcast.
"""

import math

import numpy as np

from etude.core.table import op
from etude.ops.reduce import wide

BLOCK = 2048  # terms that are added up in the dtype of the operands


def product(x, y):
    """x y, where longer sums are cut into blocks, which add up in float64.

    BLAS adds the terms of a vector one after another, in a few lanes: in float32 a sum of 10^7
    equal terms is off by 2 %.
    """
    if x.shape[-1] <= BLOCK:
        return np.matmul(x, y)
    cuts = [slice(k, k + BLOCK) for k in range(0, x.shape[-1], BLOCK)]
    parts = (np.matmul(x[..., cut], y[..., cut, :]) for cut in cuts)
    return sum(part.astype(wide(x.dtype)) for part in parts).astype(x.dtype, copy=False)


@op("matmul", shape="x: ~B M K, y: ~B K N -> *B M N", flops="2 *B M K N", saves="x y", outputs="z")
def matmul(x, y):
    """z_mn = sum_k x_mk y_kn for every index of the batch axes.

    x: (..., M, K); y: (..., K, N); z: (..., M, N), batch axes broadcast. float32 or float64.
    """
    return product(x, y)


def _transposed(F, x):
    n = len(x.shape)
    return F.permute(x, dims=(*range(n - 2), n - 1, n - 2))


matmul.gradient(lambda F, grad, x, y, *, needs: (
    F.matmul(grad, _transposed(F, y)) if needs[0] else None,
    F.matmul(_transposed(F, x), grad) if needs[1] else None))
matmul.convention("""
    matmul([[0, ..., nan]], [[0], ..., [0]]) -> [[nan]]
    matmul([[0, 0, ...]], [[inf], [0], ...]) -> [[nan]]
    matmul([[nan], [0], ...], [[0, ...]]) -> [[nan, ...], [0, ...], ...]  # its own row
    matmul(empty(2, 0), empty(0, 3)) -> [[0, 0, 0], [0, 0, 0]]  # a sum of nothing""")


@op("matmul", shape="x: ... K, weight: N K, bias: N -> ... N", flops="2 ... K N", saves="x weight")
def linear(x, weight, bias=None):
    """y = x weight^T + bias. x: (..., K); weight: (N, K); bias: (N) or None; y: (..., N)."""
    y = product(x, weight.T)
    return y if bias is None else y + bias


@linear.gradient
def _(F, grad, x, weight, *, needs):
    rows, flat, shape = grad, x, x.shape
    if len(shape) != 2:  # as matrices: all axes but the last as one
        rows = F.reshape(grad, shape=(math.prod(shape[:-1]), weight.shape[0]))
        flat = F.reshape(x, shape=(rows.shape[0], weight.shape[1]))
    dx = F.matmul(rows, weight) if needs[0] else None
    if needs[0] and len(shape) != 2:
        dx = F.reshape(dx, shape=shape)
    return (dx,
            F.matmul(F.permute(rows, dims=(1, 0)), flat) if needs[1] else None,
            F.sum(rows, dim=0) if True in needs[2:] else None)  # needs[2:] is () without a bias


linear.convention("""
    linear([[0, ..., nan]], [[0, ..., 0]]) -> [[nan]]
    linear([[0, 0, ...]], [[inf, 0, ...]]) -> [[nan]]
    linear([[nan], [0], ...], [[0], ...]) -> [[nan, ...], [0, ...], ...]  # its own row
    linear(empty(2, 0), empty(1, 0), [5]) -> [[5], [5]]  # a sum of nothing, and the bias""")
