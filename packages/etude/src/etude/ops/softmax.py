"""softmax and its logarithm, along one axis. C: c_src/cpu/softmax.c.

Legend: x, y, grad have any shape, all the same; "row" means one line along ``dim``. The maximum
is taken off first, which changes nothing in the result and keeps exp from overflowing. A row of no
elements has no maximum; its softmax has no elements either.
"""

import numpy as np

from etude.core.shapes import axis
from etude.core.table import op
from etude.ops.reduce import total, widened


def _row(op, rest, dim):
    axis(op, dim, len(rest))


@op("rows", sizes=_row, flops=5, saves="y", alias={"y": "x"})
def softmax(x, *, dim=-1):
    """Probabilities along ``dim``:  y_i = exp(x_i - max x) / sum_j exp(x_j - max x)."""
    if x.size == 0:
        return x.copy()
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / total(e, dim, keepdims=True)


softmax.gradient(lambda F, grad, y, *, dim, **_: F.softmax_backward(grad, y, dim=dim))
softmax.convention("""
    softmax([nan, 0, ...]) -> [nan, ...]
    softmax([[0, ..., inf], [0, -inf, ...]]) -> [[nan, ...], [1, 0.0, ...]]
    softmax([-inf, ...]) -> [nan, ...]  # nothing to choose from
    softmax([]) -> []""")


@softmax.composite
def _(F, x, *, dim):
    if 0 in x.shape:
        return F.exp(x)
    e = F.exp(F.sub(x, F.amax(x, dim=dim, keepdim=True)))
    return F.div(e, F.sum(e, dim=dim, keepdim=True))


@op("rows_backward", shape="... -> ...", sizes=_row, flops=4, internal=True)
def softmax_backward(grad, y, *, dim=-1):
    """dx_i = y_i (grad_i - sum_j grad_j y_j), where y = softmax x."""
    return y * (grad - total(grad * y, dim, keepdims=True))


softmax_backward.convention("""
    f([[nan, 0, ...], [0, inf, ...]], [[0, 1, ...], [1, 0, ...]]) -> [[nan, ...], [nan, ...]]
    f([], []) -> []""")


@op("rows", sizes=_row, flops=5, saves="y", alias={"y": "x"})
def log_softmax(x, *, dim=-1):
    """Log-probabilities along ``dim``:  y_i = x_i - max x - ln sum_j exp(x_j - max x)."""
    if x.size == 0:
        return x.copy()
    shifted = x - x.max(dim, keepdims=True)
    return shifted - np.log(total(np.exp(shifted), dim, keepdims=True))


log_softmax.gradient(lambda F, grad, y, *, dim, **_: F.log_softmax_backward(grad, y, dim=dim))
log_softmax.convention("""
    log_softmax([nan, 0, ...]) -> [nan, ...]
    log_softmax([[0, ..., inf], [0, -inf, ...]]) -> [[nan, ...], [0, -inf, ...]]
    log_softmax([-inf, ...]) -> [nan, ...]  # nothing to choose from
    log_softmax([]) -> []""")


@log_softmax.composite
def _(F, x, *, dim):
    if 0 in x.shape:
        return F.exp(x)
    shifted = F.sub(x, F.amax(x, dim=dim, keepdim=True))
    return F.sub(shifted, F.log(F.sum(F.exp(shifted), dim=dim, keepdim=True)))


@op("rows_backward", shape="... -> ...", sizes=_row, flops=4, internal=True)
def log_softmax_backward(grad, y, *, dim=-1):
    """dx_i = grad_i - exp(y_i) sum_j grad_j, where y = log_softmax x."""
    g, z = widened(grad, y)
    return (g - np.exp(z) * total(g, dim, keepdims=True)).astype(grad.dtype, copy=False)


log_softmax_backward.convention("""
    f([[nan, 0, ...], [0, inf, ...]], [[0, 0, ...], [0, -inf, ...]])
        -> [[nan, ...], [-inf, nan, ...]]
    f([], []) -> []""")
