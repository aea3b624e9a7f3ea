"""Choosing and mixing: where, lerp. C: c_src/cpu/select.c.

Legend: all operands broadcast to the shape of z; x, y and weight may be Python numbers.
"""

import numpy as np

from etude.core.table import op


@op("select", shape="condition: ~Z bool, x y: ~Z -> *Z", domain="any", saves="condition",
    outputs="z")
def where(condition, x, y):
    """z = x where condition, else y, with broadcasting. condition: bool; x, y: one dtype."""
    like = x if hasattr(x, "dtype") else y
    return np.where(condition, x, y).astype(like.dtype, copy=False)


where.gradient(lambda F, grad, condition, *, needs: (
    None,
    F.where(condition, grad, 0.0) if needs[1] else None,
    F.where(condition, 0.0, grad) if needs[2] else None))
where.convention("""
    where([True, False, True], [nan, inf, -0.0], [inf, nan, nan]) -> [nan, nan, -0.0]""")


@op("ternary", flops=3, saves="x y weight", outputs="z", alias={"z": "x"}, also="end=y", ieee=True)
def lerp(x, y, weight):
    """z = x + weight (y - x), with broadcasting. float32 or float64.

    In halves where the difference of x and y overflows, since z itself need not.
    """
    z = x + weight * (y - x)
    half = x / 2 + weight * (y / 2 - x / 2)
    return np.where(np.isfinite(z) | np.isinf(weight), z, 2 * half)


lerp.gradient(lambda F, grad, x, y, weight, *, needs: (
    F.mul(grad, _difference(F, 1.0, weight)) if needs[0] else None,
    F.mul(grad, weight) if needs[1] else None,
    F.mul(grad, _difference(F, y, x)) if needs[2] else None))
lerp.convention("""
    lerp([nan, 0, 0, inf], [0, nan, 0, inf], [1, 0, nan, 1]) -> [nan, nan, nan, nan]
    lerp([0, 0], [inf, inf], [0.25, 0]) -> [inf, nan]  # 0 times infinity""")


def _difference(F, x, y):
    """x - y; an op needs an array among its operands, and here both may be numbers."""
    return F.sub(x, y) if hasattr(x, "dtype") or hasattr(y, "dtype") else x - y
