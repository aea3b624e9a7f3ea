"""Gradescope: the "results.json" that an autograder leaves in "/autograder/results".

The score at the top is what counts there; the points of the tests do not have to add up to it, and
do not, when there is a penalty. Checks with a case that students do not have are shown once the
marks are published.

Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

from typing import Any

from etude_course.export import words
from etude_course.record import CheckResult, Result, Status


def document(result: Result) -> dict[str, Any]:
    words.some(result)
    return {
        "score": result.score,
        "execution_time": round(result.seconds),
        "output": words.summary(result),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [_test(result, c) for c in result.checks],
        "extra_data": {"assignment": result.assignment, "version": result.version,
                       "submission": result.submission,
                       "remarks": result.remarks},  # students do not see it
    }


def _test(result: Result, check: CheckResult) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": f"{check.id}: {check.title}",
        "number": words.number(result, check),
        "score": result.points(check),
        "max_score": check.max_points,
        "output": words.output(result, check),
        "output_format": "text",
        "visibility": "visible" if check.visible else "after_published",
    }
    if check.status is not Status.WAITING or words.passed(result, check):
        made["status"] = "passed" if words.passed(result, check) else "failed"
    return made
