"""A folder of hand-ins: whose each is, which counts, and what a person is told about it."""

import os
import zipfile

import pytest

from etude_course.errors import CourseError
from etude_course.grade import handins
from etude_course.grade.roster import Roster, Student

WANTED = ["answer.py", "answer.c"]


def class_of(*students):
    return Roster({s.id: s for s in students}, given=True)


def put(folder, name, data=b"x = 1", inner="answer.py"):
    folder.mkdir(exist_ok=True)
    path = folder / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inner, data)
    elif "." in name.split("@")[0]:
        path.write_bytes(data)
    else:
        path.mkdir()
        (path / inner).write_bytes(data)
    return path


def collect(folder, roster=None, **more):
    return handins.collect(folder, roster or Roster(), WANTED, **more)


def test_a_folder_an_archive_and_a_file_are_a_hand_in_each(tmp_path):
    put(tmp_path, "s1")
    put(tmp_path, "s2.zip", inner="work/answer.py")
    put(tmp_path, "s3.py")
    put(tmp_path, "T1-s4.zip")
    put(tmp_path, "s5_answer.py")
    found = collect(tmp_path, id_="T1")
    assert [h.student for h in found.handins] == ["s1", "s2", "s3", "s4", "s5"]
    assert all(h.files == {"answer.py": b"x = 1"} for h in found.handins)
    assert all(h.notes == [] for h in found.handins)
    assert found.missing == found.unclaimed == []


def test_the_student_is_found_in_the_name_where_there_is_a_roster(tmp_path):
    roster = class_of(*map(Student, ("s1", "s10", "s11", "ada.l")))
    for name in ("doe_s10_assignsubmission_file", "S1.zip", "x-ada.l-1.zip", "guest.zip",
                 "s10-or-s11.zip"):
        put(tmp_path, name)
    found = collect(tmp_path, roster, times={
        "doe_s10_assignsubmission_file": "2026-11-28T10:00:00Z"})
    assert [(h.student, h.entry) for h in found.handins] == [
        ("ada.l", "x-ada.l-1.zip"), ("s1", "S1.zip"), ("s10", "doe_s10_assignsubmission_file")]
    assert found.unclaimed == ["guest.zip: nobody in the roster has such an id",
                               "s10-or-s11.zip: the name could mean s10 or s11"]
    assert found.missing == ["s11"]


def test_of_two_hand_ins_the_latest_counts_by_the_collectors_time_and_it_is_said(tmp_path):
    early = put(tmp_path, "s1@20261128T100000Z.zip", b"early")
    put(tmp_path, "s1@20261127T235959Z.zip", b"earlier")
    os.utime(early, (0, 0))  # the dates of files count for nothing
    [found] = collect(tmp_path).handins
    assert found.files == {"answer.py": b"early"}
    assert found.submitted == "2026-11-28T10:00:00Z"
    assert found.notes[0].startswith("handed in 2 times; graded is the latest, "
                                     "s1@20261128T100000Z.zip")


def test_times_come_from_a_file_by_hand_in_or_by_student(tmp_path):
    put(tmp_path / "in", "s1.zip")
    put(tmp_path / "in", "s2.zip")
    path = tmp_path / "times.csv"
    path.write_text("hand-in,submitted\ns1.zip,2026-11-28T10:00:00+01:00\n"
                    "s2,2026-11-28T09:30:00Z\n")
    found = collect(tmp_path / "in", times=handins.read_times(path))
    assert [h.submitted for h in found.handins] == ["2026-11-28T09:00:00Z",
                                                    "2026-11-28T09:30:00Z"]
    path.write_text("hand-in,submitted\ns9.zip,2026-11-28T10:00:00Z\n")
    with pytest.raises(CourseError, match=r"The times name s9.zip"):
        collect(tmp_path / "in", times=handins.read_times(path))
    path.write_text("hand-in,submitted\ns1.zip,yesterday\n")
    with pytest.raises(CourseError, match=r"times.csv, line 2: 'yesterday' is no time"):
        handins.read_times(path)


def test_two_hand_ins_without_times_are_not_guessed_about(tmp_path):
    put(tmp_path, "s1")
    put(tmp_path, "s1.zip")
    with pytest.raises(CourseError, match=r"2 hand-ins by s1 \(s1, s1.zip\), and which is the "
                       r"latest is not known. Give the collector's times"):
        collect(tmp_path)


def test_a_group_hands_in_once(tmp_path):
    roster = class_of(Student("s1", group="red"), Student("s2", group="red"), Student("s3"))
    put(tmp_path, "s1@20261128T100000Z.zip", b"first")
    put(tmp_path, "s2@20261128T110000Z.zip", b"second")
    found = collect(tmp_path, roster)
    [group] = found.handins
    assert (group.student, group.members) == ("s2", ["s1", "s2"])
    assert group.files == {"answer.py": b"second"}
    assert found.missing == ["s3"]


def test_a_hand_in_without_the_file_says_what_it_holds(tmp_path):
    put(tmp_path, "s1.zip", inner="notes.txt")
    (tmp_path / "s2").mkdir()
    one, two = collect(tmp_path).handins
    assert one.files == two.files == {}
    assert one.notes == ["the hand-in s1.zip has no file answer.py or answer.c: it holds "
                         "notes.txt"]
    assert two.notes == ["the hand-in s2 has no file answer.py or answer.c: it is empty"]


