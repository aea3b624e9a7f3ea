"""``etude course export``: results in the formats of other systems."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etude_course.commands import refusing

if TYPE_CHECKING:
    from etude_course.record import Result

FOLDERS = ("gradescope", "prairielearn", "classroom50")  # a file for each hand-in
TABLES = ("csv", "canvas", "moodle")
FORMATS = (*TABLES, *FOLDERS, "nbgrader")


@click.command()
@click.argument("grading", type=click.Path(path_type=Path))
@click.argument("format_", metavar="FORMAT", type=click.Choice(FORMATS))
@click.option("--to", required=True, metavar="PATH", help="A file for csv, canvas, moodle, and "
              "for one result; a folder for gradescope, prairielearn, classroom50; for nbgrader "
              "the gradebook, sqlite:///gradebook.db.")
@click.option("--roster", metavar="CSV", help="For names, and for who handed in nothing.")
def export(grading: Path, format_: str, to: str, roster: str | None) -> None:
    """Write the results for another system. The score is the same in each.

    GRADING is the folder that 'etude course grade' made, or one result: a file
    such as "grades/A2/results/s001.json". FORMAT is one of csv, canvas, moodle,
    gradescope, prairielearn, classroom50, nbgrader.
    """
    from etude_course.errors import CourseError
    from etude_course.export import nbgrader, tables
    from etude_course.grade import roster as rosters

    with refusing():
        results = results_of(grading)
        people = rosters.read(roster) if roster else rosters.Roster()
        waiting = sum(bool(r.waiting) for r in results)
        try:
            if format_ == "nbgrader":
                nbgrader.write(results, to, people)
            elif format_ in TABLES:
                make = {"csv": tables.plain, "canvas": tables.canvas,
                        "moodle": tables.moodle}[format_]
                _write(Path(to), make(results, people))
            else:
                single = grading.is_file()
                texts = {r.student: json.dumps(_document(format_, r), indent=1, sort_keys=True)
                         for r in results}  # before anything is written
                for student, text in texts.items():
                    path = Path(to) if single else Path(to, f"{student}.json")
                    path.absolute().parent.mkdir(parents=True, exist_ok=True)
                    _write(path, text + "\n")
        except ValueError as error:
            raise CourseError(f"Nothing more is exported: {error}.") from error
        except OSError as error:
            raise CourseError(f"{to} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {len(results)} results to {to}")
    if waiting:
        click.echo(f"Answers of {waiting} of them still wait for a person.")


def _document(format_: str, result: Result) -> dict[str, Any]:
    from etude_course.export import classroom50, gradescope, prairielearn

    if format_ == "classroom50":
        return classroom50.document(result, os.environ)
    if format_ == "gradescope":
        return gradescope.document(result)
    return prairielearn.document(result)


def results_of(path: Path) -> list[Result]:
    """Those of a grading, or the one in a file of it."""
    from etude_course.errors import CourseError
    from etude_course.grade import journal
    from etude_course.grade.state import State
    from etude_course.record import Result

    if path.is_file():
        try:
            return [Result.from_json(json.loads(path.read_text()))]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise CourseError(f"{path} is no result of 'etude course grade': {error}.") from error
    results = State.of(journal.read(path)).results()
    if not results:
        raise CourseError(f"Nobody has been graded in {path} yet.")
    return results


def _write(path: Path, text: str) -> None:
    from etude.data.files import write_atomically

    write_atomically(path, text.encode())
