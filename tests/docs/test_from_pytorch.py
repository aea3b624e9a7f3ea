"""The page for those who come from PyTorch, as far as it can be held without PyTorch.

Whether what it says is so, tests/torch finds out (``tox -e torch``).
"""

import sys
from pathlib import Path

import pytest

from etude import functional, nn, optim

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import pytorch_page as page

NAMES = {name for find in page.SECTIONS.values() for name in find()}


def line_of(name):
    """The line of the page about a name: [what Etude has, PyTorch's name, what differs]."""
    start = f"`{name.replace('Tensor.', 'x.')}("
    found = [line for line in page.tables().splitlines()
             if line.startswith("| ") and line.split("|")[1].strip(" [").startswith(start)]
    assert len(found) == 1, (name, found)
    return [cell.strip() for cell in found[0].strip("| ").split(" | ")]


def test_every_public_name_has_one_line():
    assert set(functional.__all__) <= NAMES
    assert {f"nn.{n}" for n in nn.__all__ if isinstance(getattr(nn, n), type)} <= NAMES
    assert {f"optim.{n}" for n in optim.__all__} <= NAMES
    for name in NAMES:
        line_of(name)


def test_a_line_shows_the_call_with_pytorchs_names_and_its_counterpart():
    assert line_of("exp") == ["[`exp(input)`](ops/map_ops.md#op-exp)", "`torch.exp`", "the same"]
    assert line_of("pow")[0].startswith("[`pow(input, exponent)`]")
    assert line_of("relu")[1] == "`F.relu`"
    assert line_of("zeros")[0].startswith("`zeros(*")
    assert "dtype=float32" in line_of("zeros")[0]


def test_a_line_says_what_differs_and_why():
    call, theirs, said = line_of("Tensor.backward")
    assert call.startswith("`x.backward(gradient=None")
    assert theirs == "`torch.Tensor.backward`"
    assert said.startswith("No `inputs`: ")


def test_what_holds_everywhere_stands_in_front_and_in_no_line():
    front, _, tables = page.tables().partition("## Functions")
    assert "- No `out`: " in front
    assert "No `out`" not in tables


def test_the_reason_of_every_row_is_on_the_page():
    for row in page.ROWS:
        assert row["why"][1:] in page.tables()  # whose first letter may be a capital there


@pytest.mark.parametrize("row", page.ROWS, ids=lambda row: row["why"][:50])
def test_a_row_says_one_thing_of_names_there_are(row):
    assert len(row.keys() & set(page.KINDS)) == 1
    assert row.keys() <= {"of", "why", *page.KINDS}
    assert row["why"].endswith(".")
    known = NAMES | {"Tensor.__getitem__", "Tensor.__rand__"}  # operators have no line
    assert any(row in page.rows(name) for name in known)


def test_counterparts_are_of_names_there_are():
    assert page.COUNTERPARTS.keys() | page.FUNCTIONAL | page.FURTHER.keys() <= NAMES


def test_no_name_of_pytorch_leads_to_two_functions():
    theirs = [name for names in page.names().values() for name in names]
    assert len(theirs) == len(set(theirs))
