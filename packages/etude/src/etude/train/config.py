"""RunConfig: all that a training run follows from, as dataclasses that read and write TOML.

The models and data sets to choose from are in ``catalog.py``; ``checked`` (``settings.py``) holds a
value against its type; ``build`` (``experiment.py``) makes the run. Every default is here or in the
signature of the model, data set, optimiser or scheduler. A file is read and checked to its end
before anything starts.
"""

from __future__ import annotations

import math
import os
import textwrap
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from etude.train.settings import (
    ConfigError,
    arguments,
    chosen,
    dump,
    parameters,
    read,
    setting,
    unknown,
)

Options = dict[str, Any]

#: Bytes of a config, and of one of its lines: the time and the memory that tomllib takes for a name
#: of n parts, a.b.c and so on, which is one line, grow with n * n.
MOST, LONGEST = 1 << 18, 2000


@dataclass(frozen=True)
class ModelConfig:
    """[model]: the name of a model, and its arguments. Those that follow from the data may be
    left out.
    """

    name: str = setting("mlp", "what is trained")
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class DataConfig:
    """[data]: the name of a data set, its arguments, and how it is cut into batches."""

    name: str = setting("digits", "what it is trained on")
    batch_size: int = setting(64, "samples in a batch", 1)
    validation: float = setting(0.1, "share of the samples held out to watch the run by; 0: none",
                                0, 0.9)
    drop_last: bool = setting(False, "leave out a last batch that is not full")
    workers: int = setting(0, "threads that prepare batches ahead", 0, 64)
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class OptimizerConfig:
    """[optimizer]: the name of an optimiser, and its arguments."""

    name: str = setting("AdamW", "how weights move")
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class SchedulerConfig:
    """[scheduler]: how the learning rate changes. A length that is left out is that of the run."""

    name: str = setting("CosineAnnealingLR", "how the learning rate changes")
    by: str = setting("step", "what it counts: step or epoch", choices=("step", "epoch"))
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingConfig:
    """[training]: how long, from which seed, and what is kept."""

    epochs: int = setting(10, "passes over the training data", 1)
    seed: int = setting(0, "of weights, order and dropout; one seed, one run", 0, 2**64 - 1)
    backend: str = setting("", "a backend, .py or .so; empty: the default one")
    clip_norm: float | None = setting(None, "largest norm of all gradients together", above=0)
    patience: int | None = setting(None, "stop after so many epochs without a better loss", 1)
    checkpoint_steps: int = setting(0, "a checkpoint every so many steps; 0: none", 0)
    checkpoint_epochs: int = setting(1, "a checkpoint every so many epochs; 0: none", 0)
    keep: int = setting(3, "how many checkpoints stay", 1)


@dataclass(frozen=True)
class Dimension:
    """One entry of [tune.space]: a range, ``low`` to ``high``, or ``choices``."""

    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, path: str, table: Any) -> Self:
        """From its TOML. Raises ConfigError."""
        found: Dimension = read(cls, path, table)
        has_range = found.low is not None or found.high is not None
        has_choices = bool(found.choices)
        if has_range == has_choices:  # both, or neither
            raise ConfigError(f"{path}: give low and high, or choices")
        if not found.choices:
            if found.low is None or found.high is None or not found.low < found.high:
                raise ConfigError(f"{path}: needs low < high, got {found.low} and {found.high}")
            if not math.isfinite(found.low) or not math.isfinite(found.high):
                raise ConfigError(f"{path}: low and high must be finite, got {found.low} and "
                                  f"{found.high}")
            if found.log and found.low <= 0:
                raise ConfigError(f"{path}: a log range starts above 0, got low = {found.low}")
        return found  # type: ignore[return-value]

    def values(self) -> tuple[Any, ...]:
        """The values at its ends, or all choices."""
        return self.choices or (self.low, self.high)


