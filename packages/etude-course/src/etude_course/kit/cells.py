"""Answers in a notebook: a cell for each file, that begins with ``%%writefile`` and its name.

The cells are read, not run, so that what is graded is what stands in the notebook.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAGIC = re.compile(r"\s*%%writefile\s+([\w.-]+)[ \t]*\n")


def answers(data: bytes) -> tuple[dict[str, bytes], list[str]]:
    """File name -> content, and a sentence for each surprise. Of two cells for one file the later
    one counts, as it would if they were run.
    """
    try:
        cells = json.loads(data)["cells"]
        found = [_answer(c) for c in cells]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, ["the notebook cannot be read, so no answer was taken from it"]
    files: dict[str, bytes] = {}
    notes = []
    for name, text in (pair for pair in found if pair is not None):
        if name in files:
            notes.append(f"the notebook has two cells that write {name}; the later one was taken. "
                         f"Was a cell duplicated?")
        files[name] = text.encode()
    ids = [i for c in cells for i in [c.get("metadata", {}).get("nbgrader", {}).get("grade_id")]
           if i is not None]
    for id_ in dict.fromkeys(i for i in ids if ids.count(i) > 1):
        notes.append(f"the cell {id_!r} of nbgrader is {ids.count(id_)} times in the notebook: it "
                     f"was duplicated, and nbgrader itself refuses such a notebook with a message "
                     f"about old metadata")
    return files, notes


def _answer(cell: dict[str, Any]) -> tuple[str, str] | None:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    magic = MAGIC.match(text) if cell["cell_type"] == "code" else None
    if magic is None:
        return None
    rest = text[magic.end():]
    return magic[1], rest if rest.endswith("\n") else rest + "\n"
