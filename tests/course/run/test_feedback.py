"""What a student is shown: the smallest failing case, drawn."""

import numpy as np
import pytest

from etude_check.worker.answers import Driven
from etude_course.cases.case import Case
from etude_course.cases.compare import difference
from etude_course.kit.kit import Answer, Fingerprint
from etude_course.record import Status
from etude_course.run import feedback
from etude_course.run.calls import Fault
from etude_course.source.assignment import Check

CHECK = Check("c", 1, call="variance")


def fault(case, got):
    found = difference(case.expected, got)
    return Fault(case, Status.FAILED, found.message, found, Driven("ok", got))


def test_a_small_array_is_drawn_whole_and_wrong_elements_have_a_star():
    x = np.array([[0.5, 1.5, -2.0], [1.0, 0.0, 3.0]], np.float32)
    case = Case("2 rows", (x,), np.array([2.0, 1.5], np.float32))
    assert feedback.drawn(CHECK, fault(case, np.array([2.0, 2.25], np.float32))) == """\
asked      variance(x); 2 rows
           x  float32 [2, 3]
             0.5  1.5   -2
               1    0    3
expected   float32 [2]
               2  1.5
got        float32 [2]
                2  2.25*"""


def test_numbers_stand_in_the_call():
    case = Case("three", (3, "mean", True), 4)
    assert feedback.drawn(CHECK, fault(case, 5)) == """\
asked      variance(3, 'mean', True); three
expected   4
got        5"""


def test_of_a_large_array_the_corner_is_drawn_and_the_worst_are_named():
    want = np.zeros((20, 20))
    got = want.copy()
    got[3, 7] = 1
    drawn = feedback.drawn(CHECK, fault(Case("large", (1,), want), got))
    assert "its corner:" in drawn
    assert "wrong      at [3, 7]: 1, expected 0" in drawn
    assert len(drawn.splitlines()) < 20


def test_an_exception_is_shown_with_the_way_that_it_came():
    case = Case("one", (0,), 1)
    driven = Driven("raised", message="by zero", traceback="Traceback\n  a.py, line 3")
    drawn = feedback.drawn(CHECK, Fault(case, Status.CRASHED, "raised ZeroDivisionError", None,
                                        driven))
    assert drawn.endswith("got        Traceback\n             a.py, line 3")


def test_planes_of_a_stack_are_drawn_one_below_the_other():
    lines = feedback.picture(np.arange(8).reshape(2, 2, 2))
    assert lines == ["  [0]", "  0  1", "  2  3", "  [1]", "  4  5", "  6  7"]


def test_axes_of_length_1_are_no_planes():
    wrong = np.zeros((1, 2, 3, 1), bool)
    wrong[0, 1, 2, 0] = True
    assert feedback.picture(np.arange(6).reshape(1, 2, 3, 1), wrong) == ["  0  1  2", "  3  4  5*"]


def test_the_smallest_visible_case_is_shown():
    def of(name, n, hidden=False):
        return fault(Case(name, (np.zeros(n),), 1, hidden), 2)

    assert feedback.smallest([of("a", 9), of("b", 3), of("c", 1, True)]).case.name == "b"
    assert feedback.smallest([of("c", 4, True), of("d", 2, True)]).case.name == "d"


# ---------------------------------------------------------------------- a mistake of an op, by name


def answers(*found):
    """Numbers are values; words are how a call ended."""
    return [Answer(ended=x) if isinstance(x, str) else Answer(np.float32([x])) for x in found]


@pytest.mark.parametrize(("given", "named"), [
    (answers("right", 7.0, 2.0), "m"),  # the first 1.0 was what lay beside an array
    (answers("right", 7.0, 3.0), ""),
    (answers("right", 1.0, 2.0), "m"),
    (answers(5.0, 1.0, 2.0), ""),  # wrong where the mistake is right
    (answers("right", "right", 2.0), ""),
])
def test_half_of_the_steady_answers_of_a_mistake_name_it(given, named):
    prints = [Fingerprint("m", tuple(answers("right", 1.0, 2.0)))]
    assert feedback.same_answers(prints, given) == named


def test_of_two_mistakes_the_one_that_answers_more_alike_is_named():
    prints = [Fingerprint("half", tuple(answers(1.0, 9.0))),
              Fingerprint("whole", tuple(answers(1.0, 2.0)))]
    assert feedback.same_answers(prints, answers(1.0, 2.0)) == "whole"
    assert feedback.same_answers(prints[::-1], answers(1.0, 2.0)) == "whole"
