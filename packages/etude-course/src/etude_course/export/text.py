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
        ran = f"  {c.executed} of {c.declared} cases" if c.executed else ""
        to.print(Text.assemble((f"  {c.status:12}", COLOURS.get(c.status, "yellow")),
                               f"{result.points(c)} of {c.max_points}  {c.title}", (ran, "dim")))
        if (given := words.given(result, c)):
            _fact(to, "by hand", given)
        if c.status is not Status.PASSED and not words.settled(result, c):
            _explain(c, to, graded)
    to.print()
    for note in [*result.notes, *result.remarks]:
        to.print(Text.assemble(("Note: ", "yellow"), note))
    for sentence in words.lateness(result):
        to.print(Text(sentence))
    done = result.score == result.max_score
    to.print(Text(f"{result.score} of {result.max_score} points",
                  "bold green" if done else "bold"))


def _explain(c: CheckResult, to: Console, graded: bool) -> None:
    """The mistake by name, the smallest failing case, where to go on."""
    if c.mistake:
        _fact(to, "mistake", c.mistake, "bold red")
    _fact(to, "" if c.status in (Status.NOT_WRITTEN, Status.WAITING) else "wrong", c.message)
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
