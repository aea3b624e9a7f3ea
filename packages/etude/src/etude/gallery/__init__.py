"""The gallery: one idea of each of the frameworks before this one, as a chapter that runs.

A chapter is a text with cells, a file in ``chapters/``, which is a link to
``docs/tutorials/gallery/`` and a folder in an installed Etude. The documentation executes them, and
``etude gallery`` (``commands/gallery.py``) lists them and runs one. Its front matter says whose
idea it is::

    gallery:
      system: Caffe
      year: 2013
      makers: who made it
      idea: the idea, in a sentence
      figure: what the last cells assert
      without: what happens with the idea switched off

Here they are read and run. A cell is plain Python, and running needs neither IPython nor YAML.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from etude.core.errors import ChapterError, did_you_mean

__all__ = ["Cell", "Chapter", "chapter", "chapters", "read", "run"]

FOLDER = Path(__file__).with_name("chapters")
#: No field is called "off" or "no", which YAML takes for False, and then the page does not build.
FIELDS = ("system", "year", "makers", "idea", "figure", "without")

_FIELD = re.compile(r"  (\w+): *(.*)")
_FENCE = "```{code-cell}"


class Cell(NamedTuple):
    """A cell of a chapter: its text, and the line of the file that it begins with."""

    number: int  # from 1
    line: int
    source: str


@dataclass(frozen=True)
class Chapter:
    """A chapter of the gallery, and what its front matter says."""

    path: Path
    system: str
    year: int  # of the first public release
    makers: str
    idea: str
    figure: str
    without: str

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def body(self) -> str:
        """The text below the front matter."""
        return self.text.split("---\n", 2)[2].lstrip("\n")

    def cells(self) -> list[Cell]:
        """The cells in order, without those of solutions. ChapterError for one without an end."""
        found: list[Cell] = []
        inside: list[str] | None = None  # the lines of the cell that is being read
        folded = False
        for number, line in enumerate(self.text.splitlines(), 1):
            if inside is None:
                folded = (folded or line.startswith("<details")) and line != "</details>"
                if line.startswith(_FENCE) and not folded:
                    inside, begin = [], number + 1
            elif line == "```":
                found.append(Cell(len(found) + 1, begin, "\n".join(inside)))
                inside = None
            else:
                inside.append("" if line.startswith(":tags:") else line)
        if inside is not None:
            raise ChapterError(f"{self.path}, line {begin - 1}: this cell has no end; close it "
                               f"with ``` on a line of its own")
        return found


# ------------------------------------------------------------------ reading


def chapters(folder: Path = FOLDER) -> list[Chapter]:
    """All chapters, by year and then by name. ChapterError if there is none, or one is wrong."""
    found = [read(path) for path in folder.glob("*.md")]
    if not found:
        raise ChapterError(f"there is no chapter in {folder}; install etude again, or in a clone "
                           f"look whether docs/tutorials/gallery is there")
    return sorted(found, key=lambda c: (c.year, c.system.lower()))


def chapter(name: str, folder: Path = FOLDER) -> Chapter:
    """The chapter called ``name``, or about the system of that name, in whatever case."""
    found = chapters(folder)
    for one in found:
        if name.lower() in (one.name, one.system.lower()):
            return one
    known = [c.name for c in found]
    raise ChapterError(f"the gallery has no chapter {name!r}{did_you_mean(name.lower(), known)} "
                       f"It has {', '.join(known)}")


def read(path: Path) -> Chapter:
    """The chapter in a file. ChapterError names the line of what is wrong, or what is missing."""
    given: dict[str, str] = {}
    field = ""
    for number, line in _block(path):
        if line.startswith("   ") and field:  # the sentence goes on
            given[field] += f" {line.strip()}"
            continue
        found = _FIELD.fullmatch(line)
        if found is None or found[1] not in FIELDS or found[1] in given:
            raise ChapterError(f"{path}, line {number}: below 'gallery:' stands each of "
                               f"{', '.join(FIELDS)} once, as '  idea: a sentence'; got {line!r}")
        field = found[1]
        given[field] = found[2]
    values = {name: _plain(value) for name, value in given.items()}
    missing = [name for name in FIELDS if not values.get(name)]
    if missing:
        raise ChapterError(f"{path}: its front matter does not say {', '.join(missing)}, which "
                           f"stand below 'gallery:'")
    if not values["year"].isdecimal():
        raise ChapterError(f"{path}: the year is a number, got {values['year']!r}")
    return Chapter(path, values["system"], int(values["year"]), values["makers"], values["idea"],
                   values["figure"], values["without"])


def _block(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of what stands below 'gallery:' in the front matter."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["---"] or "---" not in lines[1:]:
        raise ChapterError(f"{path}: a chapter begins with its front matter, between two lines "
                           f"'---'")
    inside = False
    for number, line in enumerate(lines[1 : lines.index("---", 1)], 2):
        if not line.startswith(" "):
            inside = line.rstrip() == "gallery:"
        elif inside:
            yield number, line.rstrip()


def _plain(value: str) -> str:
    """A value as YAML means it: without its quotes, or without a comment behind it."""
    for quote in "\"'":
        if value.startswith(quote):
            return value[1:].partition(quote)[0]
    return re.sub(r"\s+#.*", "", value).strip()


# ------------------------------------------------------------------ running


def run(which: Chapter, say: Callable[[str], Any] = print) -> dict[str, Any]:
    """Run the cells of a chapter, those of solutions left out, and return its figures.

    What cells print goes to stdout; ``say`` gets the value of each last expression as text.
    ChapterError names the cell and the line that failed, and has its exception as the cause.
    """
    cells = which.cells()
    with _as_main(f"<{which.path.name}>", which, cells) as space:
        for cell in cells:
            _run(which, cell, space, say)
    for name in ("shown", "holds", "figures"):
        if name not in space:
            raise ChapterError(f"{which.path}: no cell says what {name!r} is; a chapter ends with "
                               f"figures = shown() and assert holds(figures)")
    return dict(space["figures"])


@contextmanager
def _as_main(file: str, which: Chapter, cells: list[Cell]) -> Iterator[dict[str, Any]]:
    """The names of a program of its own, whose source tracebacks and ``inspect`` find: the file
    with every line empty that belongs to no cell.
    """
    lines = [""] * len(which.text.splitlines())
    for cell in cells:
        part = cell.source.split("\n")
        lines[cell.line - 1 : cell.line - 1 + len(part)] = part
    linecache.cache[file] = (1, None, [f"{line}\n" for line in lines], file)
    module, before = ModuleType("__main__"), sys.modules["__main__"]
    module.__file__ = file  # where inspect looks for a class
    sys.modules["__main__"] = module
    try:
        yield vars(module)
    finally:
        sys.modules["__main__"] = before


def _run(which: Chapter, cell: Cell, space: dict[str, Any], say: Callable[[str], Any]) -> None:
    """Run one cell. Asserts are kept, whatever Python was told of optimising."""
    file = f"<{which.path.name}>"
    try:
        tree = ast.parse("\n" * (cell.line - 1) + cell.source, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec", dont_inherit=True, optimize=0), space)
        if isinstance(last, ast.Expr):
            expression = ast.Expression(last.value)
            value = eval(compile(expression, file, "eval", dont_inherit=True, optimize=0), space)
            if value is not None:
                say(repr(value))
    except Exception as error:
        line = _line(error, file, cell)
        source = linecache.getline(file, line).strip()
        raise ChapterError(
            f"{which.path}, line {line} (cell {cell.number}): {type(error).__name__}: {error}\n"
            f"    {source}{_hint(error)}") from error


def _line(error: Exception, file: str, cell: Cell) -> int:
    """The line of the chapter in which ``error`` was raised, or through which it came last."""
    if isinstance(error, SyntaxError) and error.filename == file and error.lineno:
        return error.lineno
    line, frame = cell.line, error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def _hint(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "\nThe chapters need what pip install 'etude[all]' installs, and SciPy."
    return ""
