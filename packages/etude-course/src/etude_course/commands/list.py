"""``etude course list``: the path, its assignments, and what of it is done."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
def list() -> None:
    """Show the 25 chapters, the assignments, and what you have done of them."""
    from rich.text import Text

    from etude.commands.show import console
    from etude_course.commands import refusing
    from etude_course.kit import path
    from etude_course.kit.progress import works

    to = console()
    with refusing():
        mine, troubles = works([Path()])
        for chapter in path.chapters(mine):
            number = f"{chapter.number or '':2}"
            to.print(Text.assemble((f"{number}  ", "dim"), (chapter.title, "" if chapter.tasks
                                                            else "dim")), soft_wrap=True)
            for task in chapter.tasks:
                style = "green" if task.done else "bold" if task.work else ""
                to.print(Text.assemble("      ", (f"{task.assignment.id:4}", "bold"),
                                       (task.state, style)), soft_wrap=True)
    for sentence in troubles:
        to.print(Text(sentence, "yellow"), soft_wrap=True)
