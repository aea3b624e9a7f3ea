"""What a student has done: kept in each started folder, in files that are ours.

    .etude-course/kit.json      the assignment in the version that was started
    .etude-course/starter/      the files as they were handed out, for a merge
    .etude-course/before/       files as they were before a merge
    .etude-course/record.json   what came of the checks, which hints were shown

Which folders were started is noted in the user's data ($XDG_DATA_HOME or ~/.local/share). That
note is a convenience: where it cannot be written, nothing else is lost.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etude.data.files import write_atomically
from etude_course.errors import CourseError
from etude_course.kit import folder as started_folder
from etude_course.kit.folder import Started
from etude_course.kit.kit import Kit
from etude_course.record import Result

OURS = ".etude-course"
RECORD = "record.json"
KIT = "kit.json"
DESK = "course.json"


@dataclass
class Record:
    """What is known of a started folder: check -> [points, of how many, status] when it was last
    run, question -> number of hints that were shown.
    """

    checks: dict[str, list[Any]] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)
    checked: str = ""  # UTC

    @classmethod
    def read(cls, folder: Path) -> Record:
        """An empty record where there is none. CourseError for one that cannot be read."""
        path = folder / OURS / RECORD
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise CourseError(f"{path} cannot be read: {error}. It only holds what 'progress' "
                              f"shows and which hints you had: remove it to begin a new one"
                              ) from None

    def write(self, folder: Path) -> None:
        text = json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"
        write_ours(folder / OURS / RECORD, text)

    @property
    def points(self) -> int:
        return sum(points for points, _, _ in self.checks.values())


def write_ours(path: Path, text: str) -> None:
    """Write a text file, and the folder that it is in. CourseError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode(errors="surrogateescape"))
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror}") from None


def keep(folder: Path, result: Result) -> list[str]:
    """Note what came of the checks that were run; those that were not stay as they are. A sentence
    where that could not be done.
    """
    try:
        record = Record.read(folder)
        for c in result.checks:
            if c.untimed and c.id in record.checks:
                continue  # what was measured on a quieter machine holds
            record.checks[c.id] = [result.points(c), c.max_points, c.status.value]
        record.checked = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        record.write(folder)
    except CourseError as error:
        return [f"'progress' does not know of this check: {error}"]
    return []


def kit_of(folder: Path) -> Kit:
    """The kit of a started folder: that of its own version."""
    started = Started.read(folder)
    path = folder / OURS / KIT
    return Kit.load(path) if path.exists() else Kit.read(started.assignment)


def newer(kit: Kit) -> list[str]:
    """A sentence, if a later version of a started assignment is installed."""
    id_ = kit.assignment.id
    with suppress(CourseError):
        version = Kit.read(id_).assignment.version
        if version > kit.assignment.version:
            return [f"this folder has version {kit.assignment.version} of {id_}, and version "
                    f"{version} is installed: 'etude course start {id_} .' brings it up to date, "
                    f"and keeps what you have written"]
    return []


# ------------------------------------------------------------------ of all folders


@dataclass
class Desk:
    """What a student said last, and the folders that were started."""

    student: str = ""
    course: str = ""
    folders: list[str] = field(default_factory=list)

    @classmethod
    def read(cls) -> Desk:
        with suppress(OSError, ValueError, TypeError):
            return cls(**json.loads(_desk().read_text()))
        return cls()

    def write(self) -> None:
        with suppress(CourseError):
            write_ours(_desk(), json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")


def _desk() -> Path:
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "etude" / DESK


@dataclass(frozen=True)
class Work:
    """A started folder, read."""

    folder: Path
    started: Started
    kit: Kit
    record: Record

    @property
    def points(self) -> int:
        return min(self.record.points, self.kit.assignment.points)

    @property
    def of(self) -> int:
        return self.kit.assignment.points

    @property
    def done(self) -> bool:
        return self.points == self.of


def works(here: Sequence[Path] = ()) -> tuple[list[Work], list[str]]:
    """The folders that this student has started, and those in or under ``here``; and a sentence for
    each that could not be read. Of several of one assignment the one with most points is first.
    """
    noted = [Path(p) for p in Desk.read().folders]
    found = [p.parent for h in here for p in (h / started_folder.NAME,
                                              *sorted(h.glob(f"*/{started_folder.NAME}")))]
    read: dict[Path, Work] = {}
    troubles = []
    for folder in dict.fromkeys(p.resolve() for p in [*noted, *found]):
        if not (folder / started_folder.NAME).exists():
            continue  # moved or removed by the student
        try:
            read[folder] = Work(folder, Started.read(folder), kit_of(folder), Record.read(folder))
        except CourseError as error:
            troubles.append(str(error))
    return sorted(read.values(), key=lambda w: -w.points), troubles
