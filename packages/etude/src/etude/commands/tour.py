"""``etude tour``: a network learns to read digits on every backend, and the backends are compared.

``runs.py`` holds ``train`` and ``compare``, the work; ``picture.py`` holds ``draw``. This file has
the command, its table and its conclusions.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from etude.backends.plugins import registry
from etude.backends.resolve import resolve
from etude.commands import backends, runs
from etude.commands.runs import Run
from etude.commands.show import console, grid, print_json
from etude.measure import Comparison, Ratio

REFERENCE = "reference"


def _accelerators(wanted: tuple[str, ...]) -> list[str]:
    """The backends to run after the reference: those named, or all that are active and compute
    for their own sake: an emulation takes minutes for what others do in seconds.
    """
    for name in wanted:
        resolve(name)  # a BackendError now rather than after the reference's training
    if wanted:
        return [name for name in dict.fromkeys(wanted) if name != REFERENCE]
    offered = registry().backends
    return [line.backend for line in backends.lines()
            if line.state == "active" and line.backend in offered
            and not offered[line.backend][0].emulation]


@contextmanager
def _progress(to: Console | None, epochs: int) -> Iterator[Callable[[Run], None]]:
    """A function to call after each epoch: a live bar on a terminal, else lines now and then."""
    if to is None:
        yield lambda run: None
    elif not to.is_terminal:
        def line(run: Run) -> None:
            n = len(run.epochs)
            if n in (1, 2, epochs) or n % 5 == 0:
                to.print(f"{run.backend:<12} epoch {n:>3} of {epochs}   {_state(run)}")

        yield line
    else:
        columns = (TextColumn("[bold]{task.description:<12}"), BarColumn(20), MofNCompleteColumn(),
                   TextColumn("{task.fields[state]}"))
        with Progress(*columns, console=to) as bar:
            tasks: dict[str, Any] = {}

            def update(run: Run) -> None:
                if run.backend not in tasks:
                    tasks[run.backend] = bar.add_task(run.backend, total=epochs, state="")
                bar.update(tasks[run.backend], completed=len(run.epochs), state=_state(run))

            yield update


def _state(run: Run) -> str:
    """How far it has learned. Seconds are told at the end, if this machine was free for them."""
    last = run.epochs[-1]
    return f"loss {last.loss:.4f}   test {runs.accuracy(last):6.1%}"


# ------------------------------------------------------------------ what it says


def _speed_up(run: Run, reference: Run, timed: Comparison) -> Ratio:
    """How many times as fast as the reference; not trusted for what could not be timed."""
    if run.column not in timed.names:
        return Ratio(math.nan, math.nan, math.nan, "It was not timed.")
    return timed.speed_up(run.column, reference.column)


def _untold(found: list[Run], timed: Comparison, watched: str) -> str:
    """Why the picture is to compare no speeds; "" if it may. ``watched`` is what ``runs.watch`` has
    to say of the times of single ops.
    """
    ratios = [_speed_up(run, found[0], timed) for run in found[1:] if not run.error]
    return timed.why or next((r.why for r in ratios if not r.trusted), "") or watched


def _milliseconds(run: Run, timed: Comparison) -> float:
    """Of one training step; NaN if that was not measured, or not on a machine that was free."""
    if timed.why or run.column not in timed.names:
        return math.nan
    return 1e3 * timed.seconds(run.column).middle / runs.TIMED


def _table(found: list[Run], timed: Comparison, to: Console) -> None:
    reference = found[0]
    numbers = ("ms per\nstep", "\nspeed-up", "test\naccuracy", "curves\napart", "one step\napart")
    table = grid("\nbackend", *numbers, "ops of a step\nrun where", right=numbers)
    for column in table.columns:
        column.no_wrap = True
    for run in found:
        name = Text(run.backend, "bold")
        name.append(f"\n{run.about}", "not bold dim")
        if not run.epochs:
            table.add_row(name, *["-"] * 6)
            continue
        curves, step = "-", "-"
        if run is not reference:
            gap, _ = run.curve(reference)
            curves, step = f"{gap:.1e}", f"{run.apart:.1e}"
        where = "\n".join(f"{n} {column}" for column, n in run.calls().items())
        spent, ratio = _milliseconds(run, timed), _speed_up(run, reference, timed)
        table.add_row(name, "-" if math.isnan(spent) else f"{spent:.2f}",
                      f"{ratio.value:.1f} x" if ratio.trusted else "-",
                      f"{run.accuracy:.1%}", curves, step, where)
    to.print(table)


def _conclude(found: list[Run], timed: Comparison, to: Console) -> None:
    reference = found[0]
    for run in found[1:]:
        problem = run.problem(reference)
        if problem:
            to.print(Text.assemble("\n", (f"{run.backend} does not agree: ", "bold red"), problem))
            continue
        steps = len(run.loss)
        _, step = run.curve(reference)
        if step:
            told = (f"Left alone, the two trainings part at step {step} of {steps}: they "
                    f"amplify the last bit, until a ReLU falls the other way. Both learn the same.")
        else:
            told = f"Over all {steps} steps of training the curves stay within it, too."
        to.print(Text.assemble("\n", (f"{run.backend} agrees with the reference: ", "bold green"),
                               f"from equal weights, every step's loss is within {runs.BOUND:g} of "
                               f"it (the largest difference is {run.apart:.1e}). {told}"))
    for run in found[1:]:
        _tell_speed(run, reference, timed, to)
    if timed.why:
        to.print(f"\nNo speed is told. {timed.why} Run the tour again when it is free; "
                 f"OPENBLAS_NUM_THREADS=1 and ETUDE_NUM_THREADS=1 ask for one core only.",
                 style="yellow")
    to.print("\nSpeed: the backends took the same steps in turns, with nothing watching; medians "
             "of the turns. Curves apart: the largest difference of a step's loss from the "
             "reference's, over the whole training. One step apart: the same, but with equal "
             f"weights on both sides before every step ({2 * runs.COMPARED} other steps). Run "
             "where: the receipt of another step.", style="dim")


def _tell_speed(run: Run, reference: Run, timed: Comparison, to: Console) -> None:
    """How sure the speed-up of one backend is. Why there is none at all is told once, for all."""
    ratio = _speed_up(run, reference, timed)
    if ratio.trusted:
        to.print(f"\nA step on {run.backend} is {ratio.value:.2f} times as fast as on the "
                 f"reference ({ratio.low:.2f} to {ratio.high:.2f}, in {len(timed.clean)} turns).")
    elif not timed.why and not run.error:
        to.print(f"\nNo speed-up is told of {run.backend}. {ratio.why}", style="yellow")


def _no_accelerator(to: Console) -> None:
    """Why the reference ran alone, and what to do."""
    to.print("\nNo accelerator is active, so there is nothing to compare with.", style="bold")
    lines = [line for line in backends.lines() if line.state != "active"]
    for line in lines:
        to.print(Text(f"  {line.backend or line.plugin} is {line.state}: {line.reason}"))
    if not lines:
        to.print("  No plugin is installed. The C kernels: pip install etude-cpu (they need gcc "
                 "or clang)")
    else:
        to.print("  'etude backends --verbose' shows more.")


def _next(found: list[Run], wanted: bool, to: Console) -> None:
    last = [run for run in found if run.receipts][-1]
    op = next(iter(last.milliseconds()), "softmax")
    commands = [(f"etude ops {op}", f"the op that took {last.backend} longest"),
                ("etude backends", "what is installed, for which dtypes")]
    if wanted:
        commands.append(("etude tour", "all active backends"))
    else:
        commands.append(("etude tour --backend relu.py", "tutorial 3 writes relu.py"))
    to.print("\nTry next", style="bold")
    activate = Path(sys.prefix, "bin", "activate")
    if shutil.which("etude") is None and activate.exists():
        click.echo(f"  source {_from_here(activate)}    first, once in each terminal")
    for command, why in commands:
        to.print(f"  {command:<35}{why}")


def _from_here(path: Path) -> Path:
    """``path``, from the folder at work where it lies in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def as_json(found: list[Run], timed: Comparison, picture: Path | None) -> dict[str, Any]:
    """The document that --json prints."""
    reference = found[0]
    return {
        "agree": not any(run.problem(reference) for run in found[1:]),
        "bound": runs.BOUND,
        "busy": timed.why or None,
        "picture": None if picture is None else str(picture),
        "runs": [_run_as_json(run, reference, timed) for run in found],
    }


