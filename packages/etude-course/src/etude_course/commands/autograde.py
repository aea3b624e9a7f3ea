"""``etude course autograde``: one hand-in, graded on a platform, in the platform's format."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etude_course.commands import Refused, refusing

if TYPE_CHECKING:
    from etude_course.grade.handins import HandIn
    from etude_course.record import Result
    from etude_course.source.source import Source

FORMATS = ("gradescope", "prairielearn", "classroom50")


@click.command()
@click.argument("platform", type=click.Choice(FORMATS))
@click.option("--assignment", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the assignment's source.")
@click.option("--submission", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="What was handed in.")
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The result, for the platform.")
@click.option("--secret", required=True, type=click.Path(path_type=Path, exists=True),
              metavar="FILE", help="Hidden cases are drawn from its text.")
@click.option("--student", default="", metavar="ID", help="[default: as the platform says]")
@click.option("--course", default="", metavar="NAME", help="Parameters are drawn from it.")
def autograde(platform: str, assignment: Path, submission: Path, to: Path, secret: Path,
              student: str, course: str) -> None:
    """Grade what was handed in on a platform, and write its file of results.

    The bundles that 'etude course build --for PLATFORM' makes call it. Lateness
    is the platform's own.
    """
    from etude_course.errors import CourseError
    from etude_course.grade import handins
    from etude_course.kit.progress import write_ours
    from etude_course.source.source import Source

    with refusing():
        source = Source.read(assignment)
        who, submitted = _whose(platform, submission)
        handed = handins.single(submission, source.assignment.sources, source.assignment.id)
        result = _graded(source, handed, student or who, course, secret.read_text().strip())
        result.submitted = submitted
        try:
            document = _document(platform, result)
        except ValueError as error:
            raise CourseError(str(error)) from error
        write_ours(to, json.dumps(document, indent=1, sort_keys=True) + "\n")
    click.echo(f"{result.score} of {result.max_score} points, written to {to}")


def _graded(source: Source, handed: HandIn, student: str, course: str, seed: str) -> Result:
    """The result; what is timed is run afterwards, alone."""
    from etude_course.grade import one, remarks
    from etude_course.record import Result, Status

    with tempfile.TemporaryDirectory(prefix="etude-course-") as folder:
        job = one.Job(str(source.folder.absolute()), str(handed.store(Path(folder))), student,
                      [student], course, seed, limit=source.assignment.limits.total)
        result = _result(one.grade(job))
        speed = {c.id for c in source.assignment.checks if c.kind == "speed"}
        later = [c.id for c in result.checks if c.id in speed and c.status is Status.NOT_RUN]
        if later:
            timed = _result(one.grade(one.Job(**{**vars(job), "timed": later})))
            found = {c.id: c for c in timed.checks}
            result.checks = [found.get(c.id, c) for c in result.checks]
    a = source.assignment
    notes = [*handed.notes, *remarks.notes(handed, a, course)]
    result.notes = notes + [handed.trouble] * bool(handed.trouble) + result.notes
    handed.student, handed.members = student, [student]
    result.remarks = remarks.remarks(handed, a, course)
    return Result.from_json(result.to_json())


def _result(answer: dict[str, Any]) -> Result:
    from etude_course.record import Result

    if "trouble" in answer:
        raise Refused(answer["trouble"])
    return Result.from_json(answer)


def _whose(platform: str, submission: Path) -> tuple[str, str]:
    """The student, and when it was handed in, as the platform says."""
    from etude_course.errors import CourseError
    from etude_course.grade import late

    if platform == "classroom50":
        return os.environ.get("OWNER", ""), os.environ.get("DATETIME", "")
    path = submission.parent / "submission_metadata.json"  # of Gradescope
    if platform != "gradescope" or not path.exists():
        return "", ""
    try:
        known = json.loads(path.read_text())
        users = known.get("users") or [{}]
        who, created = users[0].get("email", ""), known.get("created_at", "")
    except (OSError, ValueError, AttributeError, LookupError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from None
    return who, late.written(late.moment(created)) if created else ""


def _document(platform: str, result: Result) -> dict[str, Any]:
    from etude_course.export import classroom50, gradescope, prairielearn

    if platform == "classroom50":
        return classroom50.document(result, os.environ)
    if platform == "gradescope":
        return gradescope.document(result)
    return prairielearn.document(result)
