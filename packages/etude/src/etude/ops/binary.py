"""Arithmetic on two operands, with broadcasting. C: c_src/cpu/binary.c.

Legend: x and y broadcast to the shape of z by NumPy's rule; either may be a Python number, which
takes the other's dtype. Gradient rules return gradients of the broadcast shape; autograd then sums
each back to the shape of its operand, in one place for every op.
"""

import math

import numpy as np

from etude.core.table import op
from etude.ops.map import flat


@op("binary", domain="number", flops=1)
def add(x, y):
    """z = x + y, with broadcasting. float32, float64 or int64."""
    return x + y


add.gradient(lambda F, grad, **_: (grad, grad))
add.convention("""
    add([nan, inf, inf, -0.0, -0.0], [1, 1, -inf, -0.0, 0.0]) -> [nan, inf, nan, -0.0, 0.0]""")


@op("binary", domain="number", flops=1)
def sub(x, y):
    """z = x - y, with broadcasting. float32, float64 or int64."""
    return x - y


sub.gradient(lambda F, grad, *, needs: (grad, F.neg(grad) if needs[1] else None))
sub.convention("sub([nan, inf, inf, -0.0, 1], [1, 1, inf, 0.0, 1]) -> [nan, inf, nan, -0.0, 0.0]")


@op("binary", domain="number", saves="x y", flops=1)
def mul(x, y):
    """z = x y, elementwise with broadcasting. float32, float64 or int64."""
    return x * y


mul.gradient(lambda F, grad, x, y, *, needs:
    (F.mul(grad, y) if needs[0] else None, F.mul(grad, x) if needs[1] else None))
mul.convention("mul([nan, 0, inf, -1, -0.0], [0, inf, -1, 0.0, -1]) -> [nan, nan, -inf, -0.0, 0.0]")


@op("binary", saves="y z", outputs="z", flops=1, ieee=True)
def div(x, y):
    """z = x / y, elementwise with broadcasting; IEEE 754 at y = 0. float32 or float64."""
    return x / y


@div.gradient
def _(F, grad, y, z, *, needs):
    dx = F.div(grad, y)
    return dx, F.neg(F.mul(dx, z)) if needs[1] else None


div.convention("""
    div([1, -1, 1, 0, inf, nan, -1], [0.0, 0.0, -0.0, 0, inf, 1, inf])
        -> [inf, -inf, -inf, nan, nan, nan, -0.0]""")


def _whole(x, y):
    return (x if hasattr(x, "dtype") else y).dtype.kind == "i"


@op("binary", domain="number", saves="x y z", outputs="z", flops=1, ieee=True, also="exponent=y")
def pow(x, y):
    """z = x^y, elementwise with broadcasting. float32, float64, or int64 with y >= 0.

    NaN where x < 0 and y is no integer. The gradient in y is 0 where x is 0 and y >= 0.
    """
    if _whole(x, y) and np.any(np.less(y, 0)):
        raise ValueError("pow: whole numbers have no negative powers; convert x with .float()")
    if np.ndim(y) == 0 and y == 0.5:  # NumPy would take sqrt(x), another value at -inf and -0
        y = np.full_like(x, y)
    return x**y


pow.gradient(lambda F, grad, x, y, z, *, needs: (
    F.mul(grad, F.mul(F.pow(x, _one_less(F, y, x)), y)) if needs[0] else None,
    F.mul(grad, F.mul(z, _log_or_zero(F, x, y))) if needs[1] else None))
pow.convention("""
    pow([nan, 1, 0.0, -0.0, -1, -8], [0, nan, -1, -1, inf, 0.5]) -> [1, 1, inf, -inf, 1, nan]  # C99
    pow([-0.0, -inf, nan], [3, 3, 1]) -> [-0.0, -inf, nan]
    pow(int64([2]), int64([-1])) -> ValueError""")


def _one_less(F, y, x):
    """y - 1, but 0 where x and y are 0: x^0 is flat there, and 0^-1 would make it NaN."""
    if isinstance(y, (int, float)):
        return y - 1 if y else 0
    if isinstance(x, (int, float)):
        return F.sub(y, 1.0)
    return F.where(F.eq(x, 0.0), F.where(F.eq(y, 0.0), 0.0, F.sub(y, 1.0)), F.sub(y, 1.0))


