"""Comparisons: two operands, a bool out, with broadcasting. C: c_src/cpu/compare.c.

Legend: x and y broadcast to the shape of z; either may be a Python number. No gradient: the
result is piecewise constant. NaN compares unequal to everything, itself included.
"""

from etude.core.table import op


@op("compare", domain="any", outputs="z", flops=1)
def eq(x, y):
    """z = (x = y), with broadcasting. x, y: any dtype; z: bool."""
    return x == y


@op("compare", domain="any", outputs="z", flops=1)
def ne(x, y):
    """z = (x != y), with broadcasting. x, y: any dtype; z: bool."""
    return x != y


@op("compare", domain="any", outputs="z", flops=1)
def lt(x, y):
    """z = (x < y), with broadcasting. x, y: any dtype; z: bool."""
    return x < y


@op("compare", domain="any", outputs="z", flops=1)
def le(x, y):
    """z = (x <= y), with broadcasting. x, y: any dtype; z: bool."""
    return x <= y


@op("compare", domain="any", outputs="z", flops=1)
def gt(x, y):
    """z = (x > y), with broadcasting. x, y: any dtype; z: bool."""
    return x > y


@op("compare", domain="any", outputs="z", flops=1)
def ge(x, y):
    """z = (x >= y), with broadcasting. x, y: any dtype; z: bool."""
    return x >= y
