"""Collects a folder of hand-ins: one folder, file or archive for each student.

Whose it is stands in the name: the student's id alone ("s001.zip"), or with other words around it
("doe_s001_file.zip"), when there is a roster. When it was handed in is known from the collector: a
CSV file of times (``times``), or a time after an @ in the name ("s001@20261128T225900Z.zip"). The
dates of the files themselves are not looked at.

Only the files that the assignment asks for are taken: where a hand-in has a folder named after the
assignment, those in it, and where it holds an archive and no such file, those of the archive. Each
hand-in is stored under the hash of its files, so that what was graded stays what it was.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from etude_course.errors import CourseError
from etude_course.grade import archives, late
from etude_course.grade.roster import Roster
from etude_course.kit import cells

SHOWN = 6  # names in a sentence
STARTED = "assignment.json"  # in a folder that "etude course start" made


@dataclass
class HandIn:
    """What one student, or one group, handed in last."""

    student: str
    entry: str  # its name in the folder
    members: list[str] = field(default_factory=list)
    submitted: str = ""  # UTC, by the collector's clock; "" where nobody said
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    started: dict[str, Any] = field(default_factory=dict)  # what its STARTED says
    trouble: str = ""  # why nobody can tell which files are meant: a person has to look

    @property
    def submission(self) -> str:
        """The hash of the files, names and lengths included."""
        sha = hashlib.sha256()
        for name, data in sorted(self.files.items()):
            sha.update(f"{name}\0{len(data)}\0".encode() + data)
        return sha.hexdigest()

    def store(self, into: Path) -> Path:
        """Write the files to ``into/STUDENT/HASH``, all of them or none; the folder."""
        folder = into / self.student / self.submission[:16]
        if folder.is_dir():
            return folder
        started = folder.with_name(folder.name + ".part")
        shutil.rmtree(started, ignore_errors=True)  # of a run that was killed
        for name, data in self.files.items():
            file = started / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        started.mkdir(parents=True, exist_ok=True)  # where nothing was handed in
        started.rename(folder)
        return folder


@dataclass
class Collected:
    """All of a class."""

    handins: list[HandIn]
    unclaimed: list[str]  # sentences about entries that cannot be graded
    missing: list[str]  # students without a hand-in


def collect(folder: str | Path, roster: Roster, wanted: Sequence[str],
            times: dict[str, str] | None = None, id_: str = "") -> Collected:
    """The latest hand-in of every student or group. ``wanted``: the files of the assignment, whose
    ``id_`` may stand before the student's ("a2-s001.zip"), and name a folder in the hand-in.
    """
    entries = _entries(folder)
    times = dict(times or {})
    whose: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    unclaimed = []
    for entry in entries:
        name, at = _timed(entry)
        student, sentence = _owner(name, roster, id_, wanted)
        if sentence:
            unclaimed.append(f"{entry.name}: {sentence}")
            continue
        submitted = times.pop(entry.name, "") or at or times.get(student, "")
        whose[student].append((entry, submitted))
    known = {e.name for e in entries} | set(whose)
    stray = sorted(set(times) - known - set(roster.students))
    if stray:
        raise CourseError(f"The times name {_few(stray)}, and neither a hand-in nor a student is "
                          f"called that.")
    handins = [_latest(group, roster, wanted, id_) for group in _together(whose, roster)]
    there = {m for h in handins for m in h.members}
    unclaimed += [f"{h.entry}: {h.trouble}" for h in handins if h.trouble]
    return Collected(sorted((h for h in handins if not h.trouble), key=lambda h: h.student),
                     unclaimed,
                     [s for s in roster.students if s not in there])


def single(entry: Path, wanted: Sequence[str], id_: str = "", roster: Roster | None = None
           ) -> HandIn:
    """One hand-in by itself. Whose it is follows from its name where the roster has such a student.
    """
    if not entry.exists():
        raise CourseError(f"There is no hand-in {str(entry)!r}.")
    roster, (name, at) = roster or Roster(), _timed(entry)
    student, _ = _owner(name, roster, id_, wanted)
    return _latest([(student or name, entry, at)], roster, wanted, id_)


def read_times(path: str | Path) -> dict[str, str]:
    """A CSV with the columns "hand-in" (the name of an entry, or an id) and "submitted"."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CourseError(f"The times {path} cannot be read: {error}.") from error
    found = {}
    for line, row in enumerate(rows, 2):
        name, when = row.get("hand-in"), row.get("submitted")
        if not name or not when:
            raise CourseError(f"{path}, line {line}: the columns 'hand-in' and 'submitted' are "
                              f"wanted in every line.")
        try:
            found[name.strip()] = late.written(late.moment(when))
        except CourseError as error:
            raise CourseError(f"{path}, line {line}: {error}") from error
    return found


