"""Comparisons: two operands, a bool out, with broadcasting. C: c_src/cpu/compare.c.

Legend: x and y broadcast to the shape of z; either may be a Python number. No gradient: the
result is piecewise constant. NaN compares unequal to everything, itself included.
"""

from etude.core.table import op


@op("compare", domain="any", outputs="z", flops=1)
def eq(x, y):
    """z = (x = y), with broadcasting. x, y: any dtype; z: bool."""
    return x == y


eq.convention("eq([nan, nan, inf, 0.0], [nan, 1, inf, -0.0]) -> [False, False, True, True]")


@op("compare", domain="any", outputs="z", flops=1)
def ne(x, y):
    """z = (x != y), with broadcasting. x, y: any dtype; z: bool."""
    return x != y


ne.convention("ne([nan, nan, inf, 0.0], [nan, 1, inf, -0.0]) -> [True, True, False, False]")


@op("compare", domain="any", outputs="z", flops=1)
def lt(x, y):
    """z = (x < y), with broadcasting. x, y: any dtype; z: bool."""
    return x < y


lt.convention("lt([nan, 1, -inf, -0.0], [1, nan, inf, 0.0]) -> [False, False, True, False]")


@op("compare", domain="any", outputs="z", flops=1)
def le(x, y):
    """z = (x <= y), with broadcasting. x, y: any dtype; z: bool."""
    return x <= y


le.convention("le([nan, nan, inf, 0.0], [1, nan, inf, -0.0]) -> [False, False, True, True]")


@op("compare", domain="any", outputs="z", flops=1)
def gt(x, y):
    """z = (x > y), with broadcasting. x, y: any dtype; z: bool."""
    return x > y


gt.convention("gt([nan, 1, inf, 0.0], [1, nan, -inf, -0.0]) -> [False, False, True, False]")


@op("compare", domain="any", outputs="z", flops=1)
def ge(x, y):
    """z = (x >= y), with broadcasting. x, y: any dtype; z: bool."""
    return x >= y


ge.convention("ge([nan, nan, inf, -0.0], [1, nan, inf, 0.0]) -> [False, False, True, True]")
