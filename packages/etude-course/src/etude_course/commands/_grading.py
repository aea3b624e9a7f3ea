"""What the commands share that grade: their options, and the progress of a run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from etude_course.grade.cohort import Outcome, Progress, Settings
    from etude_course.record import Result

EVERY = 30.0  # seconds between lines of progress where there is no terminal
SHOWN = 20  # names in a list
Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("folder", type=click.Path(path_type=Path)),
    click.option("--assignment", required=True, type=click.Path(path_type=Path), metavar="DIR",
                 help="The folder of the assignment's source."),
    click.option("--into", type=click.Path(path_type=Path), metavar="DIR",
                 help="Where the grading is kept. [default: grades/ID]"),
    click.option("--roster", metavar="CSV", help="Who is in the class: id, name, group, extra "
                 "days, extra time."),
    click.option("--due", metavar="TIME", help="From then on a hand-in is late: "
                 "2026-11-28T23:59:00+01:00."),
    click.option("--times", metavar="CSV", help="When each was handed in, by the collector's "
                 "clock: hand-in, submitted."),
    click.option("--free-days", type=click.IntRange(min=0), default=0, show_default=True,
                 help="Late days of a term that cost nothing."),
    click.option("--late-percent", type=click.IntRange(0, 100), default=10, show_default=True,
                 help="Of the assignment's points, for each late day."),
    click.option("--grace", type=click.IntRange(min=0), default=10, show_default=True,
                 help="Minutes after the time that do not count."),
    click.option("--earlier", multiple=True, type=click.Path(path_type=Path), metavar="DIR",
                 help="An earlier grading, whose free days are used up. Repeatable."),
    click.option("--course", default="", metavar="NAME", help="The name that students started "
                 "with: parameters are drawn from it."),
    click.option("--secret", type=click.Path(path_type=Path), metavar="FILE", help="Hidden cases "
                 "are drawn from its text. [default: made, and kept in --into]"),
    click.option("--jobs", type=click.IntRange(min=1), metavar="N",
                 help="Hand-ins graded at a time. [default: the cores this process may use]"),
    click.option("--executor", type=click.Choice(["local", "mpi", "dask"]), default="local",
                 show_default=True, help="Where: processes here, MPI ranks, a Dask cluster."),
    click.option("--scheduler", default="", metavar="ADDRESS", help="Of a Dask cluster that runs "
                 "already."),
)


def options(command: Command) -> Command:
    """A command with the options of grading; it gets them as keywords."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def settings(given: dict[str, Any]) -> Settings:
    """What the options say. CourseError for files that cannot be read."""
    from datetime import timedelta

    from etude_course.grade import handins, late, roster
    from etude_course.grade.cohort import Settings
    from etude_course.grade.roster import Roster
    from etude_course.source.assignment import read

    id_ = read(given["assignment"]).id
    policy = late.Policy(late.moment(given["due"]) if given["due"] else None, given["free_days"],
                         given["late_percent"], timedelta(minutes=given["grace"]))
    return Settings(
        given["assignment"], given["folder"], given["into"] or Path("grades", id_),
        roster.read(given["roster"]) if given["roster"] else Roster(), policy,
        handins.read_times(given["times"]) if given["times"] else {},
        _used(given["earlier"]), given["course"], given["secret"], given["executor"],
        given["jobs"] or _cores(), given["scheduler"])


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _used(earlier: tuple[Path, ...]) -> dict[str, int]:
    """Student -> free days that earlier assignments have cost."""
    from collections import Counter

    from etude_course.grade import journal
    from etude_course.grade.state import State

    used: Counter[str] = Counter()
    for folder in earlier:
        for handed in State.of(journal.read(folder)).handed.values():
            for member in handed["members"]:
                used[member] += handed["late_free"]
    return dict(used)


