"""``etude course hint``: one step further, for a question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from etude_course.kit.progress import Record
    from etude_course.source.assignment import Assignment, Question


@click.command()
@click.argument("question", required=False)
@click.option("--folder", default=".", type=click.Path(path_type=Path), metavar="FOLDER",
              help="The started assignment. [default: here]")
@click.option("--yes", is_flag=True, help="Show it, whatever it costs.")
def hint(question: str | None, folder: Path, yes: bool) -> None:
    """Show the next hint for QUESTION, and say before what it costs.

    Without a question: how many hints there are. Hints that you have had are
    shown again for nothing. Which you have had is kept in the folder.
    """
    from etude.core.errors import did_you_mean
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.kit.hints import price
    from etude_course.kit.progress import Record, kit_of

    with refusing():
        a = kit_of(folder).assignment
        record = Record.read(folder)
        if question is None:
            _overview(a, record)
            return
        known = {q.id: q for q in a.questions}
        if question not in known:
            raise CourseError(f"{a.id} has no question {question!r}{did_you_mean(question, known)}"
                              f" There are: {', '.join(known)}")
        asked = known[question]
        shown = min(record.hints.get(asked.id, 0), len(asked.hints))
        for number in range(shown):
            _show(asked, number)
        if shown == len(asked.hints):
            click.echo(f"There are no more hints for {asked.id}." if shown else
                       f"There are no hints for {asked.id}.")
            return
        cost = price(asked, shown)
        click.echo(f"Hint {shown + 1} of {len(asked.hints)} costs {_points(cost)}.")
        if cost and not yes and not (sys.stdin.isatty() and click.confirm("Show it?")):
            raise CourseError("not shown, and nothing is taken off. To have it: etude course hint "
                              f"{asked.id} --yes")
        record.hints[asked.id] = shown + 1
        record.write(folder)
        _show(asked, shown)


def _points(cost: int) -> str:
    return f"{cost} point{'s' * (cost != 1)}" if cost else "nothing"


def _show(question: Question, number: int) -> None:
    click.echo(f"{number + 1}. {question.hints[number]}")


def _overview(a: Assignment, record: Record) -> None:
    for q in a.questions:
        had = min(record.hints.get(q.id, 0), len(q.hints))
        cost = f", each after the first costs {_points(q.hint_cost)}" if q.hint_cost else ""
        click.echo(f"{q.id:20} {had} of {len(q.hints)} hints shown{cost}")
