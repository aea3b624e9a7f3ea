"""A hand-in whose question is an op of the table: the conformance kit decides, in any language."""

import shutil

import pytest

from etude_course.record import Status
from etude_course.run.pack import kit_of
from etude_course.run.run import run
from etude_course.source.source import Source

TOML = """
id = "T2"
title = "An op"
version = 1
files = ["small.py"]

[[question]]
id = "negative"
title = "The negative"
also = ["small.c"]

  [[question.check]]
  id = "neg-right"
  points = 4
  op = "neg"
  kinds = ["tail", "layout", "special"]
  dtypes = ["float32"]

[[mutant]]
name = "absolute"
mistake = "this is -|x|; asked for is -x"
old = "return -x"
new = "return -abs(x)"
loses = ["neg-right"]

[[mutant]]
name = "first-left"
mistake = "the first element keeps its sign"
old = "return -x"
new = "y = -x; y.reshape(-1)[:1] *= -1; return y"
loses = ["neg-right"]
"""
PYTHON = """
import etude

@etude.implements("neg")
def neg(x):
    # BEGIN SOLUTION
    return -x
    # END SOLUTION
"""
C = """
#include "etude.h"

int etude_neg_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        y[i] = -x[i];
    return ETUDE_OK;
    /* END SOLUTION */
}
"""


@pytest.fixture
def source(written):
    folder = written(toml=TOML, solution=PYTHON, checks="")
    (folder / "solution/small.c").write_text(C)
    return Source.read(folder)


@pytest.fixture
def compiler():
    if shutil.which("cc") is None:
        pytest.skip("NOT RUN: needs a C compiler")


def only_check(source, folder, **options):
    check, = run(source, folder, seed="secret", student="ada", **options).checks
    return check


def test_the_solution_passes_with_every_case_executed(source, hand_in):
    found = only_check(source, hand_in(source.solutions()["small.py"]))
    assert (found.status, found.points) == (Status.PASSED, 4)
    assert found.executed == found.declared > 10


def test_a_mistake_is_named_from_its_fingerprint_on_cases_of_the_kit(source, hand_in):
    for mutant in source.assignment.mutants:
        found = only_check(source, hand_in(source.mutated(mutant)["small.py"]))
        assert (found.points, found.mistake) == (0, mutant.mistake)
        assert found.case.startswith("hidden: neg/")
        assert "asked      neg(x: float32" in found.detail


def test_a_student_sees_the_case_and_can_run_it_again(source, hand_in):
    mutant = source.assignment.mutants[0]
    found = only_check(kit_of(source), hand_in(source.mutated(mutant)["small.py"]), hidden=False)
    assert found.case.endswith("@0")
    assert found.mistake == mutant.mistake


@pytest.mark.parametrize(("text", "status", "said"), [
    ("import etude\n@etude.implements('neg')\ndef neg(x):\n    raise NotImplementedError\n",
     Status.NOT_WRITTEN, "not written yet: every call raised NotImplementedError"),
    ("def neg(x):\n    return -x\n", Status.NOT_WRITTEN, "has no function marked"),
    ("import etude\n@etude.implements('abs')\ndef f(x):\n    return abs(x)\n", Status.NOT_WRITTEN,
     "there is no neg in small.py yet"),
    ("import etude\n@etude.implements('neg')\ndef neg(x:\n", Status.FAILED, "line 3"),
    ("import nowhere_at_all, etude\n@etude.implements('neg')\ndef neg(x): ...\n", Status.CRASHED,
     "nowhere_at_all"),
])
def test_what_is_no_column_earns_nothing_and_says_why(source, hand_in, text, status, said):
    found = only_check(source, hand_in(text))
    assert (found.points, found.status) == (0, status)
    assert said in found.message


def test_a_declined_call_is_not_executed_and_not_passed(source, hand_in):
    found = only_check(source, hand_in(
        "import etude\n@etude.implements('neg')\ndef neg(x):\n"
        "    if x.ndim > 1:\n        raise etude.Unsupported('only vectors')\n    return -x\n"))
    assert (found.status, found.points) == (Status.NOT_RUN, 0)
    assert "answered" in found.message
    assert found.executed < found.declared


@pytest.mark.usefixtures("compiler")
def test_an_answer_in_c_stands_behind_the_same_check(source, hand_in):
    found = only_check(source, hand_in(None, small_c=source.solutions()["small.c"]))
    assert (found.status, found.points) == (Status.PASSED, 4)
    found = only_check(source, hand_in(None, small_c=C.replace("-x[i]", "x[i]")))
    assert (found.status, found.points) == (Status.FAILED, 0)
    found = only_check(source, hand_in(None, small_c=C.replace("-x[i]", "-x[i")))
    assert (found.status, found.points) == (Status.FAILED, 0)
    assert found.message.startswith("small.c does not compile")
    assert "small.c:" in found.detail
    assert "error" in found.detail
    assert "does not compile" not in found.detail  # it is said once
    assert "/etude-course-" not in found.detail  # and of folders that the student has not


@pytest.mark.usefixtures("compiler")
def test_a_forgotten_return_is_named_by_the_compiler(source, hand_in):
    found = only_check(source, hand_in(None, small_c=C.replace("return ETUDE_OK;", "")))
    assert (found.status, found.points) == (Status.FAILED, 0)
    assert "return-type" in found.detail


@pytest.mark.usefixtures("compiler")
def test_the_file_that_was_begun_answers(source, hand_in):
    starters, solutions = source.starters(), source.solutions()
    found = only_check(source, hand_in(starters["small.py"], small_c=solutions["small.c"]))
    assert found.points == 4
    found = only_check(source, hand_in(solutions["small.py"], small_c=starters["small.c"]))
    assert found.points == 4


def test_of_two_answers_it_is_said_which_is_judged(source, hand_in):
    starters, solutions = source.starters(), source.solutions()
    both = run(source, hand_in(solutions["small.py"], small_c=solutions["small.c"]), hidden=False)
    question = source.assignment.questions[0].id
    assert both.notes == [f"{question}: judged: small.py; small.c was not looked at"]
    assert run(source, hand_in(solutions["small.py"], small_c=starters["small.c"]),
               hidden=False).notes == []


def test_without_a_compiler_c_is_not_run_and_says_so(source, hand_in, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    found = only_check(source, hand_in(None, small_c=source.solutions()["small.c"]))
    assert (found.status, found.points) == (Status.NOT_RUN, 0)
    assert "no compiler was found" in found.message
    assert found.detail == ""  # it is said once


def test_an_op_that_hangs_is_given_up_after_two_time_outs(written, hand_in):
    source = Source.read(written(
        toml=TOML.replace("[[question]]", "[limits]\ncall = 0.5\n\n[[question]]", 1).replace(
            'also = ["small.c"]\n', ""), solution=PYTHON, checks=""))
    kit = kit_of(source)
    found = only_check(source, hand_in(
        "import etude\n@etude.implements('neg')\ndef neg(x):\n    while True: pass\n"), kit=kit)
    assert (found.status, found.points, found.executed) == (Status.TIMEOUT, 0, 2)
