"""Choosing and mixing: where, lerp. C: c_src/cpu/select.c.

Legend: all operands broadcast to the shape of z; x, y and weight may be Python numbers.
"""

import numpy as np

from etude.shapes import Spec, bool_, broadcast, common_dtype, shape_of
from etude.table import DOMAINS, op


def _where_shape(condition, x, y):
    dtype = common_dtype("where", [x, y], DOMAINS["any"])
    return Spec(broadcast("where", *map(shape_of, (condition, x, y))), dtype)


@op("select", shape=_where_shape, domain="any", fixed={"condition": bool_}, saves=("condition",),
    outputs=("z",))
def where(condition, x, y):
    """z = x where condition, else y, with broadcasting. condition: bool; x, y: one dtype."""
    like = x if hasattr(x, "dtype") else y
    return np.where(condition, x, y).astype(like.dtype, copy=False)


@where.gradient
def _(F, grad, condition, *, needs):
    dx = F.where(condition, grad, 0.0) if needs[1] else None
    dy = F.where(condition, 0.0, grad) if needs[2] else None
    return None, dx, dy


@op("select", saves=("x", "y", "weight"), outputs=("z",), alias={"z": "x"},
    flops=lambda x, y, weight: 3 * max(getattr(a, "size", 1) for a in (x, y, weight)))
def lerp(x, y, weight):
    """z = x + weight (y - x), with broadcasting. float32 or float64."""
    return x + weight * (y - x)


@lerp.gradient
def _(F, grad, x, y, weight, *, needs):
    dx = F.mul(grad, _difference(F, 1.0, weight)) if needs[0] else None
    dy = F.mul(grad, weight) if needs[1] else None
    dweight = F.mul(grad, _difference(F, y, x)) if needs[2] else None
    return dx, dy, dweight


def _difference(F, x, y):
    """x - y; an op needs an array among its operands, and here both may be numbers."""
    return F.sub(x, y) if hasattr(x, "dtype") or hasattr(y, "dtype") else x - y
