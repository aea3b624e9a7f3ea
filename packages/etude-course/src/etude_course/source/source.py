"""An assignment's folder, read whole: texts, cases that can be drawn, mistakes that can be made.

    solution/elementwise.py   with marked regions
    checks.py                 draws cases, says what is expected
    drivers.py                public functions that call the answer, and judges
    handout.md                what a student reads

What stands in assignment.toml, ``assignment.py`` reads.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from etude_course.cases.case import Case
from etude_course.errors import CourseError
from etude_course.source import assignment as reading
from etude_course.source import checks as loading
from etude_course.source import parameters, regions
from etude_course.source.assignment import Assignment, Check, Mutant

PUBLIC = "visible"  # the seed of what students may see


@dataclass(frozen=True)
class Source:
    """The folder of an assignment. Only an instructor has one."""

    folder: Path
    assignment: Assignment

    @classmethod
    def read(cls, folder: Path) -> Source:
        """CourseError for what is missing, and for checks without cases."""
        folder = Path(folder)
        if not folder.is_dir():
            raise CourseError(f"there is no folder {str(folder)!r} (looked in {Path.cwd()})")
        found = cls(folder, reading.read(folder))
        for name in found.assignment.sources:
            found.solved(name)
        calls = {c.id for c in found.assignment.checks if c.kind == "call"}
        drawn = found.checks.draws
        for id_ in sorted(calls - set(drawn)):
            raise CourseError(f"{folder / 'checks.py'} draws no cases of the check {id_!r}: put "
                              f"@cases({id_!r}) above a function that does")
        for id_ in sorted((set(drawn) | set(found.checks.oracles)) - calls):
            raise CourseError(f"{folder / 'checks.py'}: assignment.toml has no check {id_!r} that "
                              f"calls")
        for check in found.assignment.checks:
            for name in (check.call, check.judge):
                if name.startswith("drivers:") and f"def {name[8:]}(" not in found.drivers:
                    raise CourseError(f"check {check.id!r} wants {name}, and drivers.py has no "
                                      f"function {name[8:]}")
        for mutant in found.assignment.mutants:
            found.mutated(mutant)
        return found

    # ------------------------------------------------------------------ texts

    def solved(self, name: str) -> str:
        """A file of the solution, with its marks and without parameters in place."""
        return self._text(Path("solution") / name)

    def _text(self, path: Path, optional: bool = False) -> str:
        try:
            return (self.folder / path).read_text()
        except FileNotFoundError:
            if optional:
                return ""
            raise CourseError(f"{self.folder} has no {path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise CourseError(f"{self.folder / path} cannot be read: {error}") from None

    def starters(self) -> dict[str, str]:
        """Name -> text of every file that a student may hand in, as it is handed out."""
        return {name: regions.starter(self.solved(name), name) for name in self.assignment.sources}

    def solutions(self) -> dict[str, str]:
        return {name: regions.solution(self.solved(name), name)
                for name in self.assignment.sources}

    def mutated(self, mutant: Mutant) -> dict[str, str]:
        """The files of the solution with the mistake in it."""
        text = self.solved(mutant.file)
        for old, new in mutant.edits:
            if text.count(old) != 1:
                raise CourseError(f"mutant {mutant.name!r} of {self.folder} replaces {old!r}, "
                                  f"which should be once in {mutant.file}, and is there "
                                  f"{text.count(old)} times")
            text = text.replace(old, new)
        return {**self.solutions(), mutant.file: regions.solution(text, mutant.file)}

    @cached_property
    def drivers(self) -> str:
        return self._text(Path("drivers.py"), optional=True)

    @cached_property
    def handout(self) -> str:
        return self._text(Path("handout.md"))

    @cached_property
    def digest(self) -> str:
        """sha256 of the folder: what was made of it is made again when this changes."""
        found = hashlib.sha256()
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            if "__pycache__" not in path.parts and "build" not in path.parts:
                found.update(f"{path.relative_to(self.folder)}\0".encode() + path.read_bytes())
        return found.hexdigest()

    # ------------------------------------------------------------------ cases

    @cached_property
    def checks(self) -> loading.Checks:
        path = self.folder / "checks.py"
        if not path.exists():
            return loading.Checks()
        return loading.load(path)

    def visible(self, check: Check, values: dict[str, Any]) -> list[Case]:
        seed = parameters.number(PUBLIC, self.assignment.id, check.id)
        return self.checks.draw(check.id, seed, values, check.visible, hidden=False)

    def hidden(self, check: Check, values: dict[str, Any], seed: str, student: str) -> list[Case]:
        """The cases that a student does not see, from the secret ``seed``."""
        secret = parameters.number(seed, self.assignment.id, check.id, student)
        return self.checks.draw(check.id, secret, values, check.hidden, hidden=True)