def _run_as_json(run: Run, reference: Run, timed: Comparison) -> dict[str, Any]:
    problem = run.error if run is reference else run.problem(reference)
    ratio = _speed_up(run, reference, timed)
    told = [ratio.value, ratio.low, ratio.high] if ratio.trusted else None
    return {
        "backend": run.backend,
        "about": run.about,
        "problem": problem or None,
        "milliseconds_of_a_step": _number(_milliseconds(run, timed)),
        "test_accuracy": _number(run.accuracy),
        "speed_up": told,  # with its 95 % interval
        "step_apart": _number(run.apart),
        "curve_apart": run.curve(reference)[0] if run.epochs else None,
        "loss": run.loss,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "calls_per_step": run.calls(),
        "milliseconds_per_op": run.milliseconds(),
    }


def _number(x: float) -> float | None:
    """JSON has no NaN: it is null."""
    return None if math.isnan(x) else x


# ------------------------------------------------------------------ the command


@click.command(epilog="\b\nExamples:\n  etude tour\n  etude tour --backend cpu --epochs 5\n"
                      "  etude tour --backend my_relu.py --no-picture")
@click.option("--epochs", default=10, show_default=True, type=click.IntRange(min=1),
              help="Passes over the 1,442 training digits.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1),
              help="Of weights and order; one seed, one run.")
