"""Checks of which more than one answer is right, and answers that are no single function."""

import pytest

from etude_course.author.prove import prove
from etude_course.errors import CourseError
from etude_course.run.pack import kit_of
from etude_course.run.run import run
from etude_course.source.source import Source

TOML = """
id = "T3"
title = "Shuffling"
version = 1
files = ["small.py"]

[[question]]
id = "shuffle"
title = "Any order but the given one"

  [[question.check]]
  id = "shuffled"
  points = 2
  call = "drivers:shuffle_twice"
  judge = "drivers:is_shuffled"

[[mutant]]
name = "sorted"
mistake = "this is sorted; asked for is another order each time"
old = "self.rng.permutation(xs).tolist()"
new = "sorted(xs)"
loses = ["shuffled"]
"""
SOLUTION = """
import numpy as np

class Shuffler:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, xs):
        # BEGIN SOLUTION
        return self.rng.permutation(xs).tolist()
        # END SOLUTION
"""
CHECKS = """
from etude_course.source.checks import cases

@cases("shuffled")
def shuffled(rng, parameters):
    while True:
        yield "numbers", (int(rng.integers(1000)), list(range(20)))
"""
DRIVERS = '''
def shuffle_twice(answer, seed, xs):
    shuffle = answer.Shuffler(seed)
    return [shuffle(xs), shuffle(xs)]


def is_shuffled(case, answer):
    one, two = answer
    if sorted(one) != case.args[1] or sorted(two) != case.args[1]:
        return "these are not the elements that were given"
    return "both orders are the same" if one == two else ""
'''


@pytest.fixture
def source(written):
    return Source.read(written(toml=TOML, solution=SOLUTION, checks=CHECKS, drivers_py=DRIVERS))


def test_a_class_that_is_judged_is_proven_like_any_other(source):
    assert {p.what: p.wrong for p in prove(source) if p.wrong} == {}


def test_an_answer_of_another_order_is_right_too(source, hand_in):
    backwards = SOLUTION.replace("self.rng.permutation(xs).tolist()",
                                 "list(reversed(self.rng.permutation(xs).tolist()))")
    for held in (source, kit_of(source)):
        assert run(held, hand_in(backwards), seed="s").score == 2


@pytest.mark.parametrize(("body", "said"), [
    ("[]", "these are not the elements that were given"),
    ("xs", "both orders are the same"),
    ("7", "a list of 2 was returned, which cannot be judged (TypeError: 'int' object is not "
          "iterable)"),
])
def test_the_judge_says_what_is_wrong(source, hand_in, body, said):
    text = SOLUTION.replace("self.rng.permutation(xs).tolist()", body)
    found = run(source, hand_in(text), seed="s").checks[0]
    assert (found.points, found.message) == (0, said)


def test_arguments_and_expected_values_must_be_plain(written, hand_in):
    broken = CHECKS.replace("list(range(20))", "object()")
    source = Source.read(written(toml=TOML, solution=SOLUTION, checks=broken, drivers_py=DRIVERS))
    with pytest.raises(CourseError, match=r"case 'numbers .*' of 'shuffled': an object cannot be"):
        run(source, hand_in(SOLUTION), seed="s")
