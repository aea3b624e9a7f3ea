"""What the tests of attacks share: an assignment, and a hand-in that attacks its grading.

A hand-in prints what its attack came to, on lines that begin with "attack:". So a test can tell an
attack that ran and got nothing from one that never began.
"""

import re
import textwrap
from functools import cache

import pytest

from etude_check.worker.walls import Walls
from etude_course.run.run import run

CALLS = """
id = "T1"
title = "A small one"
version = 1
files = ["small.py"]

[limits]
call = 1.5
total = 20

[[question]]
id = "double"
title = "Twice as much"

  [[question.check]]
  id = "double-values"
  points = 3
  call = "double"
  visible = 2
  hidden = 3

[[mutant]]
name = "squared"
mistake = "this is x * x; asked for is x + x"
old = "return x + x"
new = "return x * x"
loses = ["double-values"]
"""

SOLUTION = '''
def double(x):
    """Twice x."""
    # BEGIN SOLUTION
    return x + x
    # END SOLUTION
'''

CHECKS = '''
import numpy as np

from etude_course.source.checks import cases


@cases("double-values")
def double_values(rng, parameters):
    for n in (3, 4, 3, 3, 4):
        yield f"{n} numbers", (rng.normal(size=n).astype(np.float32) + 5,)
'''

RIGHT = "def double(x):\n    return x + x\n"

#: Put before the text of a hand-in: ``tried(what, f)`` says what became of one way of attacking.
TOLD = '''
import os, sys
import numpy as np

def told(*what):
    print("attack:", *what, flush=True)

def tried(what, f):
    try:
        told(what, "worked:", repr(f())[:200])
    except BaseException as error:
        told(what, "failed:", type(error).__name__, str(error)[:200])
'''


@cache
def apart():
    """Why workers here can see each other; "" if they cannot."""
    return next((m for m in Walls().missing() if m.startswith("it can see other")), "")


def needs_namespaces():
    if why := apart():
        pytest.skip(f"NOT RUN: needs namespaces: {why}")


class Attacked:
    """The result of a hand-in, and what its attack said."""

    def __init__(self, result):
        self.result = result
        self.check = result.checks[0]
        self.said = re.findall(r"attack: (.*)", "\n".join(c.detail for c in result.checks))

    def of(self, what):
        """How one way of attacking ended."""
        found = [s.removeprefix(f"{what} ") for s in self.said if s.startswith(f"{what} ")]
        assert found, f"nothing was said of {what!r}: {self.check} {self.said}"
        return found[0]


def attack(source, folder, text):
    """Grade a hand-in that attacks. It must gain nothing, and the run must go on to its end."""
    (folder / "small.py").write_text(TOLD + textwrap.dedent(text))
    found = Attacked(run(source, folder, seed="the secret seed", student="mallory"))
    assert found.result.score == 0, found.said
    assert [c.id for c in found.result.checks] == ["double-values"]
    assert found.check.points == 0
    assert found.result.text()
    return found
