"""CSV files for a class: plain, and as Canvas and Moodle import them. One row for each student.

Canvas knows a student by one of four columns, and points by the line below the head; Moodle is told
which column is which when the file is read there, and wants marks and feedback together. Students
who handed in nothing have an empty cell, which is no mark: a zero is a decision.

Sources: https://community.canvaslms.com, "How do I import grades in the Gradebook?";
https://docs.moodle.org/en/Grade_import
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from etude_course.export import text, words
from etude_course.grade.roster import Roster, Student
from etude_course.record import Result

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def plain(results: Sequence[Result], roster: Roster) -> str:
    """Everything that is a number, and each check."""
    checks = list(dict.fromkeys(c.id for r in results for c in r.checks))
    rows = [["student", "name", "group", "assignment", "version", "score", "max score", "penalty",
             "late days", "waiting", "submitted", *checks, "by hand"]]
    for student, result in _everyone(results, roster):
        who = [student.id, student.name, student.group]
        if result is None:
            rows.append([*who, *[""] * (len(rows[0]) - len(who))])
            continue
        points = {c.id: str(result.points(c)) for c in result.checks}
        rows.append([*who, result.assignment, str(result.version), str(result.score),
                     str(result.max_score), str(result.penalty), str(result.late_days),
                     str(len(result.waiting)), result.submitted,
                     *[points.get(c, "") for c in checks], _by_hand(result)])
    return _text(rows)


def _by_hand(result: Result) -> str:
    """The points that a person gave, with the reasons."""
    said = [(c.id, words.given(result, c)) for c in result.checks]
    return "; ".join(f"{id_}: {given}" for id_, given in said if given)


def canvas(results: Sequence[Result], roster: Roster) -> str:
    """For the gradebook of Canvas, which imports points alone: no comment or reason. The columns
    "canvas id", "sis id", "login" and "section" of the roster are used where it has them.
    """
    title, points = _column(results)
    rows = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", title],
            ["    Points Possible", "", "", "", "", points]]
    for student, result in _everyone(results, roster):
        other = student.other
        rows.append([student.name or student.id, other.get("canvas id", ""),
                     other.get("sis id", student.id), other.get("login", student.id),
                     other.get("section", ""), "" if result is None else str(result.score)])
    return _text(rows)


def moodle(results: Sequence[Result], roster: Roster) -> str:
    """For the grade import of Moodle, with all that a student is told. The column "email" of the
    roster is used if it has one.
    """
    title, _ = _column(results)
    rows = [["ID number", "Email address", title, f"{title} (feedback)"]]
    for student, result in _everyone(results, roster):
        if result is not None:
            rows.append([student.id, student.other.get("email", ""), str(result.score),
                         text.feedback(result)])
    return _text(rows)


def _column(results: Sequence[Result]) -> tuple[str, str]:
    """The name of the assignment, and its points. Raises ValueError when they are not one."""
    names = {(f"{r.assignment} {r.title}".strip(), r.max_score) for r in results}
    if len(names) != 1:
        raise ValueError("these results are not of one assignment, graded in one version: "
                         "'etude course regrade' grades all with the last one")
    title, points = names.pop()
    return title, str(points)


def _everyone(results: Iterable[Result],
              roster: Roster) -> Iterable[tuple[Student, Result | None]]:
    """Each student with the result that is theirs, alone or with a group."""
    mine = {m: r for r in results for m in (r.members or [r.student])}
    for name in [*roster.students, *sorted(set(mine) - set(roster.students))]:
        yield roster.student(name), mine.get(name)


def _text(rows: list[list[str]]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows([_cell(c) for c in row] for row in rows)
    return made.getvalue()


def _cell(text: str) -> str:
    """A quote stands in front of what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) and not text.lstrip("+-").isdigit() else text
