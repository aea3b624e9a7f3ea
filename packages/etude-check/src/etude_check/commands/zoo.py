"""``etude zoo``: what is in the zoo, one animal from near, and the mutation score.

Arguments and tables only; the score comes from ``score.py``. With ``--gpu`` each of these goes to
the plugin that has a zoo of GPU programs and a lab to run them in.
"""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

from etude_check.commands.check import writable, write

if TYPE_CHECKING:
    from etude_check.score import Fate, Score
    from etude_check.zoo import Animal

#: Why somebody should care about a mutant that lives, by where its mistake is.
MATTERS = {
    "index": "a kernel with this mistake would be called right, and is wrong for some shapes",
    "memory": "the mistake shows in another call, or in another array, than the one that makes it",
    "parallel": "results would change from run to run, or from machine to machine",
    "numerics": "digits, infinities or NaN would be lost without a word",
    "backward": "training would go on and learn something else",
    "cheat": "a column could pass without computing",
}
LEVELS = ("smoke", "full", "soak")

GPU = click.option("--gpu", is_flag=True, help="The GPU programs of etude-cuda, run in its lab.")


@click.group(invoke_without_command=True)
@click.pass_context
def zoo(ctx: click.Context) -> None:
    """Wrong kernels the kit must catch, and honest ones it must not.

    Without a subcommand: the list.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


def _chosen(names: tuple[str, ...], ops: tuple[str, ...], where: str | None, kinds: set[str]
            ) -> list[Animal]:
    from etude_check.zoo import animals

    known = animals()
    for name in names:
        _known(name)
    return [a for a in known.values()
            if (a.name in names if names else a.kind in kinds)
            and (not ops or set(ops) & set(a.ops)) and (where is None or a.where == where)]


def _known(name: str) -> Animal:
    from etude.core.errors import did_you_mean
    from etude_check.zoo import animals

    if name not in animals():
        raise click.UsageError(f"there is no animal called {name!r}"
                               f"{did_you_mean(name, animals())} 'etude zoo list' names them all")
    return animals()[name]


def _of_gpu(name: str) -> click.Command:
    """A subcommand of ``etude lab zoo``, which the plugin etude-cuda brings."""
    from etude.backends.plugins import registry
    from etude.commands import plugin_commands

    group: click.Command | None = plugin_commands().get("lab")
    for part in ("zoo", name):
        group = group.commands.get(part) if isinstance(group, click.Group) else None
    if group is None:
        raise click.UsageError(f"--gpu is about the programs of the plugin etude-cuda, which is "
                               f"not installed, or did not load: pip install etude-cuda, or in a "
                               f"clone of Etude pip install plugins/etude-cuda"
                               f"{registry().troubles()}")
    return group


def _not_with_gpu(ctx: click.Context, *names: str) -> None:
    """Options that only the kit's own animals have."""
    for option in ctx.command.params:
        if option.name in names and ctx.get_parameter_source(option.name) in (
                click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT):
            raise click.UsageError(f"{option.opts[0]} chooses among the kit's own animals, and "
                                   f"--gpu is about others: name those that you want")


@zoo.command("list")
@click.option("--op", "ops", multiple=True, metavar="OP", help="Only those of this op.")
@click.option("--where", type=click.Choice(sorted(MATTERS)), help="Only mistakes of this kind.")
@click.option("--honest", is_flag=True, help="Honest variants instead of wrong kernels.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@GPU
@click.pass_context
def list_(ctx: click.Context, ops: tuple[str, ...] = (), where: str | None = None,
          honest: bool = False, json_: bool = False, gpu: bool = False) -> None:
    """The animals, one a line."""
    if gpu:
        _not_with_gpu(ctx, "ops", "where", "honest")
        ctx.invoke(_of_gpu("list"), json_=json_)
        return
    from rich.table import Table

    from etude.commands.show import console

    kinds = {"honest"} if honest else {"mutant", "cheat"}
    found = _chosen((), ops, where, kinds)
    if json_:
        click.echo(json.dumps([_as_json(a) for a in found], indent=1))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "ops" if honest else "killed by", "variant" if honest else "mistake"):
        table.add_column(heading, overflow="fold")
    for a in sorted(found, key=lambda a: (a.where, a.ops, a.name)):
        table.add_row(a.name, _ops(a) if honest or not a.kills else a.kills,
                      " ".join(a.mistake.split()))
    console().print(table)
    click.echo(f"{len(found)} animals. etude zoo show NAME prints one, etude zoo run sets the kit "
               f"on them.")


def _ops(animal: Animal) -> str:
    few = ", ".join(animal.ops[:3])
    return few if len(animal.ops) <= 3 else f"{few} and {len(animal.ops) - 3} more"


def _as_json(a: Animal) -> dict[str, Any]:
    return {"name": a.name, "kind": a.kind, "ops": a.ops, "where": a.where, "kills": a.kills,
            "mistake": a.mistake, "covers": a.covers}


