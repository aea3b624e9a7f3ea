"""One file answers several questions: what one forbids, another may use. Where libraries are."""

import sys

import pytest

from etude_course.run import provenance
from etude_course.run.provenance import used

FILE = """
import numpy as np
from numpy import var as spread

HALF = np.float64(0.5)

def helper(x):
    return np.cumsum(x)

def plain(x):
    return x + 1

def by_helper(x):
    return helper(x)[-1]

def by_constant(x):
    return HALF * x

def by_import(x):
    return spread(x)

def by_method(x):
    return x.sum()

class Own:
    def call(self, x):
        return sum(x)
"""
FORBID = ("numpy.cumsum", "numpy.float64", "numpy.var", "numpy.sum", "sum")


@pytest.mark.parametrize(("name", "said"), [
    ("plain", []),
    ("by_helper", ["line 8: it uses numpy.cumsum"]),
    ("by_constant", ["line 5: it uses numpy.float64"]),
    ("by_import", ["line 20: it uses numpy.var"]),
    ("by_method", ["line 23: it uses numpy.sum"]),
    ("Own", ["line 27: it uses sum"]),
])
def test_what_a_function_reaches_counts_and_nothing_else(name, said):
    found = list(used("a.py", FILE, FORBID, [name]))
    assert [f.removeprefix("a.py, ").partition(",")[0] for f in found] == said


def test_without_names_or_with_unknown_ones_the_whole_file_counts():
    assert len(list(used("a.py", FILE, FORBID))) == 6
    assert len(list(used("a.py", FILE, FORBID, ["nothing"]))) == 6


def test_what_the_module_does_by_itself_counts_for_everybody():
    text = FILE + "\nfor name in ('cumsum',):\n    plain = np.cumsum\n"
    assert [*used("a.py", text, FORBID, ["by_method"])][-1].startswith("a.py, line 30")


def test_an_op_is_found_by_its_mark():
    text = ("import etude, numpy as np\n@etude.implements('sum')\ndef total(x):\n"
            "    return np.sum(x)\n")
    assert len([*used("a.py", text, FORBID, ["sum"])]) == 1


def test_the_finder_of_setuptools_is_not_asked_where_a_library_is(monkeypatch):
    """Asked for pip, it takes Python's own distutils out of the process."""

    class Finder:
        def find_spec(self, module, path=None):
            raise AssertionError(f"asked for {module}")

    Finder.__module__ = "_distutils_hack"
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert any(place.name == "numpy" for place in provenance._places("numpy"))
