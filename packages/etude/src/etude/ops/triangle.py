"""The lower and the upper triangle of matrices: tril, triu. C: c_src/cpu/triangle.c.

Legend: x is (..., M, N), a batch of matrices; ``diagonal`` counts upwards from the main one.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import DTYPES, require
from etude.table import op


def _matrices(name):
    def rule(x, *, diagonal):
        require(name, "x", x, DTYPES)
        if x.ndim < 2:
            raise ShapeError(f"{name}: x must be at least a matrix (..., M, N), got {x}")
        return x

    return rule


@op("triangle", shape=_matrices("tril"), domain="any")
def tril(x, *, diagonal=0):
    """y_mn = x_mn where n - m <= diagonal, else 0. x, y: (..., M, N), any dtype."""
    return np.tril(x, diagonal)


@tril.gradient
def _(F, grad, *, needs, diagonal):
    return F.tril(grad, diagonal=diagonal)


@op("triangle", shape=_matrices("triu"), domain="any")
def triu(x, *, diagonal=0):
    """y_mn = x_mn where n - m >= diagonal, else 0. x, y: (..., M, N), any dtype."""
    return np.triu(x, diagonal)


@triu.gradient
def _(F, grad, *, needs, diagonal):
    return F.triu(grad, diagonal=diagonal)
