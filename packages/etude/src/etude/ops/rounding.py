"""Rounding to whole numbers, piecewise constant, so with gradient 0; and asking for NaN.

C: c_src/cpu/rounding.c. Legend: x and y have any shape, the same.
"""

import numpy as np

from etude.core.table import op
from etude.ops.map import flat


@op("map", flops=1)
def floor(x):
    """y = the largest whole number <= x, as a float. float32 or float64."""
    return np.floor(x)


floor.gradient(flat)


@op("map", flops=1)
def ceil(x):
    """y = the smallest whole number >= x, as a float. float32 or float64."""
    return np.ceil(x)


ceil.gradient(flat)


@op("map", flops=1)
def round(x):
    """y = the whole number nearest to x, halves to the even one, as a float."""
    return np.round(x)


round.gradient(flat)


@op("map_bool", shape="... -> ... bool", flops=1)
def isnan(x):
    """y = whether x is NaN; bool. x: float32 or float64."""
    return np.isnan(x)
