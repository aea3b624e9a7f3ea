"""Assignment A5: an MLP that reads digits, its training, and a run that can be stopped.

Everything is NumPy. x: (N, D) float32 images as rows; y: (N,) int64 digits, 0 to C - 1.
The parameters are a dict: w1 (D, H), b1 (H,), w2 (H, C), b2 (C,), all float32.
The state of a run is a dict as well: params, velocity (a dict like params), epoch (a number).
"""

import os
from pathlib import Path

import numpy as np


def start(sizes, seed):
    """The state before the first epoch, for sizes (D, H, C). This function is given."""
    rng = np.random.default_rng(seed)
    d, h, c = sizes
    params = {"w1": rng.normal(0, np.sqrt(2 / d), (d, h)), "b1": np.zeros(h),
              "w2": rng.normal(0, np.sqrt(2 / h), (h, c)), "b2": np.zeros(c)}
    params = {name: p.astype(np.float32) for name, p in params.items()}
    return {"params": params, "epoch": 0,
            "velocity": {name: np.zeros_like(p) for name, p in params.items()}}


def batches(n, batch_size, seed, epoch):
    """The numbers 0 to n - 1 in a random order, in pieces of batch_size: a list of arrays. The
    last piece may be shorter. The order is np.random.default_rng([seed, epoch]).permutation(n),
    so that it follows from seed and epoch, and from nothing else.
    """
    # BEGIN SOLUTION
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return [order[i:i + batch_size] for i in range(0, n, batch_size)]
    # END SOLUTION


def loss_and_gradients(params, x, y):
    """The mean cross-entropy of softmax(relu(x w1 + b1) w2 + b2), a float, and its gradients, a
    dict like params. Scores of 1000 and more must not overflow.
    """
    # BEGIN SOLUTION
    n = len(x)
    rows = np.arange(n)
    before = x @ params["w1"] + params["b1"]
    hidden = np.maximum(before, 0)
    scores = hidden @ params["w2"] + params["b2"]
    scores = scores - scores.max(axis=1, keepdims=True)
    logp = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -logp[rows, y].mean()
    d_scores = np.exp(logp)
    d_scores[rows, y] -= 1
    d_scores /= n
    d_before = (d_scores @ params["w2"].T) * (before > 0)
    return float(loss), {"w1": x.T @ d_before, "b1": d_before.sum(axis=0),
                         "w2": hidden.T @ d_scores, "b2": d_scores.sum(axis=0)}
    # END SOLUTION


def momentum_step(params, velocity, gradients, lr, momentum):
    """(new params, new velocity) of a step of SGD with momentum, as PyTorch has it:
    v = momentum v + gradient, then p = p - lr v. What was given stays as it was.
    """
    # BEGIN SOLUTION
    velocity = {name: momentum * velocity[name] + gradients[name] for name in params}
    params = {name: params[name] - lr * velocity[name] for name in params}
    return params, velocity
    # END SOLUTION


def evaluate(params, x, y, batch_size):
    """(mean loss, share of digits that are right) over all images, computed batch by batch."""
    # BEGIN SOLUTION
    loss, right = 0.0, 0
    for i in range(0, len(x), batch_size):
        xb, yb = x[i:i + batch_size], y[i:i + batch_size]
        loss += loss_and_gradients(params, xb, yb)[0] * len(xb)
        scores = np.maximum(xb @ params["w1"] + params["b1"], 0) @ params["w2"] + params["b2"]
        right += int((scores.argmax(axis=1) == yb).sum())
    return loss / len(x), right / len(x)
    # END SOLUTION


def fit(state, x, y, epochs, batch_size, lr, momentum, seed):
    """The state after ``epochs`` epochs in all: a state whose epoch is 3 is trained for two more
    if epochs is 5. The order of each epoch is that of ``batches``.
    """
    # BEGIN SOLUTION
    params, velocity = state["params"], state["velocity"]
    for epoch in range(state["epoch"], epochs):
        for picked in batches(len(x), batch_size, seed, epoch):
            _, gradients = loss_and_gradients(params, x[picked], y[picked])
            params, velocity = momentum_step(params, velocity, gradients, lr, momentum)
    return {"params": params, "velocity": velocity, "epoch": max(epochs, state["epoch"])}
    # END SOLUTION


def save(path, state):
    """Write a state to the file ``path``, so that ``load`` gives the same numbers, bit for bit. If
    writing fails half-way, the file that was there is still whole.
    """
    # BEGIN SOLUTION
    arrays = {"epoch": np.int64(state["epoch"])}
    for part in ("params", "velocity"):
        arrays.update({f"{part}.{name}": a for name, a in state[part].items()})
    beside = Path(f"{path}.new")
    with open(beside, "wb") as file:
        np.savez(file, **arrays)
    os.replace(beside, path)
    # END SOLUTION


def load(path):
    """The state in the file ``path``."""
    # BEGIN SOLUTION
    state = {"params": {}, "velocity": {}}
    with np.load(path) as arrays:
        state["epoch"] = int(arrays["epoch"])
        for key in arrays.files:
            part, _, name = key.partition(".")
            if name:
                state[part][name] = arrays[key]
    return state
    # END SOLUTION
