"""A new assignment, from a template that can be proven as it is: to be changed bit by bit."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from etude_course.errors import CourseError
from etude_course.kit.progress import write_ours

FILES = {"assignment.toml": "assignment.toml", "checks.py": "checks.py", "handout.md": "handout.md",
         "drivers.py": "drivers.py", "solution/answer.py": "answer.py"}


def new(id_: str, folder: Path) -> list[Path]:
    """Write the template. CourseError for a folder that has something in it."""
    if not re.fullmatch(r"[A-Z][A-Z0-9]*", id_):
        raise CourseError(f"an assignment is called by a capital letter and a number, such as X1; "
                          f"got {id_!r}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CourseError(f"{folder} is there already, and not empty: nothing was written")
    template = resources.files("etude_course.author") / "template"
    for name, file in FILES.items():
        # .txt: they are no modules of the package
        text = (template / f"{file}.txt").read_text()
        write_ours(folder / name, text.replace("@ID@", id_))
    return [folder / name for name in FILES]
