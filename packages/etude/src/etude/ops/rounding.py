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
floor.convention("""
    floor([nan, inf, -inf, -0.0]) -> [nan, inf, -inf, -0.0]
    floor([0.5, -0.5]) -> [0.0, -1]""")


@op("map", flops=1)
def ceil(x):
    """y = the smallest whole number >= x, as a float. float32 or float64."""
    return np.ceil(x)


ceil.gradient(flat)
ceil.convention("""
    ceil([nan, inf, -inf, -0.0]) -> [nan, inf, -inf, -0.0]
    ceil([0.5, -0.5]) -> [1, -0.0]""")


@op("map", flops=1)
def round(x):
    """y = the whole number nearest to x, halves to the even one, as a float."""
    return np.round(x)


round.gradient(flat)
round.convention("""
    round([nan, inf, -inf, -0.0]) -> [nan, inf, -inf, -0.0]
    round([0.5, 1.5, 2.5, -0.5]) -> [0.0, 2, 2, -0.0]  # halves to the even one""")


@op("map_bool", shape="... -> ... bool", flops=1)
def isnan(x):
    """y = whether x is NaN; bool. x: float32 or float64."""
    return np.isnan(x)


isnan.convention("isnan([nan, inf, -inf, -0.0]) -> [True, False, False, False]")
