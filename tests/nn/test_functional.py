"""etude.nn.functional is etude.functional, however it is imported."""

import importlib
import subprocess
import sys

import pytest

import etude
import etude.nn.functional as F
from etude.nn.functional import relu


def test_it_is_the_one_module_of_functions():
    assert F is etude.functional
    assert etude.nn.functional is etude.functional
    assert importlib.import_module("etude.nn.functional") is etude.functional
    assert relu is etude.functional.relu
    assert relu(etude.tensor([-1.0, 2.0])).tolist() == [0, 2]


@pytest.mark.parametrize("line", [
    "import etude.nn.functional as F", "from etude.nn import functional as F",
    "from etude import nn; F = nn.functional", "import etude; F = etude.nn.functional"])
def test_it_is_there_when_nothing_else_was_imported(line):
    ask = f"{line}\nimport etude.functional\nassert F is etude.functional\nprint(F.relu.__name__)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("relu\n", "")


def test_a_function_that_is_not_there_is_named():
    with pytest.raises(AttributeError, match=r"has no 'rleu'. Did you mean 'relu'"):
        F.rleu  # noqa: B018
