"""Marked regions: what stands in a solution, and what a student begins with."""

import pytest

from etude_course.errors import CourseError
from etude_course.source import regions

PYTHON = '''\
def f(x):
    """Twice x."""
    # BEGIN SOLUTION
    y = x + x
    return y
    # END SOLUTION


LIMIT = 3
'''
C = """\
int f(int n)
{
    /* BEGIN SOLUTION STARTER: return 1; */
    return 2 * n;
    /* END SOLUTION */
}
"""


def test_a_python_starter_raises():
    made = regions.starter(PYTHON, "a.py")
    assert made == 'def f(x):\n    """Twice x."""\n    raise NotImplementedError\n\n\nLIMIT = 3\n'


def test_a_c_starter_has_what_the_comment_says():
    assert regions.starter(C, "a.c") == "int f(int n)\n{\n    return 1;\n}\n"
    with pytest.raises(CourseError, match=r"a.c: a region that is not Python's says"):
        regions.starter(C.replace(" STARTER: return 1;", ""), "a.c")


def test_a_starter_may_have_nothing_there():
    assert regions.starter("# BEGIN SOLUTION STARTER:\nx = 1\n# END SOLUTION\n", "a.py") == ""


def test_the_solution_is_without_marks():
    assert "SOLUTION" not in regions.solution(PYTHON, "a.py")
    assert "    y = x + x\n" in regions.solution(PYTHON, "a.py")


def test_a_pretender_puts_something_else_in_every_region():
    assert regions.emptied(PYTHON, "a.py", "return {first}") == (
        'def f(x):\n    """Twice x."""\n    return x\n\n\nLIMIT = 3\n')


@pytest.mark.parametrize(("text", "said"), [
    ("# BEGIN SOLUTION\n", "line 1: BEGIN SOLUTION without END"),
    ("x\n# END SOLUTION\n", "line 2: END SOLUTION without BEGIN"),
    ("# BEGIN SOLUTION\n# BEGIN SOLUTION\n", "line 2: BEGIN SOLUTION inside the region that begins "
                                             "in line 1"),
])
def test_marks_go_in_pairs(text, said):
    with pytest.raises(CourseError, match=said):
        regions.starter(text, "a.py")