# ------------------------------------------------------------------ whose


def _entries(folder: str | Path) -> list[Path]:
    folder = Path(folder)
    if not folder.exists():
        raise CourseError(f"There is no folder {str(folder)!r} with hand-ins.")
    if not folder.is_dir():
        what = "an archive: unpack it first" if archives.stem(folder.name)[1] else "a file"
        raise CourseError(f"{str(folder)!r} is {what}; a folder with one folder, file or archive "
                          f"for each student is wanted.")
    entries = sorted(e for e in folder.iterdir() if not e.name.startswith((".", "__")))
    if not entries:
        raise CourseError(f"The folder {str(folder)!r} is empty: nothing was handed in.")
    return entries


def _timed(entry: Path) -> tuple[str, str]:
    """The name without endings, and the time after an @ in it."""
    name, archive = archives.stem(entry.name)
    if not archive and not entry.is_dir():
        name = PurePosixPath(name).stem
    before, at, after = name.rpartition("@")
    if at and after[:1].isdigit():
        try:
            return before, late.written(late.moment(after))
        except CourseError as error:
            raise CourseError(f"The name of the hand-in {entry.name}: {error}") from error
    return name, ""


def _owner(name: str, roster: Roster, id_: str, wanted: Sequence[str]) -> tuple[str, str]:
    """The student, or a sentence about why there is none."""
    if not roster.given:  # then the id is what is left of the name
        if id_:
            name = re.sub(rf"\A{re.escape(id_)}[-_]", "", name, flags=re.IGNORECASE)
        for stem in (PurePosixPath(w).stem for w in wanted):
            name = re.sub(rf"[-_]{re.escape(stem)}\Z", "", name)
        return (name, "") if re.match(r"[\w.@+-]+\Z", name) else ("", "the name is no id of a "
                                                                  "student")
    low = name.casefold()
    found = [i for i in roster.students if i.casefold() == low] or [
        i for i in roster.students
        if re.search(rf"(?<![^\W_]){re.escape(i.casefold())}(?![^\W_])", low)]
    longest = [i for i in found if not any(i != o and i in o for o in found)]
    if len(longest) == 1:
        return longest[0], ""
    if longest:
        return "", f"the name could mean {' or '.join(longest)}"
    return "", "nobody in the roster has such an id"


def _together(whose: dict[str, list[tuple[Path, str]]],
              roster: Roster) -> Iterable[list[tuple[str, Path, str]]]:
    """What was handed in by each student, or by each group: (student, entry, time)."""
    by: dict[tuple[str, ...], list[tuple[str, Path, str]]] = defaultdict(list)
    for student, entries in whose.items():
        members = tuple(roster.members(student))
        by[members] += [(student, entry, at) for entry, at in entries]
    return by.values()


# ------------------------------------------------------------------ what


def _latest(group: list[tuple[str, Path, str]], roster: Roster, wanted: Sequence[str],
            id_: str) -> HandIn:
    notes = []
    if len(group) > 1:
        names = ", ".join(sorted(e.name for _, e, _ in group))
        if not all(at for _, _, at in group) or len({at for _, _, at in group}) < len(group):
            raise CourseError(
                f"There are {len(group)} hand-ins by {' and '.join(roster.members(group[0][0]))} "
                f"({names}), and which is the latest is not known. Give the collector's times "
                f"with --times, or move the others away.")
        group = sorted(group, key=lambda g: g[2])
        others = ", ".join(f"{e.name} of {at}" for _, e, at in group[:-1])
        notes.append(f"handed in {len(group)} times; graded is the latest, "
                     f"{group[-1][1].name} of {group[-1][2]}, and not {others}")
    student, entry, submitted = group[-1]
    made = HandIn(student, entry.name, roster.members(student), submitted, notes=notes)
    try:
        content = archives.read(entry)
        there = _opened(made, _of_assignment(content.files, id_), wanted)
    except archives.RefusedError as error:
        made.notes.append(f"the hand-in {entry.name} is refused, and counts as empty: {error}")
        return made
    except OSError as error:
        raise CourseError(f"The hand-in {entry.name} cannot be read: {error.strerror}.") from error
    made.notes += content.notes
    _take(made, _with_cells(made, _of_assignment(there, id_)), wanted)
    return made