def _log_or_zero(F, x, y):
    """ln x, and 0 where x is 0 and y is not below: there x^y is flat in y."""
    if isinstance(x, (int, float)) and x != 0:
        return math.log(x) if x > 0 else math.nan
    flat_there = F.ge(y, 0.0) if hasattr(y, "dtype") else y >= 0
    if isinstance(x, (int, float)):
        return F.where(flat_there, 0.0, -math.inf)
    if isinstance(flat_there, bool):
        return F.log(F.where(F.eq(x, 0.0), 1.0, x) if flat_there else x)
    return F.log(F.where(F.logical_and(F.eq(x, 0.0), flat_there), 1.0, x))


@op("binary", domain="number", saves="x y", flops=1)
def maximum(x, y):
    """z = the larger of x and y, with broadcasting; NaN if either is. float or int64.

    Where x = y each gets half of the gradient, as in PyTorch.
    """
    return np.maximum(x, y)


maximum.gradient(lambda F, grad, x, y, *, needs: _to_winner(F, F.gt, grad, x, y, needs))
maximum.convention("""
    maximum([nan, 1, -inf, inf], [1, nan, 0, nan]) -> [nan, nan, 0, nan]
    maximum([0.0, -0.0], [-0.0, 0.0]) -> [0, 0]  # either zero""")


def _to_winner(F, beats, grad, x, y, needs):
    """Each gradient goes where its operand beats the other, half of it where the two are equal."""
    shared = F.where(F.eq(x, y), F.mul(grad, 0.5), 0.0)
    return (F.where(beats(x, y), grad, shared) if needs[0] else None,
            F.where(beats(y, x), grad, shared) if needs[1] else None)


@op("binary", domain="number", saves="x y", flops=1)
def minimum(x, y):
    """z = the smaller of x and y, with broadcasting; NaN if either is. float or int64.

    Where x = y each gets half of the gradient, as in PyTorch.
    """
    return np.minimum(x, y)


minimum.gradient(lambda F, grad, x, y, *, needs: _to_winner(F, F.lt, grad, x, y, needs))
minimum.convention("""
    minimum([nan, 1, inf, -inf], [1, nan, 0, nan]) -> [nan, nan, 0, nan]
    minimum([0.0, -0.0], [-0.0, 0.0]) -> [0, 0]  # either zero""")


def _no_zero(x, y):
    """Whole numbers have no infinity to give when they are divided by 0."""
    if _whole(x, y) and np.any(np.equal(y, 0)):
        raise ZeroDivisionError("int64 divided by 0; floats give inf or NaN")


@op("binary", domain="number", outputs="z", flops=1, ieee=True)
def floor_divide(x, y):
    """z = the largest whole number <= x / y, with broadcasting, as Python's ``//``.

    float, or int64, which raises ZeroDivisionError where y is 0. The gradient is 0.
    """
    _no_zero(x, y)
    return x // y


floor_divide.gradient(lambda F, grad, *, needs: (
    flat(F, grad) if needs[0] else None, flat(F, grad) if needs[1] else None))
floor_divide.convention("""
    floor_divide([1, -1, 0, inf, nan, -1], [0.0, 0.0, 0, 1, 1, inf])
        -> [inf, -inf, nan, nan, nan, -1]
    floor_divide([0.0, -0.0, 1], [1, 1, inf]) -> [0.0, -0.0, 0.0]
    floor_divide(int64([1]), int64([0])) -> ZeroDivisionError""")


@op("binary", domain="number", saves="x y", outputs="z", flops=1, ieee=True)
def remainder(x, y):
    """z = x - y floor(x / y), with broadcasting, as Python's ``%``: it has the sign of y.

    float, or int64, which raises ZeroDivisionError where y is 0.
    """
    _no_zero(x, y)
    return x % y


remainder.gradient(lambda F, grad, x, y, *, needs: (
    grad if needs[0] else None,
    F.neg(F.mul(grad, F.floor_divide(x, y))) if needs[1] else None))
remainder.convention("""
    remainder([1, inf, nan, 1, -1, 1], [0, 1, 1, nan, inf, -inf]) -> [nan, nan, nan, nan, inf, -inf]
    remainder([2, -2, 2, -0.0], [2.0, 2, -2, 1]) -> [0.0, 0.0, -0.0, 0.0]  # the sign of y
    remainder(int64([1]), int64([0])) -> ZeroDivisionError""")
