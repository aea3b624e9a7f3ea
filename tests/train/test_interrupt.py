"""Ctrl-C at any moment of a training: the model is that of the last step recorded, bit for bit."""

import os
import random
import signal
import threading
import time

import pytest

import etude
from etude import nn, optim, train

pytestmark = pytest.mark.usefixtures("interruptible")

STEPS = 40


def parts():
    """Parameters and buffers of many layers: each is a place where a step may be cut in two."""
    etude.manual_seed(7)
    layers = [m for _ in range(12) for m in (nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Dropout(0.1), nn.Linear(12, 3))
    batches = [(etude.rand(8, 12), etude.tensor([0, 1, 2, 0, 1, 2, 0, 1])) for _ in range(4)]
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    return model, batches, optimizer, optim.CosineAnnealingLR(optimizer, STEPS)


def bits(model, optimizer, scheduler):
    """All that a step changes."""
    return ([t.numpy().tobytes() for t in model.state_dict().values()],
            [(s["step"], s["m"].numpy().tobytes()) for s in optimizer.state if s],
            scheduler.state_dict())


class After(train.Callback):
    """Keeps what there is after each step."""

    def __init__(self, *parts):
        self.parts, self.kept = parts, []

    def on_step(self, run):
        self.kept.append(bits(*self.parts))


class Type(train.Callback):
    """Somebody types Ctrl-C some time after the first step of the run."""

    def __init__(self, seconds):
        self.thread = threading.Thread(target=self.type)
        self.seconds = seconds

    def type(self):
        time.sleep(self.seconds)
        os.kill(os.getpid(), signal.SIGINT)

    def on_step(self, run):
        if run.step == 1:
            self.thread.start()


def test_the_model_is_that_of_the_step_recorded(soak):
    model, batches, optimizer, scheduler = parts()
    expected = After(model, optimizer, scheduler)
    train.fit(model, batches, optimizer, epochs=STEPS // 4, progress=False, scheduler=scheduler,
              schedule="step", callbacks=[expected])
    moments, steps, early = random.Random(3), [], 0
    for _ in range(500 if soak else 40):
        model, batches, optimizer, scheduler = parts()
        typed = Type(moments.uniform(0, 0.02))
        history = train.fit(model, batches, optimizer, epochs=10**6, progress=False,
                            scheduler=scheduler, schedule="step", callbacks=[typed])
        typed.thread.join()
        assert history.interrupted
        steps.append(len(history.loss))
        if steps[-1] > STEPS:  # a busy machine typed late
            continue
        early += 1
        assert bits(model, optimizer, scheduler) == expected.kept[steps[-1] - 1]
        assert len(history.accuracy) == len(history.seconds) == steps[-1]
        assert len(history.epochs) in ((steps[-1] - 1) // 4, steps[-1] // 4)
    assert early
    assert len(set(steps)) > 1


def test_a_handler_of_ones_own_is_called_after_the_step_and_the_training_goes_on():
    model, batches, optimizer, _ = parts()
    seen = []
    signal.signal(signal.SIGINT, lambda number, frame: seen.append(optimizer.state[0]["step"]))

    def loss(output, target):
        os.kill(os.getpid(), signal.SIGINT)
        return etude.cross_entropy(output, target)

    history = train.fit(model, batches, optimizer, loss, progress=False)
    assert not history.interrupted
    assert seen == [1, 2, 3, 4]


def test_ctrl_c_that_is_ignored_stays_so():
    """As in a background job of a script, which is not to end with the one in front."""
    model, batches, optimizer, _ = parts()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    typed = Type(0)
    history = train.fit(model, batches, optimizer, epochs=3, progress=False, callbacks=[typed])
    typed.thread.join()
    assert not history.interrupted
    assert len(history.loss) == 12
