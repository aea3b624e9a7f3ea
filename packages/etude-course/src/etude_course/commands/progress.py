"""``etude course progress``: the path drawn, with what is done of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from etude_course.kit.path import Chapter, Task

BAR = 24


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE",
              help="Write a page instead, which needs nothing else.")
def progress(folders: tuple[Path, ...], html: Path | None) -> None:
    """Draw the path, and how far you are.

    From the checks that you ran: in folders that you have started here, and in
    those that are in FOLDERS or this one.
    """
    from rich.text import Text

    from etude.commands.show import console
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.kit import path
    from etude_course.kit.progress import works, write_ours
    from etude_course.report import path as drawn

    with refusing():
        for folder in folders:
            if not folder.is_dir():
                raise CourseError(f"there is no folder {str(folder)!r} (looked in {Path.cwd()})")
        mine, troubles = works(folders or [Path()])
        chapters = path.chapters(mine)
        if html is not None:
            write_ours(html, drawn.page(chapters))
    to = console()
    if html is None:
        _draw(chapters, to)
    else:
        click.echo(f"Wrote {html}")
    for sentence in troubles:
        to.print(Text(sentence, "yellow"), soft_wrap=True)


def _draw(chapters: list[Chapter], to: Console) -> None:
    """A line of the path for each chapter: o to come, * under way, # done."""
    from rich.text import Text

    for i, chapter in enumerate(chapters):
        if i:
            to.print(Text("   |", "dim"))
        done = bool(chapter.tasks) and all(t.done for t in chapter.tasks)
        begun = any(t.work for t in chapter.tasks)
        mark, style = ("#", "bold green") if done else ("*", "bold") if begun else ("o", "")
        to.print(Text.assemble(("   " + mark, style), f"  {chapter.number or '':2}  ",
                               (chapter.title, style or ("" if chapter.tasks else "dim"))),
                 soft_wrap=True)
        for task in chapter.tasks:
            to.print(_bar(task))
    tasks = [t for c in chapters for t in c.tasks]
    finished = sum(t.done for t in tasks)
    to.print(Text(f"\n{finished} of {len(tasks)} assignments done, {sum(t.points for t in tasks)} "
                  f"of {sum(t.of for t in tasks)} points", "bold"))


def _bar(task: Task) -> object:
    from rich.text import Text

    full = BAR * task.points // max(1, task.of)
    return Text.assemble(("   |", "dim"), f"      {task.assignment.id:4}", ("=" * full, "green"),
                         ("." * (BAR - full), "dim"), f"  {task.points} of {task.of}")
