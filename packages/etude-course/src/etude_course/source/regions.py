"""Marked regions of a solution: what a student is to write.

A region stands between a line with ``BEGIN SOLUTION`` and one with ``END SOLUTION``, both in a
comment of the language. The starter has ``raise NotImplementedError`` instead, or what the comment
of BEGIN says after ``STARTER:``. Everything outside is in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath

from etude_course.errors import CourseError

BEGIN, END, STARTER = "BEGIN SOLUTION", "END SOLUTION", "STARTER:"
PYTHON = (".py",)
DEF = re.compile(r"\s*def \w+\((?:self,\s*)?(\w+)")
COMMENT_END = re.compile(r"\s*(\*/|-->)\s*$")


def starter(text: str, name: str) -> str:
    """The file as a student gets it."""
    return _without(text, name, lambda indent, said: _instead(indent, said, name))


def solution(text: str, name: str) -> str:
    """The file without the marks."""
    return "".join(line for line in text.splitlines(keepends=True)
                   if BEGIN not in line and END not in line)


def emptied(text: str, name: str, put: str) -> str:
    """The file with ``put`` in every region: an answer that only pretends to be one. ``{first}`` in
    it stands for the first argument of the Python function that the region is in.
    """
    made = _without(text, name, lambda indent, said: f"{indent}{put}\n")
    lines = made.splitlines(keepends=True)
    first = ""
    for i, line in enumerate(lines):
        if found := DEF.match(line):
            first = found[1]
        lines[i] = line.replace("{first}", first or "None")
    return "".join(lines)


def regions(text: str, name: str) -> list[str]:
    """The text of each region: what a student must never be shown."""
    found: list[str] = []
    inside: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if END in line:
            found.append("".join(inside or []))
            inside = None
        elif inside is not None:
            inside.append(line)
        elif BEGIN in line:
            inside = []
    return found


def _instead(indent: str, said: str | None, name: str) -> str:
    if said is not None:
        return f"{indent}{said}\n" if said else ""
    if PurePath(name).suffix in PYTHON:
        return f"{indent}raise NotImplementedError\n"
    raise CourseError(f"{name}: a region that is not Python's says in the comment of its {BEGIN} "
                      f"what the starter has there, such as /* {BEGIN} {STARTER} return 1; */")


def _without(text: str, name: str, instead: Callable[[str, str | None], str]) -> str:
    made: list[str] = []
    begun = 0  # the line of an open region
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if BEGIN in line:
            if begun:
                raise CourseError(f"{name}, line {number}: {BEGIN} inside the region that begins "
                                  f"in line {begun}")
            begun = number
            indent = line[: len(line) - len(line.lstrip())]
            _, there, said = line.partition(STARTER)
            made.append(instead(indent, COMMENT_END.sub("", said).strip() if there else None))
        elif END in line:
            if not begun:
                raise CourseError(f"{name}, line {number}: {END} without {BEGIN}")
            begun = 0
        elif not begun:
            made.append(line)
    if begun:
        raise CourseError(f"{name}, line {begun}: {BEGIN} without {END}")
    return "".join(made)
