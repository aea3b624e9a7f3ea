"""How the cases of A5 are drawn: real digits, few of them, so that a case takes milliseconds."""

import numpy as np

from etude import data
from etude_course.source.checks import cases

D, H, C = 64, 16, 10


def digits(rng, n):
    """n of the digits: (n, 64) float32 and (n,) int64."""
    learning, _ = data.digits()
    picked = rng.choice(len(learning), n, replace=False)
    x, y = learning.batch(picked)
    return x.reshape(n, D).astype(np.float32), y.astype(np.int64)


def parameters_of(rng, d=D, h=H, c=C):
    shapes = {"w1": (d, h), "b1": (h,), "w2": (h, c), "b2": (c,)}
    return {k: rng.normal(0, 0.3, s).astype(np.float32) for k, s in shapes.items()}


def number(rng, low, high):
    return int(rng.integers(low, high + 1))


@cases("batches-values")
def batches_values(rng, parameters):
    yield "two even batches", (6, 3, 0, 0)
    yield "the last one is shorter", (7, 3, 0, 0)
    yield "the next epoch", (7, 3, 0, 1)
    yield "another seed", (7, 3, 1, 0)
    while True:
        yield "anything", (number(rng, 1, 30), number(rng, 1, 9), number(rng, 0, 99),
                           number(rng, 0, 99))


@cases("gradients-values")
def gradients_values(rng, parameters):
    def small(n):
        return (parameters_of(rng, 3, 4, 2), rng.normal(0, 1, (n, 3)).astype(np.float32),
                rng.integers(0, 2, n))

    yield "one sample, three pixels", small(1)
    yield "four samples, three pixels", small(4)
    x, y = digits(rng, 8)
    yield "eight digits", (parameters_of(rng), x, y)
    while True:
        x, y = digits(rng, number(rng, 1, 40))
        yield "digits", (parameters_of(rng), x, y)


@cases("gradients-large")
def gradients_large(rng, parameters):
    while True:
        p = parameters_of(rng, 3, 4, 2)
        p["w2"] = p["w2"] * np.float32(3000)
        x = rng.normal(0, 2, (number(rng, 2, 5), 3)).astype(np.float32)
        yield "scores in the thousands", (p, x, rng.integers(0, 2, len(x)))


@cases("step-values")
def step_values(rng, parameters):
    yield "from rest", ({"w": np.float32([1, 2])}, {"w": np.float32([0, 0])},
                        {"w": np.float32([1, -1])}, 0.1, 0.9)
    yield "with momentum", ({"w": np.float32([1, 2])}, {"w": np.float32([1, 0])},
                            {"w": np.float32([1, -1])}, 0.5, 0.5)
    while True:
        p, v, g = (parameters_of(rng, 2, 3, 2) for _ in range(3))
        yield "a network", (p, v, g, float(rng.uniform(0.01, 1)), float(rng.uniform(0, 0.95)))


@cases("evaluate-values")
def evaluate_values(rng, parameters):
    for n, size in ((4, 2), (5, 2), (9, 4)):
        x, y = digits(rng, n)
        yield f"{n} images in batches of {size}", (parameters_of(rng), x, y, size)
    while True:
        n, size = number(rng, 3, 30), number(rng, 2, 12)
        x, y = digits(rng, n)
        yield f"{n} images in batches of {size}", (parameters_of(rng), x, y, size)


def settings(rng):
    return number(rng, 5, 9), float(rng.uniform(0.05, 0.2)), float(rng.uniform(0.5, 0.9)), number(
        rng, 0, 99)


@cases("fit-values")
def fit_values(rng, parameters):
    while True:
        x, y = digits(rng, number(rng, 10, 30))
        epochs = number(rng, 2, 4)
        yield f"{epochs} epochs of {len(x)} digits", (x, y, epochs, *settings(rng))


@cases("fit-goes-on")
def fit_goes_on(rng, parameters):
    while True:
        x, y = digits(rng, number(rng, 10, 30))
        epoch = number(rng, 1, 3)
        state = {"params": parameters_of(rng), "velocity": parameters_of(rng), "epoch": epoch}
        yield f"from epoch {epoch}", (state, x, y, epoch + number(rng, 1, 2), *settings(rng))


@cases("resume-equal")
def resume_equal(rng, parameters):
    while True:
        x, y = digits(rng, number(rng, 10, 30))
        first = number(rng, 1, 2)
        yield (f"stopped after epoch {first}",
               (x, y, first, first + number(rng, 1, 2), *settings(rng)))


@cases("save-whole")
def save_whole(rng, parameters):
    while True:
        yield "a second save fails", (rng.normal(0, 1, 3).astype(np.float32),)