def test_only_what_is_asked_for_is_taken(tmp_path):
    put(tmp_path, "s1")
    (tmp_path / "s1" / "numpy.py").write_text("raise SystemExit")
    [found] = collect(tmp_path).handins
    assert found.files == {"answer.py": b"x = 1"}
    assert found.notes == ["not looked at: numpy.py"]


def test_a_file_that_was_renamed_on_the_way_is_taken_and_said(tmp_path):
    for student, inner in (("s1", "answer-1.py"), ("s2", "answer (2).py"),
                           ("s3", "doe_12_answer.py"), ("s4", "answers.py")):
        put(tmp_path, f"{student}.zip", inner=inner)
    found = collect(tmp_path).handins
    assert [bool(h.files) for h in found] == [True, True, True, False]
    assert found[1].notes == ["taken as answer.py: answer (2).py"]


def test_a_folder_with_an_archive_in_it_is_opened_as_moodle_gives_it(tmp_path):
    folder = tmp_path / "doe_ben_assignsubmission_file"
    folder.mkdir()
    put(folder, "t1-ben.zip", inner="t1/answer.py")
    (folder / "onlinetext.html").write_text("see the archive")
    [found] = collect(tmp_path, class_of(Student("ben"))).handins
    assert (found.student, found.files) == ("ben", {"answer.py": b"x = 1"})
    assert found.notes == ["not looked at: onlinetext.html"]


def test_an_archive_in_an_archive_is_opened_once_and_by_the_same_rules(tmp_path):
    put(tmp_path, "inner.zip", inner="../answer.py")
    evil = (tmp_path / "inner.zip").read_bytes()
    put(tmp_path, "inner.zip")
    twice = (tmp_path / "inner.zip").read_bytes()
    (tmp_path / "inner.zip").unlink()
    put(tmp_path, "s1.zip", evil, inner="t1.zip")
    put(tmp_path, "s2.zip", twice, inner="t1.zip")
    one, two = collect(tmp_path).handins
    assert one.files == {}
    assert "leads out of the hand-in" in one.notes[0]
    assert two.files == {"answer.py": b"x = 1"}
    put(tmp_path, "s3.zip", (tmp_path / "s2.zip").read_bytes(), inner="t1.zip")
    assert collect(tmp_path).unclaimed == [
        "s3.zip: in its archive t1.zip are archives again: t1.zip"]


def test_of_several_archives_none_is_guessed_and_nobody_gets_a_zero(tmp_path):
    (tmp_path / "ben").mkdir()
    for name in ("t1-ben.zip", "t1-ben-2.zip"):
        put(tmp_path / "ben", name)
    found = collect(tmp_path, class_of(Student("ben")))
    assert found.handins == found.missing == []
    assert found.unclaimed == ["ben: it holds 2 archives, and which counts is not known: "
                               "t1-ben-2.zip, t1-ben.zip"]


def test_the_folder_with_the_assignments_name_counts_as_nbgrader_has_it(tmp_path):
    for name, data in (("M0", b"m"), ("T1", b"t"), ("X1", b"x")):
        (tmp_path / "ada" / name).mkdir(parents=True)
        (tmp_path / "ada" / name / "answer.py").write_bytes(data)
    for name, data in (("t1", b"t"), ("m0", b"m")):
        assert collect(tmp_path, id_=name).handins[0].files == {"answer.py": data}
        assert collect(tmp_path, id_=name).handins[0].notes == []


def test_of_two_files_with_the_name_none_is_taken(tmp_path):
    put(tmp_path, "s1", inner="notes.txt")
    for inner in ("old", "new"):
        (tmp_path / "s1" / inner).mkdir()
        (tmp_path / "s1" / inner / "answer.py").write_bytes(b"x")
    found = collect(tmp_path)
    assert found.handins == []
    assert found.unclaimed == ["s1: there are several files called answer.py, and which counts is "
                               "not known: new/answer.py, old/answer.py"]


def test_a_refused_hand_in_counts_as_empty_and_says_why(tmp_path):
    put(tmp_path, "s1.zip", inner="../answer.py")
    [found] = collect(tmp_path).handins
    assert found.files == {}
    assert found.notes == ["the hand-in s1.zip is refused, and counts as empty: the path "
                           "'../answer.py' leads out of the hand-in"]


def test_a_wrong_path_is_a_sentence(tmp_path):
    with pytest.raises(CourseError, match=r"There is no folder '.*nowhere' with hand-ins"):
        collect(tmp_path / "nowhere")
    with pytest.raises(CourseError, match=r"is an archive: unpack it first"):
        collect(put(tmp_path, "all.zip"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CourseError, match="nothing was handed in"):
        collect(tmp_path / "empty")


def test_a_hand_in_is_stored_whole_under_the_hash_of_its_files(tmp_path):
    put(tmp_path / "in", "s1")
    [found] = collect(tmp_path / "in").handins
    folder = found.store(tmp_path / "kept")
    assert folder == tmp_path / "kept" / "s1" / found.submission[:16]
    assert (folder / "answer.py").read_bytes() == b"x = 1"
    assert found.store(tmp_path / "kept") == folder
    before = found.submission
    found.files["answer.c"] = b""
    assert found.submission != before
