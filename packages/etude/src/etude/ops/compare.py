"""Comparisons: two operands, a bool out, with broadcasting. C: c_src/cpu/compare.c.

Legend: x and y broadcast to the shape of z; either may be a Python number. No gradient: the
result is piecewise constant. NaN compares unequal to everything, itself included.
"""

from etude.table import op


def _size(x, y):
    return max(getattr(x, "size", 1), getattr(y, "size", 1))


@op("compare", domain="any", outputs=("z",), flops=_size)
def eq(x, y):
    """z = (x = y), with broadcasting. x, y: any dtype; z: bool."""
    return x == y


@op("compare", domain="any", outputs=("z",), flops=_size)
def ne(x, y):
    """z = (x != y), with broadcasting. x, y: any dtype; z: bool."""
    return x != y


@op("compare", domain="any", outputs=("z",), flops=_size)
def lt(x, y):
    """z = (x < y), with broadcasting. x, y: any dtype; z: bool."""
    return x < y


@op("compare", domain="any", outputs=("z",), flops=_size)
def le(x, y):
    """z = (x <= y), with broadcasting. x, y: any dtype; z: bool."""
    return x <= y


@op("compare", domain="any", outputs=("z",), flops=_size)
def gt(x, y):
    """z = (x > y), with broadcasting. x, y: any dtype; z: bool."""
    return x > y


@op("compare", domain="any", outputs=("z",), flops=_size)
def ge(x, y):
    """z = (x >= y), with broadcasting. x, y: any dtype; z: bool."""
    return x >= y
