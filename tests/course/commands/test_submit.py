"""`etude course submit`: a zip that the grader takes, or a clear error; never a half one."""

import json
import os
import zipfile
from pathlib import Path

import pytest

from etude_course.grade import handins

DONE = """
def double(x):
    return x + x


def double_all(xs):
    raise NotImplementedError
"""


@pytest.fixture
def started(course):
    course("start", "T1", "--student", "ada", "--course", "autumn")
    Path("t1/small.py").write_text(DONE)
    return course


def test_the_zip_has_the_named_files_and_what_they_were_started_as(started):
    Path("t1/notes.txt").write_text("mine")
    status, said = started("submit", "t1")
    assert status == 0
    assert "Packed assignment.json, small.py into t1/t1-ada.zip" in said
    with zipfile.ZipFile("t1/t1-ada.zip") as archive:
        assert archive.namelist() == ["assignment.json", "small.py"]
        assert archive.read("small.py").decode() == DONE
        known = json.loads(archive.read("assignment.json"))
    assert (known["assignment"], known["version"], known["student"]) == ("T1", 1, "ada")


def test_the_grader_takes_it(started):
    started("submit", "t1")
    taken = handins.single(Path("t1/t1-ada.zip"), ["small.py"])
    assert taken.files == {"small.py": DONE.encode()}
    assert taken.started["course"] == "autumn"
    assert taken.notes == []


def test_it_says_what_is_not_written_yet_and_packs_all_the_same(started):
    assert "Note: small.py: not written yet: double_all" in started("submit", "t1")[1]
    Path("t1/small.py").write_text("def double(:\n")
    assert "line 1, is not valid Python" in started("submit", "t1")[1]
    started("start", "T1", "new")
    assert "Note: small.py: as it was handed out" in started("submit", "new")[1]


def test_hints_that_were_shown_are_in_it(started):
    started("hint", "--folder", "t1", "double")
    started("submit", "t1")
    with zipfile.ZipFile("t1/t1-ada.zip") as archive:
        assert json.loads(archive.read("assignment.json"))["hints"] == {"double": 1}


def test_the_same_answer_makes_the_same_bytes(started):
    started("submit", "t1", "--to", "one.zip")
    os.utime("t1/small.py", (1, 1))
    started("submit", "t1", "--to", "two.zip")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()


def test_a_folder_without_the_expected_file_is_refused(started):
    Path("t1/small.py").unlink()
    status, said = started("submit", "t1")
    assert status == 2
    assert "t1 has no small.py, which answers the question 'double': nothing was packed" in said
    assert not Path("t1/t1-ada.zip").exists()


def test_a_link_is_refused(started):
    Path("t1/small.py").rename("other.py")
    Path("t1/small.py").symlink_to(Path("other.py").resolve())
    status, said = started("submit", "t1")
    assert status == 2
    assert "no regular file" in said


def test_an_interrupted_submit_leaves_the_old_zip_or_none(started, monkeypatch):
    def interrupted(*paths):
        raise KeyboardInterrupt

    before = set(os.listdir("t1"))
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupted)
        status, _ = started("submit", "t1")
    assert status == 1
    assert set(os.listdir("t1")) == before
    started("submit", "t1")
    old = Path("t1/t1-ada.zip").read_bytes()
    Path("t1/small.py").write_text(DONE + "# more\n")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", interrupted)
        started("submit", "t1")
    assert Path("t1/t1-ada.zip").read_bytes() == old


def test_a_place_that_cannot_be_written_is_a_clear_error(started):
    Path("full").write_text("")
    status, said = started("submit", "t1", "--to", "full/x.zip")
    assert status == 2
    assert "cannot be written" in said
    status, said = started("submit", "t1", "--to", "nowhere/deep/x.zip")
    assert status == 2
    assert "there is no folder 'nowhere/deep' to write x.zip into" in said
    assert not Path("nowhere").exists()
