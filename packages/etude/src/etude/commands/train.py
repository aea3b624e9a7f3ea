"""``etude train``: a run from a TOML file. The work is in ``train/experiment.py``."""

from __future__ import annotations

import errno
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import click

from etude.commands import INTERRUPTED, stopped

EPILOG = """\b
Examples:
  etude train --example > digits.toml      a file to start from, explained
  etude train digits.toml --dry-run        what it would do
  etude train digits.toml
  etude train digits.toml --set optimizer.lr=0.01 --out runs/faster
  etude train digits.toml --resume         go on after a stop, bit for bit
  mpirun -n 2 etude train digits.toml --distributed
"""


@click.command(epilog=EPILOG)
@click.argument("config", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--example", is_flag=True, help="Print a config to start from.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of the run.  [default: runs/NAME of the config]")
@click.option("--resume", is_flag=True, help="Go on with the run in that folder, if there is one.")
@click.option("--backend", metavar="NAME", help="As --set training.backend=NAME.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Another value for one setting, such as optimizer.lr=0.01.")
@click.option("--tensorboard", is_flag=True,
              help="Write event files for TensorBoard into the folder tensorboard of the run.")
@click.option("--dry-run", is_flag=True, help="Check everything, train nothing, write nothing.")
@click.option("--distributed", is_flag=True,
              help="Train together with the other processes that mpirun started (etude-mpi).")
def train(config: Path | None, example: bool, out: Path | None, resume: bool,
          backend: str | None, changes: tuple[str, ...], tensorboard: bool, dry_run: bool,
          distributed: bool) -> None:
    """Train the model that a TOML file describes.

    The folder of the run gets the config, checkpoints, history.json, the weights,
    and loss.png. Every name that is not known, and every value of another type,
    is an error before anything starts.
    """
    from etude.train.config import example as sample

    if example:
        click.echo(f"# A run of 'etude train', and a search of 'etude tune'.\n\n"
                   f"{sample().toml(comments=True)}", nl=False)
        return
    if config is None:
        raise click.UsageError("Give a config file; 'etude train --example > run.toml' makes one")
    folder = out if out is not None else Path("runs") / config.stem
    with _team(distributed) as team, worded():
        team.advice = lambda: _how_to_go_on(folder, config, team.size)
        chosen = load(config, backend, changes)
        if dry_run:
            _rehearse(chosen, folder, resume)
        else:
            try:
                interrupted = _run(chosen, folder, resume, config, tensorboard, team)
            except KeyboardInterrupt:
                raise stopped(_how_to_go_on(folder, config)) from None
            if interrupted:
                raise click.exceptions.Exit(INTERRUPTED)


def _team(distributed: bool) -> AbstractContextManager[Any]:
    """The team this process trains in: itself, or those that a plugin finds."""
    from etude.backends.plugins import registry
    from etude.train.team import Team

    if not distributed:
        return nullcontext(Team())
    found = [join for plugin in registry().plugins for join in plugin.teams]
    if not found:
        raise click.UsageError(f"--distributed needs etude-mpi, which is not installed, or did not "
                               f"load: pip install 'etude-mpi[mpi]', or in a clone of Etude pip "
                               f"install 'plugins/etude-mpi[mpi]'{registry().troubles()}")
    joined: AbstractContextManager[Any] = found[0]()
    return joined


@contextmanager
def worded() -> Iterator[None]:
    """In this block, an error that is worded for a reader is shown without a traceback."""
    try:
        yield
    except BrokenPipeError:  # the reader of a pipe left; click knows what to do
        raise
    except (ValueError, IndexError, OSError, ImportError, FloatingPointError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and not error.filename:
            raise  # of stdout: it is worded where all commands write to it
        notes = getattr(error, "__notes__", [])
        raise click.ClickException("\n".join([_sentence(error), *notes])) from error


def _sentence(error: Exception) -> str:
    """An error in words. Those of the system have a number, a reason and the name of a file."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is None:
        return str(error)
    if error.strerror == os.strerror(errno.ENOENT):
        return f"{error.filename}: there is no such file"
    if error.strerror == os.strerror(errno.EISDIR):
        return f"{error.filename} is a folder, and this must be a file"
    return f"{error.strerror}: {error.filename!r}"


def load(path: Path, backend: str | None, changes: tuple[str, ...]) -> Any:
    """The RunConfig of ``path`` with the changes of the command line."""
    from etude.train.config import RunConfig

    config = RunConfig.read(path)
    values = dict(map(changed, changes))
    if backend is not None:
        values["training.backend"] = backend
    return config.override(values) if values else config


def changed(text: str) -> tuple[str, Any]:
    """("optimizer.lr", 0.01) from "optimizer.lr=0.01"; a value that is no TOML is text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"--set takes KEY=VALUE, such as optimizer.lr=0.01, got {text!r}")
    try:
        return key.strip(), tomllib.loads(f"v = {value}")["v"]
    except (ValueError, RecursionError):
        return key.strip(), value.strip()


def _how_to_go_on(folder: Path, path: Path, processes: int = 1) -> str:
    """After Ctrl-C outside of the training itself, while data are loaded or results written; or
    after one of several processes failed.
    """
    from etude.train import Checkpoints

    if Checkpoints(folder / "checkpoints").paths():
        command = f"etude train {path} --out {folder} --resume"
        if processes > 1:
            command = f"mpirun -n {processes} {command} --distributed"
        return f"Stopped. Go on with: {command}"
    return "Stopped before the first checkpoint; the same command begins anew"


def _run(config: Any, folder: Path, resume: bool, path: Path, tensorboard: bool, team: Any
         ) -> bool:
    """Train, and fill the folder. Returns whether Ctrl-C ended it early."""
    from etude.train import TensorBoard, experiment
    from etude.train.lock import hold

    watching = [TensorBoard(folder / "tensorboard")] if tensorboard and team.leads else []
    with experiment.backend(config.training.backend) as (device, fallbacks):
        made = experiment.build(config, device)
        made.try_batch()
        if not team.leads:  # the one that leads prints and writes
            experiment.prepare(config, folder, resume)
            made.fit(folder, resume, team=team)
            return False
        with hold(folder):
            going_on = experiment.prepare(config, folder, resume)
            if resume and not going_on:
                click.echo(f"There is no run in {folder} to resume; this one starts from the "
                           f"beginning")
            click.echo(_plan(made, config))
            history = made.fit(folder, resume, watching, team=team)
            experiment.finish(made, history, folder)
            missing = drawn(lambda plots: plots.losses(history, folder / "loss.png"), "loss.png")
        lines = [f"{op} ({dtype}) {n} times: {why}" for (op, dtype, why), n in fallbacks.items()]
    if lines:
        click.echo("\n  ".join(["The reference stood in for the backend:", *lines]))
    files = ["config.toml", "history.json", "weights.safetensors", "checkpoints/"]
    if experiment.class_names(made.data) is not None:
        files.append(experiment.CLASSES)
    if made.data.tokenizer is not None:
        files.append(experiment.TOKENIZER)
    if not missing:
        files.append("loss.png")
    if tensorboard:
        files.append("tensorboard/")
    click.echo(f"\nIn {folder}: {', '.join(files)}")
    if missing:
        click.echo(missing)
    if history.interrupted:
        click.echo(f"Go on with: etude train {path} --out {folder} --resume")
    return bool(history.interrupted)


def _plan(made: Any, config: Any) -> str:
    """One line: what is trained on what."""
    parameters = sum(p.numel() for p in made.model.parameters())
    held = "" if made.validation is None else f", {len(made.validation.dataset):,} to watch it"
    return (f"{config.model.name} ({parameters:,} parameters) on {config.data.name}: "
            f"{len(made.loader.dataset):,} samples{held}, {len(made.data.test):,} to test; "
            f"{config.training.epochs} epochs of {len(made.loader)} steps")


def _rehearse(config: Any, folder: Path, resume: bool) -> None:
    from etude.inspect.summary import summary
    from etude.train import experiment

    with experiment.backend(config.training.backend) as (device, _):
        made = experiment.build(config, device)
        x, loss = made.try_batch()
        going_on = experiment.prepare(config, folder, resume)
        click.echo(_plan(made, config))
        click.echo(f"\n{summary(made.model, x)}\n\nThe first batch has a loss of {loss:.4f}. "
                   f"Without --dry-run the run goes {'on in' if going_on else 'into'} {folder}, "
                   f"with these settings:\n\n"
                   f"{config.toml()}", nl=False)


def drawn(draw: Callable[[Any], None], name: str) -> str:
    """Call ``draw`` with ``etude.inspect.plots``. Returns "", or without matplotlib a sentence."""
    try:
        from etude.inspect import plots
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        return f"There is no {name}: matplotlib is not installed. pip install 'etude[plots]'"
    draw(plots)
    return ""
