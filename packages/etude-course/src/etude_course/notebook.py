"""Checks from a cell of a notebook: ``check("A2", "variance-values")``.

It needs no shell and no make, so it works wherever there is a Python kernel. The answer is in files
beside the notebook, and runs in a process of its own as everywhere. A check that gives no points
raises, which is how nbgrader sees it; one that gives a part returns the points.
"""

from __future__ import annotations

from pathlib import Path

from etude_course.kit import folder as started_folder
from etude_course.kit import progress
from etude_course.kit.folder import Started
from etude_course.kit.kit import Kit
from etude_course.run.run import run
from etude_course.source import parameters


class NoPoints(Exception):  # noqa: N818 - it is what a check says, and no fault of the program
    """A check was not passed. What is wrong was printed."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows: the sentence alone."""
        return [str(self)]


def check(assignment: str, check: str, folder: str | Path = ".") -> int | None:
    """Run one check on the files in ``folder``, and print what came of it."""
    from rich.console import Console

    from etude_course.export.text import print_result

    folder = Path(folder)
    kit, values = _kit(assignment, folder)
    result = run(kit, folder, only=[check], values=values)
    if (folder / started_folder.NAME).exists():
        result.notes += progress.keep(folder, result)
    print_result(result, Console(force_jupyter=False, width=100, highlight=False))
    points = result.score
    if not points and not result.waiting:
        raise NoPoints(f"{check}: 0 of {result.max_score} points")
    return points if points < result.max_score else None


def _kit(assignment: str, folder: Path) -> tuple[Kit, dict[str, object]]:
    """A kit beside the notebook (``a2.json``), that of a started folder, or the installed one."""
    beside = folder / f"{assignment.lower()}.json"
    if (folder / started_folder.NAME).exists():
        return progress.kit_of(folder), Started.read(folder).parameters
    kit = Kit.load(beside) if beside.exists() else Kit.read(assignment)
    return kit, parameters.drawn(kit.assignment, "", "")
