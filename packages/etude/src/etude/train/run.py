"""Run: all that a training run consists of, so that a checkpoint of it can hold all of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.given import integer
from etude.core.random import Generator
from etude.core.tensor import Tensor
from etude.data.files import uninterrupted
from etude.data.loader import DataLoader
from etude.nn.module import Module
from etude.optim.optimizer import Optimizer
from etude.optim.scheduler import Scheduler
from etude.train.checkpoint import CheckpointError, DamagedError, Saved, save_checkpoint
from etude.train.form import Each, checked
from etude.train.record import EPOCH, History, Mean, Metrics
from etude.train.team import ALONE, Team

if TYPE_CHECKING:
    from etude.train.callbacks import Callback

Batches = Iterable[tuple[Tensor, ...]]
Loss = Callable[[Any, Any], Any]


def check_batches(name: str, given: Any) -> None:
    """TypeError for arrays, and for a dataset, whose samples come one by one."""
    first = given[0] if isinstance(given, tuple) and given else given
    if isinstance(first, (Tensor, np.ndarray)):
        dataset = "TensorDataset(x, y)"
    elif hasattr(given, "__getitem__") and not hasattr(given, "__iter__"):
        dataset = "dataset"
    else:
        return
    raise TypeError(f"{name} gives batches, and a {type(given).__name__} does not; make them of "
                    f"it: DataLoader({dataset}, batch_size=32, shuffle=True)")


LOADERS = ("loader", "test", "validation")  # of a Run, which are saved by these names
POSITION = (None, {"seed": int, "epoch": int, "samples": int, "batch_size": int})

#: What ``Run.save`` keeps beside model and optimiser.
STATE = {
    "history.loss": np.ndarray, "history.accuracy": np.ndarray, "history.seconds": np.ndarray,
    "history.epochs": [EPOCH], "history.stopped": str,
    "epoch": int, "batch": int, "seconds": float, "sums": Each(float), "samples": int,
    **dict.fromkeys(LOADERS, POSITION),
    "callbacks": [{"kind": str, "state": object}], "config": (None, dict),
}


def differences(before: dict[str, Any], now: dict[str, Any], within: str = "") -> list[str]:
    """What differs between two documents, setting by setting, as "path was 1, is 2"."""
    found = []
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if isinstance(old or new, dict) and isinstance(new or old, dict):  # or one has no section
            found += differences(old or {}, new or {}, f"{within}{key}.")
        elif old != new:
            found.append(f"{within}{key} was {old!r}, is {new!r}")
    return found


def same_settings(path: str | Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """CheckpointError, which lists what differs, unless the run that the checkpoint at ``path`` is
    of had the settings ``now``.
    """
    changed = differences(before, json.loads(json.dumps(now)))
    if changed:
        raise CheckpointError(f"{path}: the run had other settings: {'; '.join(changed)}. Put them "
                              f"back, or begin another run")


def saved_run(path: str | Path) -> tuple[Saved, History]:
    """What ``Run.save`` wrote, read and checked as far as that goes without the run. DamagedError
    if it is something else.
    """
    saved = Saved(path)
    if "history.loss" not in saved.state:
        raise DamagedError(f"{path}: a checkpoint, but not one that fit made, so there is no run "
                           f"to go on with. etude.load_checkpoint reads it")
    try:
        checked(saved.state, STATE, "the state")
        history = History.of(saved.state)
        _sound(saved.state, history)
    except ValueError as error:
        raise DamagedError(f"{path}: whole, but not as fit writes the checkpoint of a run: "
                           f"{error}. Use an earlier checkpoint; nothing was loaded") from None
    return saved, history


def _sound(state: dict[str, Any], history: History) -> None:
    """ValueError for numbers that no run has."""
    for name in ("epoch", "batch", "samples"):
        integer(name, state[name], int(name == "epoch"))
    for name in LOADERS:
        for key, value in (state[name] or {}).items():
            integer(f"{name}.{key}", value, 0)
            Generator(value)  # a seed has an end above, too
    steps = len(history.loss)
    numbers = [epoch.number for epoch in history.epochs]
    if numbers != list(range(1, state["epoch"])) or steps < state["batch"]:
        raise ValueError(f"it records the epochs {numbers} and {steps} steps, and stands in "
                         f"epoch {state['epoch']} after {state['batch']} batches")
    if state["batch"] and not {"loss", "accuracy"} <= state["sums"].keys():
        raise ValueError("sums has no 'loss' or no 'accuracy'")


@dataclass
class Run:
    """What ``fit`` works on, and what its callbacks see. To end the run, set ``stop`` to a
    sentence that says why.
    """

    model: Module
    loader: Batches
    optimizer: Optimizer
    loss: Loss
    epochs: int
    test: Batches | None = None
    validation: Batches | None = None
    metrics: Metrics = field(default_factory=dict)
    scheduler: Scheduler | None = None
    callbacks: Sequence[Callback] = ()
    config: dict[str, Any] | None = None  # JSON, kept in checkpoints: a resume must have the same
    team: Team = ALONE

    history: History = field(default_factory=History)
    epoch: int = 1  # the one at work, or the next
    batch: int = 0  # how many batches of it are done
    mean: Mean = field(default_factory=Mean)  # over them
    seconds: float = 0.0  # spent on them
    order: int = 0  # the epoch by which the loader orders them

    @property
    def step(self) -> int:
        """Steps done since the beginning."""
        return len(self.history.loss)

    @property
    def stop(self) -> str:
        return self.history.stopped

    @stop.setter
    def stop(self, why: str) -> None:
        self.history.stopped = why

    def batches(self) -> Iterator[tuple[Tensor, ...]]:
        """What is left of the epoch at work."""
        if isinstance(self.loader, DataLoader):
            self.order = self.loader.epoch
            self.loader.start = self.batch
            return iter(self.loader)
        return itertools.islice(self.loader, self.batch, None)

    # ------------------------------------------------------------------ saving and resuming

    def save(self, path: str | Path) -> None:
        """A checkpoint of everything. OSError as from ``open``."""
        state = {
            **{f"history.{k}": v for k, v in self.history.state_dict().items()},
            "epoch": self.epoch, "batch": self.batch, "seconds": self.seconds,
            "sums": self.mean.sums, "samples": self.mean.samples,
            **{name: self._position(loader) for name, loader in self._loaders().items()},
            "callbacks": [{"kind": type(c).__name__, "state": c.state_dict()}
                          for c in self._remembering()],
            "config": self.config,
        }
        save_checkpoint(path, self.model, self.optimizer, self.scheduler, state)

    def _remembering(self) -> list[Callback]:
        """The callbacks that a checkpoint is about."""
        return [c for c in self.callbacks if not c.only_watches]

    def _loaders(self) -> dict[str, Batches | None]:
        return {name: getattr(self, name) for name in LOADERS}

    def _position(self, loader: Batches | None) -> dict[str, Any] | None:
        if not isinstance(loader, DataLoader):
            return None
        inside = loader is self.loader and self.batch > 0
        return {"seed": loader.seed, "epoch": self.order if inside else loader.epoch,
                "samples": len(loader.dataset), "batch_size": loader.batch_size}

    def restore(self, path: str | Path) -> None:
        """Go back to where the checkpoint was made, bit for bit. All of it is read and checked
        before anything changes.

        Raises CheckpointError if it cannot be read or is of another run, and then has changed
        nothing.
        """
        saved, history = saved_run(path)
        self._accept(path, saved.state)
        with uninterrupted(), ExitStack() as undo:
            for callback, kept in zip(self._remembering(), saved.state["callbacks"],
                                      strict=True):
                saved.hand(kept["state"], callback, undo)
            saved.load_into(self.model, self.optimizer, self.scheduler, undo)
            self._take(saved.state, history)
            undo.pop_all()

    def _accept(self, path: str | Path, state: dict[str, Any]) -> None:
        """CheckpointError if ``state`` is not of a run like this one."""
        if state["config"] is not None and self.config is not None:
            same_settings(path, state["config"], self.config)
        kinds = [c["kind"] for c in state["callbacks"]]
        mine = [type(c).__name__ for c in self._remembering()]
        if kinds != mine:
            raise CheckpointError(f"{path}: the run had the callbacks {kinds}, this one has "
                                  f"{mine}; resume it with the same")
        for name, loader in self._loaders().items():
            saved, here = state[name], self._position(loader)
            if saved is None and here is None:
                continue
            if saved is None or here is None:
                words = ["no" if place is None else "a" for place in (saved, here)]
                raise CheckpointError(f"{path}: the run had {words[0]} DataLoader as {name}, this "
                                      f"one has {words[1]}; resume it with the same data")
            for what in ("samples", "batch_size"):
                if saved[what] != here[what]:
                    raise CheckpointError(f"{path}: the run's {name} has {what} = {saved[what]}, "
                                          f"this one's has {here[what]}; resume it with the same "
                                          f"data")

        metrics = {"loss", "accuracy", *self.metrics}
        if state["batch"] and state["sums"].keys() != metrics:
            raise CheckpointError(f"{path}: the run measured {', '.join(sorted(state['sums']))}, "
                                  f"this one measures {', '.join(sorted(metrics))}; resume it "
                                  f"with the same metrics")

    def _take(self, state: dict[str, Any], history: History) -> None:
        """Nothing here can fail: ``state`` was checked."""
        self.history = history
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.seconds = state["seconds"]
        self.mean.sums, self.mean.samples = state["sums"], state["samples"]
        for name, loader in self._loaders().items():
            if isinstance(loader, DataLoader):
                loader.seed, loader.epoch = state[name]["seed"], state[name]["epoch"]
        self.order = state["loader"]["epoch"] if state["loader"] else 0
