"""``etude tune``: a search for better settings. The work: ``Search`` in ``train/tuning.py``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from etude.commands import stopped
from etude.commands.train import drawn, load, worded

EPILOG = """\b
Examples:
  etude train --example > digits.toml      its [tune] section says what to search
  etude tune digits.toml
  etude tune digits.toml --set training.epochs=3
  etude train runs/digits-tune/best.toml
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the search.  [default: runs/NAME-tune]")
@click.option("--trials", type=click.IntRange(min=1), help="Instead of tune.trials.")
@click.option("--backend", metavar="NAME", help="As --set training.backend=NAME.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Another value for one setting that is not searched.")
def tune(config: Path, out: Path | None, trials: int | None, backend: str | None,
         changes: tuple[str, ...]) -> None:
    """Search the settings of [tune.space] for the best run.

    The folder gets the study, study.db, and at the end best.toml and tune.png. A
    search that was stopped goes on when the same command is given again.
    """
    from contextlib import closing
    from dataclasses import replace

    from etude.train.experiment import STUDY
    from etude.train.tuning import Search

    with worded():
        chosen = load(config, backend, changes)
        if trials is not None and chosen.tune is not None:
            chosen = replace(chosen, tune=replace(chosen.tune, trials=trials))
        folder = out if out is not None else Path("runs") / f"{config.stem}-tune"
        with _named(folder / STUDY), closing(Search(chosen, folder)) as search:
            plan = f"{chosen.tune.trials} trials over {', '.join(search.space)}"
            done = len(search.trials())
            click.echo(f"{plan}; {done} are done" if done else plan)
            try:
                search.run(lambda trial: click.echo(_line(search, trial)))
            except KeyboardInterrupt:
                if any(t.state.name == "COMPLETE" for t in search.trials()):
                    click.echo(f"\nThe best so far: {_line(search, search.study.best_trial)}")
                click.echo(f"\nIn {folder}: config.toml, study.db")
                raise stopped(f"Stopped after {len(search.trials())} of {search.tune.trials} "
                              f"trials. Go on with the same command; the trial that was cut short "
                              f"does not count") from None
            best = search.write_best()
            click.echo(f"\nThe best: {_line(search, search.study.best_trial)}")
            missing = drawn(search.draw, "tune.png")
            files = ["config.toml", "study.db", "best.toml"]
            if not missing:
                files.append("tune.png")
            click.echo(f"\nIn {folder}: {', '.join(files)}")
            if missing:
                click.echo(missing)
            click.echo(f"Train it: etude train {best}")


@contextmanager
def _named(study: Path) -> Iterator[None]:
    """In this block, an error of SQLite that nobody has worded names the file."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, sqlite3.Error):
            cause = cause.__cause__ or cause.__context__
        if cause is None or isinstance(error, (ValueError, OSError, click.ClickException)):
            raise
        raise click.ClickException(f"{study}: {cause}. The trials that are in it stay; if the disk "
                                   f"is full, make room and give the same command again") from error


def _line(search: Any, trial: Any) -> str:
    """A trial in one line: its best epoch, and its settings."""
    words = []
    for key, value in search.settings(trial).items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        words.append(f"{key} = {shown}")
    settings = ", ".join(words)
    if not trial.intermediate_values:
        return f"trial {trial.number + 1}: failed with {settings}"
    ended = "" if trial.state.name == "COMPLETE" else f", ended after epoch {trial.last_step}"
    return (f"trial {trial.number + 1}: {search.tune.metric} {search.value(trial):.4f} with "
            f"{settings}{ended}")
