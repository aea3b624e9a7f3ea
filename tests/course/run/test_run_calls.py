"""A hand-in through checks that call: points only for what was executed and right."""

import pytest

from etude_course.record import Status
from etude_course.run.pack import kit_of
from etude_course.run.run import run

RIGHT = """
def double(x):
    return x + x

def double_all(xs):
    if not xs:
        raise ValueError("nothing")
    return [x + x for x in xs]
"""


@pytest.fixture
def graded(small, hand_in):
    """``graded(text)``: the checks of a hand-in by id, as a grader runs them."""
    def grade(text=None, **more):
        folder = hand_in(text, **more)
        return {c.id: c for c in run(small, folder, seed="secret", student="ada").checks}

    return grade


def test_a_right_answer_earns_everything(small, hand_in):
    result = run(small, hand_in(RIGHT), seed="secret", student="ada")
    assert (result.score, result.max_score) == (5, 5)
    assert [c.executed for c in result.checks] == [7, 4]
    assert all(c.executed == c.declared for c in result.checks)
    assert len(result.submission) == 64


def test_a_student_runs_the_visible_cases_alone(small, hand_in):
    result = run(kit_of(small), hand_in(RIGHT))
    assert [(c.executed, c.points) for c in result.checks] == [(3, 3), (2, 2)]


@pytest.mark.parametrize(("text", "said"), [
    (None, "small.py is not there"),
    ("", "small.py is empty"),
    ("def double(x):\n    raise NotImplementedError\n", "raises NotImplementedError"),
    ("def treble(x):\n    return x\n", "there is no function double yet"),
    ("raise NotImplementedError\n", "raises NotImplementedError when imported"),
])
def test_an_answer_that_nobody_wrote_earns_nothing_and_says_so(graded, text, said):
    found = graded(text)
    assert sum(c.points for c in found.values()) == 0
    assert said in found["double-values"].message
    assert found["double-values"].status in (Status.NOT_WRITTEN, Status.FAILED)


def test_a_syntax_error_is_named_with_its_line(graded):
    found = graded(RIGHT + "def broken(:\n")
    assert all(c.status is Status.FAILED and c.points == 0 for c in found.values())
    assert "small.py, line 9, is not valid Python: " in found["double-values"].message


def test_whoever_always_raises_does_not_pass_a_case_that_expects_it(graded):
    found = graded("def double_all(xs):\n    raise ValueError\n")
    assert found["double-refuses"].points == 0


def test_a_check_is_all_or_nothing_and_does_not_spoil_another(graded):
    found = graded(RIGHT.replace("return x + x", "return x * 2.0", 1).replace("+ x for", "* 2 for"))
    assert found["double-values"].points == 3
    found = graded(RIGHT.replace("raise ValueError", "return xs  # "))
    assert (found["double-values"].points, found["double-refuses"].points) == (3, 0)
    assert found["double-refuses"].message == "a list of 0 was returned, expected is ValueError"


def test_a_mistake_is_named_from_its_fingerprint(graded):
    found = graded(RIGHT.replace("return x + x", "return x * x", 1))["double-values"]
    assert found.mistake == "this is x * x; asked for is x + x"
    assert graded(RIGHT.replace("return x + x", "return x ** 3", 1))["double-values"].mistake == ""


def test_what_is_wrong_in_hidden_cases_only_is_lost_too(small, hand_in):
    right_on = [c.args[0].tobytes() for c in kit_of(small).shown["double-values"]["{}"].cases]
    answer = hand_in(f"def double(x):\n    return x + x if x.tobytes() in {right_on!r} else x\n")
    assert run(kit_of(small), answer).checks[0].points == 3
    found = run(small, answer, seed="secret").checks[0]
    assert found.points == 0
    assert found.case.startswith("hidden: ")


@pytest.mark.parametrize(("body", "status", "said"), [
    ("import os; os._exit(0)", Status.CRASHED, "exited with status 0"),
    ("import sys; sys.exit(0)", Status.CRASHED, "raised SystemExit"),
    ("return x.nothing", Status.CRASHED, "raised AttributeError"),
    ("return object()", Status.CRASHED, "an object cannot be sent"),
])
def test_a_crash_costs_the_check_and_not_the_run(graded, body, status, said):
    found = graded(RIGHT.replace("return x + x", body, 1))
    assert found["double-values"].status is status
    assert said in found["double-values"].message
    assert found["double-values"].points == 0
    assert found["double-refuses"].points == 2


def test_after_two_time_outs_no_more_is_asked(written, hand_in):
    from etude_course.source.source import Source

    text = (written() / "assignment.toml").read_text()
    source = Source.read(written(toml=text.replace("[[question]]", "[limits]\ncall = 0.3\n\n"
                                                   "[[question]]", 1)))
    found = run(source, hand_in(RIGHT.replace("return x + x", "while True: pass", 1)),
                seed="s").checks
    assert found[0].status is Status.TIMEOUT
    assert (found[0].executed, found[0].declared, found[0].points) == (2, 7, 0)
    assert found[1].points == 2


def test_the_time_of_a_hand_in_is_limited(written, hand_in):
    from etude_course.source.source import Source

    text = (written() / "assignment.toml").read_text()
    source = Source.read(written(toml=text.replace(
        "[[question]]", "[limits]\ncall = 0.4\ntotal = 0.1\n\n[[question]]", 1)))
    found = run(source, hand_in(RIGHT.replace("return x + x", "while True: pass", 1)),
                seed="s").checks
    assert [c.points for c in found] == [0, 0]
    assert found[1].status is Status.NOT_RUN
    assert "has used up its 0.1 s" in found[1].message


def test_files_that_nobody_asked_for_are_not_there(graded):
    found = graded("import secretly\n" + RIGHT, secretly_py="X = 1\n")
    assert "No module named 'secretly'" in found["double-values"].message


def test_a_link_is_not_followed(small, hand_in, tmp_path):
    (tmp_path / "elsewhere.py").write_text(RIGHT)
    folder = hand_in()
    (folder / "small.py").symlink_to(tmp_path / "elsewhere.py")
    found = run(small, folder, seed="s").checks[0]
    assert (found.points, found.message) == (0, "small.py is no regular file, so it is not read")


def test_only_some_checks_may_be_asked_for(small, hand_in):
    result = run(small, hand_in(RIGHT), seed="s", only=["double-refuses"])
    assert [(c.id, c.points) for c in result.checks] == [("double-refuses", 2)]


def test_each_check_gets_a_worker_of_its_own(graded):
    found = graded("CALLS = []\n" + RIGHT.replace(
        "    if not xs", "    if CALLS:\n        return 'seen before'\n    if not xs").replace(
        "    return x + x", "    CALLS.append(1)\n    return x + x", 1))
    assert sum(c.points for c in found.values()) == 5


def test_what_the_answer_prints_is_shown_beside_the_failing_case(graded):
    found = graded(RIGHT.replace("return x + x", "print('x is', x.size); return x", 1))
    assert "printed    x is " in found["double-values"].detail


def test_where_it_was_run_is_kept(small, hand_in):
    assert {"etude", "numpy", "python"} <= set(run(small, hand_in(RIGHT), seed="s").environment)
