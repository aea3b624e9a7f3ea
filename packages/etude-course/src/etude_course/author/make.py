"""What is made of an assignment's source, the same bytes each time:

    starter/      what a student begins with        handout.md   what is asked
    solution/     for whoever teaches               a2.json      the kit that students install
    notebook/     a2.ipynb, for Jupyter and nbgrader, and what it needs beside it

Where an assignment has parameters, starter, solution and handout are an example, with the first
value of each: a student's own come with ``etude course start`` and the kit.

What students get is searched for what they must not (``leaks``) before anything is written.
"""

from __future__ import annotations

import json
from pathlib import Path

from etude.data.files import write_atomically
from etude_course.author.notebook import CONFIG, notebook
from etude_course.errors import CourseError
from etude_course.kit.kit import Kit
from etude_course.run.pack import pack
from etude_course.source import parameters, regions
from etude_course.source.source import Source

SHORT = 12  # characters: a shorter line of a solution stands in many a text


def build(source: Source, to: Path) -> list[Path]:
    """Write everything into the folder ``to``, and return what was written."""
    kit = packed(source)
    name = source.assignment.id.lower()
    values = source.assignment.combinations[0]
    texts = {f"{name}.json": kit.text, "handout.md": kit.handout,
             f"notebook/{name}.json": kit.text, f"notebook/{name}.ipynb": notebook(kit),
             "notebook/nbgrader_config.py": CONFIG}
    texts |= {f"starter/{name}": text for name, text in kit.starters.items()}
    texts |= {f"solution/{name}": text for name, text in source.solutions().items()}
    shown = ("handout.md", "starter/", "solution/")
    return [_write(to / name, parameters.render(text, values, name) if name.startswith(shown)
                   else text) for name, text in texts.items()]


def packed(source: Source) -> Kit:
    """The kit, made now and searched. CourseError if it gives something away."""
    kit = pack(source)
    if found := leaks(source, kit.text):
        raise CourseError(f"{source.folder}: the kit that students install would hold "
                          f"{found[0]!r}, a line of the solution, of a mistake or of checks.py")
    return kit


def install(source: Source, folder: Path) -> Path:
    """Write the kit alone, where the package has those of the course."""
    return _write(folder / f"{source.assignment.id.lower()}.json", packed(source).text)


def _write(path: Path, text: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror}") from None
    return path


def leaks(source: Source, text: str) -> list[str]:
    """Lines of the solution, of mistakes and of checks.py that a text holds, as they are or as JSON
    writes them. A line that the author has made public is none.
    """
    a = source.assignment
    secret = [line for name in a.sources for region in regions.regions(source.solved(name), name)
              for line in region.splitlines()]
    secret += [line for m in a.mutants for _, new in m.edits for line in new.splitlines()]
    checks = source.folder / "checks.py"
    secret += checks.read_text().splitlines() if checks.exists() else []
    public = "\n".join([*source.starters().values(), source.drivers, source.handout,
                        *(h for q in a.questions for h in q.hints)])
    found = []
    for line in dict.fromkeys(s.strip() for s in secret):
        written = (line, json.dumps(line)[1:-1])
        if len(line) >= SHORT and line not in public and any(w in text for w in written):
            found.append(line)
    return found
