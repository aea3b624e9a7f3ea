"""What is noticed about a hand-in beside its answers: notes, which its student reads as well, and
remarks, which are for those who teach.

What a folder was started with stands in a file of the hand-in, which a student can edit. So it
changes no points: a person is told of what does not fit.
"""

from __future__ import annotations

from etude_course.grade.handins import HandIn
from etude_course.kit import hints
from etude_course.source import parameters
from etude_course.source.assignment import Assignment

NO_TIME = "the collector gave no time, so that it does not count as late"


def notes(handin: HandIn, a: Assignment, course: str) -> list[str]:
    """What a student should know too: it was graded as something that it was not started as."""
    said, started = [], handin.started
    other = started.get("assignment", a.id)
    if other != a.id:
        said.append(f"started as {other!r:.20}, graded as {a.id}")
    version = started.get("version", a.version)
    if other == a.id and version != a.version:
        said.append(f"started with version {version!r:.20} of {a.id}, graded with version "
                    f"{a.version}")
    begun = started.get("course", course)
    if begun != course:
        said.append(f"started for the course {begun!r:.60}, graded for {course!r}: other "
                    f"parameters may have been asked for")
    return said


def remarks(handin: HandIn, a: Assignment, course: str, due: bool = False) -> list[str]:
    """What a person should look at, or see to. ``due``: whether lateness counts."""
    said, started = [], handin.started
    if due and not handin.submitted:
        said.append(NO_TIME)
    cost = hints.cost(a, started.get("hints"))
    if cost:
        said.append(f"hints were shown that cost {cost} points, not taken off yet")
    who = started.get("student", handin.student)
    if who != handin.student:
        other = parameters.drawn(a, course, str(who)) != parameters.drawn(a, course,
                                                                          handin.student)
        if other or (who and str(who).casefold() not in map(str.casefold, handin.members)):
            said.append(f"started as {who!r:.60}, graded as {handin.student!r}"
                        + (": other parameters were asked for" if other else ""))
    return said
