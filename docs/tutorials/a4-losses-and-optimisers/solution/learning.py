"""Assignment A4: losses with their gradients, and the rules that turn gradients into steps.

Everything is NumPy. Parameters and gradients are dicts of arrays with the same names.
"""

import math

import numpy as np

import etude


@etude.implements("log_softmax")
def log_softmax(x, *, dim=-1):
    """The logarithm of softmax along the axis dim, as a column of the table: x of any shape,
    float32 or float64, and the result has the same shape and dtype.
    """
    # BEGIN SOLUTION
    shifted = x - x.max(axis=dim, keepdims=True, initial=-np.inf)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))
    # END SOLUTION


def cross_entropy(scores, labels, smoothing):
    """(loss, gradient by the scores). scores: (N, C) float32; labels: (N,) int64.

    The target of a sample is 1 - smoothing for its label, and smoothing / C more for every class,
    the label included. The loss, a float, is the mean over the samples that count: those whose
    label is not -1. At least one counts. Scores of 1000 and more must not overflow.
    """
    # BEGIN SOLUTION
    n, c = scores.shape
    counts = labels != -1
    largest = scores.max(axis=1, keepdims=True)
    shifted = scores - largest
    logp = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    target = np.full((n, c), smoothing / c)
    target[np.arange(n), np.where(counts, labels, 0)] += 1 - smoothing
    target *= counts[:, None]
    total = counts.sum()
    gradient = (np.exp(logp) * counts[:, None] - target) / total
    return float(-(target * logp).sum() / total), gradient.astype(np.float32)
    # END SOLUTION


def bce_with_logits(scores, targets):
    """(mean loss, gradient) of the binary cross-entropy of sigmoid(scores): two float32 arrays of
    one shape, targets from 0 to 1. Right for scores from -1000 to 1000.
    """
    # BEGIN SOLUTION
    small = np.exp(-np.abs(scores))
    loss = np.maximum(scores, 0) - scores * targets + np.log1p(small)
    p = np.where(scores >= 0, 1 / (1 + small), small / (1 + small))
    return float(loss.mean()), ((p - targets) / scores.size).astype(np.float32)
    # END SOLUTION


class SGD:
    """v = momentum v + g, p = p - lr v, with g the gradient plus weight_decay p, as in PyTorch; at
    the first step v is g. ``step(params, gradients)`` returns new parameters.
    """

    def __init__(self, lr, momentum=0.0, weight_decay=0.0):
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocity = {}

    def step(self, params, gradients):
        # BEGIN SOLUTION
        new = {}
        for name, p in params.items():
            g = gradients[name] + self.weight_decay * p
            v = self.momentum * self.velocity.get(name, 0) + g
            self.velocity[name] = v
            new[name] = p - self.lr * v
        return new
        # END SOLUTION


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2, without a
    schedule): p shrinks by lr weight_decay p, and moves by lr m' / (sqrt(v') + eps), with m' and v'
    the running means of g and g^2 after the correction of their start.
    """

    def __init__(self, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.mean, self.square, self.steps = {}, {}, 0

    def step(self, params, gradients):
        # BEGIN SOLUTION
        self.steps += 1
        b1, b2 = self.betas
        new = {}
        for name, p in params.items():
            g = gradients[name]
            m = b1 * self.mean.get(name, 0) + (1 - b1) * g
            v = b2 * self.square.get(name, 0) + (1 - b2) * g * g
            self.mean[name], self.square[name] = m, v
            corrected = np.sqrt(v / (1 - b2**self.steps)) + self.eps
            p = p - self.lr * self.weight_decay * p
            new[name] = p - self.lr * (m / (1 - b1**self.steps)) / corrected
        return new
        # END SOLUTION


def clip_grad_norm(gradients, max_norm):
    """(norm, clipped): the length of all gradients together as one vector, a float, and the
    gradients, shortened so that their length is max_norm if it was larger.
    """
    # BEGIN SOLUTION
    norm = math.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values()))
    factor = np.float32(min(1.0, max_norm / norm)) if norm > 0 else np.float32(1)
    return norm, {name: g * factor for name, g in gradients.items()}
    # END SOLUTION


def learning_rate(step, peak, warmup, total):
    """The rate of step 0, 1, ..., total - 1. It rises evenly to ``peak`` within ``warmup`` steps:
    step 0 has peak / warmup and step warmup - 1 has peak. Then it falls along half a cosine, from
    peak at step warmup - 1 to 0 at step total - 1. warmup >= 1, total > warmup.
    """
    # BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - (warmup - 1)) / (total - warmup)
    return peak * (1 + math.cos(math.pi * share)) / 2
    # END SOLUTION
