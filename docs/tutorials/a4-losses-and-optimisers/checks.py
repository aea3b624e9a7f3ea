"""How the cases of A4 are drawn."""

import math

import numpy as np

from etude_course.source.checks import cases


def floats(rng, *shape, scale=1.0):
    return rng.normal(0, scale, shape).astype(np.float32)


def number(rng, low, high):
    return int(rng.integers(low, high + 1))


@cases("cross-entropy-values")
def cross_entropy_values(rng, parameters):
    yield "one sample", (np.float32([[2, 1, 0]]), np.int64([1]), 0.0)
    yield "two samples", (np.float32([[2, 1, 0], [0, 0, 3]]), np.int64([0, 2]), 0.0)
    yield "smoothed", (np.float32([[2, 1, 0], [0, 0, 3]]), np.int64([0, 2]), 0.3)
    yield "one does not count", (np.float32([[2, 1, 0], [0, 0, 3], [1, 1, 1]]),
                                 np.int64([0, -1, 1]), 0.0)
    while True:
        n, c = number(rng, 2, 8), number(rng, 2, 6)
        labels = rng.integers(0, c, n)
        labels[1:][rng.random(n - 1) < 0.3] = -1
        yield "anything", (floats(rng, n, c, scale=3), labels, float(rng.choice([0, 0.1, 0.4])))


@cases("cross-entropy-large")
def cross_entropy_large(rng, parameters):
    while True:
        n, c = number(rng, 1, 4), number(rng, 2, 5)
        yield "scores in the thousands", (floats(rng, n, c, scale=2000), rng.integers(0, c, n), 0.0)


@cases("bce-values")
def bce_values(rng, parameters):
    yield "around 0", (np.float32([-1, 0, 1]), np.float32([0, 1, 1]))
    yield "sure and wrong", (np.float32([100, -100]), np.float32([0, 1]))
    yield "sure and right", (np.float32([20, -20]), np.float32([1, 0]))
    while True:
        n = number(rng, 1, 6)
        yield "anything", (floats(rng, n, scale=float(rng.choice([1, 30, 400]))),
                           rng.random(n).astype(np.float32))


def steps(rng, count):
    shapes = {"w": (2, 3), "b": (3,)}
    params, *gradients = [{k: floats(rng, *s) for k, s in shapes.items()} for _ in range(count + 1)]
    return params, gradients


@cases("sgd-values")
def sgd_values(rng, parameters):
    for name, settings in (("plain", {}), ("momentum", {"momentum": 0.9}),
                           ("both", {"momentum": 0.9, "weight_decay": 0.1})):
        yield name, ({"lr": 0.1, **settings}, *steps(rng, 3))
    while True:
        yield "anything", ({"lr": float(rng.uniform(0.01, 1)), "momentum": float(rng.uniform(0, 1)),
                            "weight_decay": float(rng.uniform(0, 0.3))},
                           *steps(rng, number(rng, 2, 5)))


@cases("adamw-values")
def adamw_values(rng, parameters):
    for name, settings in (("without decay", {"weight_decay": 0.0}), ("with decay", {}),
                           ("other betas", {"betas": (0.5, 0.8), "eps": 0.1})):
        yield name, ({"lr": 0.1, **settings}, *steps(rng, 3))
    while True:
        yield "anything", ({"lr": float(rng.uniform(0.01, 0.5)),
                            "betas": (float(rng.uniform(0, 0.95)), float(rng.uniform(0.5, 0.99))),
                            "eps": float(rng.choice([1e-8, 1e-2])),
                            "weight_decay": float(rng.uniform(0.05, 0.5))},
                           *steps(rng, number(rng, 2, 5)))


@cases("clip-values")
def clip_values(rng, parameters):
    yield "too long", ({"w": np.float32([3, 0]), "b": np.float32([4])}, 1.0)
    yield "short enough", ({"w": np.float32([0.3, 0]), "b": np.float32([0.4])}, 1.0)
    yield "nothing but zeros", ({"w": np.zeros(2, np.float32)}, 1.0)
    while True:
        yield "anything", ({"w": floats(rng, 2, 3), "b": floats(rng, 3)},
                           float(rng.uniform(0.5, 5)))


@cases("rate-values")
def rate_values(rng, parameters):
    yield "the first step", (0, 1.0, 4, 10)
    yield "the peak", (3, 1.0, 4, 10)
    yield "on the way down", (6, 1.0, 4, 10)
    yield "the last step", (9, 1.0, 4, 10)
    while True:
        warmup = number(rng, 1, 20)
        total = warmup + number(rng, 1, 100)
        yield "anything", (number(rng, 0, total - 1), math.exp(rng.uniform(-7, 0)), warmup, total)
