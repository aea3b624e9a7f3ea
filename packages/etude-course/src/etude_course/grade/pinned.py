"""An assignment as it was when grading began: a copy in the grading's folder, named by its hash.

Hand-ins are graded with the copy, late ones too, so that an edit of the source in mid-term changes
nobody's points behind their back. ``etude course regrade`` takes the edited source over: it says
which checks are different (``changed``), grades everyone again, and says what that changed
(``differences``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from etude.data.files import write_atomically
from etude_course.errors import CourseError
from etude_course.record import Result
from etude_course.run.pack import kit_of
from etude_course.source.assignment import Assignment
from etude_course.source.source import Source


def digest(folder: Path) -> str:
    """The hash of an assignment's files."""
    sha = hashlib.sha256()
    for name in _files(folder):
        data = (folder / name).read_bytes()
        sha.update(f"{name}\0{len(data)}\0".encode() + data)
    return sha.hexdigest()


def pin(folder: Path, into: Path) -> tuple[str, Path]:
    """The hash, and the copy of the folder in ``into``; made when it is not there yet."""
    try:
        found = digest(folder)
        copy = into / "assignment" / found[:16]
        if copy.is_dir() and digest(copy) == found:
            return found, copy
        started = copy.with_name(copy.name + ".part")
        shutil.rmtree(started, ignore_errors=True)
        shutil.rmtree(copy, ignore_errors=True)
        for name in _files(folder):
            (started / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, started / name)
        started.rename(copy)
    except OSError as error:
        raise CourseError(f"The assignment {str(folder)!r} cannot be copied to {str(into)!r}: "
                          f"{error.strerror}.") from error
    return found, copy


def kit(copy: Path) -> Path:
    """The kit of a pinned assignment, in a file beside it: made once for the whole class."""
    file = copy.with_name(copy.name + ".kit.json")
    if not file.is_file():
        write_atomically(file, kit_of(Source.read(copy)).text.encode())
    return file


def _files(folder: Path) -> list[str]:
    """Every file by its path, in order; what Python and editors leave behind is not meant."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith((".", "__"))]
        found += [Path(place, f).relative_to(folder).as_posix() for f in files
                  if not f.startswith(".")]
    return sorted(found)


# ------------------------------------------------------------------ what changed


@dataclass
class Changed:
    """Between two versions of an assignment."""

    checks: list[str] = field(default_factory=list)  # sentences, one for each
    files: list[str] = field(default_factory=list)
    wording: list[str] = field(default_factory=list)  # what changes nobody's points

    @property
    def points(self) -> bool:
        """Whether anybody's points may change."""
        return bool(self.checks or self.files)


WORDS = {"title", "hints", "chapter", "handout.md"}  # of an assignment, a question, a check


def changed(old: Assignment, new: Assignment, before: Path, after: Path) -> Changed:
    """What is different, as sentences."""
    made = Changed()
    was, now = ({c.id: c for c in a.checks} for a in (old, new))
    for id_ in dict.fromkeys([*was, *now]):
        if id_ not in now:
            made.checks.append(f"{id_}: gone ({was[id_].points} points)")
        elif id_ not in was:
            made.checks.append(f"{id_}: new ({now[id_].points} points)")
        else:
            ours, theirs = asdict(was[id_]), asdict(now[id_])
            parts = [f"{k} was {ours[k]!r}, is {theirs[k]!r}" for k in ours
                     if ours[k] != theirs[k]]
            real = any(ours[k] != theirs[k] for k in ours if k not in WORDS)
            if parts:
                (made.checks if real else made.wording).append(f"{id_}: {'; '.join(parts)}")
    for name in ("limits", "parameters", "files"):
        if getattr(old, name) != getattr(new, name):
            made.checks.append(f"{name}: was {getattr(old, name)}, is {getattr(new, name)}")
    for name in sorted({*_files(before), *_files(after)} - {"assignment.toml"}):
        if _data(before / name) != _data(after / name):
            (made.wording if name in WORDS else made.files).append(name)
    return made


def _data(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def differences(before: list[Result], after: list[Result]) -> list[str]:
    """A line for everyone whose points are not what they were."""
    old = {r.student: r for r in before}
    lines = []
    for result in after:
        was = old.get(result.student)
        if was is None:
            continue
        then = {c.id: was.points(c) for c in was.checks}
        now = {c.id: result.points(c) for c in result.checks}
        parts = [f"{i} {then.get(i, '-')} -> {now.get(i, '-')}"
                 for i in dict.fromkeys([*then, *now]) if then.get(i, 0) != now.get(i, 0)]
        if parts or was.score != result.score:
            lines.append(f"{result.student}: {was.score} of {was.max_score} -> {result.score} of "
                         f"{result.max_score}{' (' if parts else ''}{', '.join(parts)}"
                         f"{')' if parts else ''}")
    return lines
