"""The lower and the upper triangle of matrices: tril, triu. C: c_src/cpu/triangle.c.

Legend: x is (..., M, N), a batch of matrices; ``diagonal`` counts upwards from the main one.
"""

import numpy as np

from etude.core.table import op


@op("triangle", shape="... M N -> ... M N", domain="any")
def tril(x, *, diagonal=0):
    """y_mn = x_mn where n - m <= diagonal, else 0. x, y: (..., M, N), any dtype."""
    return np.tril(x, diagonal)


tril.gradient(lambda F, grad, *, diagonal, **_: F.tril(grad, diagonal=diagonal))
tril.convention("""
    tril([[nan, nan], [inf, -0.0]]) -> [[nan, 0.0], [inf, -0.0]]  # left away, not multiplied
    tril(empty(0, 2)) -> empty(0, 2)""")


@op("triangle", shape="... M N -> ... M N", domain="any")
def triu(x, *, diagonal=0):
    """y_mn = x_mn where n - m >= diagonal, else 0. x, y: (..., M, N), any dtype."""
    return np.triu(x, diagonal)


triu.gradient(lambda F, grad, *, diagonal, **_: F.triu(grad, diagonal=diagonal))
triu.convention("""
    triu([[nan, inf], [nan, -0.0]]) -> [[nan, inf], [0.0, -0.0]]  # left away, not multiplied
    triu(empty(0, 2)) -> empty(0, 2)""")
