"""nbgrader's own gradebook, and its own export from it, have our scores."""

import csv

import made_class as made
import pytest

from etude_course.errors import CourseError
from etude_course.export import nbgrader
from etude_course.grade.roster import Roster, Student
from etude_course.record import Override, Status

CLASS = [*made.class_of(12), made.result("late", late_days=2, penalty=2),
         made.result("drowned", [made.check(points=1, status=Status.FAILED)], penalty=3),
         made.result("lowered", overrides=[Override("variance-values", 1, "copied")]),
         made.result("s901", members=["s900", "s901"])]


@pytest.mark.filterwarnings("ignore:Object of type")  # of nbgrader itself
def test_nbgrader_exports_the_same_scores(tmp_path):
    api = pytest.importorskip("nbgrader.api", reason="NOT RUN: needs nbgrader")
    from nbgrader.plugins import CsvExportPlugin

    database = f"sqlite:///{tmp_path / 'gradebook.db'}"
    roster = Roster({"s000": Student("s000", "Ada Lovelace")}, True)
    nbgrader.write(CLASS, database, roster)
    nbgrader.write(CLASS, database, roster)  # twice is once
    with api.Gradebook(database) as book:
        plugin = CsvExportPlugin()
        plugin.to = str(tmp_path / "grades.csv")
        plugin.export(book)
        assert {s.id for s in book.students} == {m for r in CLASS for m in r.members}
        assert book.find_student("s000").last_name == "Lovelace"
        waiting = {s.student.id for s in book.assignment_submissions("A2") if s.needs_manual_grade}
    whole = {r.student for r in CLASS if len(r.checks) == len(made.CHECKS)}
    assert waiting & whole == {r.student for r in CLASS if r.waiting}
    with (tmp_path / "grades.csv").open() as file:
        rows = {r["student_id"]: r for r in csv.DictReader(file)}
    for result in CLASS:
        for member in result.members:
            assert float(rows[member]["score"]) == result.score, member
    assert rows["late"]["late_submission_penalty"] == "2.0"


def test_without_nbgrader_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nbgrader.api", None)
    with pytest.raises(CourseError, match=r"pip install 'etude-course\[nbgrader\]'"):
        nbgrader.write(CLASS, f"sqlite:///{tmp_path / 'g.db'}", Roster())