class Watch:
    """Shows how far a run is: a bar on a terminal, a line now and then elsewhere. SIGTERM ends a
    run as Ctrl-C does.
    """

    def __init__(self) -> None:
        self.start = self.said = time.monotonic()
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Watch:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        to = Console(stderr=True)
        if to.is_terminal:
            self._bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                            TextColumn("{task.fields[last]}"), TimeElapsedColumn(), console=to)
            self._bar.start()
        self._before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, now: Progress) -> None:
        last = f"{now.student} {now.score}"
        if self._bar is not None:
            if now.phase not in self._tasks:
                self._tasks[now.phase] = self._bar.add_task(now.phase, total=now.total, last="")
            self._bar.update(self._tasks[now.phase], completed=now.done, last=last)
        elif now.student and (time.monotonic() - self.said >= EVERY or now.done == now.total):
            self.said = time.monotonic()
            click.echo(f"{self.said - self.start:.0f} s: {now.phase} {now.done} of {now.total}, "
                       f"last {last}", err=True)


def say(outcome: Outcome, into: Path) -> int:
    """Tell what came of a run: the exit status."""
    from statistics import mean

    results = outcome.results
    if outcome.cut:
        click.echo("The run before was ended while it wrote a line; that line was dropped, and "
                   "what it was about is done again.")
    before = len(results) - outcome.graded
    click.echo(f"{outcome.graded} hand-ins were graded" + (f", {before} had been before"
                                                           if before > 0 else "") + ".")
    if results:
        click.echo(f"Mean {mean(r.score for r in results):.1f} of "
                   f"{max(r.max_score for r in results)} points.")
    if outcome.missing:
        click.echo(f"{len(outcome.missing)} handed in nothing: {_few(outcome.missing)}")
    for line in _waiting(results, into):
        click.echo(line)
    noted: dict[str, list[str]] = {}
    for r in results:
        for note in [*r.notes, *r.remarks]:
            noted.setdefault(note, []).append(r.student)
    for note, students in list(noted.items())[:SHOWN]:
        click.echo(f"  {_few(students)}: {note}")
    if len(noted) > SHOWN:
        click.echo(f"  and {len(noted) - SHOWN} more notes, in the report")
    if outcome.pinned:
        click.echo(outcome.pinned)
    for wall in sorted({w for r in results for w in r.walls}):
        click.echo(f"The sandbox here lacks a wall: {wall}")
    for sentence in (*outcome.unclaimed, *outcome.trouble):
        click.echo(f"NOT GRADED: {sentence}")
    click.echo(f"Results are in {into / 'results'}.")
    return int(bool(outcome.unclaimed or outcome.trouble))


def _waiting(results: list[Result], into: Path) -> list[str]:
    """Which answers a person grades: what to look for in them, and where they are."""
    from etude_course.grade import journal
    from etude_course.grade.state import State
    from etude_course.source.assignment import read

    whose: dict[str, list[Result]] = {}
    for r in results:
        for c in r.waiting:
            whose.setdefault(c.id, []).append(r)
    if not whose:
        return []
    digest = State.of(journal.read(into)).assignment["digest"]
    assignment = read(into / "assignment" / digest[:16])
    lines = []
    for check in (c for c in assignment.checks if c.id in whose):
        students = whose[check.id]
        lines.append(f"{len(students)} have an answer that a person grades: {check.id}, "
                     f"{check.points} point{'s' * (check.points != 1)}. Look for: {check.hand}")
        question = assignment.question(check)
        for r in students[:SHOWN]:
            folder = into / "hand-ins" / r.student / r.submission[:16]
            there = [f for f in (question.file, *question.also) if (folder / f).exists()]
            lines += [f"  {r.student}: {folder / f}" for f in there or [""]]
        if len(students) > SHOWN:
            lines.append(f"  and {len(students) - SHOWN} more")
        lines.append(f"  etude course override {into} {students[0].student} {check.id} POINTS "
                     f"--reason ...")
    return lines


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
