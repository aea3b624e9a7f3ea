"""``etude gallery``: one idea of each framework before this one, listed by year; and one of them
run. The chapters are read and run in ``gallery/__init__.py``.
"""

from __future__ import annotations

import os
from typing import Any

import click
from rich.markdown import Markdown
from rich.text import Text

from etude.commands.show import console, grid, print_json
from etude.core.errors import ChapterError
from etude.gallery import Chapter, chapters, run
from etude.gallery import chapter as named

EPILOG = """\b
Examples:
  etude gallery               the chapters by year
  etude gallery run caffe     the cells of one, from top to bottom
  etude gallery show caffe    its text
"""


class Gallery(click.Group):
    """A group that knows what to say when the name of a chapter stands where a command should."""

    def resolve_command(self, ctx: click.Context, args: list[str]
                        ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0].lower()
        if name not in self.commands and name in [c.name for c in _found(chapters)]:
            raise click.UsageError(f"To run this chapter: etude gallery run {name}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Gallery, epilog=EPILOG, invoke_without_command=True)
@click.option("--json", "json_", is_flag=True, help="For programs.")
@click.pass_context
def gallery(ctx: click.Context, json_: bool) -> None:
    """Some twenty frameworks, and an idea of each that was worth keeping.

    A chapter tells who made a system and why, builds its idea in one to two
    hundred lines on Etude, and ends with a figure that fails when the idea is
    switched off.
    """
    if ctx.invoked_subcommand is not None:
        return
    found = _found(chapters)
    if json_:
        print_json([{**vars(c), "path": str(c.path), "name": c.name} for c in found])
    else:
        _list(found)


@gallery.command("run")
@click.argument("name")
def run_(name: str) -> None:
    """Run the cells of the chapter NAME and show what they print.

    Pictures are drawn and not shown: they are in the documentation, and in
    the notebooks that 'make notebooks' writes.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")  # before a cell imports matplotlib
    which = _found(named, name)
    to = console()
    to.print(Text.assemble((f"{which.system}, {which.year}", "bold"), f"  {which.idea}\n"))
    figures = _found(run, which, click.echo)
    table = grid("figure", "")
    for key, value in figures.items():
        table.add_row(str(key), Text(f"{value:,}" if type(value) is int else str(value)))
    to.print()
    to.print(table)
    to.print(f"\nThe idea holds: {which.figure}.\nSwitched off, it does not: {which.without}.")


@gallery.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the text of the chapter NAME."""
    text = _found(named, name).body()
    to = console()
    if to.is_terminal:
        to.print(Markdown(text.replace("```{code-cell} ipython3", "```python")))
    else:
        click.echo(text)


def _list(found: list[Chapter]) -> None:
    table = grid("year", "system", "made by", "idea")
    table.columns[1].no_wrap = True
    table.columns[1].style = "bold"
    table.columns[2].ratio, table.columns[3].ratio = 3, 5
    table.expand = True
    for c in found:
        table.add_row(str(c.year), c.system, Text(c.makers, "dim"), Text(c.idea))
    to = console()
    to.print(table)
    many = "1 chapter" if len(found) == 1 else f"{len(found)} chapters"
    to.print(f"\n{many}. 'etude gallery run NAME' runs one.")


def _found(function: Any, *arguments: Any) -> Any:
    """What ``function`` returns. An error about a chapter is worded for a reader."""
    try:
        return function(*arguments)
    except ChapterError as error:
        raise click.ClickException(str(error)) from error