@click.option("--out", default=Path(), type=click.Path(path_type=Path, file_okay=False),
              help="Folder for tour.png.  [default: here]")
@click.option("--backend", "wanted", multiple=True, metavar="NAME",
              help="Compare this one: a backend, a .py or a .so. May be repeated.  [default: all "
                   "that are active]")
@click.option("--json", "json_", is_flag=True, help="For programs; no progress.")
@click.option("--no-picture", is_flag=True, help="Draw nothing.")
def tour(epochs: int, seed: int, out: Path, wanted: tuple[str, ...], json_: bool,
         no_picture: bool) -> None:
    """Train a network on digits, on every backend, and compare.

    lenet learns to read 1,442 real handwritten digits: with the NumPy
    reference, then with each accelerator from the same seed. Exits with 1 if a
    backend fails or does not agree with the reference.
    """
    registry()
    to = console()
    names = [REFERENCE, *_accelerators(wanted)]
    if not json_:
        to.print(f"lenet learns the digits: {epochs} epochs from seed {seed}, on "
                 f"{', then '.join(Path(n).name for n in names)}.\n")
    started = time.perf_counter()
    with _progress(None if json_ else to, epochs) as report:
        found = [runs.train(name, epochs, seed, report) for name in names]
    if found[0].error:
        raise click.ClickException(f"the reference itself failed: {found[0].error}")
    timed = runs.time_steps(found, seed)
    watched = runs.watch(found, seed)
    for run in found[1:]:
        runs.compare(run, found[0], seed)
    picture, missing = None, ""
    if not no_picture:
        picture, missing = _draw(found, _untold(found, timed, watched), out)
    failed = any(run.problem(found[0]) for run in found[1:])
    if json_:
        print_json(as_json(found, timed, picture))
    else:
        to.print()
        _table(found, timed, to)
        _conclude(found, timed, to)
        if len(found) == 1 and not wanted:
            _no_accelerator(to)
        if picture is not None:
            click.echo(f"\nThe picture is in {picture}")  # a path is not to be wrapped
        elif missing:
            to.print("\n" + missing)
        _next(found, bool(wanted), to)
        to.print(f"\nTraining and measuring took {time.perf_counter() - started:.0f} s.",
                 style="dim")
    if failed:
        raise click.exceptions.Exit(1)


def _draw(found: list[Run], untold: str, out: Path) -> tuple[Path | None, str]:
    """Where the picture is, or why there is none."""
    try:
        from etude.commands.picture import draw
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        return None, ("There is no picture, because matplotlib is not installed: "
                      "pip install 'etude[plots]'")
    path = out / "tour.png"
    try:
        out.mkdir(parents=True, exist_ok=True)
        draw(found, path, untold)
    except OSError as error:  # the results are still worth showing
        return None, f"There is no picture, because {error}. --out names another folder"
    return path, ""
