"""linear_int8: a linear map whose weight is stored in one byte a number. For inference.
C: c_src/cpu/linear_int8.c.

Legend: K inputs, N outputs (channels); ... batch axes.
"""

import numpy as np

from etude.core.table import op
from etude.ops.matmul import product


@op("linear_int8", shape="x: ... K, weight: N K int8, scale: N, bias: N -> ... N",
    flops="2 ... K N", kernel="rows = ...")
def linear_int8(x, weight, scale, bias=None):
    """y_n = scale_n sum_k x_k weight_nk + bias_n: linear, with the weight scale_n weight_nk.

    x: (..., K), float; weight: (N, K) int8; scale: (N), dtype of x; bias: (N) or None; y: (..., N),
    dtype of x. The weight alone is quantised: it is symmetric around 0, with a scale for each
    output and no zero point, and all arithmetic is in the dtype of x, which the sum leaves once, to
    be scaled. The idea is that of Jacob et al., arXiv:1712.05877, section 2.1, with Z = 0.

    It has no gradient: quantise a model after training. ``etude.nn.quantize`` does.
    """
    y = scale * product(x, np.asarray(weight).astype(scale.dtype).T)
    return y if bias is None else y + bias


linear_int8.convention("""
    linear_int8([[0, ..., nan]], [[1, ..., 0]], [1]) -> [[nan]]
    linear_int8([[inf, 0, ...]], [[0, 1, ...]], [1]) -> [[nan]]
    linear_int8([[nan], [0], ...], [[0], ...], [1, ...]) -> [[nan, ...], [0, ...], ...]  # its row
    linear_int8([[1, ...]], [[-128, ...], [127, ...]], [0, 0]) -> [[0, 0]]  # a channel of zeros
    linear_int8([[1]], [[-128], [127]], [1, 2]) -> [[-128, 254]]  # every int8 counts
    linear_int8([[1]], [[0], [1]], [nan, 1], [5, 5]) -> [[nan, 6]]  # its own channel
    linear_int8(empty(2, 0), empty(1, 0), [3], [5]) -> [[5], [5]]  # a sum of nothing""")
