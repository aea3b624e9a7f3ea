"""Files that may be gzip, unpacked as they are read, with a limit: a gzip file of a few megabytes
can be made to unpack to more than the memory holds.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gzip import GzipFile

#: Images and tables shrink two to twenty times. What unpacks to more than RATIO times its size is
#: not read, unless it is SMALL bytes at most.
RATIO, SMALL = 100, 16 << 20
CHUNK = 1 << 20  # bytes unpacked at a time


def read_gzip(path: Path) -> bytes:
    """The bytes of a file, unpacked if it is gzip. ValueError for a damaged one, and as soon as one
    unpacks to RATIO times its size.
    """
    import gzip  # here, so that import etude stays quick

    with open(path, "rb") as packed:
        if packed.read(2) != b"\x1f\x8b":
            packed.seek(0)
            return packed.read()
        packed.seek(0)
        parts: list[bytes] = []
        size = 0
        file = gzip.GzipFile(fileobj=packed)
        while part := _part(path, file):
            parts.append(part)
            size += len(part)
            if size > max(SMALL, RATIO * packed.tell()):
                raise ValueError(f"{path}: a gzip file that unpacks to more than {RATIO} times its "
                                 f"size, as no data set does. If it is what you want, unpack it "
                                 f"with gunzip and give the file that comes out")
    return b"".join(parts)


def _part(path: Path, file: GzipFile) -> bytes:
    """The next bytes; none at the end."""
    try:
        return file.read(CHUNK)
    except (EOFError, OSError, zlib.error) as e:
        raise ValueError(f"{path}: a damaged gzip file, perhaps half a download ({e}); get the "
                         f"file again") from None
