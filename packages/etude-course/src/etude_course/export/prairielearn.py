"""PrairieLearn: the "results.json" that an external grader leaves in "/grade/results".

The score there is a part of 1, and the file is 1 MB at most, so that long outputs are cut. Every
test has its points: one without would switch the points of all off. A hand-in that does not run is
gradable, and earns nothing; "not gradable" would give the attempt back.

Source: https://prairielearn.readthedocs.io/en/latest/externalGrading/
"""

from __future__ import annotations

import json
from typing import Any

from etude_course.export import words
from etude_course.record import CheckResult, Result

LIMIT = 1_000_000  # bytes of the file
CUT = "\n[cut: the file may have 1 MB]"


def document(result: Result) -> dict[str, Any]:
    words.some(result)
    made = _document(result, LIMIT)
    room = LIMIT
    while len(json.dumps(made).encode()) > LIMIT:
        room //= 2
        made = _document(result, room)
    return made


def _document(result: Result, room: int) -> dict[str, Any]:
    return {
        "gradable": True,
        "score": result.score / result.max_score,
        "message": _cut(words.summary(result), room),
        "tests": [_test(result, c, room) for c in result.checks],
    }


def _test(result: Result, check: CheckResult, room: int) -> dict[str, Any]:
    return {
        "name": check.id,
        "description": check.title,
        "points": result.points(check),
        "max_points": check.max_points,
        "message": "passed" if words.passed(result, check) else check.status.value,
        "output": _cut(words.output(result, check), room),
    }


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[:room] + CUT
