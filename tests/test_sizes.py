"""How much there is to read at a time: no file over 400 lines."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("packages", "plugins", "c_src", "tests", "tutorials", "docs")


def sources():
    """Python and C of this repository, not of environments and builds inside it."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT).parts
            if path.suffix in (".py", ".c", ".h") and "build" not in inside \
                    and not any(part.startswith((".", "_build")) for part in inside):
                yield path


def test_no_file_is_over_400_lines():
    found = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources()}
    if len(found) < 200:
        pytest.fail(f"only {len(found)} files found in {ROOT}")
    assert {p: n for p, n in found.items() if n > 400} == {}
