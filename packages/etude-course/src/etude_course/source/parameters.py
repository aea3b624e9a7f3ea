"""Parameters: what is asked of each student a little differently.

One value of each is drawn from the name of the course, the assignment and the student, so that
whoever knows the three knows the values. In texts they stand as ``{{slope}}``.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from etude_course.errors import CourseError
from etude_course.source.assignment import Assignment

MARK = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


def number(*parts: str) -> int:
    """A number of 128 bits that follows from texts, on every machine alike."""
    joined = "\0".join(parts).encode()
    return int.from_bytes(hashlib.sha256(joined).digest()[:16], "big")


def drawn(assignment: Assignment, course: str, student: str) -> dict[str, Any]:
    """The values of one student. Where the course has no name, everybody has the same."""
    who = student if course else ""
    return {name: values[number(course, assignment.id, who, name) % len(values)]
            for name, values in assignment.parameters.items()}


def render(text: str, values: dict[str, Any], where: str) -> str:
    """The text with its parameters in place. CourseError for one that does not exist."""
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise CourseError(f"{where} has {match[0]}, and assignment.toml has no parameter "
                              f"{match[1]!r}")
        return str(values[match[1]])

    return MARK.sub(value, text) if values else text
