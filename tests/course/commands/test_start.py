"""`etude course start`: what is handed out, and that nothing of a student's is lost."""

import json
import shutil
from pathlib import Path

import pytest

from etude_course.kit.folder import Started
from etude_course.kit.merge import merged

MINE = "    return x * 2\n"
OPEN = "    raise NotImplementedError\n"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="NOT RUN: needs git")


def text(name="small.py"):
    return Path("t1", name).read_text()


def test_a_folder_has_the_starter_the_handout_and_who_it_is_for(course):
    status, said = course("start", "T1", "--student", "ada", "--course", "autumn")
    assert status == 0
    assert "T1  A small one: 5 points, in t1/" in said
    assert "raise NotImplementedError" in text()
    assert "BEGIN SOLUTION" not in text()
    assert text("handout.md").startswith("# A small one")
    assert Started.read(Path("t1")) == Started("T1", 1, "autumn", "ada", {})


def test_parameters_are_those_of_the_student_and_stay(course, installed):
    installed(starter="FACTOR = {{factor}}\n", parameters={"factor": [2, 3, 5, 7, 11]})
    for student in ("ada", "ben", "cleo", "dora"):
        assert course("start", "T1", student, "--student", student, "--course", "c")[0] == 0
        factor = Started.read(Path(student)).parameters["factor"]
        assert Path(student, "small.py").read_text() == f"FACTOR = {factor}\n"
    drawn = {Started.read(Path(s)).parameters["factor"] for s in ("ada", "ben", "cleo", "dora")}
    assert len(drawn) > 1
    assert course("start", "T1", "ada")[0] == 0
    assert Started.read(Path("ada")).student == "ada"


def test_a_course_without_a_name_asks_the_same_of_all(course, installed):
    installed(starter="FACTOR = {{factor}}\n", parameters={"factor": [2, 3, 5, 7, 11]})
    for student in ("ada", "ben", "cleo"):
        course("start", "T1", student, "--student", student)
    assert len({Path(s, "small.py").read_text() for s in ("ada", "ben", "cleo")}) == 1


def test_the_next_start_remembers_who_you_are(course):
    course("start", "T1", "one", "--student", "ada", "--course", "autumn")
    course("start", "T1", "two")
    assert Started.read(Path("two")).student == "ada"
    assert Started.read(Path("two")).course == "autumn"


def test_a_file_with_changes_is_kept(course):
    course("start", "T1")
    changed = text().replace(OPEN, MINE, 1)
    Path("t1/small.py").write_text(changed)
    status, said = course("start", "T1")
    assert status == 0
    assert "small.py: kept, with your changes" in said
    assert text() == changed


def test_a_file_that_lay_there_before_is_kept_and_the_starter_saved_beside(course):
    Path("t1").mkdir()
    Path("t1/small.py").write_text("mine\n")
    status, said = course("start", "T1")
    assert status == 0
    assert text() == "mine\n"
    assert "raise NotImplementedError" in text("small.py.new")
    assert "small.py.new" in said


def test_a_removed_file_comes_back(course):
    course("start", "T1")
    Path("t1/small.py").unlink()
    assert "small.py: written" in course("start", "T1")[1]


def test_a_new_version_of_an_untouched_starter_takes_its_place(course, installed):
    course("start", "T1")
    installed(starter=text() + "\n# more\n", version=2)
    assert "brought up to date" in course("start", "T1")[1]
    assert text().endswith("# more\n")
    assert Started.read(Path("t1")).version == 2


@needs_git
def test_a_new_version_is_merged_with_what_was_written(course, installed):
    course("start", "T1")
    mine = text().replace(OPEN, MINE, 1)
    Path("t1/small.py").write_text(mine)
    installed(starter=text().replace(MINE, OPEN) + "\n\nMORE = 1\n", version=2)
    status, said = course("start", "T1")
    assert status == 0
    assert "merged" in said
    assert text() == mine + "\n\nMORE = 1\n"
    assert text(".etude-course/before/small.py") == mine


@needs_git
def test_a_new_version_of_the_same_lines_is_saved_beside_and_says_so(course, installed):
    course("start", "T1")
    mine = text().replace(OPEN, MINE, 1)
    new = text().replace(OPEN, "    raise NotImplementedError('twice')\n", 1)
    Path("t1/small.py").write_text(mine)
    installed(starter=new, version=2)
    assert "kept, as you have it" in course("start", "T1")[1]
    assert text() == mine
    assert text("small.py.new") == new
    Path("t1/small.py.new").write_text("notes of mine\n")
    installed(starter=new + "# 3\n", version=3)
    Path("t1/small.py").write_text(new + "# mine\n")
    course("start", "T1")
    assert text("small.py.new") == "notes of mine\n"
    assert text("small.py.new2") == new + "# 3\n"


def test_without_git_nothing_is_merged(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert merged("a\nb\nc\nd\n", "b\nc\nd\n", "b\nc\nd\ne\n") is None


@needs_git
def test_what_is_merged_has_both_changes_and_no_marks():
    assert merged("a\nb\nc\nd\n", "b\nc\nd\n", "b\nc\nd\ne\n") == "a\nb\nc\nd\ne\n"
    assert merged("x\n", "b\n", "y\n") is None


def test_a_started_folder_keeps_to_its_version(course, installed):
    course("start", "T1")
    kit = Path("t1/.etude-course/kit.json").read_text()
    installed(version=2)
    status, said = course("check", "t1")
    assert status == 1
    assert "version 2 is installed: 'etude course start T1 .'" in " ".join(said.split())
    assert Path("t1/.etude-course/kit.json").read_text() == kit


def test_an_assignment_that_is_not_installed_is_started_from_its_kit(course, kit, tmp_path):
    (tmp_path / "x1.json").write_text(kit.text.replace('"id": "T1"', '"id": "X1"'))
    status, said = course("start", tmp_path / "x1.json")
    assert status == 0
    assert "X1" in said
    assert course("check", "x1")[0] == 1


@pytest.mark.parametrize(("prepare", "words", "said"), [
    (lambda: None, ["A99"], "there is no assignment 'A99'"),
    (lambda: None, ["nowhere/x1.json"], "cannot be read"),
    (lambda: Path("t1").write_text(""), ["T1"], "t1 is a file"),
    (lambda: other("A9", 1), ["T1"], "t1 holds A9"),
    (lambda: other("T1", 5), ["T1"], "and this kit is version 1: get the newer kit"),
    (lambda: other("T1", 1), ["T1", "--student", "ben"], "was started for the student ada"),
    (lambda: Path("t1/small.py").mkdir(parents=True), ["T1"], "is no regular file"),
])
def test_what_cannot_be_started_is_a_clear_error(course, prepare, words, said):
    prepare()
    status, output = course("start", *words)
    assert status == 2
    assert said in output


def other(id_, version):
    Path("t1").mkdir()
    Path("t1/assignment.json").write_text(json.dumps(
        {"assignment": id_, "version": version, "student": "ada"}))
