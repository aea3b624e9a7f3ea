"""``etude course dry-run``: one hand-in, graded as the class is, and written nowhere."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etude_course.commands import Refused, refusing

if TYPE_CHECKING:
    from etude_course.grade.handins import HandIn
    from etude_course.grade.state import State
    from etude_course.record import Result


@dataclass
class _With:
    """What a hand-in is graded with. ``state`` is that of a grading, if it is to be as there."""

    assignment: Path
    course: str
    seed: str
    state: State | None = None


@click.command("dry-run")
@click.argument("hand-in", type=click.Path(path_type=Path))
@click.option("--grading", type=click.Path(path_type=Path), metavar="DIR", help="As in this "
              "grading: with its assignment, secret and course, and as late as it was.")
@click.option("--assignment", type=click.Path(path_type=Path), metavar="DIR",
              help="The folder of the assignment's source. [default: that of the grading]")
@click.option("--student", default="", help="Whose it is: parameters and hidden cases depend on "
              "it. [default: the name of the hand-in]")
@click.option("--course", metavar="NAME", help="Parameters are drawn from it.")
@click.option("--secret", type=click.Path(path_type=Path), metavar="FILE",
              help="Hidden cases are drawn from its text.")
def dry_run(hand_in: Path, grading: Path | None, assignment: Path | None, student: str,
            course: str | None, secret: Path | None) -> None:
    """Grade one hand-in, and say what each check found.

    It runs as in a class: unpacked by the same rules, in a process of its own,
    with hidden cases. With --grading it is what that class is graded with, and
    points by hand and late days are there too. Nothing is written.
    """
    from etude.commands.show import console
    from etude_course.export.text import print_result
    from etude_course.grade import handins
    from etude_course.grade.roster import Roster, Student
    from etude_course.source.assignment import read

    with refusing():
        given = _with(grading, assignment, course, secret)
        a = read(given.assignment)
        known = [m for h in given.state.handed.values() for m in h["members"]] \
            if given.state else []
        found = handins.single(hand_in, a.sources, a.id,
                               Roster({m: Student(m) for m in known}, bool(known)))
        if found.trouble:
            raise Refused(f"{hand_in}: {found.trouble}")
        found.student = student or found.student
        found.members = [found.student]
        result = _graded(given, found)
    print_result(result, console())


def _with(grading: Path | None, assignment: Path | None, course: str | None, secret: Path | None
          ) -> _With:
    """CourseError where what is said is not what the grading was made with."""
    import hashlib

    from etude_course.grade import cohort, journal, pinned
    from etude_course.grade.state import State

    if grading is None:
        if assignment is None:
            raise Refused("Say with which assignment: --grading, a folder that 'etude course "
                          "grade' made, or --assignment.")
        return _With(assignment, course or "", cohort.text_of(secret) if secret else "dry run")
    state = State.of(journal.read(grading))
    begun = state.assignment
    if not begun:
        raise Refused(f"Nobody has been graded in {grading} yet.")
    seed = cohort.text_of(secret or grading / "secret")
    if hashlib.sha256(seed.encode()).hexdigest() != begun["seed"]:
        raise Refused(f"{grading} was graded with another secret: give the file that was used "
                      f"then with --secret.")
    if course is not None and course != begun["course"]:
        raise Refused(f"{grading} was graded for the course {begun['course']!r}, and --course says "
                      f"{course!r}: leave it out.")
    if assignment is not None and pinned.digest(assignment) != begun["digest"]:
        raise Refused(f"{assignment} is not what {grading} was graded with. Leave --assignment "
                      f"out; or, to try the assignment as it is now, leave --grading out.")
    return _With(grading / "assignment" / begun["digest"][:16], begun["course"], seed, state)


def _graded(given: _With, found: HandIn) -> Result:
    """The result, with what is noticed beside the answers."""
    from etude_course.grade import one, remarks
    from etude_course.record import Result
    from etude_course.source.assignment import read

    a, who = read(given.assignment), found.student
    with tempfile.TemporaryDirectory(prefix="etude-course-") as folder:
        job = one.Job(str(given.assignment.absolute()), str(found.store(Path(folder))), who,
                      found.members, given.course, given.seed, limit=a.limits.total)
        answer = one.grade(job)
    if "trouble" in answer:
        raise Refused(answer["trouble"])
    result = Result.from_json(answer)
    first = given.state.who(who) if given.state else ""
    if given.state and first and given.state.handed[first]["submission"] == found.submission:
        return given.state.whole(first, result)
    result.notes = [*found.notes, *remarks.notes(found, a, given.course), *result.notes]
    result.remarks = remarks.remarks(found, a, given.course)
    if given.state:
        result.remarks.append("this is not what was graded there, so late days and points by hand "
                              "are not counted")
    return result