@dataclass(frozen=True)
class TuneConfig:
    """[tune]: how many runs, what they are judged by; [tune.space]: what differs among them."""

    trials: int = setting(20, "runs in all", 1)
    metric: str = setting("loss", "what is made best", choices=("loss", "accuracy"))
    seed: int = setting(0, "of the search", 0, 2**32 - 1)
    prune: bool = setting(True, "end runs early that fall behind the median")
    options: Options = field(default_factory=dict)  # "space" alone

    def space(self) -> dict[str, Dimension]:
        """Path of a setting -> where to look for its value. A path may be a quoted key,
        "optimizer.lr", or tables in tables.
        """
        for key in self.options:
            if key != "space":
                known = [f.name for f in fields(self)[:-1]]
                raise ConfigError(unknown(f"tune.{key}", "setting", key, [*known, "space"]))
        return dict(_dimensions("", self.options.get("space", {})))


def _dimensions(path: str, table: Any) -> list[tuple[str, Dimension]]:
    """The dimensions in a table of [tune.space], with the tables inside it."""
    if not isinstance(table, dict):
        raise ConfigError(f"tune.space.{path}: give a table, such as {{low = 1e-4, high = 1e-1, "
                          f"log = true}}, got {table!r}")
    names = {f.name for f in fields(Dimension)}
    if path and (set(table) & names or not table):
        return [(path, Dimension.of(f"tune.space.{path}", table))]
    found: list[tuple[str, Dimension]] = []
    for key, inner in table.items():
        found += _dimensions(f"{path}.{key}" if path else key, inner)
    return found


