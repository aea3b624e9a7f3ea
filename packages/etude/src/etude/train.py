"""Training and evaluation: the loop, what it records, and the errors it stops with.

The loop is the one you would write by hand: predict, loss, backward, step. It uses the public
interface alone, so read it as an example. How progress is shown is in ``progress.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from etude import functional as F
from etude.autograd import no_grad
from etude.nn.module import Module
from etude.optim.optimizer import Optimizer
from etude.progress import Report, show
from etude.shapes import int64
from etude.tensor import Tensor

Batches = Iterable[tuple[Tensor, ...]]
Loss = Callable[[Any, Any], Any]


class Evaluation(NamedTuple):
    """Means over a data set; ``accuracy`` is NaN where the targets are not class numbers."""

    loss: float
    accuracy: float
    samples: int


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: means over its batches as it trained, and over the test data after."""

    number: int  # from 1
    loss: float
    accuracy: float
    seconds: float  # of training; evaluation does not count
    test: Evaluation | None = None

    def __str__(self) -> str:
        text = f"epoch {self.number}: loss {self.loss:.4f}"
        if not math.isnan(self.accuracy):
            text += f", accuracy {self.accuracy:.1%}"
        if self.test is not None:
            text += f", test loss {self.test.loss:.4f}"
            if not math.isnan(self.test.accuracy):
                text += f", test accuracy {self.test.accuracy:.1%}"
        return f"{text}, {self.seconds:.2f} s"


@dataclass
class History:
    """What ``fit`` recorded. The three lists have one entry for each step."""

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)  # on the step's own batch
    seconds: list[float] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)  # the finished ones
    interrupted: bool = False  # Ctrl-C ended the run early


def fit(model: Module, loader: Batches, optimizer: Optimizer, loss: Loss = F.cross_entropy,
        epochs: int = 1, test: Batches | None = None, progress: bool = True) -> History:
    """Train ``model`` on the batches (x, y) of ``loader``, and evaluate it on ``test`` after
    each epoch.

    ``loss(model(x), y)`` gives the mean over the batch, as one number. With ``progress`` a live
    bar is shown where rich is installed and the output is a terminal, else a line per epoch.
    Ctrl-C ends the training: the model keeps what it learned, and the History says so.

    Raises FloatingPointError for a loss that is not finite, before that batch changes the model;
    ValueError if the loader gives no batch.
    """
    history = History()
    steps = len(loader) if isinstance(loader, Sized) else None
    with show(epochs, steps, progress) as report:
        try:
            for number in range(1, epochs + 1):
                start = time.perf_counter()
                trained = _train(model, loader, optimizer, loss, number, history, report)
                seconds = time.perf_counter() - start
                found = None if test is None else evaluate(model, test, loss)
                epoch = Epoch(number, trained.loss, trained.accuracy, seconds, found)
                history.epochs.append(epoch)
                report.epoch(str(epoch))
        except KeyboardInterrupt:
            history.interrupted = True
            report.epoch(f"stopped in epoch {len(history.epochs) + 1}, after "
                         f"{len(history.loss)} steps; the model keeps what it learned")
    return history


def _train(model: Module, loader: Batches, optimizer: Optimizer, loss: Loss, number: int,
           history: History, report: Report) -> Evaluation:
    """One epoch: a step for each batch, recorded in ``history``."""
    model.train()
    mean = _Mean()
    start = time.perf_counter()
    for step, (x, y) in enumerate(loader, 1):
        output = model(x)
        value = loss(output, y)
        now = value.item()
        if not math.isfinite(now):
            raise FloatingPointError(
                f"the loss is {now} in epoch {number}, step {step}. Try a smaller learning rate; "
                f"'with etude.check_nan():' around the training names the first op that makes a "
                f"NaN")
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        accuracy = _accuracy(output, y)
        mean.add(now, accuracy, len(x))
        history.loss.append(now)
        history.accuracy.append(accuracy)
        end = time.perf_counter()
        history.seconds.append(end - start)
        start = end
        report.step(number, now)
    return mean.result("train on")


def evaluate(model: Module, loader: Batches, loss: Loss = F.cross_entropy) -> Evaluation:
    """The loss and accuracy of ``model`` over the batches (x, y) of ``loader``, in eval mode and
    without gradients; the mode is as before afterwards. ValueError if there is no batch.
    """
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    mean = _Mean()
    try:
        with no_grad():
            for x, y in loader:
                output = model(x)
                mean.add(loss(output, y).item(), _accuracy(output, y), len(x))
    finally:
        for m, mode in modes:
            m.training = mode
    return mean.result("evaluate")


def _accuracy(output: Tensor, target: Tensor) -> float:
    """The share of rows whose largest logit is the target's; NaN if these are not classes."""
    if target.dtype != int64 or target.ndim != 1 or output.ndim != 2:
        return math.nan
    with no_grad():
        right = F.eq(F.argmax(output, dim=1), target).sum().item()
    return float(right) / len(target)


class _Mean:
    """Means of loss and accuracy over samples, from the means of batches."""

    def __init__(self) -> None:
        self.loss = self.accuracy = 0.0
        self.samples = 0

    def add(self, loss: float, accuracy: float, samples: int) -> None:
        self.loss += loss * samples
        self.accuracy += accuracy * samples
        self.samples += samples

    def result(self, purpose: str) -> Evaluation:
        n = self.samples
        if not n:
            raise ValueError(f"the loader gave no batch, so there is nothing to {purpose}. A "
                             f"generator is used up after one pass; give a DataLoader or a list")
        return Evaluation(self.loss / n, self.accuracy / n, n)
