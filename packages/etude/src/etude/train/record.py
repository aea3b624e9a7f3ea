"""What a training run leaves behind: numbers for each step and each epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from etude import functional as F
from etude.core.given import real
from etude.core.shapes import int64
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.train.form import Each

Metric = Callable[[Any, Any], Any]  # (output, target) -> one number, a mean over the batch
Metrics = Mapping[str, Metric]


#: The JSON of an Evaluation and of an Epoch.
EVALUATION = {"loss": float, "accuracy": float, "samples": int, "metrics": Each(float)}
EPOCH = {"number": int, "loss": float, "accuracy": float, "seconds": float,
         "metrics": Each(float), "test": (None, EVALUATION), "validation": (None, EVALUATION)}


class Evaluation(NamedTuple):
    """Means over a data set; ``accuracy`` is NaN where the targets are not class numbers."""

    loss: float
    accuracy: float
    samples: int
    metrics: dict[str, float] = {}  # noqa: RUF012 - nobody writes into it


@dataclass(frozen=True)
class Epoch:
    """One finished epoch: means over its batches as it trained, and over other data after."""

    number: int  # from 1
    loss: float
    accuracy: float
    seconds: float  # of training; evaluation does not count
    test: Evaluation | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    validation: Evaluation | None = None

    def value(self, name: str) -> float:
        """"loss", "accuracy" or a metric: on the validation data, if there were any, else on the
        test data, else as it was in training.

        KeyError for a name that was not measured; it lists those that were.
        """
        source = self.validation or self.test or self
        known = {"loss": source.loss, "accuracy": source.accuracy, **source.metrics}
        if name not in known:
            raise KeyError(f"{name!r} was not measured; this run has {', '.join(known)}")
        return known[name]

    def __str__(self) -> str:
        text = f"epoch {self.number}: {words(self)}"
        if self.validation is not None:
            text += f", {words(self.validation, 'validation ')}"
        if self.test is not None:
            text += f", {words(self.test, 'test ')}"
        return f"{text}, {self.seconds:.2f} s"

    def json(self) -> dict[str, Any]:
        return {name: value._asdict() if isinstance(value, Evaluation) else value
                for name, value in vars(self).items()}

    @classmethod
    def of(cls, saved: dict[str, Any]) -> Epoch:
        """The inverse of ``json``."""
        found = {name: Evaluation(**saved[name]) for name in ("test", "validation")
                 if saved[name] is not None}
        return cls(**{**saved, **found})


def words(of: Epoch | Evaluation, prefix: str = "") -> str:
    """Loss, accuracy and metrics, for people."""
    text = f"{prefix}loss {of.loss:.4f}"
    if not math.isnan(of.accuracy):
        text += f", {prefix}accuracy {of.accuracy:.1%}"
    return text + "".join(f", {prefix}{k} {v:.4g}" for k, v in of.metrics.items())


@dataclass
class History:
    """What ``fit`` recorded. The three lists have one entry for each step."""

    loss: list[float] = field(default_factory=list, repr=False)
    accuracy: list[float] = field(default_factory=list, repr=False)  # on the step's own batch
    seconds: list[float] = field(default_factory=list, repr=False)
    epochs: list[Epoch] = field(default_factory=list)  # the finished ones
    interrupted: bool = False  # Ctrl-C ended the run early
    stopped: str = ""  # why a callback ended the run early
    test: Evaluation | None = None  # at the end, where validation data guided the run

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the lists as float64 arrays, which keep every bit."""
        lists = {name: np.array(getattr(self, name)) for name in ("loss", "accuracy", "seconds")}
        return {**lists, "epochs": [e.json() for e in self.epochs], "stopped": self.stopped}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> History:
        """From the state of a checkpoint, where the keys of ``state_dict`` begin with "history.".
        ValueError for lists that are no lists of numbers, or not one for each step.
        """
        lists = {name: state[f"history.{name}"] for name in ("loss", "accuracy", "seconds")}
        for name, a in lists.items():
            if a.dtype != np.float64 or a.ndim != 1 or a.shape != lists["loss"].shape:
                raise ValueError(f"history.{name} is {a.dtype}{list(a.shape)}, and must be a "
                                 f"float64 for each step, as history.loss")
        return cls(**{name: a.tolist() for name, a in lists.items()},
                   epochs=[Epoch.of(saved) for saved in state["history.epochs"]],
                   stopped=state["history.stopped"])


def measure(output: Tensor, target: Tensor, metrics: Metrics) -> dict[str, float]:
    """The accuracy, and each metric, of one batch."""
    with no_grad():
        found = {"accuracy": accuracy(output, target)}
        for name, metric in metrics.items():
            found[name] = real(f"the metric {name!r}", metric(output, target))
    return found


def accuracy(output: Tensor, target: Tensor) -> float:
    """The share of targets, int64 (...), that have the largest logit in output (..., C); NaN if
    these are not classes.
    """
    if target.dtype != int64 or not target.shape or output.shape[:-1] != target.shape:
        return math.nan
    return float(F.eq(F.argmax(output, dim=-1), target).sum().item()) / target.numel()


class Mean:
    """Means over samples, from the means of batches."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.samples = 0

    def add(self, values: Mapping[str, float], samples: int) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.samples += samples

    def result(self, purpose: str) -> Evaluation:
        """The means. ValueError if there was no batch; ``purpose`` says what it was wanted for."""
        n = self.samples
        if not n:
            raise ValueError(f"the loader gave no batch, so there is nothing to {purpose}. A "
                             f"generator is used up after one pass; give a DataLoader or a list")
        means = {name: total / n for name, total in self.sums.items()}
        return Evaluation(means.pop("loss"), means.pop("accuracy"), n, means)
