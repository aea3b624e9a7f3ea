"""Classroom 50: the "result.json" of a submission.

The runner hands over what a result cannot know (``ENVIRONMENT``), and puts the owner and the type
in itself. The time there is the committer's, which a student can set: lateness is not taken from
it, the penalty is in the score already. A result without checks counts as a pass of 0 of 0 there,
so that it is refused here.

Source: foundation50/classroom50 on GitHub, "schemas/result-v1.schema.json" and the wiki page
Advanced Autograding, August 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from etude_course.errors import CourseError
from etude_course.export import words
from etude_course.record import CheckResult, Result

SCHEMA = "classroom50/result/v1"
TAG = re.compile(r"submit/(\d{4})-?(\d\d)-?(\d\d)T(\d\d)[-:]?(\d\d)[-:]?(\d\d)Z")
ENVIRONMENT = {"classroom": "CLASSROOM", "assignment": "ASSIGNMENT", "submission": "SUBMISSION_TAG",
               "commit": "COMMIT_URL", "release": "RELEASE_URL", "review": "REVIEW_URL",
               "assignment_type": "MODE"}


def document(result: Result, environment: Mapping[str, str]) -> dict[str, Any]:
    """Raises CourseError where the runner's variables are missing."""
    words.some(result)
    missing = [v for v in ENVIRONMENT.values() if not environment.get(v)]
    if missing:
        raise CourseError(f"The runner of Classroom 50 sets {', '.join(missing)}, and here nobody "
                          f"did: this export is made in its workflow.")
    return {
        "schema": SCHEMA,
        **{field: environment[variable] for field, variable in ENVIRONMENT.items()},
        "owner": result.student,
        "datetime": result.submitted or _moment(environment["SUBMISSION_TAG"]),
        "score": result.score,
        "max-score": result.max_score,
        "tests": [_test(result, c) for c in result.checks],
    }


def _moment(tag: str) -> str:
    """The time in a tag, "submit/20261128T120000Z-ab12cd". The runner puts its own in its place."""
    found = TAG.match(tag)
    if found is None:
        raise CourseError(f"SUBMISSION_TAG is 'submit/', a time in UTC and a commit, got {tag!r}.")
    return "{}-{}-{}T{}:{}:{}Z".format(*found.groups())


def _test(result: Result, check: CheckResult) -> dict[str, Any]:
    return {"test-name": f"{check.id}: {check.title}", "passed": words.passed(result, check),
            "score": result.points(check), "max-score": check.max_points,
            "output": words.output(result, check)}
