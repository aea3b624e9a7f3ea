"""Assignment A2: elementwise ops, reductions, and a test that finds faults."""

import numpy as np

import etude


def leaky_relu(x):
    """x where x is above 0, and {{slope}} x elsewhere. x: any shape, float32 or float64, and the
    result has the same dtype. NaN stays NaN.
    """
    # BEGIN SOLUTION
    return np.where(x > 0, x, x.dtype.type({{slope}}) * x)
    # END SOLUTION


@etude.implements("sigmoid")
def sigmoid(x):
    """1 / (1 + exp(-x)) of every element, right from -infinity to infinity, as a column of the
    table. x: any shape, float32 or float64, and the result has the same dtype.
    """
    # BEGIN SOLUTION
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)
    # END SOLUTION


def softplus(x):
    """log(1 + exp(x)) of every element of x, float32, accurate in both tails."""
    # BEGIN SOLUTION
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    # END SOLUTION


def compensated_sum(x):
    """The sum of the numbers of x, float32 (N,), with additions of float32 alone: a np.float32
    that is off by at most two units in the last place if no number is negative. Add them
    yourself: sum, np.sum, np.cumsum, math and float64 may not be used here.
    """
    # BEGIN SOLUTION
    total = lost = np.float32(0)
    for v in x:
        v = v - lost
        new = total + v
        lost = (new - total) - v
        total = new
    return total
    # END SOLUTION


def variance(x, dim):
    """The variance along the axis dim: the mean of the squared distances from the mean. x:
    float32, any shape; the axis is gone from the result. np.var, np.std and float64 may not be
    used here.
    """
    # BEGIN SOLUTION
    distance = x - x.mean(axis=dim, keepdims=True)
    return (distance * distance).mean(axis=dim)
    # END SOLUTION


def logsumexp(x):
    """log(sum(exp(x))) of x, float32 (N,): a np.float32. Numbers may be -infinity, and there may
    be none at all: the result for no numbers changes nothing when pieces are put together.
    """
    # BEGIN SOLUTION
    largest = x.max(initial=-np.inf)
    if largest == -np.inf:
        return np.float32(largest)
    return largest + np.log(np.exp(x - largest).sum())
    # END SOLUTION


def find_fault(f):
    """A number at which f is no sigmoid, or None if there is none.

    f takes a float32 array and returns one of the same shape. If it is wrong, it is wrong by more
    than 1e-4, or NaN, somewhere between -100 and 100: at 0, or on a stretch of 0.5 or more.
    """
    # BEGIN SOLUTION
    x = np.arange(-100, 100.125, 0.25, dtype=np.float32)
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    wrong = ~(np.abs(f(x) - exact) <= 1e-4)
    return float(x[wrong][0]) if wrong.any() else None
    # END SOLUTION
