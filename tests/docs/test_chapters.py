"""What chapters say of other parts: the kit passes the columns that they call right, and the walk
down the card of an op comes to every line of it.
"""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import following

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


def test_the_walk_down_a_card_comes_to_every_line_of_it(tmp_path):
    pytest.importorskip("click", reason="NOT RUN: needs the package click")
    card = following.run("etude ops softmax", tmp_path)
    labels = re.findall(r"^(\w+?)s? {2,}(?!yes|no)\S", card, re.M)  # the columns say yes or no
    assert {"save", "convention", "C", "source"} <= set(labels)
    walk = (CHAPTERS / "03-what-is-an-op.md").read_text().partition("## Family and class")[2]
    walk = walk.partition("## Your own, first try")[0]
    assert [label for label in labels if not re.search(rf"\b{label}s?\b", walk)] == []
