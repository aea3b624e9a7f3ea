"""What may watch a run, ``Callback`` and ``EarlyStopping``; and ``Checkpoints``, the folder that a
stopped run goes on from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etude.core.given import integer, real
from etude.train.checkpoint import DamagedError, safetensors_module
from etude.train.run import Run, saved_run

NAME = re.compile(r"step-(\d+)\.safetensors")


class Callback:
    """``fit`` calls it after each step and each epoch; a subclass does what it likes there.

    ``run.history`` has what was recorded, ``run.stop = "why"`` ends the run. What a subclass
    remembers must be in ``state_dict`` (as JSON), or a resumed run would not be the same. One that
    ``only_watches`` changes nothing of the run, and may come and go when it is resumed.
    """

    only_watches = False

    def on_step(self, run: Run) -> None:
        """A step is done, and recorded."""

    def on_epoch(self, run: Run) -> None:
        """An epoch is done, the model evaluated: see ``run.history.epochs[-1]``."""

    def on_end(self, run: Run) -> None:
        """The run is over: to its end, by ``stop``, by Ctrl-C or by an error."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse."""


class EarlyStopping(Callback):
    """Stop after ``patience`` epochs in a row that are no better than the best by ``threshold``.

    ``metric`` is "loss", "accuracy" or the name of a metric, taken from ``Epoch.value``. A smaller
    loss is better, and more of anything else, unless ``mode`` ("min" or "max") says otherwise.
    Source: Prechelt 1998, Early Stopping - But When?
    """

    def __init__(self, patience: int = 5, metric: str = "loss", mode: str | None = None,
                 threshold: float = 0.0) -> None:
        if mode not in (None, "min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        self.patience = integer("EarlyStopping: patience", patience, 1)
        self.metric, self.threshold = metric, threshold
        if mode is None:
            mode = "min" if metric == "loss" else "max"
        self.sign = 1 if mode == "min" else -1  # of sign * value, less is better
        self.best, self.bad = math.inf, 0

    def on_epoch(self, run: Run) -> None:
        epoch = run.history.epochs[-1]
        value = self.sign * epoch.value(self.metric)
        if value < self.best - self.threshold:
            self.best, self.bad = value, 0
            return
        self.bad += 1
        if self.bad >= self.patience:
            run.stop = (f"stopped after epoch {epoch.number}: {self.metric} has been no better "
                        f"than {self.sign * self.best:.4g} for {self.bad} epochs")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "bad": self.bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        best = real("EarlyStopping: best", state["best"])
        self.best, self.bad = best, integer("EarlyStopping: bad", state["bad"], 0)


class Checkpoints:
    """The checkpoints of a run, ``folder``/step-00000120.safetensors and so on.

    One is made every ``every_steps`` steps, every ``every_epochs`` epochs (0: never), and at the
    end; the last ``keep`` stay. Each is written whole or not at all, and an older one goes only
    once a newer one is there. While ``fit`` runs, the folder is locked (``lock.py``).
    ValueError for numbers out of range, ImportError without safetensors: it says so before the
    first step, and not at the first checkpoint.
    """

    def __init__(self, folder: str | Path, every_steps: int = 0, every_epochs: int = 1,
                 keep: int = 3) -> None:
        safetensors_module()
        self.folder = Path(folder)
        self.every_steps = integer("Checkpoints: every_steps", every_steps, 0)
        self.every_epochs = integer("Checkpoints: every_epochs", every_epochs, 0)
        self.keep = integer("Checkpoints: keep", keep, 1)
        self._latest: tuple[int, int] | None = None  # (step, epoch) of the last one

    def paths(self) -> list[Path]:
        """The checkpoints in the folder, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = {}
        for path in self.folder.iterdir():
            name = NAME.fullmatch(path.name)
            if name is not None:
                found[int(name[1])] = path
        return [found[step] for step in sorted(found)]

    def newest(self) -> dict[str, Any]:
        """The state in the newest checkpoint, of which there must be one, read and checked as
        ``Run.restore`` does. DamagedError if that cannot be done.
        """
        found = self.paths()
        with _or_the_one_before(found):
            return saved_run(found[-1])[0].state

    def start(self, run: Run, resume: bool | str | Path) -> Path | None:
        """Resume from the newest checkpoint, or from the path ``resume``, and return its path; None
        if there is none.

        Raises FileExistsError if there are some and ``resume`` is False, or some that the run
        would not go on from: they would stand beside its own, and be taken for them.
        """
        found = self.paths()
        if found and resume is False:
            raise FileExistsError(f"{self.folder} has checkpoints of another run, up to "
                                  f"{found[-1].name}. Continue it with resume, or give another "
                                  f"folder")
        if not isinstance(resume, bool):
            if found and not found[-1].samefile(resume):
                raise FileExistsError(f"{self.folder} has other checkpoints than {resume}, up to "
                                      f"{found[-1].name}. Move those after it away, or give "
                                      f"another folder")
            run.restore(resume)
            return Path(resume)
        if not found:
            return None
        with _or_the_one_before(found):
            run.restore(found[-1])
        self._latest = run.step, run.epoch
        return found[-1]

    def on_step(self, run: Run) -> None:
        if self.every_steps and run.step % self.every_steps == 0:
            self.save(run)

    def on_epoch(self, run: Run) -> None:
        if self.every_epochs and (run.epoch - 1) % self.every_epochs == 0:
            self.save(run)

    def finish(self, run: Run) -> None:
        """The run is over: save once more, unless the last checkpoint is of this moment."""
        if self._latest != (run.step, run.epoch):
            self.save(run)

    def save(self, run: Run) -> Path:
        path = self.folder / f"step-{run.step:08d}.safetensors"
        if run.team.leads:
            run.save(path)
            for old in self.paths()[: -self.keep]:
                old.unlink(missing_ok=True)
        self._latest = run.step, run.epoch
        return path


@contextmanager
def _or_the_one_before(paths: list[Path]) -> Iterator[None]:
    """If the block finds the last of ``paths`` damaged, its error names the one before. Of a run
    with other settings that one is, too.
    """
    try:
        yield
    except DamagedError as error:
        if len(paths) > 1:
            error.add_note(f"The checkpoint before it is {paths[-2]}; delete or move "
                           f"{paths[-1].name} to resume from that")
        raise
