"""A run from a RunConfig: what it is made of, and the folder that it fills.

The folder of a run:

    config.toml          the settings, every one of them
    checkpoints/         the last few, to go on from
    history.json         at the end: what was recorded
    weights.safetensors  at the end: what was learned, and by which model
    classes.json         at the end, where classes have names: the list of them, class 0 first
    tokenizer.json       at the end, of a text: what its characters are as numbers
    run.lock             while it is at work: who works there (``lock.py``)

Each file is written whole or not at all. The command is ``etude train`` (``commands/train.py``).
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.backends.use import use
from etude.core.columns import FALLBACKS
from etude.core.random import manual_seed
from etude.core.state import no_grad
from etude.data.files import write_atomically
from etude.data.loader import DataLoader
from etude.nn.module import Module
from etude.optim import Optimizer
from etude.train import Callback, Checkpoints, EarlyStopping, History, catalog, fit
from etude.train.catalog import Data
from etude.train.checkpoint import save_weights
from etude.train.config import RunConfig
from etude.train.run import Run, differences, same_settings
from etude.train.settings import ConfigError, missing, parameters
from etude.train.team import ALONE, Team

CONFIG, CHECKPOINTS, STUDY = "config.toml", "checkpoints", "study.db"
HISTORY, WEIGHTS = "history.json", "weights.safetensors"
CLASSES, TOKENIZER = "classes.json", "tokenizer.json"

#: The settings that may differ when a run is resumed.
FREE = {"training.epochs", "training.checkpoint_steps", "training.checkpoint_epochs",
        "training.keep", "tune"}


@dataclass
class Experiment:
    """All that a config stands for, before the first step. A config always makes the same: whatever
    is drawn follows from its seed.
    """

    config: RunConfig
    data: Data
    model: Module
    arguments: dict[str, Any]  # that the model was made with
    optimizer: Optimizer
    scheduler: Any
    loader: DataLoader
    validation: DataLoader | None
    test: DataLoader

    def try_batch(self) -> tuple[Any, float]:
        """(x, loss) of the first batch, in eval mode; ConfigError if model and data do not go
        together.
        """
        x, y = next(iter(DataLoader(self.data.train, self.config.data.batch_size,
                                    device=self.loader.device)))
        self.model.eval()
        try:
            with no_grad():
                loss = self.data.loss(self.model(x), y).item()
        except (ValueError, TypeError, IndexError) as error:
            raise ConfigError(f"the model {self.config.model.name!r} does not fit the data "
                              f"{self.config.data.name!r}, whose batches are {x.dtype.name}"
                              f"{list(x.shape)}: {error}") from error
        return x, loss

    def fit(self, folder: Path | None = None, resume: bool = False,
            callbacks: Sequence[Callback] = (), progress: bool = True, team: Team = ALONE
            ) -> History:
        """Train as the config says; with a folder, config.toml and checkpoints go into it."""
        training, scheduler = self.config.training, self.config.scheduler
        watching = list(callbacks)
        if training.patience is not None:
            watching.insert(0, EarlyStopping(training.patience))
        checkpoints = None if folder is None else RunFolder(self.config, folder)
        return fit(self.model, self.loader, self.optimizer, loss=self.data.loss,
                   epochs=training.epochs, test=self.test, progress=progress,
                   validation=self.validation, scheduler=self.scheduler,
                   schedule="epoch" if scheduler is None else scheduler.by,
                   clip_norm=training.clip_norm, callbacks=watching, checkpoints=checkpoints,
                   resume=resume, config=_without(FREE, self.config), team=team)


def build(config: RunConfig, device: str = "cpu", data: Data | None = None) -> Experiment:
    """Load the data (unless given) and make the rest.

    Raises ConfigError, naming the section, for settings that do not go together; the errors of
    the data set, such as FileNotFoundError, as they are.
    """
    wanted, seed = config.data, config.training.seed
    with _section("data"):
        if data is None:
            make = catalog.DATA[wanted.name]
            for key in missing(make, wanted.options):
                raise ConfigError(f"data.{key} is missing: {wanted.name} needs it")
            data = make(**wanted.options)
        train, held = data.hold_out(wanted.validation)
        loader = DataLoader(train, wanted.batch_size, shuffle=True, drop_last=wanted.drop_last,
                            seed=seed, device=device, workers=wanted.workers)
    manual_seed(seed)
    with _section("model"):
        given = _arguments(config, data)
        model: Module = catalog.MODELS[config.model.name](**given).to(device)
    with _section("optimizer"):
        make = catalog.OPTIMIZERS[config.optimizer.name]
        optimizer = make(model.parameters(), **config.optimizer.options)
    with _section("scheduler"):
        scheduler = _scheduler(config, optimizer, len(loader))
    size = wanted.batch_size
    if not data.text:  # nothing is kept for backward, so batches to evaluate may be larger
        size = max(size, 256)
    validation = None if held is None else DataLoader(held, size, device=device)
    test = DataLoader(data.test, size, device=device)
    return Experiment(config, data, model, given, optimizer, scheduler, loader, validation, test)


def _arguments(config: RunConfig, data: Data) -> dict[str, Any]:
    """What the model is made with: what the data say and what the config says, which wins."""
    name = config.model.name
    make = catalog.MODELS[name]
    known = {k: v for k, v in data.facts.items() if k in parameters(make)}
    given = known | config.model.options
    needed = missing(make, given)
    if needed:
        raise ConfigError(f"[model] {name} needs {' and '.join(needed)}, and the data "
                          f"{config.data.name!r} only say {', '.join(data.facts) or 'nothing'}. "
                          f"Give it, or take data of another kind")
    return given


def _scheduler(config: RunConfig, optimizer: Optimizer, steps: int) -> Any:
    """The scheduler, or None. What the config leaves out of these three follows from the run."""
    wanted = config.scheduler
    if wanted is None:
        return None
    make = catalog.SCHEDULERS[wanted.name]
    taken = parameters(make, 1)
    if wanted.by == "step" and "patience" in taken:
        raise ConfigError(f"[scheduler] {wanted.name} looks at the loss of each epoch; set by = "
                          f"\"epoch\"")
    total = config.training.epochs
    if wanted.by == "step":
        total *= steps
    known = {"T_max": total, "total_steps": total, "max_lr": optimizer.param_groups[0]["lr"]}
    given = {k: v for k, v in known.items() if k in taken} | wanted.options
    return make(optimizer, **given)


@contextmanager
def _section(name: str) -> Iterator[None]:
    """An error of what is made in this block names the section of the config."""
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:  # NumPy names the size
        raise ConfigError(f"[{name}] {error}") from error


@contextmanager
def backend(name: str) -> Iterator[tuple[str, Counter[tuple[str, str, str]]]]:
    """Run the block on a backend, "" being the one in force. Gives (device, what fell back)."""
    if not name:
        yield "cpu", FALLBACKS.get()
        return
    with use(name, fallback=True) as chosen:
        yield chosen.device, chosen.fallbacks


# ------------------------------------------------------------------ the folder of a run


class RunFolder(Checkpoints):
    """The checkpoints of a run in its folder, and config.toml. That is written once the run stands
    where it begins or goes on from: a resume that fails leaves the one before.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        training = config.training
        super().__init__(folder / CHECKPOINTS, training.checkpoint_steps,
                         training.checkpoint_epochs, training.keep)
        self.config, self.path = config, folder / CONFIG

    def start(self, run: Run, resume: bool | str | Path) -> Path | None:
        origin = super().start(run, resume)
        if run.team.leads:
            write_atomically(self.path, self.config.toml().encode())
        return origin


