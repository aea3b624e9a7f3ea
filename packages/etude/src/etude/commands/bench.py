"""``etude bench``: training steps, inference and ops, beside the other libraries there are. The
work is in ``etude/bench/``; this file has the options, the tables and the progress.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from etude.backends.use import use
from etude.bench import calls, memory, ops, peers, report, works
from etude.bench.race import TORCH, race
from etude.bench.report import Report
from etude.bench.works import Work
from etude.commands.roofline import Writable, saving
from etude.commands.show import console, grid
from etude.core.errors import did_you_mean
from etude.measure.machine import cores
from etude.measure.roof import KERNELS, THREADS, peaks

QUICK = 1.0  # seconds for a comparison


class Plot(Writable):
    """A file for a picture, SVG or PNG."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None
                ) -> Path:
        self.suffix = ".png" if str(value).endswith(".png") else ".svg"
        return super().convert(value, param, ctx)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Those that all benchmarks take."""
    for option in reversed((
            click.argument("names", nargs=-1),
            click.option("--threads", type=click.IntRange(1), metavar="N",
                         help="For every library. The default: all cores there are."),
            click.option("--time", "seconds", type=click.FloatRange(0.1), metavar="S",
                         help="Seconds for each comparison, beside its preparation."),
            click.option("--quick", is_flag=True, help="The first work alone, in a second."),
            click.option("--json", "json_", is_flag=True, help="For programs."),
            click.option("--plot", type=Plot(".svg"), metavar="FILE",
                         help="Write a picture, SVG or PNG."))):
        command = option(command)
    return command


@click.group(epilog="\b\nExamples:\n  etude bench steps\n  etude bench steps mlp --time 20\n"
                    "  etude bench inference --json > inference.json\n"
                    "  etude bench ops softmax conv2d --threads 1\n"
                    "  etude bench memory gpt")
def bench() -> None:
    """Time Etude beside NumPy, PyTorch, torch.compile, JAX and onnxruntime.

    What is installed takes part, in turns, with as many threads each; what all
    compute is compared before anything is timed. Where this machine was busy,
    it says so and judges nothing.
    """


@bench.command()
@options
def steps(names: tuple[str, ...], **given: Any) -> None:
    """Training steps: forward, backward, AdamW.

    NAMES are parts of the names of works, as "mlp" or "gpt 4x128"; without
    them, all six.
    """
    _races("steps", [("steps", work) for work in works.STEPS], names, **given)


@bench.command()
@options
def inference(names: tuple[str, ...], **given: Any) -> None:
    """Predictions, for one sample and for 64, and a gpt that writes.

    NAMES are parts of the names of works.
    """
    wanted = [("inference", work) for work in works.INFERENCE]
    _races("inference", [*wanted, ("generation", works.GENERATION)], names, **given)


@bench.command("memory")
@click.argument("names", nargs=-1)
@click.option("--threads", type=click.IntRange(1), metavar="N",
              help="For every library. The default: all cores there are.")
@click.option("--processes", type=click.IntRange(1), default=memory.PROCESSES, metavar="N",
              help="Of each side, whose median counts. The default: 3.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
def memory_(names: tuple[str, ...], threads: int | None, processes: int, json_: bool) -> None:
    """The most memory that training steps take, beside PyTorch.

    Each side runs in processes of its own. What counts is the peak of the first
    steps, less what the process had with the model in it. NAMES are parts of
    the names of works.
    """
    if not memory.STATUS.exists():
        raise click.ClickException("etude bench memory asks Linux for the most memory that a "
                                   "process had, and this system does not say it")
    chosen = [work for _, work in _chosen([("steps", work) for work in works.STEPS], names)]
    if _elsewhere(threads):
        return
    with use("cpu"):
        pass
    made = Report.begin("memory", cores())
    for work in chosen:
        made.rows.append(memory.measure(work, processes, _say))
    if json_:
        click.echo(made.json())
        return
    sides = [side for side in memory.SIDES if side in made.rows[0].peaks]
    heads = (*sides, "captured / PyTorch", "arena", "live bound")
    table = grid("work", *heads, right=heads)
    table.columns[0].overflow = "fold"  # a name that is cut short may be that of another work
    for row in made.rows:
        share = "" if row.share is None else f"{row.share:.2f}"
        table.add_row(row.work, *[memory.megabytes(row.peak(side)) for side in sides], share,
                      memory.megabytes(row.arena), memory.megabytes(row.live))
    console().print(table)
    for side, why in made.rows[0].left_out.items():
        click.echo(f"Without {side}: {why}.")
    click.echo("\n" + textwrap.fill(made.where, 79))


def _chosen(listed: list[tuple[str, Work]], names: tuple[str, ...]) -> list[tuple[str, Work]]:
    """The works with one of these names in theirs; all without names."""
    chosen = [pair for pair in listed
              if not names or any(name.lower() in pair[1].name.lower() for name in names)]
    if not chosen:
        known = ", ".join(work.name for _, work in listed)
        raise click.UsageError(f"no work has {' or '.join(map(repr, names))} in its name; there "
                               f"are {known}")
    return chosen


def _races(kind: str, listed: list[tuple[str, Work]], names: tuple[str, ...], threads: int | None,
           seconds: float | None, quick: bool, json_: bool, plot: Path | None) -> None:
    chosen = _chosen(listed, names)
    if _elsewhere(threads):
        return
    with use("cpu"):  # BackendError where there are no C kernels
        pass
    peers.set_threads(cores())
    made = Report.begin(kind, cores())
    for each, work in chosen[:1] if quick else chosen:
        made.rows.append(race(each, work, seconds or (QUICK if quick else 8.0), _say))
        if not json_:
            _show(made.rows[-1])
    _end(made, json_, plot)


def _end(made: Report, json_: bool, plot: Path | None) -> None:
    """What stands below the tables, and the files."""
    if json_:
        click.echo(made.json())
    else:
        for line in report.means(made):
            click.echo(line)
        click.echo("\n" + textwrap.fill(made.where, 79))
    if plot is not None:
        with saving(plot):
            report.save([made], plot)
        click.echo(f"Written: {plot}", err=json_)


def _show(row: Any) -> None:
    """The table of one race, and what it says."""
    best = report.best_peer(row)
    table = grid(row.work, "time", "spread", "x best", right=("time", "spread", "x best"))
    for name, time in row.times.items():
        ratio = f"{row.times[best].seconds / time.seconds:.2f}" if best else ""
        table.add_row(name, report.short(time.seconds), report.spread(time), ratio)
    console().print(table)
    for sentence in report.verdicts(row):
        click.echo(textwrap.fill(sentence, 79))
    click.echo()


def _say(text: str) -> None:
    """A line of progress, which is not part of the result."""
    click.echo(text, err=True)


def _elsewhere(threads: int | None) -> bool:
    """Run this command in a process of its own if it asks for fewer threads than there are cores:
    BLAS and XLA ask once, as they are loaded. True if that was done.
    """
    if threads is None or threads == cores():
        return False
    if threads > cores():
        raise click.BadParameter(f"this process may use {cores()} cores, and so many threads at "
                                 f"most, got {threads}", param_hint="--threads")
    if not hasattr(os, "sched_setaffinity"):
        raise click.BadParameter("this system cannot keep a process on some of its cores, which is "
                                 "how all libraries get the same number", param_hint="--threads")
    own = sorted(os.sched_getaffinity(0))[:threads]
    env = {**os.environ, **dict.fromkeys((*THREADS, KERNELS), str(threads))}
    starts = f"import os; os.sched_setaffinity(0, {own}); from etude.__main__ import main; main()"
    context = click.get_current_context()
    done = subprocess.run([sys.executable, "-c", starts, *_again(context)], env=env, check=False)
    if done.returncode:
        raise click.exceptions.Exit(done.returncode)
    return True


def _again(context: click.Context) -> list[str]:
    """The words of this command."""
    given = context.params
    words = ["bench", str(context.info_name), *given["names"]]
    for name, option in (("seconds", "--time"), ("processes", "--processes"), ("plot", "--plot")):
        if given.get(name) is not None:
            words += [option, str(given[name])]
    return words + [f"--{flag.strip('_')}" for flag in ("quick", "json_") if given.get(flag)]


# ------------------------------------------------------------------ ops


@bench.command("ops")
@options
def ops_(names: tuple[str, ...], threads: int | None, seconds: float | None, quick: bool,
         json_: bool, plot: Path | None) -> None:
    """Ops one by one, forward and backward, at three sizes.

    NAMES are those of ops; without them, all. The ratio is PyTorch's time over
    Etude's, or NumPy's where PyTorch is not installed; "memory" is the share of
    this machine's bandwidth that Etude reaches.
    """
    if seconds is not None:
        raise click.UsageError("ops are timed in turns of some milliseconds; --time is for steps "
                               "and inference")
    known = {calls.op_of(name) for name in calls.CASES}
    for name in names:
        if name not in known and name not in calls.CASES:
            raise click.UsageError(f"there is no op {name!r} to time{did_you_mean(name, known)} "
                                   f"{calls.OTHERWISE.get(name, '')}".rstrip())
    if _elsewhere(threads):
        return
    with use("cpu"):
        pass
    peers.set_threads(cores())
    bandwidth = peaks().of(cores()).bandwidth
    made = Report.begin("ops", cores())
    if peers.missing(TORCH):
        _say("Beside NumPy alone. Beside PyTorch, too: pip install torch")
    wanted = [n for n in calls.CASES if not names or n in names or calls.op_of(n) in names]
    for name in wanted[:1] if quick else wanted:
        _say(name)
        for row, line in ops.race(name, cores(), bandwidth):
            made.rows.append(row)
            if not json_:
                click.echo(line)
    _end(made, json_, plot)
