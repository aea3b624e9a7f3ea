"""Is the file of a shared library whole? Asked before dlopen, which maps it and trusts its headers.

A compiler writes a library piece by piece, a copy can be cut short, and a disk can be full. Where
the headers speak of bytes that the file lacks, the first touch of them ends the process with
SIGBUS; no exception tells why. Only the headers are read. What is no library at all passes: dlopen
has words for that.

ELF: the System V ABI, chapters 4 and 5. Mach-O: Apple's OS X ABI Mach-O File Format Reference.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

NOBITS = 8  # an ELF section without bytes in the file: .bss
SEGMENT, SEGMENT_64 = 0x1, 0x19  # the commands of Mach-O that map a piece of the file


def missing(path: Path) -> str:
    """A sentence about a library that is cut short, or "" if its headers lie within the file."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            needed = _needed(file, file.read(4))
    except (struct.error, ValueError):  # the headers themselves are not all there
        return f"it is cut short: its {size} bytes end within its headers"
    if needed > size:
        return f"it is cut short: it has {size} bytes, and by its headers at least {needed}"
    return ""


def _needed(file: BinaryIO, magic: bytes) -> int:
    if magic == b"\x7fELF":
        return _elf(file)
    if magic in (b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf"):
        return _mach(file, 0, ">", magic[3] == 0xCF)
    if magic in (b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"):
        return _mach(file, 0, "<", magic[0] == 0xCF)
    if magic == b"\xca\xfe\xba\xbe":  # several of them in one file
        count, = _read(file, 4, ">I")
        entries = [_read(file, 8 + 20 * i, ">5I") for i in range(count)]
        return max((offset + size for _, _, offset, size, _ in entries), default=0)
    return 0


def _elf(file: BinaryIO) -> int:
    wide, low_first = _read(file, 4, "BB")
    order = "<" if low_first == 1 else ">"
    header = "16xHHIQQQIHHHHHH" if wide == 2 else "16xHHIIIIIHHHHHH"
    *_, segments, sections, _, _, segment, n_segments, section, n_sections, _ = _read(
        file, 0, order + header)
    ends = [segments + segment * n_segments, sections + section * n_sections]
    for i in range(n_segments):
        at = segments + segment * i
        if wide == 2:
            _, _, offset, _, _, size = _read(file, at, order + "IIQQQQ")
        else:
            _, offset, _, _, size = _read(file, at, order + "5I")
        ends.append(offset + size)
    for i in range(n_sections):
        form = "IIQQQQ" if wide == 2 else "6I"
        _, kind, _, _, offset, size = _read(file, sections + section * i, order + form)
        ends.append(0 if kind == NOBITS else offset + size)
    return max(ends)


def _mach(file: BinaryIO, start: int, order: str, wide: bool) -> int:
    count, length = _read(file, start + 16, order + "II")
    at = start + (32 if wide else 28)
    ends = [at + length]
    for _ in range(count):
        command, size = _read(file, at, order + "II")
        if command in (SEGMENT, SEGMENT_64):
            form = "24xQQQQ" if command == SEGMENT_64 else "24xIIII"
            _, _, offset, length = _read(file, at, order + form)
            ends.append(start + offset + length)
        at += max(size, 8)
    return max(ends)


def _read(file: BinaryIO, at: int, form: str) -> tuple[int, ...]:
    """What a struct in the file says. struct.error if the file ends before it does, ValueError
    if no file could be as long."""
    try:
        file.seek(at)
    except OSError:  # beyond the largest file that the system has
        raise ValueError(at) from None
    return struct.unpack(form, file.read(struct.calcsize(form)))
