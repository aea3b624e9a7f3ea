"""A run from a RunConfig: what it is made of, and the folder that it fills.

The folder of a run:

    config.toml          the settings, every one of them
    checkpoints/         the last few, to go on from
    history.json         at the end: what was recorded
    weights.safetensors  at the end: what was learned
    run.lock             while it is at work: who works there (``lock.py``)

Each file is written whole or not at all. The command is ``etude train`` (``commands/train.py``).
"""

from __future__ import annotations

import inspect
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
from etude.train.run import differences
from etude.train.settings import ConfigError, parameters

CONFIG, CHECKPOINTS, STUDY = "config.toml", "checkpoints", "study.db"

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
            callbacks: Sequence[Callback] = (), progress: bool = True) -> History:
        """Train as the config says; with a folder, checkpoints go into its checkpoints/."""
        training, scheduler = self.config.training, self.config.scheduler
        watching = list(callbacks)
        if training.patience is not None:
            watching.insert(0, EarlyStopping(training.patience))
        checkpoints = None
        if folder is not None:
            checkpoints = Checkpoints(folder / CHECKPOINTS, training.checkpoint_steps,
                                      training.checkpoint_epochs, training.keep)
        return fit(self.model, self.loader, self.optimizer, loss=self.data.loss,
                   epochs=training.epochs, test=self.test, progress=progress,
                   validation=self.validation, scheduler=self.scheduler,
                   schedule="epoch" if scheduler is None else scheduler.by,
                   clip_norm=training.clip_norm, callbacks=watching, checkpoints=checkpoints,
                   resume=resume, config=_without(FREE, self.config))


def build(config: RunConfig, device: str = "cpu", data: Data | None = None) -> Experiment:
    """Load the data (unless given) and make the rest.

    Raises ConfigError, naming the section, for settings that do not go together; the errors of
    the data set, such as FileNotFoundError, as they are.
    """
    wanted, seed = config.data, config.training.seed
    with _section("data"):
        if data is None:
            data = catalog.DATA[wanted.name](**wanted.options)
        train, held = data.hold_out(wanted.validation)
        loader = DataLoader(train, wanted.batch_size, shuffle=True, drop_last=wanted.drop_last,
                            seed=seed, device=device, workers=wanted.workers)
    manual_seed(seed)
    with _section("model"):
        model = _model(config, data).to(device)
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
    return Experiment(config, data, model, optimizer, scheduler, loader, validation, test)


def _model(config: RunConfig, data: Data) -> Module:
    """The model, made of what the data say and what the config says; the config comes first."""
    name = config.model.name
    make = catalog.MODELS[name]
    known = {k: v for k, v in data.facts.items() if k in parameters(make)}
    given = known | config.model.options
    needed = [p.name for p in inspect.signature(make).parameters.values()
              if p.default is p.empty and p.name not in given]
    if needed:
        raise ConfigError(f"[model] {name} needs {' and '.join(needed)}, and the data "
                          f"{config.data.name!r} only say {', '.join(data.facts) or 'nothing'}. "
                          f"Give it, or take data of another kind")
    model: Module = make(**given)
    return model


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


def prepare(config: RunConfig, folder: Path, resume: bool) -> bool:
    """Put config.toml into the folder, which the caller holds (``lock.py``). True if there is a run
    to resume.

    Raises FileExistsError if there is one and ``resume`` is False, or if the folder is that of a
    search; ConfigError if it had other settings, which lists them, or if they are lost.
    """
    if (folder / STUDY).exists():
        raise FileExistsError(f"{folder} has a search of etude tune in it; give this run another "
                              f"folder with --out")
    found = Checkpoints(folder / CHECKPOINTS).paths()
    if found and not resume:
        raise FileExistsError(f"{folder} has a run in it, up to {found[-1].name}. Go on with it: "
                              f"--resume. Or keep both: --out with another folder")
    if found and not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} has checkpoints and no {CONFIG}, so nobody knows which "
                          f"settings they go on with. Put it back, or begin another run with "
                          f"--out")
    keep_config(config, folder, FREE if found else None)
    return bool(found)


def keep_config(config: RunConfig, folder: Path, free: set[str] | None) -> None:
    """Write config.toml. With ``free``, only those settings and sections may differ from the config
    that is there already; ConfigError lists the others.
    """
    path = folder / CONFIG
    if free is not None and path.is_file():
        before, now = _without(free, RunConfig.read(path)), _without(free, config)
        changed = differences(before, now)
        if changed:
            raise ConfigError(f"what is in {folder} was begun with other settings, so it cannot "
                              f"go on with these: {'; '.join(changed)}. Put them back, or begin "
                              f"another one with --out")
    write_atomically(path, config.toml().encode())


def finish(experiment: Experiment, history: History, folder: Path) -> None:
    """Write history.json and weights.safetensors."""
    text = json.dumps(as_json(history), indent=1, allow_nan=False)
    write_atomically(folder / "history.json", text.encode())
    save_weights(folder / "weights.safetensors", experiment.model)


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
