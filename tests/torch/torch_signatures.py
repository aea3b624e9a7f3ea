"""Every public name beside PyTorch's: what docs/from_pytorch.toml says, and nothing else, differs.

The page "Coming from PyTorch" is made from that table, so this is the test of the page.
"""

import numpy as np
import pytest
import torch
from forms import differences, forms, of_signature

import etude
from pytorch_page import COUNTERPARTS, FUNCTIONAL, KINDS, ROWS, SECTIONS, counterpart, rows

NAMES = {name: thing for find in SECTIONS.values() for name, thing in find().items()}
SIGNED = ("lacks", "adds", "default", "order")


def found(name):
    """What differs: a set of ("lacks", "out") and so on."""
    where = counterpart(name, NAMES[name])
    mine = of_signature(NAMES[name])
    if where.startswith("torch.Tensor."):
        mine = (mine[0]._replace(name="self"), *mine[1:])  # nobody writes that name
    return differences(mine, forms(where)) if where else set()


def stated(rows):
    return {(kind, p) for row in rows for kind in SIGNED for p in row.get(kind, ())}


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_how_a_signature_differs(name):
    where = counterpart(name, NAMES[name])
    assert not where or forms(where), f"PyTorch does not say how {where} is called"
    own = [row for row in rows(name) if row["of"] != "*"]
    assert found(name) - stated(rows(name)) == set(), "not in the table"
    assert stated(own) - found(name) == set(), "in the table, and not so"


@pytest.mark.parametrize("row", [r for r in ROWS if "shows" in r], ids=lambda r: r["shows"])
def test_what_a_row_shows_is_so_in_etude_alone(row):
    assert shown(row["shows"], etude)
    assert not shown(row["shows"].replace("etude.", "torch."), torch)


def shown(expression, lib):
    """Whether an expression is true. An error is an answer too, where the other library has one.

    """
    try:
        return bool(eval(expression, {"etude": lib, "torch": lib, "np": np}))
    except (TypeError, RuntimeError, ValueError, AttributeError):
        return False


def test_each_row_says_one_thing_of_names_there_are():
    every = {pair for name in NAMES for pair in found(name)}
    for row in ROWS:
        assert len(row.keys() & set(KINDS)) == 1, row
        assert row["why"].endswith("."), row
        assert any(row in rows(name) for name in NAMES), row
        assert row["of"] != "*" or stated([row]) & every or not stated([row]), row


def test_counterparts_are_of_names_there_are():
    assert COUNTERPARTS.keys() | FUNCTIONAL <= NAMES.keys()
