"""A replayed training is the training: every bit of it, after every step, on every column."""

import pytest
from twins import dropping_mlp, labelled, mlp, over_tokens, tokens, twins

from etude import models, optim

OPTIMISERS = {
    "sgd": {"optimizer": "sgd"},
    "sgd with momentum": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01},
    "sgd with nesterov": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    "sgd with dampening": {"optimizer": "sgd", "momentum": 0.9, "dampening": 0.5},
    "adam": {"optimizer": "adam", "weight_decay": 0.1},
    "adamw": {"optimizer": "adamw"},
    "rmsprop": {"optimizer": "rmsprop", "momentum": 0.5},
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_with_every_optimiser(column, name):
    step, *_ = twins(mlp, labelled(5, 6, 12), **OPTIMISERS[name])
    assert step.traces <= 2  # dampening begins with the second step


SCHEDULES = {
    "step": lambda o: optim.StepLR(o, 2),
    "cosine": lambda o: optim.CosineAnnealingLR(o, 4),
    "one cycle": lambda o: optim.OneCycleLR(o, 0.1, total_steps=6),
    "in sequence": lambda o: optim.SequentialLR(
        o, [optim.LinearLR(o, total_iters=2), optim.ExponentialLR(o, 0.5)], [2]),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_schedule_goes_on(column, name):
    step, _, captured = twins(mlp, labelled(5, 6, 12), schedule=SCHEDULES[name])
    assert step.traces == 1
    assert captured.scheduler.count == 5


def test_gradients_are_clipped(column):
    step, *_ = twins(mlp, labelled(4, 6, 12), clip=0.1)
    assert step.traces == 1


def test_gradients_that_are_small_enough_are_left_alone(column):
    twins(mlp, labelled(4, 6, 12), clip=1e6)


def test_gradients_accumulate(column):
    step, *_ = twins(mlp, labelled(5, 6, 12), accumulate=True)
    assert step.traces == 2  # without gradients before, and with them


def test_dropout_draws_anew_at_every_step(column):
    step, *_ = twins(dropping_mlp, labelled(5, 6, 12))
    assert step.traces == 1


def test_lenet(column):
    twins(lambda g: models.lenet(), labelled(3, 4, 1, 8, 8))


def test_resnet20(column):
    twins(lambda g: models.resnet20(), labelled(3, 2, 3, 8, 8), "sgd", momentum=0.9)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_char_rnn(column, cell):
    twins(lambda g: models.char_rnn(11, 6, 2, cell, dropout=0.2), tokens(3, 3, 5),
          loss=over_tokens)


def test_gpt_with_dropout(column):
    step, *_ = twins(lambda g: models.gpt(11, 8, 2, 2, 8, dropout=0.1), tokens(4, 2, 8),
                     loss=over_tokens, clip=1.0, schedule=SCHEDULES["cosine"])
    assert step.traces == 1
