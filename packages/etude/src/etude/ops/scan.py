"""Running totals along an axis: cumsum. C: c_src/cpu/scan.c."""

from etude.shapes import NUMBERS, axis, require
from etude.table import op


def _cumsum_shape(x, *, dim):
    require("cumsum", "x", x, NUMBERS)
    axis("cumsum", dim, x.ndim)
    return x


@op("scan", shape=_cumsum_shape, domain="number", flops=lambda x, **_: x.size)
def cumsum(x, *, dim):
    """y_i = x_0 + ... + x_i along ``dim``. x: any shape but 0-d, float or int64; y: as x."""
    return x.cumsum(dim)


@cumsum.gradient
def _(F, grad, *, needs, dim):
    return F.flip(F.cumsum(F.flip(grad, dims=(dim,)), dim=dim), dims=(dim,))