def _of_assignment(there: dict[str, bytes], id_: str) -> dict[str, bytes]:
    """The files in the folder that is named after the assignment; all, where there is none. A
    student's folder at nbgrader holds every assignment of the term.
    """
    inside = {p: data for p, data in there.items()
              if id_.casefold() in (f.casefold() for f in PurePosixPath(p).parts[:-1])}
    return inside or there


def _opened(made: HandIn, there: dict[str, bytes], wanted: Sequence[str]) -> dict[str, bytes]:
    """The files; of the single archive among them, where no other is an answer: Moodle gives a
    folder for each student, with what was uploaded in it. Raises RefusedError.
    """
    packed = [p for p in there if archives.stem(p)[1]]
    if not packed or any(_is_answer(p, wanted) for p in there):
        return there
    if len(packed) > 1:
        made.trouble = f"it holds {len(packed)} archives, and which counts is not known: " \
                       f"{_few(packed)}"
        return there
    content = archives.inner(packed[0], there[packed[0]])
    made.notes += content.notes
    again = [p for p in content.files if archives.stem(p)[1]]
    if again and not any(_is_answer(p, wanted) for p in content.files):
        made.trouble = f"in its archive {packed[0]} are archives again: {_few(again)}"
    rest = {p: data for p, data in there.items() if p != packed[0]}
    return {**rest, **content.files}


def _is_answer(path: str, wanted: Sequence[str]) -> bool:
    return path.endswith(".ipynb") or any(PurePosixPath(path).name == w or _renamed(path, w)
                                          for w in wanted)


def _with_cells(made: HandIn, there: dict[str, bytes]) -> dict[str, bytes]:
    """The files, those that a notebook writes as they stand in the notebook."""
    files = dict(there)
    for name in (n for n in there if n.endswith(".ipynb")):
        written, notes = cells.answers(there[name])
        made.notes += notes
        if written:
            del files[name]
            made.notes.append(f"{_few(written)}: as in the notebook {name}")
            folder = name.rpartition("/")[0]
            files |= {f"{folder}/{n}" if folder else n: data for n, data in written.items()}
    return files


def _take(made: HandIn, there: dict[str, bytes], wanted: Sequence[str]) -> None:
    """The wanted files of those that are there, and a note for each surprise."""
    taken = {p for p in there if PurePosixPath(p).name == STARTED}
    made.started = _started(there[min(taken, key=len)] if taken else b"")
    for name in wanted:
        found = [name] if name in there else [p for p in there if p.endswith("/" + name)]
        if not found:
            found = [p for p in there if _renamed(p, name)]
            if made.entry in there and [w for w in wanted if _suffix(w) == _suffix(made.entry)
                                        ] == [name]:
                found = [made.entry]  # a file that is called by its student: s001.py
            called = (f"{made.student}_{name}", f"{made.student}{_suffix(name)}")
            if len(found) == 1 and found[0] not in called:
                made.notes.append(f"taken as {name}: {found[0]}")
        if len(found) > 1:
            made.trouble = (f"there are several files called {name}, and which counts is not "
                            f"known: {_few(found)}")
        elif found:
            made.files[name] = there[found[0]]
        taken.update(found)
    rest = sorted(set(there) - taken)
    if not made.files:
        what = f"it holds {_few(rest)}" if rest else "it is empty"
        made.notes.append(f"the hand-in {made.entry} has no file {' or '.join(wanted)}: {what}")
    elif rest:
        made.notes.append(f"not looked at: {_few(rest)}")


def _started(data: bytes) -> dict[str, Any]:
    """The version and the course that the folder was started with; a student can have changed it.
    """
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _renamed(path: str, name: str) -> bool:
    """Whether a platform, or a browser, may have made the one from the other: s001_variance-1.py,
    "variance (2).py".
    """
    wanted = PurePosixPath(name)
    pattern = (rf"(?:.*_)?{re.escape(wanted.stem)}(?:-\d{{1,3}}| ?\(\d{{1,3}}\))?"
               rf"{re.escape(wanted.suffix)}")
    return re.fullmatch(pattern, PurePosixPath(path).name) is not None


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more"
                                       if len(names) > SHOWN else "")
