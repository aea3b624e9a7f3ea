"""The journal of a grading: a line for each thing that was done, on the disk before the next one.

It is the only record: what it does not hold was not done, and what it holds is not done again. So a
run may be killed at any moment and started again with the same command. A line that was being
written then is cut off, since nobody was told of it; a line that is damaged further up stops
everything, since somebody has to look.

A line is JSON with its own CRC-32 in front. Events are ``opened`` (an assignment, pinned by version
and hash), ``graded`` (a result), ``timed`` (the results of its speed checks) and ``override``
(points by hand). Later events win. One process writes at a time; a second one is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from etude_course.errors import CourseError

NAME = "journal.jsonl"
Event = dict[str, Any]


class Journal:
    """Opened for writing. ``events`` are those of the file and those added since."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise CourseError(f"Another run is grading into {str(folder)!r}: wait for it, or give "
                              f"another folder with --into.") from error
        self.events: list[Event] = []
        try:
            self.cut = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._file.close()

    def add(self, event: str, **fields: Any) -> None:
        """Append an event. It is on the disk when this returns. OSError if it cannot be; then the
        journal is as it was.
        """
        made = {"event": event, **fields}
        line, size = _line(made), self.path.stat().st_size
        try:
            while line:  # unbuffered: a full disk takes part of a line
                line = line[self._file.write(line):]
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(size)
            raise
        self.events.append(made)

    def _read(self) -> int:
        """The bytes that were cut off: of a line that was never finished."""
        self._file.seek(0)
        whole = 0
        for line, event in _events(self._file.read(), self.path):
            self.events.append(event)
            whole += len(line)
        size = self._file.seek(0, os.SEEK_END)
        if whole < size:
            self._file.truncate(whole)
            os.fsync(self._file.fileno())
        return size - whole


def read(folder: Path) -> list[Event]:
    """The events, without a lock: for reports and exports, also while a run is at work."""
    path = folder / NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise CourseError(f"There is no grading in {str(folder)!r}: 'etude course grade' makes "
                          f"one.") from error
    except OSError as error:
        raise CourseError(f"The journal {path} cannot be read: {error.strerror}.") from error
    return [event for _, event in _events(data, path)]


def _line(event: Event) -> bytes:
    text = json.dumps(event, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    return f"{zlib.crc32(text):08x} ".encode() + text + b"\n"


def _events(data: bytes, path: Path) -> Iterator[tuple[bytes, Event]]:
    """Every whole line. The last one may be half written; only then may it be wrong."""
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        event = _parsed(line)
        if event is not None:
            yield line, event
        elif number < len(lines):
            raise CourseError(f"{path}, line {number} is damaged. Nothing was changed. Restore "
                              f"the file from a copy, or remove the line: what it says is then "
                              f"done again.")


def _parsed(line: bytes) -> Event | None:
    crc, _, text = line.removesuffix(b"\n").partition(b" ")
    try:
        if not line.endswith(b"\n") or int(crc, 16) != zlib.crc32(text):
            return None
        event = json.loads(text)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
