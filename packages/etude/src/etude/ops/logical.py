"""Logic on bools: and, or, not, and whether all or any hold. C: c_src/cpu/logical.c.

Legend: x and y broadcast to the shape of z. Other dtypes are an error: compare with 0 first.
"""

import numpy as np

from etude.shapes import Spec, axes, bool_, broadcast, reduced, require
from etude.table import op


def _both(name):
    def rule(x, y):
        for arg, s in (("x", x), ("y", y)):
            if isinstance(s, Spec):
                require(name, arg, s, (bool_,))
        return Spec(broadcast(name, *(getattr(s, "shape", ()) for s in (x, y))), bool_)

    return rule


def _not_shape(x):
    require("logical_not", "x", x, (bool_,))
    return x


def _reduced(name):
    def rule(x, *, dim, keepdim):
        require(name, "x", x, (bool_,))
        return Spec(reduced(x.shape, axes(name, dim, x.ndim), keepdim), bool_)

    return rule


@op("logical", shape=_both("logical_and"), domain="any", outputs=("z",))
def logical_and(x, y):
    """z = x and y, with broadcasting. x, y, z: bool."""
    return np.logical_and(x, y)


@op("logical", shape=_both("logical_or"), domain="any", outputs=("z",))
def logical_or(x, y):
    """z = x or y, with broadcasting. x, y, z: bool."""
    return np.logical_or(x, y)


@op("logical_map", shape=_not_shape, domain="any")
def logical_not(x):
    """y = not x. x, y: bool, any shape."""
    return np.logical_not(x)


@op("logical_reduce", shape=_reduced("all"), domain="any")
def all(x, *, dim=None, keepdim=False):
    """y = whether every element of x over ``dim`` holds; true where there is none. bool."""
    return x.all(axes("all", dim, x.ndim), keepdims=keepdim)


@op("logical_reduce", shape=_reduced("any"), domain="any")
def any(x, *, dim=None, keepdim=False):
    """y = whether some element of x over ``dim`` holds; false where there is none. bool."""
    return x.any(axes("any", dim, x.ndim), keepdims=keepdim)
