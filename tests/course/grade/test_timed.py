"""Speed checks come afterwards, one at a time, for right answers only; a busy machine leaves them
open.

What a timing finds is made up here (speed itself has its own tests): the rest is the cohort's.
"""

from dataclasses import asdict

import made_class as made
import pytest

from etude_course.grade import one
from etude_course.grade.cohort import Cohort, Settings
from etude_course.record import Status

SPEED = """
      [[question.check]]
      id = "exp-speed"
      points = 2
      speed = "exp"
      cases = ["65536"]
      ladder = [[1.0, 1], [4.0, 2]]
"""
LATER = "timed afterwards, alone on the machine"


@pytest.fixture
def place(tmp_path):
    toml = made.TOML.replace('\n    [[mutant]]\n    name = "ddof"', SPEED
                             + '\n    [[mutant]]\n    name = "ddof"')
    assert "exp-speed" in toml
    made.assignment(tmp_path / "t1", toml)
    for student in ("s1", "s2"):
        (tmp_path / "in" / student).mkdir(parents=True)
        (tmp_path / "in" / student / "answer.py").write_text(f"# {student}\n")
    return tmp_path


class Machine:
    """Stands for ``one.grade``: s2 is wrong; ``timing`` is what a speed check finds."""

    def __init__(self, **timing):
        self.timing, self.jobs = timing, []

    def __call__(self, job):
        self.jobs.append(job)
        if job.timed:
            checks = [made.check("exp-speed", question="exp", most=2, **self.timing)]
        else:
            right = job.student == "s1"
            checks = [made.check(question="variance"),
                      made.check("exp-tails", 2 * right, 2, question="exp",
                                 status=Status.PASSED if right else Status.FAILED),
                      made.check("exp-speed", 0, 2, Status.NOT_RUN, "exp", message=LATER)]
        return made.result(job.student, checks).to_json()


def grade(place, monkeypatch, machine):
    monkeypatch.setattr(one, "grade", machine)
    return Cohort(Settings(place / "t1", place / "in", place / "out", jobs=2)).run()


def speed(outcome, student):
    [result] = [r for r in outcome.results if r.student == student]
    [found] = [c for c in result.checks if c.id == "exp-speed"]
    return found


def test_a_right_answer_is_timed_after_everyone_is_checked(place, monkeypatch):
    machine = Machine(points=1, status=Status.FAILED, message="1.9 times as fast")
    outcome = grade(place, monkeypatch, machine)
    assert [(j.student, j.timed) for j in machine.jobs[2:]] == [("s1", ["exp-speed"])]
    assert speed(outcome, "s1").points == 1
    assert speed(outcome, "s1").message == "1.9 times as fast"
    assert outcome.trouble == []
    again = Machine()
    assert asdict(grade(place, monkeypatch, again).results[0]) == asdict(outcome.results[0])
    assert again.jobs == []


def test_a_wrong_answer_is_not_timed_and_says_so(place, monkeypatch):
    outcome = grade(place, monkeypatch, Machine(points=2))
    assert speed(outcome, "s2").points == 0
    assert speed(outcome, "s2").message == (
        "not timed: the other checks of the question come first")


def test_a_contended_machine_leaves_it_open_and_the_next_run_takes_it_up(place, monkeypatch):
    busy = Machine(points=0, status=Status.NOT_RUN, message="contended: others use the machine")
    outcome = grade(place, monkeypatch, busy)
    assert outcome.trouble == ["s1 was not timed: contended: others use the machine. Run the same "
                               "command again."]
    assert speed(outcome, "s1").message == LATER
    quiet = Machine(points=2)
    outcome = grade(place, monkeypatch, quiet)
    assert [j.timed for j in quiet.jobs] == [["exp-speed"]]
    assert speed(outcome, "s1").points == 2
