"""A result as text: what ``check`` and ``dry-run`` print, and what a student gets as feedback.

The order is the one to read it in: the mistake by name where the answer behaves like a known one,
then the smallest failing case. ``feedback`` is the same without what students must not have.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from etude_course.export import words
from etude_course.record import Status

if TYPE_CHECKING:
    from etude_course.record import CheckResult, Result

WIDTH = 80
COLOURS = {Status.PASSED: "green", Status.FAILED: "bold red", Status.CRASHED: "bold magenta",
           Status.TIMEOUT: "magenta", Status.WAITING: "cyan", Status.REFUSED: "bold red"}


def feedback(result: Result) -> str:
    """What a student may read: a hidden case shows nothing but that it failed, and remarks for
    those who teach are left out.
    """
    checks = [replace(c, case=words.HIDDEN, detail="") if c.case and words.hidden(c) else c
              for c in result.checks]
    made = io.StringIO()
    print_result(replace(result, checks=checks, remarks=[]),
                 Console(file=made, width=WIDTH, color_system=None, highlight=False, markup=False),
                 graded=True)
    return made.getvalue()


def print_result(result: Result, to: Console, graded: bool = False) -> None:
    """Every check in a line, those that failed with what helps, and the sum. When it is ``graded``,
    no hint is offered.
    """
    to.print(Text(f"{result.assignment}  {result.title}", "bold"))
    question = ""
    for c in result.checks:
        if c.question != question:
            question = c.question
            to.print(Text(f"\n{question}", "bold"))
        given = words.given(result, c)
        open_ = c.untimed and not given
        status, points = ("to be timed", "-") if open_ else (c.status, result.points(c))
        to.print(Text.assemble((f"  {status:12}", COLOURS.get(c.status, "yellow")),
                               f"{points} of {c.max_points}  {c.title}", (_asked(c), "dim")))
        if given:
            _fact(to, "by hand", given)
        if c.status is not Status.PASSED and not words.settled(result, c):
            _explain(c, to, graded)
    to.print()
    for note in [*result.notes, *result.remarks]:
        to.print(Text.assemble(("Note: ", "yellow"), note))
    for sentence in words.lateness(result):
        to.print(Text(sentence))
    later = sum(c.max_points for c in result.checks if c.untimed and not words.given(result, c))
    most = result.max_score - later
    to.print(Text(f"{result.score} of {most} points"
                  + (f"; {later} more are still to be timed" if later else ""),
                  "bold green" if result.score == most else "bold"))


def _asked(c: CheckResult) -> str:
    """How many cases there were, of a check that got as far as that. Not how many were right: a
    single wrong one loses it.
    """
    if not c.executed or c.status is Status.NOT_WRITTEN:
        return ""
    of = f"{c.executed} of " if c.executed != c.declared else ""
    return f"  {of}{c.declared} case{'s' * (c.declared != 1)} tried"


def _explain(c: CheckResult, to: Console, graded: bool) -> None:
    """The mistake by name, the smallest failing case, where to go on."""
    if c.mistake:
        _fact(to, "mistake", c.mistake, "bold red")
    quiet = (Status.NOT_WRITTEN, Status.WAITING, Status.NOT_RUN)
    _fact(to, "" if c.status in quiet else "wrong", c.message)
    if c.case:
        _fact(to, "case", c.case)
    for line in c.detail.splitlines():
        to.print(f"    {line}", soft_wrap=True)
    if not graded and c.status in (Status.FAILED, Status.CRASHED, Status.TIMEOUT):
        _fact(to, "hint", f"etude course hint {c.question}")


def _fact(to: Console, label: str, text: str, style: str = "") -> None:
    lines = [part for line in text.splitlines()
             for part in textwrap.wrap(line, WIDTH - 15) or [""]]
    for i, line in enumerate(lines):
        to.print(Text.assemble((f"    {label if not i else '':11}", "dim"), (line, style)))