def prepare(config: RunConfig, folder: Path, resume: bool) -> bool:
    """Look whether the run may go into the folder, and write nothing. True if there is a run to
    resume.

    Raises FileExistsError if there is one and ``resume`` is False, if only its results are there,
    or if the folder is that of a search; ConfigError or CheckpointError if it had other settings,
    which lists them, if they are lost, or if it has done more epochs than are wanted.
    """
    if (folder / STUDY).exists():
        raise FileExistsError(f"{folder} has a search of etude tune in it; give this run another "
                              f"folder with --out")
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    found = checkpoints.paths()
    if not found:
        _no_results(folder)
        return False
    if not resume:
        raise FileExistsError(f"{folder} has a run in it, up to {found[-1].name}. Go on with it: "
                              f"--resume. Or keep both: --out with another folder")
    _goes_on(config, folder / CONFIG, found[-1], checkpoints.newest())
    return True


def _no_results(folder: Path) -> None:
    """FileExistsError if the folder has results of a run: this one would overwrite them."""
    results = [name for name in (HISTORY, WEIGHTS) if (folder / name).exists()]
    if results:
        raise FileExistsError(f"{folder} has {' and '.join(results)} of a run, and no checkpoints "
                              f"to go on from. Put its {CHECKPOINTS}/ back to go on; or keep the "
                              f"results and begin another run, with --out")


