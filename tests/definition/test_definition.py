"""The reference of every op against its exact definition, thinned; ``python tests/definition`` is
the whole.
"""

from pathlib import Path

import pytest
from exact import load
from judge import hold

from etude import TABLE
from etude_check.specs import specs

DEFINITIONS = load()


def test_every_op_has_a_definition():
    without = sorted(set(TABLE) - set(DEFINITIONS))
    assert not without, (f"no exact definition of {', '.join(without)}: write one, of a few lines, "
                         "in tests/definition/ops/<family>.py")


def test_docs_say_how_near_every_op_comes():
    """A row that a merge has put into the table above does not count."""
    page = (Path(__file__).parents[2] / "docs/measured.md").read_text()
    below = page.partition("\n## How near")[2]
    told = [line.split("`")[1] for line in below.splitlines() if line.startswith("| `")]
    assert told == sorted(TABLE), "python tests/definition --write --op ..."


@pytest.mark.parametrize(("op", "dtype"), [(op, d) for op in DEFINITIONS
                                           for d in specs()[op].dtypes])
def test_the_reference_is_what_the_definition_says(op, dtype):
    found = hold(op, DEFINITIONS[op], dtype)
    assert found.places, f"nothing was asked of {op}"
    assert not found.wrong, "\n".join(found.wrong[:5])
