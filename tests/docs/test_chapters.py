"""Columns that chapters show as right: the kit, which is stricter than a chapter, passes them."""

import re
from pathlib import Path

import pytest

engine = pytest.importorskip("etude_check.engine", reason="NOT RUN: needs the package etude-check")
candidate = pytest.importorskip("etude_check.worker.candidate")

CHAPTERS = Path(__file__).parents[2] / "docs" / "tutorials"
HEAD = "import numpy as np\nimport etude\n\n"
COLUMNS = [("03-what-is-an-op.md", "softmax", "my_softmax"),
           ("03-what-is-an-op.md", "softmax_backward", "my_softmax_backward"),
           ("03-what-is-an-op.md", "relu", "my_relu")]


def function(chapter, name):
    """The definition of the column ``name`` in a chapter, with its decorator."""
    text = (CHAPTERS / chapter).read_text(encoding="utf-8")
    found, = re.findall(rf"^@etude\.implements\([^\n]*\)\ndef {name}\(.*?(?=\n\n|\n```)", text,
                        re.S | re.M)
    return found


@pytest.mark.parametrize(("chapter", "op", "name"), COLUMNS)
def test_the_kit_finds_nothing_in_a_column_that_a_chapter_calls_right(chapter, op, name, tmp_path):
    path = tmp_path / f"{name}.py"
    path.write_text(HEAD + function(chapter, name) + "\n")
    report = engine.check(candidate.Candidate("module", str(path)), ops=[op], level="smoke")
    assert report.passed
    assert [record.case for record in report.failures] == []