def _goes_on(config: RunConfig, path: Path, checkpoint: Path, state: dict[str, Any]) -> None:
    """Raise unless the run whose newest checkpoint has this ``state``, and whose config.toml is, or
    was, at ``path``, may go on with ``config``. The checkpoint knows which settings it had;
    config.toml may have been edited since.
    """
    known = state["config"]
    if known is not None:
        same_settings(checkpoint, known, _without(FREE, config))
        _unedited(config, path)
    elif path.is_file():
        check_config(config, path, FREE)
    else:
        raise ConfigError(f"{path.parent} has checkpoints and no {CONFIG}, and they do not say "
                          f"which settings they go on with. Put it back, or begin another run "
                          f"with --out")
    done, epochs = len(state["history.epochs"]), config.training.epochs
    if done + (state["batch"] > 0) > epochs:
        beyond = " and a part of the next" if state["batch"] else ""
        raise ConfigError(f"{checkpoint}: the run has {done} epochs{beyond} behind it, and "
                          f"training.epochs is {epochs}, so there is nothing to do. To train on, "
                          f"give {done + 1} or more: --set training.epochs={done + 1}")


def _unedited(config: RunConfig, path: Path) -> None:
    """ConfigError if the config.toml at ``path`` is there and says something else than ``config``,
    which is what the run was made with.
    """
    if path.is_file():
        edited = differences(_without(FREE, config), _without(FREE, RunConfig.read(path)))
        if edited:
            raise ConfigError(f"{path} was edited since the run was made: {'; '.join(edited)}. A "
                              f"run cannot go on with that. Put it back, or delete the file: the "
                              f"checkpoints know the settings, too")


def check_config(config: RunConfig, path: Path, free: set[str]) -> None:
    """ConfigError, which lists them, if other settings than those in ``free``, which are names of
    settings and sections, differ from the config.toml at ``path``, if there is one.
    """
    if path.is_file():
        changed = differences(_without(free, RunConfig.read(path)), _without(free, config))
        if changed:
            raise ConfigError(f"what is in {path.parent} was begun with other settings, so it "
                              f"cannot go on with these: {'; '.join(changed)}. Put them back, or "
                              f"begin another one with --out")


def finish(experiment: Experiment, history: History, folder: Path) -> None:
    """Write history.json and weights.safetensors; classes.json and tokenizer.json if there is such
    a thing.
    """
    text = json.dumps(as_json(history), indent=1, allow_nan=False)
    write_atomically(folder / HISTORY, text.encode())
    save_weights(folder / WEIGHTS, experiment.model, {
        "model": experiment.config.model.name, "arguments": experiment.arguments})
    classes = class_names(experiment.data)
    if classes is not None:
        write_atomically(folder / CLASSES, json.dumps(classes, ensure_ascii=False).encode())
    if experiment.data.tokenizer is not None:
        experiment.data.tokenizer.save(folder / TOKENIZER)


def class_names(data: Data) -> list[str] | None:
    """The names of the classes that the samples know, class 0 first, or None."""
    names = getattr(data.train, "classes", None)
    return None if names is None else list(names)


def as_json(history: History) -> dict[str, Any]:
    """``history`` for other programs. JSON has no NaN and no infinity: they are null."""
    test = history.test
    return {
        "epochs": [_plain(epoch.json()) for epoch in history.epochs],
        "test": None if test is None else _plain(test._asdict()),
        "stopped": history.stopped,
        "interrupted": history.interrupted,
        "steps": {"loss": _plain(history.loss), "accuracy": _plain(history.accuracy),
                  "seconds": _plain(history.seconds)},
    }


def _plain(value: Any) -> Any:
    """``value`` with None for every number that is not finite."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _without(free: set[str], config: RunConfig) -> dict[str, Any]:
    """The document of a config without the sections and settings named in ``free``."""
    return {section: {key: value for key, value in table.items() if f"{section}.{key}" not in free}
            for section, table in config.document().items() if section not in free}
