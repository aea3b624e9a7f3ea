"""Starts an assignment in a folder, or brings a started one to another version.

No file that a student has changed is written over. Where the new version begins with another text,
the changes of both are merged, and the file as it was is kept; where they touch the same lines,
the new text is saved beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

from etude_course.errors import CourseError
from etude_course.kit import folder as started_folder
from etude_course.kit import progress
from etude_course.kit.folder import Started
from etude_course.kit.kit import Kit
from etude_course.kit.merge import merged
from etude_course.kit.progress import OURS, Desk, write_ours
from etude_course.source import parameters

CHAPTER_LINK = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")


def start(kit: Kit, folder: Path, student: str = "", course: str = "") -> list[str]:
    """Write what is handed out into ``folder``; a sentence for each file. CourseError for a folder
    that is something else.
    """
    a = kit.assignment
    before = _before(kit, folder, student, course)
    if before is not None:
        student, course = before.student, before.course
    values = parameters.drawn(a, course, student)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CourseError(f"{folder} cannot be made: {error.strerror}") from None
    said = [_hand_out(folder, name, text) for name, text in handed_out(kit, values).items()]
    write_ours(folder / OURS / progress.KIT, kit.text)
    Started(a.id, a.version, course, student, values).write(folder)
    desk = Desk.read()
    here = str(folder.resolve())
    Desk(student or desk.student, course or desk.course,
         [*(f for f in desk.folders if f != here), here]).write()
    return said


def handed_out(kit: Kit, values: dict[str, object]) -> dict[str, str]:
    """The files that a student begins with."""
    handout = CHAPTER_LINK.sub(r"\1", kit.handout)  # the chapters are not in this folder
    texts = {**kit.starters, "handout.md": handout}
    if kit.drivers:
        texts["drivers.py"] = kit.drivers
    return {name: parameters.render(text, values, name) for name, text in texts.items()}


def _before(kit: Kit, folder: Path, student: str, course: str) -> Started | None:
    """What the folder was started as, if it was."""
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file; an assignment is started in a folder")
    if not (folder / started_folder.NAME).exists():
        return None
    before, a = Started.read(folder), kit.assignment
    if before.assignment != a.id:
        raise CourseError(f"{folder} holds {before.assignment}. Start {a.id} in another folder: "
                          f"etude course start {a.id} FOLDER")
    for name, was, wanted in (("student", before.student, student),
                              ("course", before.course, course)):
        if wanted and wanted != was:
            raise CourseError(f"{folder} was started for the {name} {was or '(none)'}, and not "
                              f"for {wanted}: what is asked may differ. Use another folder")
    if before.version > a.version:
        raise CourseError(f"{folder} was started with version {before.version} of {a.id}, and this "
                          f"kit is version {a.version}: get the newer kit")
    return before


def _hand_out(folder: Path, name: str, new: str) -> str:
    """Write one file, if that loses nothing."""
    path, base_path = folder / name, folder / OURS / "starter" / name
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise CourseError(f"{path} is no regular file: move it away, and start again")
    mine, base = _text(path), _text(base_path)
    if mine is None:
        said = f"{name}: written"
        write_ours(path, new)
    elif mine == new:
        said = f"{name}: as it was handed out"
    elif base == new:
        said = f"{name}: kept, with your changes"
    elif mine == base:
        said = f"{name}: brought up to date; you had not changed it"
        write_ours(path, new)
    else:
        said = _bring_in(folder, name, mine, base, new)
    write_ours(base_path, new)
    return said


def _bring_in(folder: Path, name: str, mine: str, base: str | None, new: str) -> str:
    both = None if base is None else merged(mine, base, new)
    if both is not None:
        kept = _beside(folder / OURS / "before" / name, mine)
        write_ours(folder / name, both)
        return (f"{name}: merged, your changes and those of the new version. As it was before, it "
                f"is in {kept.relative_to(folder)}")
    beside = _beside(folder / f"{name}.new", new)
    return (f"{name}: kept, as you have it. What is handed out now is another text, and is beside "
            f"it in {beside.name}: compare the two")


def _beside(path: Path, text: str) -> Path:
    """Write a text to ``path``, or to a name like it if that one holds something else."""
    for number in range(1, 1000):
        one = path if number == 1 else path.with_name(f"{path.name}{number}")
        if _text(one) in (None, text):
            write_ours(one, text)
            return one
    raise CourseError(f"there are {number} files like {path}: move some away")


def _text(path: Path) -> str | None:
    """What a file holds; None if there is none."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CourseError(f"{path} cannot be read: {error.strerror}") from None