@zoo.command()
@click.argument("name")
@GPU
@click.pass_context
def show(ctx: click.Context, name: str, gpu: bool = False) -> None:
    """One animal: what is wrong with it, and its source."""
    if gpu:
        ctx.invoke(_of_gpu("show"), name=name)
        return
    from rich.syntax import Syntax

    from etude.commands.show import console

    animal = _known(name)
    click.echo(f"{animal.name}: {animal.kind} of {_ops(animal)}"
               + (f", to be killed by {animal.kills}" if animal.kills else ""))
    click.echo(textwrap.fill(" ".join(animal.mistake.split()), 88) + "\n")
    language = "c" if animal.path is not None else "python"
    console().print(Syntax(animal.source, language, theme="ansi_light"))


@zoo.command()
@click.argument("names", nargs=-1)
@click.option("--op", "ops", multiple=True, metavar="OP", help="Only those of this op.")
@click.option("--where", type=click.Choice(sorted(MATTERS)), help="Only mistakes of this kind.")
@click.option("--level", type=click.Choice(LEVELS), default="full", show_default=True)
@click.option("--seed", "seeds", type=click.IntRange(min=0), multiple=True, metavar="N",
              help="Inputs are drawn from it. Repeatable: honest variants meet all of them.")
@click.option("--honest", is_flag=True, help="Only the honest variants.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True,
              help="Ops of an honest variant, or GPU programs, checked at a time.")
@click.option("--json", "json_", metavar="FILE", help="Write the score as JSON; - for stdout.")
@GPU
@click.pass_context
def run(ctx: click.Context, names: tuple[str, ...], ops: tuple[str, ...], where: str | None,
        level: str, seeds: tuple[int, ...], honest: bool, jobs: int, json_: str | None,
        gpu: bool) -> None:
    """Set the kit on the animals: all of them, or those named.

    Exit status: 0 every wrong kernel was killed and no honest one failed; 1 otherwise.
    """
    if gpu:
        _not_with_gpu(ctx, "ops", "where", "level", "honest")
        if len(seeds) > 1:
            raise click.UsageError("--gpu takes one --seed")
        ctx.invoke(_of_gpu("run"), names=names, jobs=jobs, seed=(*seeds, 1)[0], json_=json_)
    from etude_check.score import run as score

    if json_ is not None and json_ != "-":
        writable("--json", json_)
    kinds = {"honest"} if honest else {"mutant", "cheat", "honest"}
    chosen = _chosen(names, ops, where, kinds)
    if not chosen:
        raise click.UsageError("no animal fits")
    done = 0

    def progress(fate: Fate) -> None:
        nonlocal done
        done += 1
        if not fate.good or done % 25 == 0:
            click.echo(f"{done} of {len(chosen)}: {fate.name} {fate.outcome}", err=True)

    result = score(chosen, level, seeds or (0,), progress, jobs)
    if json_ == "-":
        click.echo(json.dumps(result.to_json(), indent=1))
    else:
        _print(result)
        if json_ is not None:
            write([(json_, json.dumps(result.to_json(), indent=1) + "\n")])
    ctx.exit(0 if result.passed else 1)


def _print(score: Score) -> None:
    from rich.table import Table

    from etude.commands.show import console
    from etude_check.zoo import animals

    to = console()
    by: dict[str, list[Fate]] = {}
    for fate in score.fates:
        by.setdefault(animals()[fate.name].where or "honest", []).append(fate)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("mistakes in", "animals", "killed or passed", "not", "without a spec"):
        table.add_column(heading, justify="left" if heading == "mistakes in" else "right")
    for where, fates in sorted(by.items()):
        unchecked = sum(f.outcome == "unchecked" for f in fates)
        good = sum(f.good for f in fates)
        table.add_row(where, str(len(fates)), str(good), str(len(fates) - good - unchecked),
                      str(unchecked))
    to.print(table)
    for title, fates in (("Survived", score.survivors), ("False alarms", score.alarms),
                         ("Killed, but not by the kind of case they name",
                          score.of("elsewhere"))):
        if fates:
            click.echo(f"\n{title}:")
        for fate in fates:
            _explain(fate)
    click.echo(f"\n{score.sentence}.")


def _explain(fate: Fate) -> None:
    from etude_check.zoo import animals

    animal = animals()[fate.name]
    click.echo(f"  {fate.name} ({_ops(animal)}): {fate.message}")
    if fate.outcome == "elsewhere":
        click.echo(f"    wanted {animal.kills}, killed by {', '.join(fate.by)}")
    elif fate.outcome in ("survived", "unnamed"):
        click.echo(f"    {' '.join(animal.mistake.split())}")
        click.echo(f"    Why it matters: {MATTERS[animal.where]}.")
