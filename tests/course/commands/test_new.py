"""`etude course new`: a template that is proven as it is."""

from pathlib import Path

import pytest

from etude_course.author.new import new
from etude_course.author.prove import prove
from etude_course.errors import CourseError
from etude_course.source.source import Source


def test_the_template_is_proven(tmp_path):
    new("X1", tmp_path / "x1")
    source = Source.read(tmp_path / "x1")
    assert source.assignment.id == "X1"
    assert len(source.assignment.mutants) >= 8
    assert {p.what: p.wrong for p in prove(source) if p.wrong} == {}


def test_nothing_is_written_over(course):
    assert course("new", "X1")[0] == 0
    Path("x1/checks.py").write_text("mine")
    status, said = course("new", "X1")
    assert status == 2
    assert "x1 is there already, and not empty" in said
    assert Path("x1/checks.py").read_text() == "mine"


def test_its_name_is_that_of_an_assignment(tmp_path):
    with pytest.raises(CourseError, match="a capital letter and a number"):
        new("my homework", tmp_path / "x")
