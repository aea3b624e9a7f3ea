"""nbgrader: scores into its gradebook, a grade cell for each check.

The assignment, its notebook and its cells are made where nbgrader has not made them from a source
notebook; a cell's id is the check's. Points by hand go in as a manual score, and the penalty as
nbgrader's late penalty, so that its own export has the same score. Works with nbgrader 0.9, which
is installed with ``etude-course[nbgrader]``.

Source: https://nbgrader.readthedocs.io/en/stable/api/gradebook.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from etude_course.errors import CourseError
from etude_course.export import words
from etude_course.grade import late
from etude_course.grade.roster import Roster
from etude_course.record import CheckResult, Result, Status

CELL = "code"


def write(results: Sequence[Result], database: str, roster: Roster) -> None:
    """``database``: as nbgrader names it, "sqlite:///gradebook.db"."""
    try:
        from nbgrader.api import Gradebook
    except ImportError as error:
        raise CourseError("This export needs nbgrader: pip install 'etude-course[nbgrader]'."
                          ) from error
    for result in results:
        words.some(result)
    with _alembic(), Gradebook(database) as book:
        for result in results:
            notebook, assignment = notebook_of(result), result.assignment
            _cells(book, result, notebook, assignment)
            for member in result.members or [result.student]:
                _person(book, roster, member)
                _submission(book, result, notebook, assignment, member)


@contextmanager
def _alembic() -> Iterator[None]:
    """nbgrader calls the program alembic, which lies beside this Python and not always on PATH."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def notebook_of(result: Result) -> str:
    """The name of the notebook: a2 for A2."""
    return result.assignment.lower()


def _cells(book: Any, result: Result, notebook: str, assignment: str) -> None:
    book.update_or_create_assignment(assignment)
    book.update_or_create_notebook(notebook, assignment)
    for check in result.checks:
        book.update_or_create_grade_cell(check.id, notebook, assignment,
                                         max_score=check.max_points, cell_type=CELL)


def _person(book: Any, roster: Roster, member: str) -> None:
    first, _, last = roster.student(member).name.rpartition(" ")
    book.update_or_create_student(member, first_name=first or None, last_name=last or None)


def _submission(book: Any, result: Result, notebook: str, assignment: str, member: str) -> None:
    when = late.moment(result.submitted).replace(tzinfo=None) if result.submitted else None
    book.update_or_create_submission(assignment, member, timestamp=when)
    submitted = book.find_submission_notebook(notebook, assignment, member)
    submitted.late_submission_penalty = result.penalty
    for check in result.checks:
        _grade(book.find_grade(check.id, notebook, assignment, member), result, check)
    book.db.commit()


def _grade(grade: Any, result: Result, check: CheckResult) -> None:
    by_hand = any(o.check == check.id for o in result.overrides)
    grade.auto_score = None if check.status is Status.WAITING else check.points
    grade.manual_score = result.points(check) if by_hand else None
    grade.needs_manual_grade = check in result.waiting
