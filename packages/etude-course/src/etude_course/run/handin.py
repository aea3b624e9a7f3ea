"""A hand-in: the files of an assignment, alone in a folder of their own, and who answers what.

Nothing else that lay beside them is taken, so what is graded is what was handed in. A question may
be answered in several languages: the first file that is there, has the function and is no longer
the starter counts.
"""

from __future__ import annotations

import ast
import hashlib
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from etude_check.worker.candidate import Candidate, prepare
from etude_course.source.assignment import Assignment, Question

LARGEST = 1 << 20  # bytes of a file that is handed in
PYTHON = ".py"


@dataclass(frozen=True)
class Answer:
    """The file that answers a question, or in ``trouble`` why there is none that could run."""

    path: Path
    trouble: str = ""
    written: bool = True  # False: nobody has begun; the trouble says so
    others: tuple[str, ...] = ()  # files of other languages with an answer, which do not count

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def judged(self) -> str:
        """Which of several answers counts, in words; "" where there is one."""
        return f"judged: {self.name}; {' and '.join(self.others)} " \
               f"{'was' if len(self.others) == 1 else 'were'} not looked at" if self.others else ""


@dataclass
class HandIn:
    """The files of one hand-in, copied. ``starters`` are the texts that were handed out."""

    assignment: Assignment
    folder: Path
    starters: Mapping[str, str]
    troubles: dict[str, str] = field(default_factory=dict)  # of files that cannot be taken
    _copy: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="etude-course-"))

    def __post_init__(self) -> None:
        for name in self.assignment.sources:
            self._take(self.folder / name)

    def __enter__(self) -> HandIn:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._copy.cleanup()

    @property
    def at(self) -> Path:
        return Path(self._copy.name)

    def _take(self, path: Path) -> None:
        if path.is_symlink() or (path.exists() and not path.is_file()):
            self.troubles[path.name] = f"{path.name} is no regular file, so it is not read"
        elif path.exists() and path.stat().st_size > LARGEST:
            self.troubles[path.name] = f"{path.name} is larger than {LARGEST >> 20} MiB"
        elif path.exists():
            (self.at / path.name).write_bytes(path.read_bytes())

    @property
    def digest(self) -> str:
        """sha256 of the files that count."""
        found = hashlib.sha256()
        for path in sorted(self.at.iterdir()):
            found.update(f"{path.name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
        return found.hexdigest()

    def answer(self, question: Question) -> Answer:
        """The file that answers a question."""
        names = wanted(question)
        there = [f for f in (question.file, *question.also) if (self.at / f).exists()]
        for name in (f for f in (question.file, *question.also) if f in self.troubles):
            return Answer(self.at / name, self.troubles[name])
        if not there:
            return Answer(self.at / question.file, f"{question.file} is not there", written=False)
        having = [f for f in there if holds(self._text(f), f, names)] or there[:1]
        begun = [f for f in having if not self._untouched(f, names)]
        path = self.at / (begun or having)[0]
        return Answer(path, invalid(path), others=tuple(begun[1:]))

    def blank(self, question: Question) -> bool:
        """Whether nobody has written anything into the files of a question."""
        there = [f for f in (question.file, *question.also) if (self.at / f).exists()]
        texts = {f: self._text(f).strip() for f in there}
        return all(text in ("", self.starters.get(f, "").strip()) for f, text in texts.items())

    def _text(self, name: str) -> str:
        return (self.at / name).read_text(errors="replace")

    def _untouched(self, name: str, names: tuple[str, ...]) -> bool:
        """Whether what answers the question is as it was handed out."""
        mine, theirs = self._text(name), self.starters.get(name, "")
        if mine.strip() == theirs.strip():
            return True
        if not name.endswith(PYTHON) or not names:
            return False
        return _functions(mine, names) == _functions(theirs, names) != ""


def wanted(question: Question) -> tuple[str, ...]:
    """The functions and ops that an answer needs, as far as its checks name them."""
    calls = [c.call for c in question.checks if c.call and not c.call.startswith("drivers:")]
    return tuple(dict.fromkeys([*calls, *(op for c in question.checks for op in c.ops),
                                *(c.speed for c in question.checks if c.speed)]))


def holds(text: str, name: str, names: tuple[str, ...]) -> bool:
    """Whether a file seems to have one of these functions or ops, without running it."""
    if not names:
        return True
    either = "|".join(map(re.escape, names))
    if name.endswith(PYTHON):
        return bool(re.search(rf"\b(?:def|class)\s+(?:{either})\b|^(?:{either})\s*=|"
                              rf"implements\(\s*[\"'](?:{either})[\"']", text, re.M))
    return bool(re.search(rf"\b(?:etude_)?(?:{either})(?:_\w+)?\s*\(", text))


def _functions(text: str, names: tuple[str, ...]) -> str:
    """The functions and classes of these names, or marked as these ops, without their layout."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    found = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and (
        n.name in names or any(f"'{op}'" in ast.unparse(d) for d in n.decorator_list
                               for op in names))]
    return "\n".join(map(ast.unparse, found))


def invalid(path: Path) -> str:
    """Why a Python file cannot be run at all, with its line; "" if it can be tried."""
    if path.suffix != PYTHON:
        return ""
    data = path.read_bytes()
    if not data.strip():
        return f"{path.name} is empty"
    try:
        ast.parse(data)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        at = f", line {line}," if line else ""
        return f"{path.name}{at} is not valid Python: {getattr(error, 'msg', error)}"
    except (RecursionError, MemoryError):
        return f"{path.name} is nested too deeply for Python's parser"
    return ""


def candidate(path: Path, column: bool) -> Candidate:
    """What the kit is to load: for ops a ``column``, else functions to be driven. CheckError, with
    what the compiler said, for a source that cannot be compiled.
    """
    if path.suffix == PYTHON and not column:
        return prepare(Candidate("answer", str(path)))
    return prepare(Candidate.parse(str(path)))
