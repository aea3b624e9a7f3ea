"""The roster of a class, a CSV file: who is in it, in which group, and who has more time.

    id,name,group,extra days,extra time
    s001,Ada Lovelace,,,
    s002,Grace Hopper,red,2,
    s003,Alan Turing,red,,36h

Only ``id`` has to be there. A group hands in once for all its members. Extra days are whole days
after the date that holds for all, extra time is hours or minutes ("36h", "90m"); both may be given.
Other columns (email, section) are kept for the exports that ask for them.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from etude.core.errors import did_you_mean
from etude_course.errors import CourseError

COLUMNS = ("id", "name", "group", "extra days", "extra time")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*\Z")
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(m|min|h|d)?\Z")
UNITS = {"m": 1 / 60, "min": 1 / 60, "h": 1.0, None: 1.0, "d": 24.0}  # hours


@dataclass(frozen=True)
class Student:
    """One line of the roster."""

    id: str
    name: str = ""
    group: str = ""
    extra: timedelta = timedelta()  # after the date that holds for all
    other: dict[str, str] = field(default_factory=dict)  # columns of the reader's own


@dataclass(frozen=True)
class Roster:
    """The students of a class by id, in the order of the file. Without a file: everyone is in."""

    students: dict[str, Student] = field(default_factory=dict)
    given: bool = False

    def student(self, name: str) -> Student:
        return self.students.get(name) or Student(name)

    def members(self, name: str) -> list[str]:
        """Who shares a hand-in of ``name``: the group, or the student alone."""
        group = self.student(name).group
        if not group:
            return [name]
        return [s.id for s in self.students.values() if s.group == group]

    def extra(self, name: str) -> timedelta:
        """The extension of a hand-in: the longest among those who share it."""
        return max(self.student(m).extra for m in self.members(name))


def read(path: str | Path) -> Roster:
    """The roster of a CSV file. CourseError names every line that cannot be understood."""
    try:
        text = Path(path).read_text("utf-8-sig")  # spreadsheets put a mark at the front
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise CourseError(f"The roster {path} cannot be read: {reason}.") from error
    lines = csv.reader(io.StringIO(text), strict=True)
    wrong: list[str] = []
    students: dict[str, Student] = {}
    first: dict[str, int] = {}
    try:
        head = _head(path, next(lines, []))
        for cells in lines:
            if not any(c.strip() for c in cells):
                continue
            try:
                student = _student(head, cells)
                if student.id in students:
                    raise ValueError(f"{student.id} is on line {first[student.id]} already")
                students[student.id] = student
                first[student.id] = lines.line_num
            except ValueError as error:
                wrong.append(f"{path}, line {lines.line_num}: {error}")
    except csv.Error as error:
        wrong.append(f"{path}, line {lines.line_num}: {error}")
    wrong += _alike(path, students)
    if wrong:
        raise CourseError("The roster is not used, since:\n  " + "\n  ".join(wrong))
    if not students:
        raise CourseError(f"The roster {path} has no students in it.")
    return Roster(students, given=True)


def _head(path: str | Path, cells: list[str]) -> list[str]:
    head = [" ".join(c.strip().lower().replace("_", " ").split()) for c in cells]
    if "id" not in head:
        raise CourseError(f"The first line of the roster {path} names its columns, and one of "
                          f"them must be 'id'. Known are {', '.join(COLUMNS)}; found: "
                          f"{', '.join(head) or 'nothing'}.")
    double = sorted({h for h in head if h and head.count(h) > 1})
    if double:
        raise CourseError(f"The roster {path} has two columns called {double[0]!r}.")
    for name in head:  # "extra day" would silently be a column of the reader's own
        hint = did_you_mean(name, COLUMNS)
        if name not in COLUMNS and hint != "." and name.startswith("extra"):
            raise CourseError(f"The roster {path} has a column {name!r}{hint}")
    return head


def _student(head: list[str], cells: list[str]) -> Student:
    """Raises ValueError with what is wrong in the line."""
    if len(cells) > len(head):
        raise ValueError(f"{len(cells)} cells, and the first line names {len(head)} columns; "
                         f"a comma inside a name needs quotes around the name")
    row = {h: c.strip() for h, c in zip(head, cells)}
    name = row.get("id", "")
    if not ID.match(name):
        raise ValueError(f"{name!r} is no id: letters, digits, '.', '_', '@', '+' and '-' are "
                         f"taken" if name else "there is no id")
    days = row.get("extra days", "") or "0"
    if not days.isascii() or not days.isdigit():
        raise ValueError(f"extra days is a whole number, got {days!r}")
    more = row.get("extra time", "") or "0"
    amount = AMOUNT.match(more.lower())
    if amount is None:
        raise ValueError(f"extra time is written like 36h or 90m, got {more!r}")
    extra = timedelta(days=int(days), hours=float(amount[1]) * UNITS[amount[2]])
    return Student(name, row.get("name", ""), row.get("group", ""), extra,
                   {k: v for k, v in row.items() if k and k not in COLUMNS})


def _alike(path: str | Path, students: dict[str, Student]) -> list[str]:
    """Ids that differ in capitals only: file names of some systems cannot tell them apart."""
    same = defaultdict(list)
    for name in students:
        same[name.casefold()].append(name)
    return [f"{path}: {' and '.join(names)} differ in capitals only"
            for names in same.values() if len(names) > 1]