@dataclass(frozen=True)
class RunConfig:
    """A whole run. ``RunConfig.read(path)`` makes it of a TOML file, ``toml()`` goes back."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    scheduler: SchedulerConfig | None = None
    training: TrainingConfig = TrainingConfig()
    tune: TuneConfig | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RunConfig:
        """Raises FileNotFoundError; ConfigError for what is no TOML, with the line, for a name
        that is unknown, with the nearest known one, and for a value of another type or range; also
        for a file or a line longer than any config has. A byte order mark, with which editors on
        Windows begin a file, is skipped.
        """
        data = Path(path).read_bytes()
        longest = max(map(len, data.splitlines()), default=0)
        if len(data) > MOST or longest > LONGEST:
            raise ConfigError(f"{path} is no config: it has {len(data):,} bytes, and {longest:,} "
                              f"in one line; a config has at most {MOST:,}, and {LONGEST:,} in a "
                              f"line. A list may go over several lines")
        try:
            document = tomllib.loads(data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} is no TOML: not UTF-8 text (byte {error.start}); save it "
                              f"as UTF-8") from None
        except (ValueError, RecursionError) as error:  # also of Python: 5,000 digits, deep lists
            raise ConfigError(f"{path} is no TOML: {error}") from None
        try:
            return cls.of(document)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        except RecursionError:  # a.b.c.d and so on, which TOML may write on one line
            raise ConfigError(f"{path}: its tables are nested too deeply; a setting is named by "
                              f"section.key") from None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> RunConfig:
        """From the tables of a TOML document, checked."""
        _check_integers("", document)
        found: dict[str, Any] = {}
        for section, table in document.items():
            if section not in SECTIONS:
                raise ConfigError(unknown(section, "section", section, SECTIONS))
            found[section] = read(SECTIONS[section], section, table)
        config = cls(**found)
        return config._checked()

    def _checked(self) -> RunConfig:
        """The same config, with each option converted to the type of its argument."""
        found: dict[str, Any] = {}
        for choice in _choices():
            part = getattr(self, choice.section)
            if part is None:
                continue
            make = chosen(f"{choice.section}.name", choice.what, part.name, choice.table)
            options = arguments(choice.section, make, part.options, choice.given)
            found[choice.section] = replace(part, options=options)
        config = replace(self, **found)
        config._try_space()
        return config

    def _try_space(self) -> None:
        """ConfigError if a run of the search could not have one of its values."""
        if self.tune is None:
            return
        for path, dimension in self.tune.space().items():
            for value in dimension.values():
                try:
                    self.override({path: value})
                except ConfigError as error:
                    raise ConfigError(f"tune.space: {error}") from None

    def override(self, values: Mapping[str, Any]) -> RunConfig:
        """A config that differs in ``values``, given by path, such as {"optimizer.lr": 0.01}."""
        document = self.document()
        for path, value in values.items():
            section, dot, key = path.partition(".")
            if not dot or not key or section not in SECTIONS or section == "tune":
                known = [s for s in SECTIONS if s != "tune"]
                raise ConfigError(f"{path}: a setting is named by section.key, where section is "
                                  f"one of {', '.join(known)}")
            table = document.setdefault(section, {})
            if key == "name" and value != table.get("name"):
                table = _without_options(section, table)
                document[section] = table
            table[key] = value
        document.pop("tune", None)
        return replace(RunConfig.of(document), tune=self.tune)

    def document(self) -> dict[str, dict[str, Any]]:
        """Tables of plain values, as TOML has them, without those that are None."""
        found = {}
        for name, table in asdict(self).items():
            if table is None:
                continue
            options = table.pop("options", {})
            found[name] = {k: v for k, v in {**table, **options}.items() if v is not None}
        return found

    def toml(self, comments: bool = False) -> str:
        """The text of a TOML file that ``read`` makes this of. ``comments`` explain each line."""
        return dump(self.document(), explanations() if comments else None)


def _check_integers(path: str, value: Any) -> None:
    """ConfigError for an integer beyond 64 bits, which TOML does not have and NumPy cannot take."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ConfigError(f"{path} must be a number of at most 64 bits, got one of "
                          f"{value.bit_length()}")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_integers(f"{path}.{key}" if path else str(key), inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check_integers(path, inner)


SECTIONS: dict[str, type] = {"model": ModelConfig, "data": DataConfig,
                             "optimizer": OptimizerConfig, "scheduler": SchedulerConfig,
                             "training": TrainingConfig, "tune": TuneConfig}


class Choice(NamedTuple):
    """A section that names something out of a table, and gives its arguments."""

    section: str
    what: str  # it chooses, in words
    table: Mapping[str, Callable[..., Any]]
    given: int  # how many first arguments the run itself gives


def _choices() -> list[Choice]:
    from etude.train import catalog  # here: it loads every model and data set there is

    return [Choice("model", "model", catalog.MODELS, 0),
            Choice("data", "data set", catalog.DATA, 0),
            Choice("optimizer", "optimizer", catalog.OPTIMIZERS, 1),
            Choice("scheduler", "scheduler", catalog.SCHEDULERS, 1)]


def _without_options(section: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a section has whatever its name. Another name has other options."""
    own = {f.name for f in fields(SECTIONS[section])}
    return {k: v for k, v in table.items() if k in own}


def explanations() -> dict[str, str]:
    """A sentence for each setting, and for each section what there is to choose from."""
    found = {}
    for section, cls in SECTIONS.items():
        for f in fields(cls):
            if f.name != "options":
                found[f"{section}.{f.name}"] = f.metadata["about"]
    for choice in _choices():
        lines = ["One of these, with its settings:"]
        for name, make in choice.table.items():
            call = f"{name}({', '.join(parameters(make, choice.given))})"
            lines += textwrap.wrap(call, 90, initial_indent="  ", subsequent_indent="      ")
        found[choice.section] = "\n".join(lines)
    return found


def example() -> RunConfig:
    """The run that ``etude train --example`` shows: every section in use."""
    space = {"optimizer.lr": {"low": 1e-4, "high": 1e-1, "log": True},
             "model.hidden": {"choices": [[32], [64], [64, 32]]}}
    return RunConfig.of({
        "model": {"name": "mlp", "hidden": [64]}, "data": {"name": "digits"},
        "optimizer": {"name": "AdamW", "lr": 3e-3}, "scheduler": {},
        "training": {"clip_norm": 1.0, "patience": 5}, "tune": {"trials": 20, "space": space}})
