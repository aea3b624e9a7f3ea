"""Zip files of which the same content makes the same bytes, and of which there is never a half."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from etude.data.files import write_atomically
from etude_course.errors import CourseError

BEGINNING = (1980, 1, 1, 0, 0, 0)  # the first time that a zip file can hold
FILE, PROGRAM = 0o100644, 0o100755


def write(path: Path, files: Mapping[str, bytes], programs: frozenset[str] = frozenset()) -> None:
    """A zip with these files, in the order of their names; ``programs`` may be run."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, BEGINNING)
            info.create_system = 3  # Unix: else the rights below mean nothing
            info.external_attr = (PROGRAM if name in programs else FILE) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files[name], compresslevel=9)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, made.getvalue())
    except OSError as error:
        raise CourseError(f"{path} cannot be written: {error.strerror}") from None
