"""A run from a RunConfig: what it is made of, and the folder that it fills.

The folder of a run:

    config.toml          the settings, every one of them
    checkpoints/         the last few, to go on from
    history.json         at the end: what was recorded
    weights.safetensors  at the end: what was learned

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
from etude.train.settings import ConfigError, parameters

#: What a resumed run may have otherwise than before.
FREE = {"training.epochs", "training.checkpoint_steps", "training.checkpoint_epochs",
        "training.keep"}


@dataclass
class Experiment:
    """All that a config stands for, before the first step. It follows from the seed."""

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
        t, s = self.config.training, self.config.scheduler
        early = [EarlyStopping(t.patience)] if t.patience is not None else []
        checkpoints = None if folder is None else Checkpoints(
            folder / "checkpoints", t.checkpoint_steps, t.checkpoint_epochs, t.keep)
        return fit(self.model, self.loader, self.optimizer, self.data.loss, t.epochs, self.test,
                   progress, validation=self.validation, scheduler=self.scheduler,
                   schedule="epoch" if s is None else s.by, clip_norm=t.clip_norm,
                   callbacks=[*early, *callbacks], checkpoints=checkpoints, resume=resume,
                   config=self.config.document())


def build(config: RunConfig, device: str = "cpu", data: Data | None = None) -> Experiment:
    """Load the data (unless given) and make the rest.

    Raises ConfigError, naming the section, for settings that do not go together; the errors of
    the data set, such as FileNotFoundError, as they are.
    """
    d, t = config.data, config.training
    if data is None:
        with _section("data"):
            data = catalog.DATA[d.name](**d.options)
    with _section("data"):
        train, held = data.hold_out(d.validation)
        loader = DataLoader(train, d.batch_size, shuffle=True, drop_last=d.drop_last, seed=t.seed,
                            device=device, workers=d.workers)
    manual_seed(t.seed)
    with _section("model"):
        make = catalog.MODELS[config.model.name]
        known = {k: v for k, v in data.facts.items() if k in parameters(make)}
        missing = _missing(make, known | config.model.options)
        if missing:
            raise ConfigError(f"[model] {config.model.name} needs {missing}, and the data "
                              f"{d.name!r} only say {', '.join(data.facts) or 'nothing'}. Give it, "
                              f"or take data of another kind")
        model = make(**known | config.model.options).to(device)
    with _section("optimizer"):
        optimizer = catalog.OPTIMIZERS[config.optimizer.name](model.parameters(),
                                                              **config.optimizer.options)
    with _section("scheduler"):
        scheduler = _scheduler(config, optimizer, len(loader))
    size = max(d.batch_size, 256) if not data.text else d.batch_size
    validation = None if held is None else DataLoader(held, size, device=device)
    return Experiment(config, data, model, optimizer, scheduler, loader, validation,
                      DataLoader(data.test, size, device=device))


def _missing(make: catalog.Maker, given: dict[str, Any]) -> str:
    import inspect

    needed = [p.name for p in inspect.signature(make).parameters.values()
              if p.default is p.empty and p.name not in given]
    return " and ".join(needed)


def _scheduler(config: RunConfig, optimizer: Optimizer, steps: int) -> Any:
    s = config.scheduler
    if s is None:
        return None
    make = catalog.SCHEDULERS[s.name]
    total = config.training.epochs * (steps if s.by == "step" else 1)
    known = {"T_max": total, "total_steps": total, "max_lr": optimizer.param_groups[0]["lr"]}
    kinds = parameters(make, 1)
    if s.by == "step" and "patience" in kinds:
        raise ConfigError(f"[scheduler] {s.name} looks at the loss of each epoch; set by = "
                          f"\"epoch\"")
    return make(optimizer, **{k: v for k, v in known.items() if k in kinds} | s.options)


@contextmanager
def _section(name: str) -> Iterator[None]:
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"[{name}] {error}") from error


@contextmanager
def backend(name: str) -> Iterator[tuple[str, Counter[tuple[str, str, str]]]]:
    """(device, what fell back) of the backend; "" is the one in force."""
    if not name:
        yield "cpu", FALLBACKS.get()
        return
    with use(name, fallback=True) as chosen:
        yield chosen.device, chosen.fallbacks


# ------------------------------------------------------------------ the folder of a run


def prepare(config: RunConfig, folder: Path, resume: bool) -> bool:
    """Make the folder of the run and put config.toml there. True if there is a run to resume.

    Raises FileExistsError if there is one and ``resume`` is False; ConfigError if it had other
    settings, which lists them.
    """
    found = Checkpoints(folder / "checkpoints").paths()
    if found and not resume:
        raise FileExistsError(f"{folder} has a run in it, up to {found[-1].name}. Go on with it: "
                              f"--resume. Or keep both: --out with another folder")
    keep_config(config, folder, FREE | {"tune"} if found else None)
    return bool(found)


def keep_config(config: RunConfig, folder: Path, free: set[str] | None) -> None:
    """Write config.toml. Unless ``free`` is None, ConfigError if it differs from the one that is
    there in more than these settings or sections.
    """
    path = folder / "config.toml"
    if free is not None and path.is_file():
        before, now = _flat(RunConfig.read(path)), _flat(config)
        changed = [f"{k} was {before.get(k)!r}, is {now.get(k)!r}"
                   for k in dict.fromkeys([*before, *now])
                   if before.get(k) != now.get(k) and not {k, k.partition(".")[0]} & free]
        if changed:
            raise ConfigError(f"what is in {folder} was begun with other settings, so it cannot "
                              f"go on with these: {'; '.join(changed)}. Put them back, or begin "
                              f"another one with --out")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, config.toml().encode())


def finish(experiment: Experiment, history: History, folder: Path) -> None:
    """Write history.json and weights.safetensors."""
    text = json.dumps(as_json(history), indent=1, allow_nan=False)
    write_atomically(folder / "history.json", text.encode())
    save_weights(folder / "weights.safetensors", experiment.model)


def as_json(history: History) -> dict[str, Any]:
    """``history`` for other programs: what is not a number is null."""
    return {"epochs": [_plain(e.json()) for e in history.epochs],
            "test": history.test and _plain(history.test._asdict()),
            "stopped": history.stopped, "interrupted": history.interrupted,
            "steps": {name: _plain(getattr(history, name))
                      for name in ("loss", "accuracy", "seconds")}}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _flat(config: RunConfig) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, table in config.document().items()
            for key, value in table.items()}
