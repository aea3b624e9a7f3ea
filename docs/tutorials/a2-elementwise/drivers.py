"""Functions that are to be told apart in A2: some are sigmoids, some are not quite."""

import numpy as np


def sigmoid(x):
    with np.errstate(all="ignore"):
        return (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32)


def made(kind, number):
    """A function that is right, or wrong in a way that has a name and a number."""
    def f(x):
        x = np.asarray(x, np.float32)
        y = sigmoid(x)
        with np.errstate(all="ignore"):
            return {
                "right": lambda: y,
                "right, another way": lambda: np.float32(0.5) * (1 + np.tanh(x / 2)),
                "NaN beyond": lambda: np.where(x > number, np.float32(np.nan), y),
                "mirrored": lambda: sigmoid(-x),
                "too steep": lambda: sigmoid(np.float32(1 + number) * x),
                "flat below": lambda: np.where(x < -number, np.float32(0.002), y),
                "a dent": lambda: np.where((x > number) & (x < number + 0.5), y + np.float32(
                    0.002), y),
                "wrong at 0": lambda: np.where(x == 0, np.float32(0), y),
                "rounded": lambda: (np.round(y * 256) / 256).astype(np.float32),
            }[kind]()

    return f


def hunt(answer, kind, number):
    """What becomes of one function."""
    f = made(kind, number)
    at = answer.find_fault(f)
    if at is None:
        return "nothing found"
    x = np.float32([at])
    off = abs(float(f(x)[0]) - float(sigmoid(x)[0]))
    return "nothing is wrong there" if off <= 1e-4 else "a fault"
