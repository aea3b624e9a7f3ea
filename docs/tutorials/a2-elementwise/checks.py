"""How the cases of A2 are drawn."""

import math

import numpy as np

from etude_course.source.checks import cases, expected


def floats(rng, shape, scale=1.0):
    return rng.normal(0, scale, shape).astype(np.float32)


@cases("leaky-values")
def leaky_values(rng, parameters):
    yield "around 0", (np.float32([-2, -1, 0, 1, 2]),)
    yield "NaN and infinities", (np.float32([np.nan, np.inf, -np.inf]),)
    yield "float64", (rng.normal(0, 1, 4),)
    while True:
        shape = tuple(rng.integers(1, 5, rng.integers(1, 4)))
        yield "a table", (floats(rng, shape, 3),)


@cases("softplus-values")
def softplus_values(rng, parameters):
    yield "around 0", (np.float32([-1, 0, 1]),)
    yield "far above 0", (np.float32([50, 100, 1000]),)
    yield "far below 0", (np.float32([-40, -30]),)
    while True:
        yield "a stretch", (np.float32(rng.uniform(-1, 1, 4) + rng.uniform(-80, 200)),)


@expected("softplus-values")
def softplus_expected(x, parameters):
    x = x.astype(np.float64)
    return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))).astype(np.float32)


@cases("sum-values")
def sum_values(rng, parameters):
    yield "a large one and small ones", (np.float32([2**24, 1, 1, 1, 1]),)
    yield "no numbers", (np.float32([]),)
    yield "tenths", (np.full(3000, 0.1, np.float32),)
    while True:
        n = int(rng.integers(1000, 4000))
        yield f"{n} numbers", (rng.random(n).astype(np.float32),)


@expected("sum-values")
def sum_expected(x, parameters):
    return np.float32(math.fsum(x.tolist()))


@cases("variance-values")
def variance_values(rng, parameters):
    yield "rows", (np.float32([[1, 3], [2, 6]]), 1)
    yield "columns", (np.float32([[1, 3], [2, 6]]), 0)
    yield "a large mean", (np.float32([[4096, 4097, 4098, 4099]]), 1)
    while True:
        shape = tuple(int(n) for n in rng.integers(2, 6, rng.integers(2, 4)))
        yield "a table", (floats(rng, shape) + np.float32(rng.choice([0, 5000])),
                          int(rng.integers(-1, len(shape))))


@expected("variance-values")
def variance_expected(x, dim, parameters):
    return x.astype(np.float64).var(axis=dim).astype(np.float32)


@cases("logsumexp-values")
def logsumexp_values(rng, parameters):
    yield "two numbers", (np.float32([1, 2]),)
    yield "a thousand and more", (np.float32([1000, 1001]),)
    yield "one is -infinity", (np.float32([-np.inf, 0]),)
    yield "all are -infinity", (np.float32([-np.inf, -np.inf]),)
    yield "no numbers", (np.float32([]),)
    while True:
        yield "anything", (floats(rng, int(rng.integers(1, 6)), 3) + np.float32(
            rng.choice([-500, 0, 500])),)


@cases("fault-found")
def fault_found(rng, parameters):
    yield "a sigmoid", ("right", 0.0)
    yield "NaN for large numbers", ("NaN beyond", 88.0)
    yield "a dent", ("a dent", 2.125)
    yield "wrong at 0", ("wrong at 0", 0.0)
    yield "flat for very negative numbers", ("flat below", 60.0)
    yield "a sigmoid, computed otherwise", ("right, another way", 0.0)
    yield "NaN at the very end", ("NaN beyond", 99.25)
    while True:
        kind, low, high = (("right", 0, 1), ("NaN beyond", 20, 99), ("mirrored", 0, 1),
                           ("too steep", 0.05, 0.5), ("flat below", 7, 90),
                           ("a dent", -20, 20), ("rounded", 0, 1))[rng.integers(7)]
        yield kind, (kind, float(rng.uniform(low, high)))
