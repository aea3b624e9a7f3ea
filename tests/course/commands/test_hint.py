"""`etude course hint`: one at a time, and never a surprise about what it costs."""

import json
from pathlib import Path

import pytest

HINTS = ["Look at it.", "Add it.", "return x +"]


@pytest.fixture
def started(course, installed):
    def start(cost=0):
        question = {"id": "double", "title": "Twice", "hints": HINTS, "hint_cost": cost, "check": [
            {"id": "double-values", "points": 3, "call": "double", "visible": 3, "hidden": 4}]}
        installed(question=[question])
        course("start", "T1")
        return lambda *words: course("hint", "--folder", "t1", *words)

    return start


def shown():
    return json.loads(Path("t1/.etude-course/record.json").read_text())["hints"]


def test_hints_come_one_at_a_time_and_those_had_are_repeated(started):
    hint = started()
    assert hint("double") == (0, "Hint 1 of 3 costs nothing.\n1. Look at it.\n")
    assert hint("double") == (0, "1. Look at it.\nHint 2 of 3 costs nothing.\n2. Add it.\n")
    assert shown() == {"double": 2}
    hint("double")
    status, said = hint("double")
    assert status == 0
    assert said.endswith("3. return x +\nThere are no more hints for double.\n")


def test_what_a_hint_costs_is_said_before_it_is_shown(started):
    hint = started(cost=1)
    assert hint("double")[0] == 0
    status, said = hint("double")
    assert status == 2
    assert "Hint 2 of 3 costs 1 point." in said
    assert "Add it." not in said
    assert shown() == {"double": 1}
    status, said = hint("double", "--yes")
    assert status == 0
    assert "2. Add it." in said
    assert shown() == {"double": 2}


def test_without_a_question_it_says_how_many_there_are(started):
    hint = started(cost=2)
    hint("double")
    assert "1 of 3 hints shown, each after the first costs 2 points" in hint()[1]


def test_an_unknown_question_and_a_folder_that_is_none(started, course):
    hint = started()
    status, said = hint("doubel")
    assert status == 2
    assert "did you mean" in said.lower()
    status, said = course("hint", "double")
    assert status == 2
    assert "holds no started assignment" in said


@pytest.mark.parametrize(("shown", "cost"), [
    ({"double": 1}, 0), ({"double": 2}, 2), ({"double": 99}, 4), ({"other": 3}, 0), ({}, 0),
    (None, 0), ([1], 0), ({"double": "3"}, 0), ({"double": -1}, 0)])
def test_the_grader_knows_what_the_shown_hints_cost_whatever_a_hand_in_says(shown, cost):
    from etude_course.kit import hints
    from etude_course.source.assignment import of_document

    a = of_document({"id": "T1", "title": "t", "version": 1, "files": ["a.py"], "question": [
        {"id": "double", "title": "t", "hints": HINTS, "hint_cost": 2, "check": [
            {"id": "c", "points": 1, "call": "f"}]}]}, "t1")
    assert hints.cost(a, shown) == cost
