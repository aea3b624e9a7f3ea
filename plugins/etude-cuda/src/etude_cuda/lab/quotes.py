"""The source lines that reports quote. A file that cannot be read quotes nothing, and no error."""

from __future__ import annotations

import re
from pathlib import Path

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Quotes:
    """Lines by file and number, from 1. Names are relative to one of ``folders``; ``texts`` come
    first."""

    def __init__(self, *folders: str | Path, texts: dict[str, str] | None = None) -> None:
        self.folders = [Path(f) for f in folders or (".",)]
        self._lines = {name: _lines(text) for name, text in (texts or {}).items()}

    def lines(self, file: str) -> list[str]:
        """All lines of a file, without their ends; [] if it cannot be read."""
        if file not in self._lines:
            there = [f / file for f in self.folders if file and (f / file).is_file()]
            self._lines[file] = _lines(_text(there[0])) if there else []
        return self._lines[file]

    def line(self, file: str, number: int) -> str:
        """One line without the white space around it, "" if there is none."""
        lines = self.lines(file)
        return lines[number - 1].strip() if 0 < number <= len(lines) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _lines(text: str) -> list[str]:
    """Lines as an editor counts them, without characters that would steer a terminal."""
    return [CONTROL.sub("", line.expandtabs(4)) for line in text.split("\n")]
