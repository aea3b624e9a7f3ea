"""Rounding to whole numbers, and asking for NaN: piecewise constant, so without gradients.

C: c_src/cpu/rounding.c. Legend: x and y have any shape, the same.
"""

import numpy as np

from etude.shapes import FLOATS, Spec, bool_, require
from etude.table import op


@op("map", flops=lambda x: x.size)
def floor(x):
    """y = the largest whole number <= x, as a float. float32 or float64."""
    return np.floor(x)


@op("map", flops=lambda x: x.size)
def ceil(x):
    """y = the smallest whole number >= x, as a float. float32 or float64."""
    return np.ceil(x)


@op("map", flops=lambda x: x.size)
def round(x):
    """y = the whole number nearest to x, halves to the even one, as a float."""
    return np.round(x)


def _isnan_shape(x):
    require("isnan", "x", x, FLOATS)
    return Spec(x.shape, bool_)


@op("map_bool", shape=_isnan_shape, flops=lambda x: x.size)
def isnan(x):
    """y = whether x is NaN; bool. x: float32 or float64."""
    return np.isnan(x)
