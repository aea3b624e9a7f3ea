"""Every public name beside PyTorch's: what docs/from_pytorch.toml says, and nothing else, differs.

The page "Coming from PyTorch" is made from that table, so this is the test of the page.
"""

from inspect import signature
from operator import attrgetter

import numpy as np
import pytest
import torch
from forms import EMPTY, differences, forms, plain

import etude
from etude import functional
from pytorch_page import (
    FURTHER,
    ROWS,
    SECTIONS,
    counterpart,
    parameters,
    rows,
)

NAMES = {name: thing for find in SECTIONS.values() for name, thing in find().items()}
SIGNED = ("lacks", "adds", "default", "order")
#: Functions of PyTorch whose first argument has a name in the documentation alone.
BY_POSITION = {"torch.from_numpy"}


def found(name):
    """What differs: a set of ("lacks", "out") and so on."""
    thing, where = NAMES[name], counterpart(name, NAMES[name])
    if not where:
        return set()
    mine = plain(parameters(name, thing))
    if where.startswith("torch.Tensor.") or where in BY_POSITION:  # nobody writes that name
        mine = (mine[0]._replace(name=forms(where)[0].names[0]), *mine[1:])
    there = [p.name for p in mine if name in functional.__all__ and refuses(thing, mine, p)]
    return differences(mine, forms(where)) | {("lacks", p) for p in there}


def refuses(function, mine, parameter):
    """Whether a parameter is there for its usual value alone."""
    needed = [etude.ones(2, 2) for p in mine if p.default is EMPTY]
    try:
        function(*needed, **{parameter.name: True})
    except Exception as error:
        return f"{parameter.name}=True is not in Etude" in str(error)
    return False


def test_further_names_are_of_pytorchs_functions():
    for theirs in FURTHER.values():
        for name in theirs:
            assert callable(attrgetter(name.removeprefix("torch."))(torch)), name


@pytest.mark.parametrize("name", [
    name for name, layer in NAMES.items()
    if "forward" in dir(layer) and layer.forward is not etude.nn.Module.forward
    and counterpart(name, layer)])
def test_a_layer_is_called_with_pytorchs_names(name):
    mine, theirs = NAMES[name], attrgetter(name)(torch)
    assert [*signature(mine.forward).parameters] == [*signature(theirs.forward).parameters]


def stated(rows):
    return {(kind, p) for row in rows for kind in SIGNED for p in row.get(kind, ())}


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_how_a_signature_differs(name):
    where = counterpart(name, NAMES[name])
    assert not where or forms(where), f"PyTorch does not say how {where} is called"
    own = [row for row in rows(name) if row["of"] != "*"]
    assert found(name) - stated(rows(name)) == set(), "not in the table"
    assert stated(own) - found(name) == set(), "in the table, and not so"


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch warns of some of it, and does it
@pytest.mark.parametrize("row", [r for r in ROWS if "shows" in r], ids=lambda r: r["shows"])
def test_what_a_row_shows_is_so_in_etude_alone(row):
    assert shown(row["shows"], etude)
    assert not shown(row["shows"].replace("etude.", "torch."), torch)


def refused(call):
    """Whether a call raises an error."""
    try:
        call()
    except Exception:
        return True
    return False


def shown(expression, lib):
    """Whether an expression is true. An error is an answer too, where the other library has one.

    """
    try:
        names = {"etude": lib, "torch": lib, "np": np, "refused": refused}
        return bool(eval(expression, names))
    except (TypeError, RuntimeError, ValueError, AttributeError):
        return False


@pytest.mark.parametrize("row", [r for r in ROWS if r["of"] == "*" and "lacks" in r],
                         ids=lambda r: ", ".join(r["lacks"]))
def test_what_is_lacking_everywhere_is_lacking_somewhere(row):
    assert stated([row]) <= {pair for name in NAMES for pair in found(name)}
