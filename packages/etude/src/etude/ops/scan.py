"""Running totals along an axis: cumsum. C: c_src/cpu/scan.c."""

from etude.core.shapes import axis
from etude.core.table import op
from etude.ops.reduce import wide


def _along(op, rest, dim):
    axis(op, dim, len(rest))


@op("scan", shape="... -> ...", sizes=_along, flops=1, domain="number",
    kernel="outer n inner = x along dim")
def cumsum(x, *, dim):
    """y_i = x_0 + ... + x_i along ``dim``. x: any shape but 0-d, float or int64; y: as x.

    float32 is added up in float64 and each total rounded once, so that errors do not run along.
    """
    return x.cumsum(dim, dtype=wide(x.dtype)).astype(x.dtype, copy=False)


cumsum.gradient(lambda F, grad, *, dim, **_:
    F.flip(F.cumsum(F.flip(grad, dims=(dim,)), dim=dim), dims=(dim,)))
cumsum.convention("""
    cumsum([0, ..., nan, 0, ...], dim=0) -> [0, ..., nan, nan, ...]  # nothing before it
    cumsum([inf, 0, ..., -inf, 0, ...], dim=0) -> [inf, inf, ..., nan, nan, ...]
    cumsum([], dim=0) -> []""")
