"""A class of 24 is graded, killed twice on the way: nothing is lost, nothing graded twice.

``cohort.py``, one folder up, does the same with 300.
"""

import json
import shutil
import zipfile

import made_class
import made_handins
import pytest
import runs_grading as runs

from etude_course.grade import handins, late
from etude_course.grade.cohort import Cohort, Settings
from etude_course.grade.roster import Roster, Student
from etude_course.source.source import Source

if shutil.which("cc") is None and shutil.which("gcc") is None:
    pytest.skip("NOT RUN: needs a C compiler", allow_module_level=True)

SIZE = 24


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A class, graded by a run that was killed twice, and once more when all was done."""
    top = tmp_path_factory.mktemp("class")
    source = Source.read(made_class.assignment(top / "t1"))
    made = made_handins.class_for(source, SIZE)
    made_handins.write(top / "in", made)
    (top / "class.csv").write_text(made_handins.roster(made) + "s999,Nobody\n")
    arguments = runs.command(top / "in", top / "t1", top / "out", "--jobs", "2", "--roster",
                             str(top / "class.csv"))
    seen = []
    for count in (4, 12):
        below = runs.kill_after(arguments, top / "out", count)
        seen.append((set(runs.graded(top / "out")), runs.still_there(below)))
    status, said = runs.finish(arguments)
    done = (top / "out" / "journal.jsonl").read_bytes()
    again = runs.finish(arguments)
    return {"top": top, "made": made, "seen": seen, "status": status, "said": said,
            "journal": done, "again": again}


def test_everyone_is_graded_once_however_often_it_was_killed(place):
    out = place["top"] / "out"
    assert place["status"] == 0, place["said"]
    assert len(runs.graded(out)) == SIZE
    assert runs.twice(out) == []
    for before, _ in place["seen"]:
        assert before <= set(runs.graded(out))
    assert set(runs.scores(out)) == {m.student for m in place["made"]}
    assert "1 handed in nothing: s999" in place["said"]


def test_a_killed_grader_leaves_no_process_behind(place):
    for _, left in place["seen"]:
        assert left == set()


def test_grading_again_does_nothing(place):
    status, said = place["again"]
    assert status == 0
    assert f"0 hand-ins were graded, {SIZE} had been before." in said
    assert (place["top"] / "out" / "journal.jsonl").read_bytes() == place["journal"]


def test_each_hand_in_loses_what_it_should_and_no_more(place):
    found = {r["student"]: r for r in runs.results(place["top"] / "out")}
    kinds = set()
    for made in place["made"]:
        result = found[made.student]
        kinds.add(made.kind.split()[0])
        if made.loses is not None:
            assert runs.lost(result) == set(made.loses), (made.kind, result)
        else:
            assert runs.lost(result), (made.kind, made.files)
        if made.kind in ("hanging", "crashing"):
            assert len(runs.lost(result)) == 1, result  # the other question keeps its points
            assert result["score"] > 0
        if made.kind == "starter":
            assert result["score"] == 0
    assert kinds == {"solution", "starter", "mutant", "changed", "hanging", "crashing"}


def test_mistakes_are_named(place):
    found = {r["student"]: r for r in runs.results(place["top"] / "out")}
    for made in place["made"]:
        if made.kind == "mutant ddof":
            assert found[made.student]["checks"][0]["mistake"] == (
                "this is the variance with n - 1")


# ------------------------------------------------------------------ one after another


def grade(top, into="out", regrade=False, **more):
    settings = Settings(top / "t1", top / "in", top / into, jobs=2, **more)
    return Cohort(settings, regrade=regrade).run()


@pytest.fixture
def small(tmp_path):
    """An assignment, and one hand-in by s1 that is right."""
    source = Source.read(made_class.assignment(tmp_path / "t1"))
    (tmp_path / "in" / "s1").mkdir(parents=True)
    (tmp_path / "in" / "s1" / "answer.py").write_text(source.solutions()["answer.py"])
    return tmp_path


def test_a_later_hand_in_is_graded_and_a_late_one_costs_points(small):
    roster = Roster({"s1": Student("s1")}, True)
    policy = late.Policy(late.moment("2026-11-28T12:00:00Z"), percent=20)
    times = {"s1": "2026-11-28T11:00:00Z"}
    [result] = grade(small, roster=roster, policy=policy, times=times).results
    assert (result.score, result.late_days, result.submitted) == (5, 0, times["s1"])
    (small / "in" / "s1@20261129T110000Z.py").write_text(
        (small / "in" / "s1" / "answer.py").read_text() + "# again\n")
    outcome = grade(small, roster=roster, policy=policy, times=times)
    [result] = outcome.results
    assert outcome.graded == 1
    assert (result.score, result.late_days, result.penalty) == (4, 1, 1)  # a fifth of 6, down
    assert len(list((small / "out" / "results").iterdir())) == 1


def test_an_extension_given_afterwards_costs_no_new_grading(small):
    policy = late.Policy(late.moment("2026-11-28T12:00:00Z"), percent=20)
    times = {"s1": "2026-11-28T13:00:00Z"}
    assert grade(small, policy=policy, times=times).results[0].penalty == 1
    longer = Roster({"s1": Student("s1", extra=late.DAY)}, True)
    outcome = grade(small, roster=longer, policy=policy, times=times)
    assert outcome.graded == 0
    assert outcome.results[0].penalty == 0


def test_another_assignment_another_course_or_another_secret_is_refused(small):
    grade(small)
    toml = small / "t1" / "assignment.toml"
    before = toml.read_text()
    toml.write_text(before.replace('"T1"', '"T2"'))
    with pytest.raises(handins.CourseError, match="holds T1, and the assignment is T2"):
        grade(small)
    toml.write_text(before)
    with pytest.raises(handins.CourseError, match="graded for the course ''"):
        grade(small, course="autumn")
    (small / "other").write_text("another")
    with pytest.raises(handins.CourseError, match="graded with another secret"):
        grade(small, secret=small / "other")
    assert grade(small).graded == 0


def test_an_edit_of_the_assignment_changes_nobodys_points_and_late_hand_ins_are_graded_alike(
        small):
    grade(small)
    toml = small / "t1" / "assignment.toml"
    toml.write_text(toml.read_text().replace("points = 3", "points = 4").replace(
        "version = 1", "version = 2"))
    (small / "in" / "s2.py").write_text((small / "in" / "s1" / "answer.py").read_text())
    outcome = grade(small)
    assert outcome.graded == 1
    assert [(r.student, r.version, r.score, r.max_score) for r in outcome.results] == [
        ("s1", 1, 5, 6), ("s2", 1, 5, 6)]
    assert "Version 1 was graded, as before: 'etude course regrade' says" in outcome.pinned
    outcome = grade(small, regrade=True)
    assert [(r.version, r.score, r.max_score) for r in outcome.results] == [(2, 6, 7)] * 2
    assert grade(small).pinned == ""


def test_a_hand_in_that_was_started_as_somebody_else_is_remarked_to_those_who_teach(small):
    toml = small / "t1" / "assignment.toml"
    toml.write_text(toml.read_text() + "[parameters]\nslope = [0.01, 0.1, 0.2, 0.3]\n")
    right = (small / "in" / "s1" / "answer.py").read_text()
    for student, said in (("ben", "Bne"), ("zoe", "s1"), ("ada", "Ada"), ("cleo", "cleo")):
        (small / "in" / student).mkdir()
        (small / "in" / student / "answer.py").write_text(right)
        (small / "in" / student / "assignment.json").write_text(
            json.dumps({"version": 1, "course": "c", "student": said}))
    found = {r.student: r for r in grade(small, course="c").results}
    assert found["ben"].remarks == [
        "started as 'Bne', graded as 'ben': other parameters were asked for"]
    assert found["zoe"].remarks[0].startswith("started as 's1', graded as 'zoe'")
    assert found["ada"].remarks in ([], [  # in capitals alone: said where it matters
        "started as 'Ada', graded as 'ada': other parameters were asked for"])
    assert found["cleo"].remarks == found["cleo"].notes == []
    assert found["ben"].notes == []  # which students read


def test_a_grader_that_fails_costs_nobody_anything(small, monkeypatch):
    from etude_course.grade import one

    monkeypatch.setattr(one, "grade", lambda job: {"trouble": "the disk is full"})
    outcome = grade(small)
    assert outcome.results == []
    assert outcome.trouble == ["s1 was not graded: the disk is full"]
    monkeypatch.undo()
    assert grade(small).graded == 1


def test_a_numpy_among_the_hand_ins_is_not_imported(small, monkeypatch):
    folder = small / "in"
    (folder / "numpy.py").write_text("raise SystemExit('imported')\n")
    (folder / "etude.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(folder)
    roster = Roster({"s1": Student("s1")}, True)
    outcome = grade(small, roster=roster)
    assert [r.score for r in outcome.results] == [5]
    assert outcome.trouble == []


def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(small, room):
    grade(small)
    (small / "in" / "s2.py").write_text((small / "in" / "s1" / "answer.py").read_text())
    with room((small / "out" / "journal.jsonl").stat().st_size + 50), \
            pytest.raises(handins.CourseError, match=r"(?s)Grading stopped: .*the same command"):
        grade(small)
    assert {r.student for r in grade(small).results} == {"s1", "s2"}


def test_a_missing_compiler_is_said_before_anybody_is_graded(small, monkeypatch):
    (small / "in" / "s2").mkdir()
    (small / "in" / "s2" / "answer.c").write_text(made_class.text(made_class.C_SOLUTION))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(handins.CourseError, match=r"1 hand-ins have answers in \.c files \(s2 is "
                       r"one\), and no compiler was found \(tried cc, gcc, clang\)"):
        grade(small)
    monkeypatch.undo()
    assert {r.student for r in grade(small).results} == {"s1", "s2"}


def test_a_starter_in_c_that_nobody_touched_wants_no_compiler(small, monkeypatch):
    starter = Source.read(small / "t1").starters()["answer.c"]
    (small / "in" / "s1" / "answer.c").write_text(starter)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    assert [r.student for r in grade(small).results] == ["s1"]


def test_what_was_packed_for_another_version_or_course_is_graded_and_said(small):
    with zipfile.ZipFile(small / "in" / "t1-s2.zip", "w") as archive:
        archive.write(small / "in" / "s1" / "answer.py", "answer.py")
        archive.writestr("assignment.json", '{"version": 7, "course": "autumn", "student": "s1"}')
    found = {r.student: r for r in grade(small).results}
    assert found["s2"].score == 5
    assert found["s2"].notes == [
        "started with version 7 of T1, graded with version 1",
        "started for the course 'autumn', graded for '': other parameters may have been asked for"]
    assert found["s2"].remarks == ["started as 's1', graded as 's2'"]
    assert found["s1"].notes == []


def test_a_group_is_graded_once_and_has_one_result(small):
    roster = Roster({s: Student(s, group="red") for s in ("s1", "s2")}, True)
    [result] = grade(small, roster=roster).results
    assert (result.student, result.members) == ("s1", ["s1", "s2"])


def test_a_hand_in_without_the_file_earns_nothing_and_says_why(small):
    (small / "in" / "s2.zip").write_bytes(b"no archive")
    (small / "in" / "s3").mkdir()
    found = {r.student: r for r in grade(small).results}
    assert found["s1"].score == 5
    assert found["s2"].score == found["s3"].score == 0
    assert "s2.zip is refused" in found["s2"].notes[0]
    assert "has no file answer.py or answer.c: it is empty" in found["s3"].notes[0]
