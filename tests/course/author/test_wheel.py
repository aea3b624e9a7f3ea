"""What students install holds nothing that they should not have."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from etude_course.author.make import leaks
from etude_course.author.notebook import notebook
from etude_course.kit.kit import Kit, installed
from etude_course.source.source import Source

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "packages/etude-course/src/etude_course"
SOURCES = sorted(p.parent for p in (ROOT / "docs/tutorials").glob("a*/assignment.toml"))
SHORT = 20  # "except ValueError:", "return False": any Python file may have them, and imports
each = pytest.mark.parametrize("folder", SOURCES, ids=lambda p: p.name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Name -> text of every file of the wheel, built from this folder."""
    pytest.importorskip("hatchling", reason="NOT RUN: needs hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
                          cwd=PACKAGE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path, = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n).decode(errors="replace") for n in archive.namelist()}


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    there = {f"etude_course/{p.relative_to(PACKAGE).as_posix()}" for p in PACKAGE.rglob("*")
             if p.is_file() and "__pycache__" not in p.parts}
    assert "etude_course/author/prove.py" in there
    assert there - set(wheel) == set()


def test_no_source_of_an_assignment_is_in_the_wheel(wheel):
    names = [Path(n) for n in wheel]
    assert not [n for n in names if n.name in ("assignment.toml", "drivers.py")
                or "solution" in n.parts]
    assert [n.parent.name for n in names if n.name == "checks.py"] == ["source"]


@each
def test_no_file_of_the_wheel_has_a_line_of_a_solution_a_mistake_or_a_check(wheel, folder):
    source = Source.read(folder)
    for name, text in wheel.items():
        if "build/template/" in name:
            continue  # an assignment of its own
        assert not [line for line in leaks(source, text)
                    if len(line) >= SHORT and not line.startswith(("import ", "from "))], name


@each
def test_neither_its_notebook_nor_its_kit_has_one(folder):
    source = Source.read(folder)
    found = [k for k in map(Kit.load, installed()) if k.assignment.id == source.assignment.id]
    for kit in found:
        assert leaks(source, notebook(kit)) == []
        assert leaks(source, json.dumps(kit.to_json())) == []
