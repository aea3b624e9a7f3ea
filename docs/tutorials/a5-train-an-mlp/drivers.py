"""What calls the answer of A5: several calls in a row, and a disk that is full."""

import tempfile
from pathlib import Path

import numpy as np

SIZES = (64, 16, 10)


def copied(arrays):
    return {name: a.copy() for name, a in arrays.items()}


def step(answer, params, velocity, gradients, lr, momentum):
    """The new ones, and whether what was given is still what it was."""
    given = (copied(params), copied(velocity), copied(gradients))
    new = answer.momentum_step(params, velocity, gradients, lr, momentum)
    kept = all(np.array_equal(before[name], now[name])
               for before, now in zip(given, (params, velocity, gradients)) for name in before)
    return [*new, kept]


def trained(answer, x, y, epochs, batch_size, lr, momentum, seed):
    """The state after some epochs from the start."""
    start = answer.start(SIZES, seed)
    return second_layer(answer.fit(start, x, y, epochs, batch_size, lr, momentum, seed))


def gone_on(answer, state, x, y, epochs, batch_size, lr, momentum, seed):
    """The state after going on from one that is not the start."""
    return second_layer(answer.fit(state, x, y, epochs, batch_size, lr, momentum, seed))


def second_layer(state):
    """A state without the first layer, on which the second depends after one step, and which is
    five times as large.
    """
    return {"epoch": state["epoch"], **{
        part: {name: state[part][name] for name in ("w2", "b2")}
        for part in ("params", "velocity")}}


def stopped(answer, x, y, first, epochs, batch_size, lr, momentum, seed):
    """A run of ``epochs`` epochs, and one that is stopped after ``first``, saved, loaded and gone
    on with: whether they are equal, bit for bit.
    """
    settings = (batch_size, lr, momentum, seed)
    whole = answer.fit(answer.start(SIZES, seed), x, y, epochs, *settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        answer.save(path, answer.fit(answer.start(SIZES, seed), x, y, first, *settings))
        kept = answer.load(path)
        resumed = answer.fit(kept, x, y, epochs, *settings)
    same = {part: all(np.array_equal(whole[part][k], resumed[part][k]) for k in whole[part])
            for part in ("params", "velocity")}
    learned = not np.array_equal(whole["params"]["w1"], answer.start(SIZES, seed)["params"]["w1"])
    return {**same, "epoch kept": kept["epoch"], "epoch": resumed["epoch"], "learned": learned}


class Unwritable:
    """An array that cannot be written: the disk is full, say."""

    shape, dtype = (2,), np.dtype(np.float32)

    def __array__(self, *args, **kwargs):
        raise OSError("no space left on device")


def full_disk(answer, numbers):
    """A state is saved, saving another one fails, and the first is loaded."""
    state = {"params": {"w": numbers}, "velocity": {"w": 2 * numbers}, "epoch": 7}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.npz"
        answer.save(path, state)
        failed = False
        try:
            answer.save(path, {"params": {"w": numbers + 1, "z": Unwritable()},
                               "velocity": {"w": numbers}, "epoch": 8})
        except OSError:
            failed = True
        try:
            kept = answer.load(path)
            return {"said that it failed": failed, "the old file": "whole",
                    "epoch": kept["epoch"], "w": kept["params"]["w"],
                    "velocity": kept["velocity"]["w"]}
        except Exception:  # it is half written
            return {"said that it failed": failed, "the old file": "lost"}
