"""A search for better settings: an Optuna study (the extra ``etude[tune]``) over a RunConfig.

The study is kept in study.db in the folder of the search, and goes on where it was after any stop.
Each trial is a whole run. It is judged by its best epoch on the validation data, and ended early if
it falls behind.
Source of the search: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (TPE).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from etude.data.files import uninterrupted, write_atomically
from etude.train import Callback, Run
from etude.train.catalog import Data
from etude.train.config import Dimension, RunConfig
from etude.train.experiment import CHECKPOINTS, CONFIG, STUDY, backend, build, check_config
from etude.train.lock import hold
from etude.train.settings import ConfigError

NAME = "etude"  # of the study in study.db
SCALARS = (bool, int, float, str)


class Watch(Callback):
    """Tells the trial of each epoch, and ends a run that its pruner gives up."""

    def __init__(self, trial: Any, metric: str, prune: bool) -> None:
        self.trial, self.metric, self.prune = trial, metric, prune
        self.values: list[float] = []
        self.pruned = False

    def on_epoch(self, run: Run) -> None:
        epoch = run.history.epochs[-1]
        self.values.append(epoch.value(self.metric))
        with uninterrupted():  # Optuna is not made to be stopped inside its own work
            self.trial.report(self.values[-1], epoch.number)
            self.pruned = (self.prune and epoch.number < run.epochs
                           and self.trial.should_prune())
        if self.pruned:
            run.stop = "fell behind the other trials"


class Search:
    """The search that ``config.tune`` describes, in ``folder``.

    Raises ImportError without Optuna; ConfigError for no [tune] section or an empty space, or if
    the folder has a search with other settings, a run, or a study.db that is damaged;
    FolderInUseError if another search is at work there. The folder is held until ``close``.
    """

    def __init__(self, config: RunConfig, folder: Path) -> None:
        if config.tune is None or not config.tune.space():
            raise ConfigError("there is nothing to tune: name settings in [tune.space], such as "
                              "\"optimizer.lr\" = {low = 1e-4, high = 1e-1, log = true}")
        self.optuna = _optuna()
        self.config, self.folder, self.tune = config, folder, config.tune
        self.space = config.tune.space()
        self.path = folder / STUDY
        self.minimise = self.tune.metric == "loss"
        self._loaded: tuple[Any, Data] | None = None
        with ExitStack() as opened:
            opened.enter_context(hold(folder))
            if (folder / CHECKPOINTS).exists():
                raise ConfigError(f"{folder} has a run of etude train in it; give the search "
                                  f"another folder with --out")
            if self.path.exists():
                _check_database(self.path)
            check_config(config, folder / CONFIG, {"tune.trials"})
            write_atomically(folder / CONFIG, config.toml().encode())
            with uninterrupted():  # a Ctrl-C waits until the tables of study.db are all there
                self.study = self._open()
            self._held = opened.pop_all()

    def _open(self) -> Any:
        optuna = self.optuna
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # the caller tells of failed trials
        if not self.path.exists():
            write_atomically(self.path, self._nothing_tried())
        with _readable(self.path), ExitStack() as opened:
            self._storage = optuna.storages.RDBStorage(f"sqlite:///{self.path}")
            opened.callback(_let_go, self._storage)
            study = optuna.load_study(
                storage=self._storage, study_name=NAME,
                pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1))
            self._check_trials(study)
            # A trial that is still running belongs to a search that was killed: it is done again.
            for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                study.enqueue_trial(trial.params)
            opened.pop_all()
        study.sampler = optuna.samplers.TPESampler(seed=self.tune.seed + len(study.trials))
        return study

    def _nothing_tried(self) -> bytes:
        """The database of a study without trials. It is made in memory, so that a kill at any
        moment leaves a whole study.db or none.
        """
        storage = self.optuna.storages.RDBStorage("sqlite://")
        self.optuna.create_study(storage=storage, study_name=NAME,
                                 direction="minimize" if self.minimise else "maximize")
        with closing(storage.engine.raw_connection()) as connection:
            database: bytes = connection.driver_connection.serialize()
        _let_go(storage)
        return database

    def _check_trials(self, study: Any) -> None:
        """ValueError if the study is not what this search could have written."""
        if (study.direction == self.optuna.study.StudyDirection.MINIMIZE) != self.minimise:
            raise ValueError(f"it goes the other way: {study.direction.name}")
        for trial in study.get_trials(deepcopy=False):
            for path, value in trial.params.items():
                if path not in self.space or not _fits(self.space[path], value):
                    raise ValueError(f"trial {trial.number + 1} has {path} = {value!r}, which is "
                                     f"not in [tune.space]")
            if trial.state != self.optuna.trial.TrialState.COMPLETE:
                continue
            whole = trial.params.keys() == self.space.keys() and trial.intermediate_values
            if not whole or not math.isfinite(trial.value):
                raise ValueError(f"trial {trial.number + 1} is complete, without its settings or "
                                 f"its values")

    def close(self) -> None:
        """Let go of the study's database and of the folder; the search is over for this process."""
        with self._held:
            _let_go(self._storage)

    def trials(self) -> list[Any]:
        """Trials that came to an end: complete, pruned, or failed by a loss that is not finite."""
        states = self.optuna.trial.TrialState
        return [t for t in self.study.get_trials(deepcopy=False)
                if t.state in (states.COMPLETE, states.PRUNED) or "error" in t.user_attrs]

    def complete(self) -> list[Any]:
        return [t for t in self.trials() if t.state == self.optuna.trial.TrialState.COMPLETE]

    def run(self, report: Callable[[Any], None] | None = None) -> None:
        """Do the trials that are left. ``report`` is called with each, Optuna's FrozenTrial. Ctrl-C
        ends the trial at work, which does not count, and raises KeyboardInterrupt. OSError if
        study.db cannot be written.
        """
        left = self.tune.trials - len(self.trials())
        tells = [] if report is None else [lambda study, trial: report(trial)]
        with backend(self.config.training.backend) as (device, _), uninterrupted() as at_once:
            if left > 0:
                with self._writing():
                    self.study.optimize(lambda trial: self._trial(trial, device, at_once), left,
                                        catch=(FloatingPointError,), callbacks=tells)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What SQLite says when it cannot write, behind errors that name no file, such as "disk I/O
        error" when the disk is full, is said of study.db.
        """
        try:
            yield
        except self.optuna.exceptions.StorageInternalError as error:
            why = getattr(error.__cause__, "orig", error)
            raise OSError(f"{self.path}: cannot be written ({why}). If the disk is full, make room "
                          f"and give the same command again; trials that are done stay") from error

    def _trial(self, trial: Any, device: str, at_once: Any) -> float:
        values = {path: _suggest(trial, path, dimension)
                  for path, dimension in self.space.items()}
        config = self.config.override(values)
        watch = Watch(trial, self.tune.metric, self.tune.prune)
        try:
            with at_once():  # Ctrl-C ends a trial, and never Optuna's own work between two
                made = build(config, device, self._data(config))
                history = made.fit(callbacks=[watch], progress=False)
        except FloatingPointError as error:
            trial.set_user_attr("error", str(error))
            raise
        if history.interrupted:
            raise KeyboardInterrupt
        if watch.pruned:
            raise self.optuna.TrialPruned
        return min(watch.values) if self.minimise else max(watch.values)

    def _data(self, config: RunConfig) -> Data:
        """The data set, loaded again only if a trial has another."""
        key = config.data.name, config.data.options
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = key, build(config).data
        return self._loaded[1]

    # ------------------------------------------------------------------ what came of it

    def settings(self, trial: Any) -> dict[str, Any]:
        """Path -> value of one trial."""
        return {path: _value(self.space[path], v) for path, v in trial.params.items()}

    def best(self) -> RunConfig:
        """The config of the best trial. ConfigError if none came to its end."""
        if not self.complete():
            raise ConfigError(f"none of the {len(self.trials())} trials came to its end; try "
                              f"smaller learning rates")
        found = self.config.override(self.settings(self.study.best_trial))
        return replace(found, tune=None)

    def write_best(self) -> Path:
        """Write best.toml, a config for ``etude train``."""
        path = self.folder / "best.toml"
        write_atomically(path, self.best().toml().encode())
        return path

    def draw(self, plots: Any) -> None:
        """Write tune.png, with the module ``etude.inspect.plots``."""
        pruned = self.optuna.trial.TrialState.PRUNED
        done = [plots.Trial(t.number, self.value(t), self.settings(t), t.state == pruned)
                for t in self.trials() if t.intermediate_values]
        log = [path for path, dimension in self.space.items() if dimension.log]
        plots.search(done, self.tune.metric, log, self.folder / "tune.png")

    def value(self, trial: Any) -> float:
        """The best epoch of a trial, whether or not it was pruned."""
        values = trial.intermediate_values.values()
        return float(min(values) if self.minimise else max(values))


def _let_go(storage: Any) -> None:
    """Close the database of an Optuna storage."""
    storage.remove_session()
    storage.engine.dispose()


def _check_database(path: Path) -> None:
    """ConfigError for a study.db that is no whole database with a study in it. SQLite takes an
    empty file for a new database, and the search would begin anew without a word.
    """
    if not path.stat().st_size:
        raise _damaged(path, "it is empty")
    # Of a search that was killed SQLite has changes to take back, so it must be able to write.
    with _readable(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw",
                                                  uri=True)) as database:
        found, = database.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise ValueError(found)
        names = [name for name, in database.execute("SELECT study_name FROM studies")]
        database.execute("SELECT trial_id FROM trials")  # Optuna would make a table that lacks
        if NAME not in names:
            raise ValueError("no study of Etude is in it")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever SQLite, SQLAlchemy and Optuna raise of a damaged study is said of its file."""
    try:
        yield
    except Exception as error:  # they share no class: a JSON text in a row is damaged, a key lacks
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path}: not the study of this search, or a damaged one ({why}). Put back "
                       f"a copy of it; or move it away, and the search begins anew")


def _fits(d: Dimension, stored: Any) -> bool:
    """Whether ``_suggest`` could have given what Optuna keeps as ``stored``."""
    if d.choices:
        return any(_label(c) == stored for c in d.choices)
    low, high = d.values()
    return isinstance(stored, (int, float)) and bool(low <= stored <= high)


def _suggest(trial: Any, path: str, d: Dimension) -> Any:
    """The value that the study wants to try next for one setting."""
    if d.choices:
        return _value(d, trial.suggest_categorical(path, [_label(c) for c in d.choices]))
    if isinstance(d.low, int) and isinstance(d.high, int):
        return trial.suggest_int(path, d.low, d.high, log=d.log)
    return trial.suggest_float(path, d.low, d.high, log=d.log)


def _label(choice: Any) -> Any:
    """A choice as Optuna keeps it: it takes no lists, so a list becomes JSON."""
    return choice if isinstance(choice, SCALARS) else json.dumps(choice)


def _value(d: Dimension, stored: Any) -> Any:
    """The value that Optuna keeps as ``stored``."""
    return next((c for c in d.choices if _label(c) == stored), stored)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ImportError("etude tune is a study of Optuna, which is not installed: "
                          "pip install 'etude[tune]'") from None
    return optuna
