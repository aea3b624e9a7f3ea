"""Points by hand: what a person gives a check, and why. From a command, a CSV or a TOML file.

    student,check,points,reason,by         [[override]]
    s001,variance-why,2,names the n,ab     student = "s001"
                                           check = "variance-why"
                                           points = 2
                                           reason = "names the n"

A check that waits for a person is graded so, and a check that was graded wrongly is put right so.
What was found stays in the result beside it. A file is taken whole or not at all. Somebody who
handed in nothing (it was on paper, or is excused) is graded so too, when that is said.
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.core.errors import did_you_mean
from etude_course.errors import CourseError
from etude_course.grade.cohort import write_result
from etude_course.grade.handins import HandIn
from etude_course.grade.journal import Event, Journal
from etude_course.grade.journal import read as read_journal
from etude_course.grade.roster import ID
from etude_course.grade.state import State
from etude_course.record import CheckResult, Result, Status
from etude_course.source.assignment import read as read_assignment

FIELDS = ("student", "check", "points", "reason", "by")


@dataclass(frozen=True)
class Given:
    """Points for a check of a student, or of the student's group."""

    student: str
    check: str
    points: int
    reason: str
    by: str = ""
    where: str = ""  # file and line


def read(path: str | Path) -> list[Given]:
    """Those of a file. CourseError names every entry that cannot be understood."""
    path = Path(path)
    try:
        if path.suffix == ".toml":
            entries = _toml(path)
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                entries = [(f"{path}, line {reader.line_num}", dict(r)) for r in reader]
    except (OSError, UnicodeDecodeError, csv.Error, tomllib.TOMLDecodeError) as error:
        raise CourseError(f"The points in {path} cannot be read: {error}.") from error
    found, wrong = [], []
    for where, row in entries:
        try:
            found.append(_given(where, row))
        except ValueError as error:
            wrong.append(f"{where}: {error}")
    if wrong:
        raise CourseError("No points were given, since:\n  " + "\n  ".join(wrong))
    if not found:
        raise CourseError(f"{path} gives no points: it has no lines below its head."
                          if path.suffix != ".toml" else f"{path} has no [[override]].")
    return found


def _toml(path: Path) -> list[tuple[str, dict[str, Any]]]:
    entries = tomllib.loads(path.read_text("utf-8")).get("override", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise CourseError(f"{path}: each entry is written as [[override]].")
    return [(f"{path}, override {n}", e) for n, e in enumerate(entries, 1)]


def _given(where: str, row: dict[str, Any]) -> Given:
    """Raises ValueError with what is wrong."""
    unknown = [k for k in row if k not in FIELDS]
    if unknown:
        raise ValueError(f"there is no field {unknown[0]!r}{did_you_mean(str(unknown[0]), FIELDS)}")
    text = {k: str(row.get(k) if row.get(k) is not None else "").strip() for k in FIELDS}
    for name in FIELDS[:4]:
        if not text[name]:
            raise ValueError(f"{name!r} is missing")
    if not (text["points"].isascii() and text["points"].isdigit()):
        raise ValueError(f"points are whole numbers from 0, got {text['points']!r}")
    return Given(text["student"], text["check"], int(text["points"]), text["reason"], text["by"],
                 where)


def give(into: Path, given: list[Given], absent: bool = False) -> list[tuple[Result, Result]]:
    """Write them to the journal: each result concerned, before and after. All or none. ``absent``:
    students without a hand-in are given an empty one.
    """
    read_journal(into)  # CourseError where there is none, before one is made
    with Journal(into) as journal:
        state = State.of(journal.events)
        added = []
        if absent:
            unknown = [g.student for g in given if not state.who(g.student)]
            added = [e for s in dict.fromkeys(unknown) for e in _empty(into, state, s)]
            for event in added:
                state.add(event)
        wrong = [f"{g.where or g.student}: {_wrong(state, g)}" for g in given if _wrong(state, g)]
        if wrong:
            raise CourseError("No points were given, since:\n  " + "\n  ".join(wrong))
        concerned = list(dict.fromkeys(state.who(g.student) for g in given))
        before = [state.result(who) for who in concerned]
        for event in added:
            journal.add(event.pop("event"), **event)
        for g in given:
            journal.add("override", who=state.who(g.student), check=g.check, points=g.points,
                        reason=g.reason, by=g.by)
            state.add(journal.events[-1])
        after = [state.result(who) for who in concerned]
    pairs = [(old, new) for old, new in zip(before, after) if old and new]
    for _, new in pairs:
        write_result(into, new)
    return pairs


def _empty(into: Path, state: State, student: str) -> list[Event]:
    """The events of a hand-in that has nothing in it."""
    digest = state.assignment["digest"]
    assignment = read_assignment(into / "assignment" / digest[:16])
    if not ID.match(student):
        raise CourseError(f"{student!r} is no id of a student.")
    handin = HandIn(student, "", [student])
    handin.store(into / "hand-ins")
    checks = [CheckResult(c.id, q.id, c.title, 0, c.points, Status.NOT_WRITTEN,
                          "nothing was handed in", declared=1)
              for q in assignment.questions for c in q.checks]
    result = Result(assignment.id, assignment.version, student, checks, title=assignment.title)
    return [{"event": "handed", "who": student, "student": student, "members": [student],
             "submission": handin.submission, "submitted": "", "notes": [], "remarks": [
                 "handed in nothing, and was given points by hand"],
             "late_days": 0, "late_free": 0, "penalty": 0},
            {"event": "graded", "who": student, "submission": handin.submission,
             "digest": digest, "result": result.to_json()}]


def _wrong(state: State, given: Given) -> str:
    """Why these points cannot be given; "" if they can."""
    who = state.who(given.student)
    result = state.result(who) if who else None
    if result is None:
        everyone = [m for h in state.handed.values() for m in h["members"]]
        return (f"nothing by {given.student!r} was graded"
                f"{did_you_mean(given.student, everyone)} --without-hand-in gives points to "
                f"somebody who handed in nothing")
    check = next((c for c in result.checks if c.id == given.check), None)
    if check is None:
        return (f"{result.assignment} has no check {given.check!r}"
                f"{did_you_mean(given.check, [c.id for c in result.checks])}")
    if given.points > check.max_points:
        return f"{given.check} is worth {check.max_points} points, and {given.points} are too many"
    return ""
