"""softmax and its logarithm, along one axis. C: c_src/cpu/softmax.c.

Legend: x, y, grad have any shape, all the same; "row" means one line along ``dim``. The maximum
is taken off first, which changes nothing in the result and keeps exp from overflowing.
"""

import numpy as np

from etude.errors import ShapeError
from etude.shapes import Spec, axis, common_dtype
from etude.table import DOMAINS, op


def _rows(name):
    def rule(*operands, dim):
        dtype = common_dtype(name, operands, DOMAINS["float"])
        x = operands[0]
        if any(o.shape != x.shape for o in operands):
            raise ShapeError(f"{name}: operands must have one shape, got "
                             f"{', '.join(map(str, operands))}")
        if x.shape[axis(name, dim, x.ndim)] == 0:
            raise ShapeError(f"{name}: dimension {dim} of {x} is empty; there is nothing to "
                             f"normalise")
        return Spec(x.shape, dtype)

    return rule


@op("rows", shape=_rows("softmax"), saves=("y",), alias={"y": "x"},
    flops=lambda x, **_: 5 * x.size)
def softmax(x, *, dim=-1):
    """Probabilities along ``dim``:  y_i = exp(x_i - max x) / sum_j exp(x_j - max x)."""
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


@softmax.gradient
def _(F, grad, y, *, needs, dim):
    return F.softmax_backward(grad, y, dim=dim)


@softmax.composite
def _(F, x, *, dim):
    e = F.exp(F.sub(x, F.amax(x, dim=dim, keepdim=True)))
    return F.div(e, F.sum(e, dim=dim, keepdim=True))


@op("rows_backward", shape=_rows("softmax_backward"), internal=True,
    flops=lambda grad, y, **_: 4 * y.size)
def softmax_backward(grad, y, *, dim=-1):
    """dx_i = y_i (grad_i - sum_j grad_j y_j), where y = softmax x."""
    return y * (grad - (grad * y).sum(dim, keepdims=True))


@op("rows", shape=_rows("log_softmax"), saves=("y",), alias={"y": "x"},
    flops=lambda x, **_: 5 * x.size)
def log_softmax(x, *, dim=-1):
    """Log-probabilities along ``dim``:  y_i = x_i - max x - ln sum_j exp(x_j - max x)."""
    shifted = x - x.max(dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(dim, keepdims=True))


@log_softmax.gradient
def _(F, grad, y, *, needs, dim):
    return F.log_softmax_backward(grad, y, dim=dim)


@log_softmax.composite
def _(F, x, *, dim):
    shifted = F.sub(x, F.amax(x, dim=dim, keepdim=True))
    return F.sub(shifted, F.log(F.sum(F.exp(shifted), dim=dim, keepdim=True)))


@op("rows_backward", shape=_rows("log_softmax_backward"), internal=True,
    flops=lambda grad, y, **_: 4 * y.size)
def log_softmax_backward(grad, y, *, dim=-1):
    """dx_i = grad_i - exp(y_i) sum_j grad_j, where y = log_softmax x."""
    return grad - np.exp(y) * grad.sum(dim, keepdims=True)
