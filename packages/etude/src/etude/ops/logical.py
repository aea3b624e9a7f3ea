"""Logic on bools: and, or, not, and whether all or any hold. C: c_src/cpu/logical.c.

Legend: x and y broadcast to the shape of z. Other dtypes are an error: compare with 0 first.
"""

import numpy as np

from etude.core.shapes import axes, reduction
from etude.core.table import op


@op("binary", shape="x y: ~Z bool -> *Z bool", domain="any", outputs="z")
def logical_and(x, y):
    """z = x and y, with broadcasting. x, y, z: bool."""
    return np.logical_and(x, y)


@op("binary", shape="x y: ~Z bool -> *Z bool", domain="any", outputs="z")
def logical_or(x, y):
    """z = x or y, with broadcasting. x, y, z: bool."""
    return np.logical_or(x, y)


@op("map", shape="x: ... bool -> ... bool", domain="any")
def logical_not(x):
    """y = not x. x, y: bool, any shape."""
    return np.logical_not(x)


@op("reduce", shape="x: ... bool -> *R bool", sizes=reduction, domain="any")
def all(x, *, dim=None, keepdim=False):
    """y = whether every element of x over ``dim`` holds; true where there is none. bool."""
    return x.all(axes("all", dim, x.ndim), keepdims=keepdim)


all.convention("""
    all([]) -> True
    all(empty(2, 0), dim=1) -> [True, True]""")


@op("reduce", shape="x: ... bool -> *R bool", sizes=reduction, domain="any")
def any(x, *, dim=None, keepdim=False):
    """y = whether some element of x over ``dim`` holds; false where there is none. bool."""
    return x.any(axes("any", dim, x.ndim), keepdims=keepdim)


any.convention("""
    any([]) -> False
    any(empty(2, 0), dim=1) -> [False, False]""")
