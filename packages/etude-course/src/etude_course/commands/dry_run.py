"""``etude course dry-run``: one hand-in, graded as the class is, and written nowhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from etude_course.commands import Refused, refusing


@click.command("dry-run")
@click.argument("hand-in", type=click.Path(path_type=Path))
@click.option("--assignment", required=True, type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the assignment's source.")
@click.option("--student", default="", help="Whose it is: parameters and hidden cases depend on "
              "it. [default: the name of the hand-in]")
@click.option("--course", default="", metavar="NAME", help="Parameters are drawn from it.")
@click.option("--secret", type=click.Path(path_type=Path, exists=True), metavar="FILE",
              help="Hidden cases are drawn from its text: that of a grading gives its result.")
def dry_run(hand_in: Path, assignment: Path, student: str, course: str,
            secret: Path | None) -> None:
    """Grade one hand-in, and say what each check found.

    It runs as in a class: unpacked by the same rules, in a process of its own,
    with hidden cases. Nothing is written.
    """
    from etude.commands.show import console
    from etude_course.report.text import print_result
    from etude_course.grade import handins, one
    from etude_course.record import Result
    from etude_course.source.source import Source

    with refusing():
        source = Source.read(assignment)
        found = handins.single(hand_in, source.assignment.sources)
        who = student or found.student
        with tempfile.TemporaryDirectory(prefix="etude-course-") as folder:
            job = one.Job(str(assignment.absolute()), str(found.store(Path(folder))), who, [who],
                          course, secret.read_text().strip() if secret else "dry run",
                          limit=source.assignment.limits.total)
            answer = one.grade(job)
    if "trouble" in answer:
        raise Refused(answer["trouble"])
    result = Result.from_json(answer)
    result.notes = found.notes + result.notes
    print_result(result, console())
