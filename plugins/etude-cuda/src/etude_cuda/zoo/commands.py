"""``etude lab zoo``, which is ``etude zoo --gpu`` as well: wrong programs the lab must see through.

Arguments and tables only; the score comes from ``score.py``. Every ``etude`` command loads this
file, so it imports nothing heavy at the top.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from etude_cuda.zoo import Animal
    from etude_cuda.zoo.score import Fate, Score

LONG = 600  # characters of what a compiler says


@click.group(invoke_without_command=True)
@click.pass_context
def zoo(ctx: click.Context) -> None:
    """Wrong GPU programs the lab must see through, and right ones it must not accuse.

    Without a subcommand: the list.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


def _known(name: str) -> Animal:
    from etude.core.errors import did_you_mean
    from etude_cuda.zoo import animals

    if name not in animals():
        raise click.UsageError(f"there is no GPU animal called {name!r}"
                               f"{did_you_mean(name, animals())} 'etude zoo list --gpu' names "
                               f"them all")
    return animals()[name]


@zoo.command("list")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def list_(json_: bool = False) -> None:
    """The animals, one a line."""
    from rich.console import Console
    from rich.table import Table

    from etude_cuda.zoo import animals

    found = animals().values()
    if json_:
        click.echo(json.dumps([{"name": a.name, "about": a.about, "expected":
                                [{"line": e.line, "kind": e.kind, "scope": e.scope}
                                 for e in a.expected]} for a in found], indent=1))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "to be found", "mistake"):
        table.add_column(heading, overflow="fold")
    for a in sorted(found, key=lambda a: (a.innocent, a.kinds, a.name)):
        table.add_row(a.name, ", ".join(a.kinds) or "nothing", a.about)
    Console(highlight=False).print(table)
    right = sum(a.innocent for a in found)
    click.echo(f"{len(found) - right} wrong programs with their twins, {right} that only look "
               f"wrong. etude zoo show NAME --gpu prints one, etude zoo run --gpu runs them.")


@zoo.command()
@click.argument("name")
def show(name: str) -> None:
    """One animal: what is wrong with it, its twin, and what must be found."""
    from rich.console import Console
    from rich.syntax import Syntax

    animal = _known(name)
    for wanted in animal.expected:
        click.echo(f"to be found: {wanted}")
    Console(highlight=False).print(Syntax(animal.source, "cuda", theme="ansi_light",
                                          line_numbers=True))


@zoo.command()
@click.argument("names", nargs=-1)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True,
              help="Programs built and run at a time.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
              help="The order of threads and blocks follows from it.")
@click.option("--json", "json_", metavar="FILE", help="Write the score as JSON; - for stdout.")
@click.pass_context
def run(ctx: click.Context, names: tuple[str, ...], jobs: int = 2, seed: int = 1,
        json_: str | None = None) -> None:
    """Run the animals in the lab: all of them, or those named.

    Exit status: 0 everything declared was found and no right program accused;
    1 otherwise; 2 the lab cannot run here.
    """
    from etude_cuda.lab.build import LabError
    from etude_cuda.zoo import animals
    from etude_cuda.zoo.score import run as score

    chosen = [_known(n) for n in names] or list(animals().values())
    if json_ not in (None, "-") and not Path(json_).absolute().parent.is_dir():
        raise click.UsageError(f"--json {json_}: there is no folder {Path(json_).parent}")
    of = sum(1 if a.innocent else 2 for a in chosen)
    done = 0

    def progress(fate: Fate) -> None:
        nonlocal done
        done += 1
        if not fate.good or done % 20 == 0:
            click.echo(f"{done} of {of}: {fate.name}, {fate.variant}: {fate.outcome}", err=True)

    try:
        result = score(chosen, jobs, seed, progress)
    except LabError as error:
        refusal = click.ClickException(str(error))
        refusal.exit_code = 2
        raise refusal from error
    text = json.dumps(result.to_json(), indent=1)
    if json_ == "-":
        click.echo(text)
    else:
        _print(result)
        if json_ is not None:
            Path(json_).write_text(text + "\n")
    ctx.exit(0 if result.passed else 1)


def _print(score: Score) -> None:
    from rich.console import Console
    from rich.table import Table

    from etude_cuda.zoo import animals

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("to be found", "programs", "lines", "found", "twins accused"):
        table.add_column(heading, justify="left" if heading == "to be found" else "right")
    known = animals()
    by: dict[str, list[Fate]] = {}
    for fate in score.fates:
        by.setdefault(", ".join(known[fate.name].kinds) or "nothing", []).append(fate)
    for kinds, fates in sorted(by.items()):
        wrong = [f for f in fates if f.variant == "wrong"]
        lines = sum(f.expected for f in wrong)
        accused = sum(f.outcome == "alarm" for f in fates)
        table.add_row(kinds, str(len(wrong) or len(fates)), str(lines or ""),
                      str(lines - sum(len(f.missing) for f in wrong)) if lines else "",
                      str(accused))
    Console(highlight=False).print(table)
    for fate in score.fates:
        if not fate.good:
            message = fate.message if len(fate.message) <= LONG else f"{fate.message[:LONG]} ..."
            click.echo(f"\n{fate.name}, {fate.variant}: {fate.outcome}. {message}")
            for missing in fate.missing:
                click.echo(f"  not found: {missing}")
            for besides in fate.besides:
                click.echo(f"  found:     {besides}")
    click.echo(f"\n{score.sentence}.")
