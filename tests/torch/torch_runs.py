"""Whole runs: 100 steps from the same weights have the losses that PyTorch has, in float64."""

import numpy as np
import pytest
import torch
from twins import twin_model

import etude
from etude import data, models, optim

torch.set_num_threads(1)
STEPS = 100


def digits(size):
    """``size`` samples of the digits at a time, again and again in a fixed order."""
    loader = data.DataLoader(data.digits("train"), size, shuffle=True, seed=0, drop_last=True)
    while True:
        for x, y in loader:
            yield x.numpy().astype("float64"), y.numpy().copy()


def text(n, length, vocab):
    """Sequences of a rule that can be learnt: the next token is the sum of the last two."""
    rng = np.random.default_rng(0)
    while True:
        x = rng.integers(0, vocab, (n, length + 1))
        for t in range(2, length + 1):
            x[:, t] = (x[:, t - 1] + x[:, t - 2]) % vocab
        yield x[:, :-1], x[:, 1:]


def losses(model, batches, optimizer, settings, scheduled):
    """(Etude's, PyTorch's) loss at each of 100 steps."""
    other = twin_model(model)
    steps = getattr(optim, optimizer)(model.parameters(), **settings)
    their_steps = getattr(torch.optim, optimizer)(other.parameters(), **settings)
    schedules = [] if not scheduled else [
        optim.CosineAnnealingLR(steps, STEPS),
        torch.optim.lr_scheduler.CosineAnnealingLR(their_steps, STEPS)]
    found = []
    for _ in range(STEPS):
        x, y = next(batches)
        logits = model(etude.tensor(x))
        loss = etude.cross_entropy(logits.reshape(-1, logits.shape[-1]),
                                   etude.tensor(y.reshape(-1)))
        steps.zero_grad()
        loss.backward()
        logits = other(torch.from_numpy(x))
        their_loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]),
                                                       torch.from_numpy(y.reshape(-1)))
        their_steps.zero_grad()
        their_loss.backward()
        if scheduled:
            optim.clip_grad_norm_(model.parameters(), 1.0)
            torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
        for s in (steps, their_steps, *schedules):
            s.step()
        found.append((loss.item(), their_loss.item()))
    return np.array(found).T


SGD = ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01})
NESTEROV = ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True})
ADAM = ("Adam", {"lr": 3e-3, "weight_decay": 0.01})
ADAMW = ("AdamW", {"lr": 3e-3, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1})
RMSPROP = ("RMSprop", {"lr": 1e-3, "momentum": 0.5})

RUNS = {
    **{f"mlp-{o[0]}{i}": (lambda: models.mlp(64, 32, 10), lambda: digits(64), *o, False)
       for i, o in enumerate((SGD, NESTEROV, ADAM, ADAMW, RMSPROP))},
    "lenet-sgd": (models.lenet, lambda: digits(32), *SGD, False),
    "lenet-adamw": (models.lenet, lambda: digits(32), *ADAMW, True),
    "resnet20-sgd": (lambda: models.resnet20(1, 10), lambda: digits(8), *NESTEROV, True),
    "rnn": (lambda: models.char_rnn(7, 16, 2, "rnn"), lambda: text(8, 10, 7), *ADAM, True),
    "lstm": (lambda: models.char_rnn(7, 16, 2, "lstm"), lambda: text(8, 10, 7), *RMSPROP, False),
    "gru": (lambda: models.char_rnn(7, 16, 2, "gru"), lambda: text(8, 10, 7), *NESTEROV, True),
    "gpt": (lambda: models.gpt(7, 10, 2, 2, 16), lambda: text(8, 10, 7), "AdamW",
            {"lr": 3e-3, "eps": 1e-6}, False),
}


@pytest.mark.parametrize(("make", "batches", "optimizer", "settings", "scheduled"), RUNS.values(),
                         ids=RUNS)
def test_100_steps_have_the_same_losses(make, batches, optimizer, settings, scheduled,
                                        record_property):
    etude.manual_seed(0)
    model = make().to("float64")
    mine, theirs = losses(model, batches(), optimizer, settings, scheduled)
    worst = np.abs(mine - theirs).max()
    record_property("largest difference of a loss", worst)
    print(f"largest difference of a loss: {worst:.1e}")
    assert np.isfinite(mine).all()
    assert mine[-10:].mean() < mine[:10].mean()  # it learns
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_resnet20_has_the_size_of_its_paper():
    size = sum(p.numel() for p in models.resnet20().parameters())
    assert size == sum(p.numel() for p in twin_model(models.resnet20()).parameters())
    assert 0.265e6 < size < 0.275e6
