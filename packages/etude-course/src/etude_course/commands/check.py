"""``etude course check``: a student's answers, held to the visible cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from etude_course.record import CheckResult, Result

INDENT = 13
WIDTH = 80


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--assignment", metavar="ID", help="Which it is, of a folder that was not started.")
@click.option("--question", "questions", metavar="ID", multiple=True,
              help="Only this question. Repeatable.")
@click.option("--json", "json_", is_flag=True, help="Print the result as JSON.")
def check(folder: Path, assignment: str | None, questions: tuple[str, ...], json_: bool) -> None:
    """Check your answers in FOLDER, a started assignment.

    What is wrong is shown in the order to read it: the mistake by name where
    the answer behaves like a known one, then the smallest failing case. Only
    the visible cases are asked; grading asks more, drawn anew.
    """
    from etude.commands.show import console
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.kit import progress
    from etude_course.kit.folder import Started
    from etude_course.kit.kit import Kit
    from etude_course.run.run import run

    with refusing():
        if not folder.is_dir():
            raise CourseError(f"there is no folder {str(folder)!r} (looked in {Path.cwd()})")
        started = Started(assignment, 0) if assignment else Started.read(folder)
        kit = Kit.read(assignment) if assignment else progress.kit_of(folder)
        only = _chosen(kit, questions)
        result = run(kit, folder, only=only, student=started.student, course=started.course,
                     values=started.parameters or None)
        if not assignment:
            result.notes += [*progress.keep(folder, result), *progress.newer(kit)]
    if json_:
        click.echo(result.text(), nl=False)
    else:
        print_result(result, console())
    raise SystemExit(int(any(c.points < c.max_points and not c.untimed for c in result.checks)))


def _chosen(kit: object, questions: tuple[str, ...]) -> list[str] | None:
    from etude.core.errors import did_you_mean
    from etude_course.errors import CourseError
    from etude_course.kit.kit import Kit

    assert isinstance(kit, Kit)
    known = {q.id: q for q in kit.assignment.questions}
    for id_ in questions:
        if id_ not in known:
            raise CourseError(f"{kit.assignment.id} has no question {id_!r}"
                              f"{did_you_mean(id_, known)}")
    return [c.id for id_ in questions for c in known[id_].checks] or None


def print_result(result: Result, to: Console) -> None:
    """Every check in a line, those that failed with what helps, and the sum."""
    from rich.text import Text

    from etude_course.record import Status

    colours = {Status.PASSED: "green", Status.FAILED: "bold red", Status.CRASHED: "bold magenta",
               Status.TIMEOUT: "magenta", Status.WAITING: "cyan", Status.REFUSED: "bold red"}
    to.print(Text(f"{result.assignment}  {result.title}", "bold"))
    question = ""
    for c in result.checks:
        if c.question != question:
            question = c.question
            to.print(Text(f"\n{question}", "bold"))
        status, points = ("to be timed", "-") if c.untimed else (c.status, result.points(c))
        to.print(Text.assemble((f"  {status:12}", colours.get(c.status, "yellow")),
                               f"{points} of {c.max_points}  {c.title}", (_asked(c), "dim")))
        if c.status is not Status.PASSED:
            _explain(c, to)
    to.print()
    for note in result.notes:
        to.print(Text.assemble(("Note: ", "yellow"), note))
    open_ = sum(c.max_points for c in result.checks if c.untimed)
    done = result.score == result.max_score - open_
    to.print(Text(f"{result.score} of {result.max_score - open_} points"
                  + (f"; {open_} more are still to be timed" if open_ else ""),
                  "bold green" if done else "bold"))


def _asked(c: CheckResult) -> str:
    """How many cases there were, of a check that got as far as that. Not how many were right: a
    single wrong one loses it.
    """
    from etude_course.record import Status

    if not c.executed or c.status is Status.NOT_WRITTEN:
        return ""
    of = f"{c.executed} of " if c.executed != c.declared else ""
    return f"  {of}{c.declared} case{'s' * (c.declared != 1)} tried"


def _explain(c: CheckResult, to: Console) -> None:
    """The mistake by name, the smallest failing case, where to go on."""
    from etude_course.record import Status

    if c.mistake:
        _fact(to, "mistake", c.mistake, "bold red")
    quiet = (Status.NOT_WRITTEN, Status.WAITING, Status.NOT_RUN)
    _fact(to, "" if c.status in quiet else "wrong", c.message)
    if c.case:
        _fact(to, "case", c.case)
    for line in c.detail.splitlines():
        to.print(f"    {line}", soft_wrap=True)
    if c.status in (Status.FAILED, Status.CRASHED, Status.TIMEOUT):
        _fact(to, "hint", f"etude course hint {c.question}")


def _fact(to: Console, label: str, text: str, style: str = "") -> None:
    import textwrap

    from rich.text import Text

    lines = [part for line in text.splitlines()
             for part in textwrap.wrap(line, WIDTH - 15) or [""]]
    for i, line in enumerate(lines):
        to.print(Text.assemble((f"    {label if not i else '':11}", "dim"), (line, style)))
