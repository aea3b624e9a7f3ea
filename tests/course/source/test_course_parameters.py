"""Parameters: what is asked of each student a little differently."""

import pytest

from etude_course.errors import CourseError
from etude_course.source import parameters
from etude_course.source.source import Source


@pytest.fixture
def varied(written):
    base = written()
    toml = (base / "assignment.toml").read_text().replace(
        'files = ["small.py"]', 'files = ["small.py"]\n\n[parameters]\nfactor = [2, 3, 5]')
    solution = (base / "solution/small.py").read_text().replace("return x + x", "return {{factor}} "
                                                                                "* x")
    toml = toml.replace("return x + x", "return {{factor}} * x").replace("x * x\"", "x ** 2\"")
    return Source.read(written(toml=toml, solution=solution))


def test_the_same_student_gets_the_same_values_and_others_get_others(varied):
    def factor(course, student):
        return parameters.drawn(varied.assignment, course, student)["factor"]

    assert factor("autumn", "ada") == factor("autumn", "ada")
    assert {factor("autumn", f"student{i}") for i in range(40)} == {2, 3, 5}
    assert {factor(f"term{i}", "ada") for i in range(40)} == {2, 3, 5}


def test_a_text_has_its_values_and_an_unknown_one_is_an_error():
    assert parameters.render("{{a}} {{ b }} {c} {{1}}", {"a": 1, "b": "x"}, "t") == "1 x {c} {{1}}"
    with pytest.raises(CourseError, match=r"t has {{c}}, and assignment.toml has no parameter 'c'"):
        parameters.render("{{c}}", {"a": 1}, "t")


def test_a_student_is_held_to_the_values_of_that_student(varied, hand_in):
    from etude_course.run.run import run

    for values in varied.assignment.combinations:
        folder = hand_in(f"def double(x):\n    return {values['factor']} * x\n")
        for other in varied.assignment.combinations:
            result = run(varied, folder, seed="s", values=other, only=["double-values"])
            assert (result.score == 3) == (other == values)


def test_a_number_from_texts_is_the_same_everywhere():
    assert parameters.number("visible", "A2", "c") == 32210915174409251811743461160019146682
    assert parameters.number("a", "bc") != parameters.number("ab", "c")
