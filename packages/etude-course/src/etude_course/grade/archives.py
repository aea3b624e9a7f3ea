"""Reads a folder, a zip, a tar or a single file as {path: bytes}, without unpacking it to the disk.

Everything here was made by a student, or by somebody who wants more points than that. What could
reach beyond the hand-in (a link, "..", an absolute path, a device) refuses the whole of it, and so
does what is too large: sizes are counted while reading, since an archive's own table can lie.
Pickles are left out: to load one is to run it.
"""

from __future__ import annotations

import io
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

MEMBER = 8 << 20  # bytes of a file
TOTAL = 32 << 20  # bytes of a hand-in
MEMBERS = 2000  # files of a hand-in
SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill")
IGNORED = {"__MACOSX", "__pycache__"}  # and names that begin with a dot
DRIVE = re.compile(r"[A-Za-z]:")


class RefusedError(Exception):
    """The hand-in is not unpacked; the sentence says why."""


@dataclass
class Content:
    """The files of a hand-in, and what a person should know about them."""

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, source: IO[bytes]) -> None:
        data = source.read(MEMBER + 1)
        if len(data) > MEMBER:
            raise RefusedError(f"{name!r} is larger than {MEMBER >> 20} MB")
        self.size += len(data)
        if self.size > TOTAL:
            raise RefusedError(f"its files are larger than {TOTAL >> 20} MB together")
        if _pickle(name, data):
            self.notes.append(f"left out {name!r}: it is a pickle, and to load one is to run it")
            return
        if name in self.files:
            raise RefusedError(f"it holds {name!r} twice")
        self.files[name] = data


def stem(name: str) -> tuple[str, bool]:
    """The name without the ending of an archive, and whether it had one."""
    for ending in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[:-len(ending)], True
    return name, False


def read(path: Path) -> Content:
    """Raises RefusedError; OSError where the disk does."""
    content = Content()
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        raise RefusedError(f"{path.name!r} is a symbolic link")
    if stat.S_ISDIR(mode):
        _folder(path, content)
        return content
    if not stat.S_ISREG(mode):
        raise RefusedError(f"{path.name!r} is neither a file nor a folder")
    with path.open("rb") as file:
        if stem(path.name)[1]:
            return _archive(path.name, file)
        content.add(path.name, file)
    return content


def inner(name: str, data: bytes) -> Content:
    """The files of an archive that lay in a hand-in, by the same rules. Raises RefusedError."""
    return _archive(name, io.BytesIO(data))


def _archive(name: str, file: IO[bytes]) -> Content:
    content = Content()
    try:
        (_zip if name.lower().endswith(".zip") else _tar)(file, content)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError,
            RuntimeError, UnicodeDecodeError, ValueError) as error:
        raise RefusedError(f"{name!r} is damaged, or no archive of this kind: {error}") from error
    return content


def _folder(path: Path, content: Content) -> None:
    count = 0
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            inner = Path(place, name)
            mode = inner.lstat().st_mode
            if stat.S_ISLNK(mode) and not _ignored(name):
                raise RefusedError(f"{_inner(path, inner)!r} is a symbolic link")
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode) and not _ignored(name):
                raise RefusedError(f"{_inner(path, inner)!r} is neither a file nor a folder")
        folders[:] = sorted(f for f in folders if not _ignored(f))
        for name in sorted(f for f in files if not _ignored(f)):
            count = _counted(count)
            with Path(place, name).open("rb") as file:
                content.add(_inner(path, Path(place, name)), file)


def _inner(path: Path, inner: Path) -> str:
    return inner.relative_to(path).as_posix()


def _zip(source: IO[bytes], content: Content) -> None:
    count = 0
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            count = _counted(count)
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise RefusedError(f"{info.filename!r} is a symbolic link")
            name = _safe(info.filename)
            if info.is_dir() or _ignored(name):
                continue
            if info.flag_bits & 1:
                raise RefusedError(f"{name!r} is encrypted")
            with archive.open(info) as file:
                content.add(name, file)


def _tar(source: IO[bytes], content: Content) -> None:
    """Read as a stream, so that what is refused is not decompressed first."""
    with tarfile.open(fileobj=source, mode="r|*") as archive:
        for info in _counting(archive):
            if info.issym() or info.islnk():
                raise RefusedError(f"{info.name!r} is a link")
            if not info.isfile() and not info.isdir():
                raise RefusedError(f"{info.name!r} is neither a file nor a folder")
            name = _safe(info.name)
            if info.isdir() or _ignored(name):
                continue
            if info.size > MEMBER:
                raise RefusedError(f"{name!r} is larger than {MEMBER >> 20} MB")
            file = archive.extractfile(info)
            if file is not None:
                content.add(name, file)


def _counting(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    skipped = count = 0
    for info in archive:
        count = _counted(count)
        skipped += info.size  # also of what is ignored: to skip it is to decompress it
        if skipped > 2 * TOTAL:
            raise RefusedError(f"its files are larger than {TOTAL >> 20} MB together")
        yield info


def _counted(count: int) -> int:
    if count >= MEMBERS:
        raise RefusedError(f"it holds more than {MEMBERS:,} files")
    return count + 1


def _safe(name: str) -> str:
    """The path of a member, which stays inside. A backslash is a separator on some systems."""
    if "\0" in name or "\\" in name:
        raise RefusedError(f"the path {name!r} has a character that no path needs")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or DRIVE.match(name):
        raise RefusedError(f"the path {name!r} is absolute")
    if ".." in parts:
        raise RefusedError(f"the path {name!r} leads out of the hand-in")
    return "/".join(p for p in parts if p != ".")


def _ignored(name: str) -> bool:
    return any(part in IGNORED or part.startswith(".") for part in PurePosixPath(name).parts)


def _pickle(name: str, data: bytes) -> bool:
    if name.lower().endswith(PICKLES):
        return True
    protocol = len(data) > 2 and data[0] == 0x80 and data[1] in range(2, 6)
    return protocol and data.rstrip(b"\0").endswith(b".")
