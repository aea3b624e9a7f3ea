"""Run: all that a training run consists of, so that a checkpoint of it can hold all of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.core.tensor import Tensor
from etude.data.loader import DataLoader
from etude.nn.module import Module
from etude.optim.optimizer import Optimizer
from etude.optim.scheduler import Scheduler
from etude.train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from etude.train.record import History, Mean, Metrics

if TYPE_CHECKING:
    from etude.train.callbacks import Callback

Batches = Iterable[tuple[Tensor, ...]]
Loss = Callable[[Any, Any], Any]


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
    config: dict[str, Any] | None = None  # kept in checkpoints, for people and for a resume

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
                          for c in self.callbacks],
            "config": self.config,
        }
        save_checkpoint(path, self.model, self.optimizer, self.scheduler, state)

    def _loaders(self) -> dict[str, Batches | None]:
        return {"loader": self.loader, "test": self.test, "validation": self.validation}

    def _position(self, loader: Batches | None) -> dict[str, Any] | None:
        if not isinstance(loader, DataLoader):
            return None
        inside = loader is self.loader and self.batch > 0
        return {"seed": loader.seed, "epoch": self.order if inside else loader.epoch,
                "samples": len(loader.dataset), "batch_size": loader.batch_size}

    def restore(self, path: str | Path) -> None:
        """Go back to where the checkpoint was made, bit for bit.

        Raises CheckpointError if it cannot be read or is of another run, and then has changed
        nothing.
        """
        self._take(load_checkpoint(path, self.model, self.optimizer, self.scheduler,
                                   accept=lambda state: self._accept(path, state)))

    def _accept(self, path: str | Path, state: dict[str, Any]) -> None:
        """CheckpointError if ``state`` is not of a run like this one."""
        if "history.loss" not in state:
            raise CheckpointError(f"{path}: a checkpoint, but not one that fit made, so there is "
                                  f"no run to go on with. etude.load_checkpoint reads it")
        kinds = [c["kind"] for c in state["callbacks"]]
        mine = [type(c).__name__ for c in self.callbacks]
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

    def _take(self, state: dict[str, Any]) -> None:
        self.history.load_state_dict({k.removeprefix("history."): v for k, v in state.items()
                                      if k.startswith("history.")})
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.seconds = state["seconds"]
        self.mean.sums, self.mean.samples = state["sums"], state["samples"]
        for name, loader in self._loaders().items():
            if isinstance(loader, DataLoader):
                saved = state[name]
                loader.seed, loader.epoch = saved["seed"], saved["epoch"]
        self.order = state["loader"]["epoch"] if state["loader"] else 0
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])
