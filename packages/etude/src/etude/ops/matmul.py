"""Matrix products: matmul (batched) and linear. C: c_src/cpu/matmul.c.

Legend: M, K, N sizes of one product; ... batch axes, which broadcast.
"""

import math

import numpy as np

from etude.table import op


@op("matmul", shape="x: ~B M K, y: ~B K N -> *B M N", flops="2 *B M K N", saves=("x", "y"),
    outputs=("z",))
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


@op("linear", shape="x: ... K, weight: N K, bias: N -> ... N", flops="2 ... K N",
    saves=("x", "weight"))
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
