"""``etude course submit``: what is handed in, as one zip file."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from etude_course.kit.folder import Started
    from etude_course.kit.kit import Kit


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), metavar="ZIP",
              help="[default: FOLDER/a2-STUDENT.zip]")
def submit(folder: Path, to: Path | None) -> None:
    """Pack your answers in FOLDER, a started assignment, into a zip to hand in.

    It says what is not written yet, and packs all the same. Nothing is sent
    anywhere: upload the file where your teacher says.
    """
    from etude_course.commands import refusing
    from etude_course.errors import CourseError
    from etude_course.kit import archive
    from etude_course.kit.folder import NAME, Started
    from etude_course.kit.progress import Record, kit_of

    with refusing():
        kit = kit_of(folder)
        started = Started.read(folder)
        files = _answers(kit, folder)
        files[NAME] = (json.dumps(asdict(started) | {"hints": Record.read(folder).hints}, indent=1,
                                  sort_keys=True) + "\n").encode()
        unfinished = _unfinished(kit, folder, started)
        path = to or folder / _name(started)
        if not path.parent.exists():
            raise CourseError(f"there is no folder {str(path.parent)!r} to write {path.name} into: "
                              f"nothing was packed")
        archive.write(path, files)
    for sentence in unfinished:
        click.echo(f"Note: {sentence}")
    click.echo(f"Packed {', '.join(sorted(files))} into {path}")
    if not started.student:
        click.echo("The folder was started without --student: give the zip the name that your "
                   "teacher asks for, such as your id.")


def _answers(kit: Kit, folder: Path) -> dict[str, bytes]:
    """The files of an answer. CourseError where one that is asked for is not there."""
    from etude_course.errors import CourseError
    from etude_course.run.handin import LARGEST

    a = kit.assignment
    for q in a.questions:
        names = (q.file, *q.also)
        if not any((folder / n).is_file() for n in names):
            raise CourseError(f"{folder} has no {' or '.join(names)}, which answers the question "
                              f"{q.id!r}: nothing was packed. 'etude course start {a.id} "
                              f"{folder}' writes what is missing")
    found = {}
    for name in a.sources:
        path = folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise CourseError(f"{path} is no regular file: a copy of it is wanted")
        if path.exists():
            if path.stat().st_size > LARGEST:
                raise CourseError(f"{path} is larger than {LARGEST >> 20} MiB, which no grader "
                                  f"reads")
            found[name] = path.read_bytes()
    return found


def _unfinished(kit: Kit, folder: Path, started: Started) -> list[str]:
    """A sentence for each thing that cannot earn anything yet, or does not count."""
    from etude_course.run.handin import HandIn
    from etude_course.source import parameters

    starters = {n: parameters.render(t, started.parameters, n) for n, t in kit.starters.items()}
    answers, twice = {}, []
    with HandIn(kit.assignment, folder, starters) as hand_in:
        for q in kit.assignment.questions:
            answer = hand_in.answer(q)
            text = answer.path.read_text(errors="replace") if answer.path.exists() else ""
            answers[answer.name] = answer.trouble or _unwritten(text, starters.get(answer.name))
            if answer.judged:
                twice.append(f"{q.id}: {answer.judged}")
    return twice + [f"{name}: {said}" if not said.startswith(name) else said
                    for name, said in answers.items() if said]


def _unwritten(text: str, starter: str | None) -> str:
    """What of a file that can be read is still as the starter has it."""
    if text == starter:
        return "as it was handed out"
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # of another language
        return ""
    names = [f.name for f in ast.walk(tree) if isinstance(f, ast.FunctionDef)
             and any(isinstance(s, ast.Raise) and s.exc is not None
                     and ast.unparse(s.exc).startswith("NotImplementedError") for s in f.body)]
    return f"not written yet: {', '.join(names)}" if names else ""


def _name(started: Started) -> str:
    who = re.sub(r"[^\w.@+-]+", "_", started.student)
    return f"{started.assignment.lower()}{f'-{who}' if who else ''}.zip"
