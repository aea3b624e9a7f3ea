"""checks.py: cases are drawn from a seed, as many as are declared."""

import numpy as np
import pytest

from etude_course.cases.case import Raises
from etude_course.errors import CourseError
from etude_course.source.checks import load


def loaded(tmp_path, text):
    path = tmp_path / "checks.py"
    path.write_text("from etude_course.source.checks import cases, expected\n" + text)
    return load(path)


def test_the_same_seed_draws_the_same_cases(small):
    check = small.assignment.check("double-values")
    one = small.hidden(check, {}, "secret", "ada")
    two = small.hidden(check, {}, "secret", "ada")
    assert [c.name for c in one] == [c.name for c in two]
    assert all(np.array_equal(a.args[0], b.args[0]) for a, b in zip(one, two, strict=True))
    assert all(c.hidden for c in one)
    assert not any(c.hidden for c in small.visible(check, {}))


def test_another_student_another_secret_and_the_visible_ones_are_other_cases(small):
    check = small.assignment.check("double-values")
    drawn = [small.hidden(check, {}, "secret", "ada"), small.hidden(check, {}, "secret", "bob"),
             small.hidden(check, {}, "other", "ada"), small.visible(check, {})]
    firsts = [cases[0].args[0].tobytes() for cases in drawn]
    assert len(set(firsts)) == 4


def test_cases_of_one_name_are_numbered(tmp_path):
    checks = loaded(tmp_path, "@cases('a')\ndef a(rng, p):\n    yield 'one', (1,)\n"
                              "    yield 'two', (2,)\n    yield 'two', (3,)\n")
    assert [c.name for c in checks.draw("a", 0, {}, 3, False)] == ["one", "two (1)", "two (2)"]
    with pytest.raises(CourseError, match="'a' declares 4 cases and draws 3"):
        checks.draw("a", 0, {}, 4, False)


@pytest.mark.parametrize(("text", "said"), [
    ("raise KeyError('x')\n", "cannot be run: KeyError: 'x'"),
    ("@cases('a')\ndef a(rng, p): ...\n@cases('a')\ndef b(rng, p): ...\n",
     "two functions draw the cases of 'a'"),
    ("@expected('a')\ndef a(p): ...\n@expected('a')\ndef b(p): ...\n",
     "two functions say what is expected of 'a'"),
])
def test_a_broken_file_says_what_is_wrong(tmp_path, text, said):
    with pytest.raises(CourseError, match=said):
        loaded(tmp_path, text)


def test_a_case_has_a_tuple_of_arguments(tmp_path):
    checks = loaded(tmp_path, "@cases('a')\ndef a(rng, p):\n    yield 'one', [1]\n")
    with pytest.raises(CourseError, match="a tuple of arguments; 'one' has list"):
        checks.draw("a", 0, {}, 1, False)


@pytest.mark.parametrize("vague", ["Exception", "NotImplementedError", "no name"])
def test_an_exception_that_an_empty_answer_raises_is_never_expected(vague):
    with pytest.raises(ValueError, match="an empty answer raises it too"):
        Raises(vague)
