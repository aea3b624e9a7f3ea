"""A small assignment, written into a folder: what the tests of the course are about."""

import sys
import textwrap
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # made_class.py and attacks.py are shared

TOML = '''
id = "T1"
title = "A small one"
version = 1
files = ["small.py"]

[[question]]
id = "double"
title = "Twice as much"
hints = ["Add it to itself."]

  [[question.check]]
  id = "double-values"
  points = 3
  call = "double"
  visible = 3
  hidden = 4

  [[question.check]]
  id = "double-refuses"
  points = 2
  call = "double_all"
  visible = 2
  hidden = 2

[[mutant]]
name = "squared"
mistake = "this is x * x; asked for is x + x"
old = "return x + x"
new = "return x * x"
loses = ["double-values"]

[[mutant]]
name = "empty-is-fine"
mistake = "an empty list is let pass; asked for is ValueError"
old = """    if not xs:
        raise ValueError("double_all: nothing to double")
"""
new = ""
loses = ["double-refuses"]
'''

SOLUTION = '''
"""A small assignment."""


def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return x + x
    # END SOLUTION


def double_all(xs):
    """Twice each of a list. ValueError for an empty one."""
    # BEGIN SOLUTION
    if not xs:
        raise ValueError("double_all: nothing to double")
    return [x + x for x in xs]
    # END SOLUTION
'''

CHECKS = '''
import numpy as np

from etude_course.source.checks import Raises, cases, expected


@cases("double-values")
def double_values(rng, parameters):
    while True:
        n = int(rng.integers(1, 5))
        yield f"{n} numbers", (rng.normal(size=n).astype(np.float32) + 5,)


@cases("double-refuses")
def double_refuses(rng, parameters):
    yield "an empty list", ([],)
    while True:
        yield "a list", ([int(n) for n in rng.integers(1, 9, 3)],)


@expected("double-refuses")
def _(xs, parameters):
    return [x + x for x in xs] if xs else Raises("ValueError")
'''


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Kits that tests make, and folders that they start, are kept out of the user's."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("course-data")))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "course-cache"))


@pytest.fixture
def written(tmp_path):
    """``written(toml=..., solution=...)``: the folder of an assignment, with these files."""
    def write(toml=TOML, solution=SOLUTION, checks=CHECKS, handout="# A small one\n", **files):
        folder = tmp_path / "t1-small"
        (folder / "solution").mkdir(parents=True, exist_ok=True)
        texts = {"assignment.toml": toml, "solution/small.py": solution, "checks.py": checks,
                 "handout.md": handout, **{k.replace("_", "."): v for k, v in files.items()}}
        for name, text in texts.items():
            (folder / name).write_text(textwrap.dedent(text))
        return folder

    return write


@pytest.fixture
def small(written):
    """The small assignment as a Source."""
    from etude_course.source.source import Source

    return Source.read(written())


@pytest.fixture
def hand_in(tmp_path):
    """``hand_in("def double(x): ...")``: the folder of a hand-in."""
    def write(text=None, name="small.py", **more):
        folder = tmp_path / "handed-in"
        folder.mkdir(exist_ok=True)
        if text is not None:
            (folder / name).write_text(textwrap.dedent(text))
        for other, content in more.items():
            (folder / other.replace("_", ".")).write_text(textwrap.dedent(content))
        return folder

    return write
