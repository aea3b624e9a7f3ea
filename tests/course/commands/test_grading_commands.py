"""The commands of those who teach, as they are typed: grade, override, regrade, export, report."""

import json

import made_class
import pytest
from click.testing import CliRunner

from etude.commands import etude
from etude_course.source.source import Source


def run(*arguments, code=0):
    done = CliRunner().invoke(etude, ["course", *map(str, arguments)], prog_name="etude")
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """An assignment, and a graded class: s1 is right, s2 has n - 1."""
    top = tmp_path_factory.mktemp("commands")
    source = Source.read(made_class.assignment(top / "t1"))
    (top / "in").mkdir()
    solved = source.solutions()["answer.py"]
    (top / "in" / "s1.py").write_text(solved)
    (top / "in" / "s2.py").write_text(solved.replace("/ x.shape[1]", "/ (x.shape[1] - 1)"))
    (top / "class.csv").write_text("id,name,email\ns1,Ada L,a@x.org\ns2,Alan T,b@x.org\ns3,,\n")
    said = run("grade", top / "in", "--assignment", top / "t1", "--into", top / "out", "--roster",
               top / "class.csv")
    assert "1 handed in nothing: s3" in said
    assert ("2 have an answer that a person grades: variance-why, 1 point. Look for: says why n"
            ) in said
    [file] = (top / "out" / "hand-ins" / "s1").glob("*/answer.py")
    assert f"s1: {file}" in said
    return top


def result(place, student):
    return json.loads((place / "out" / "results" / f"{student}.json").read_text())


def grade(place, folder, *more, code=2):
    return run("grade", folder, "--assignment", place / "t1", "--into", place / "other", *more,
               code=code)


def test_what_cannot_be_graded_is_said_and_nothing_is_written(place, tmp_path):
    assert "There is no folder" in grade(place, place / "nowhere")
    assert "nobody.csv cannot be read" in grade(place, place / "in", "--roster", "nobody.csv")
    (tmp_path / "bad.csv").write_text("id,extra days\ns1,two\n")
    assert "line 2: extra days is a whole number" in grade(
        place, place / "in", "--roster", tmp_path / "bad.csv")
    assert "in which time zone" in grade(place, place / "in", "--due", "2026-11-28T12:00")
    assert "there is no assignment" in run("grade", place / "in", "--assignment", tmp_path, code=2)
    assert not (place / "other").exists()


def test_a_hand_in_of_nobody_is_named_and_the_others_are_graded(place, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("s1", "guest"):
        (tmp_path / "in" / f"{name}.py").write_text((place / "in" / "s1.py").read_text())
    said = run("grade", tmp_path / "in", "--assignment", place / "t1", "--into", tmp_path / "out",
               "--roster", place / "class.csv", code=1)
    assert "1 hand-ins were graded" in said
    assert "NOT GRADED: guest.py: nobody in the roster has such an id" in said


def test_points_by_hand_need_a_reason_and_a_check_that_there_is(place):
    assert "need a --reason" in run("override", place / "out", "s1", "variance-why", 1, code=2)
    for arguments, said in (
            (("s9", "variance-why", 1), "nothing by 's9' was graded"),
            (("s1", "variance-whi", 1), "no check 'variance-whi'. Did you mean 'variance-why'?"),
            (("s1", "variance-why", 2), "worth 1 points, and 2 are too many")):
        assert said in run("override", place / "out", *arguments, "--reason", "x", code=2)
    assert "There is no grading" in run("override", place / "in", "s1", "variance-why", 1,
                                        "--reason", "x", code=2)
    assert not (place / "in" / "journal.jsonl").exists()


def test_answers_are_graded_by_hand_one_by_one_or_from_a_file(place, tmp_path):
    said = run("override", place / "out", "s1", "variance-why", 1, "--reason", "says n", "--by",
               "ab")
    assert said == "s1: 5 -> 6 of 6"
    marks = tmp_path / "marks.csv"
    marks.write_text("student,check,points,reason,by\ns2,variance-why,1,says n,ab\n"
                     "s2,variance-values,9,too many,ab\n")
    assert "marks.csv, line 3: variance-values is worth 3" in run(
        "override", place / "out", "--file", marks, code=2)
    assert result(place, "s2")["score"] == 2  # all or none
    toml = tmp_path / "marks.toml"
    toml.write_text('[[override]]\nstudent = "s2"\ncheck = "variance-why"\npoints = 1\n'
                    'reason = "says n"\n')
    assert run("override", place / "out", "--file", toml) == "s2: 2 -> 3 of 6"
    assert result(place, "s2")["overrides"][0]["reason"] == "says n"
    toml.write_text('[[override]]\nstudent = "s2"\ncheck = "variance-why"\npoint = 1\n')
    assert "no field 'point'. Did you mean 'points'?" in run(
        "override", place / "out", "--file", toml, code=2)


def test_whoever_handed_in_nothing_may_be_given_points_when_that_is_said(place):
    asked = (place / "out", "s3", "variance-why", 1, "--reason", "on paper", "--by", "ab")
    assert "--without-hand-in gives points" in run("override", *asked, code=2)
    assert not (place / "out" / "results" / "s3.json").exists()
    assert run("override", *asked, "--without-hand-in") == "s3: 0 -> 1 of 6"
    made = result(place, "s3")
    assert made["score"] == 1
    assert {c["status"] for c in made["checks"]} == {"not written"}
    (place / "out" / "results" / "s3.json").unlink()
    lines = (place / "out" / "journal.jsonl").read_text().splitlines(keepends=True)
    (place / "out" / "journal.jsonl").write_text("".join(lines[:-3]))


def test_each_student_gets_what_failed_and_why_and_no_hidden_case(place, tmp_path):
    run("override", place / "out", "s2", "variance-why", 0, "--reason", "first look", "--by", "cd")
    run("override", place / "out", "s2", "variance-why", 1, "--reason", "says n", "--by", "ab")
    assert "Wrote 2 texts" in run("feedback", place / "out", "--into", tmp_path / "told")
    told = (tmp_path / "told" / "s2.txt").read_text()
    assert "this is the variance with n - 1" in told
    assert "by hand 1 of 1 points were given by ab: says n" in " ".join(told.split())
    assert "3 of 6 points" in told
    assert "hidden" not in told
    run("export", place / "out", "moodle", "--to", tmp_path / "m.csv")
    assert "this is the variance with n - 1" in (tmp_path / "m.csv").read_text()
    run("export", place / "out", "csv", "--to", tmp_path / "r.csv")
    table = (tmp_path / "r.csv").read_text()
    assert "variance-why: 1 of 1 points were given by ab: says n" in table
    run("report", place / "out", "--to", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "0 of 1: first look (cd)" in page  # all that were given
    assert "1 of 1: says n (ab)" in page


def test_an_export_that_is_refused_leaves_no_folder(place, tmp_path, monkeypatch):
    for name in made_class.RUNNER:
        monkeypatch.delenv(name, raising=False)
    assert "made in its workflow" in run("export", place / "out", "classroom50", "--to",
                                         tmp_path / "results", code=2)
    assert not (tmp_path / "results").exists()


def test_every_export_is_written(place, tmp_path, monkeypatch):
    for name, value in made_class.RUNNER.items():
        monkeypatch.setenv(name, value)
    for name in ("csv", "canvas", "moodle"):
        run("export", place / "out", name, "--to", tmp_path / f"{name}.csv", "--roster",
            place / "class.csv")
        assert "Ada L" in (tmp_path / f"{name}.csv").read_text() or name == "moodle"
    for name in ("gradescope", "prairielearn", "classroom50"):
        said = run("export", place / "out", name, "--to", tmp_path / name)
        assert "Wrote 2 results" in said
        assert len(list((tmp_path / name).iterdir())) == 2
    assert "There is no grading" in run("export", tmp_path, "csv", "--to", tmp_path / "x.csv",
                                        code=2)
    one = place / "out" / "results" / "s1.json"
    run("export", one, "gradescope", "--to", tmp_path / "results" / "results.json")
    assert json.loads((tmp_path / "results" / "results.json").read_text())["score"] == result(
        place, "s1")["score"]


def test_the_report_names_people_or_does_not(place, tmp_path):
    run("report", place / "out", "--to", tmp_path / "r.html", "--roster", place / "class.csv")
    text = (tmp_path / "r.html").read_text()
    assert "Ada L (s1)" in text
    assert "this is the variance with n - 1" in text
    assert "To texts of the course" in text
    run("report", place / "out", "--to", tmp_path / "a.html", "--roster", place / "class.csv",
        "--anonymous")
    text = (tmp_path / "a.html").read_text()
    assert "Ada" not in text
    assert "s1" not in text
    assert "cannot be written" in run("report", place / "out", "--to", tmp_path / "no" / "r.html",
                                      code=2)


def test_a_dry_run_finds_what_grading_found_and_writes_nothing(place):
    before = {p: p.read_bytes() for p in place.rglob("*") if p.is_file()}
    said = run("dry-run", place / "in" / "s2.py", "--assignment", place / "t1", "--secret",
               place / "out" / "secret")
    assert "this is the variance with n - 1" in said
    assert {p: p.read_bytes() for p in place.rglob("*") if p.is_file()} == before
    assert "There is no hand-in" in run("dry-run", place / "nothing.py", "--assignment",
                                        place / "t1", code=2)


def test_a_dry_run_is_as_the_grading_was_or_refused(place, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "s2.py").write_text((place / "in" / "s2.py").read_text())
    out, late = tmp_path / "out", tmp_path / "in" / "s2.py"
    (tmp_path / "times.csv").write_text("hand-in,submitted\ns2.py,2026-11-28T13:00:00Z\n")
    run("grade", tmp_path / "in", "--assignment", place / "t1", "--into", out, "--course", "c",
        "--due", "2026-11-28T12:00:00Z", "--times", tmp_path / "times.csv", "--late-percent", 20)
    said = run("dry-run", late, "--grading", out)
    assert "this is the variance with n - 1" in said
    assert "1 points were taken off for 1 late day. 1 of 6 points" in said
    for more, why in ((("--course", "d"), "graded for the course 'c', and --course says 'd'"),
                      (("--secret", place / "out" / "secret"), "graded with another secret"),
                      (("--assignment", tmp_path / "t2"), "is not what")):
        made_class.assignment(tmp_path / "t2", made_class.TOML.replace("points = 3", "points = 4"))
        assert why in run("dry-run", late, "--grading", out, *more, code=2)
    assert "Say with which assignment" in run("dry-run", late, code=2)
    late.write_text(late.read_text() + "# again\n")
    assert "this is not what was graded there" in run("dry-run", late, "--grading", out)


def test_a_corrected_assignment_says_what_changed_and_whose_points_did(place, tmp_path):
    toml = place / "t1" / "assignment.toml"
    before = toml.read_text()
    options = (place / "in", "--assignment", place / "t1", "--into", tmp_path / "out")
    run("grade", *options)
    assert "Nothing has changed" in run("regrade", *options)
    toml.write_text(before.replace("points = 3", "points = 4"))
    assert "The version is the same: raise it" in run("regrade", *options, code=2)
    toml.write_text(before.replace("points = 3", "points = 4").replace("version = 1",
                                                                       "version = 2"))
    said = run("regrade", *options)
    assert "variance-values: points was 3, is 4" in said
    assert "2 hand-ins are concerned" in said
    assert "Nothing was done" in said
    run("override", tmp_path / "out", "s2", "variance-why", 1, "--reason", "says n")
    assert "graded for the course '', and --course says 'x'" in run(
        "regrade", *options, "--course", "x", code=2)
    said = run("regrade", *options, "--yes")
    assert "The points of 1 hand-ins have changed" in said  # s2 lost the check before and after
    assert "The assignment has 7 points now" in said
    assert "s1: 5 of 6 -> 6 of 7 (variance-values 3 -> 4)" in said
    made = json.loads((tmp_path / "out" / "results" / "s2.json").read_text())
    assert (made["version"], made["score"]) == (2, 3)  # what a person gave stays
    assert "The points of 1 hand-ins have changed" in run("regrade", *options, "--yes")
    toml.write_text(before)
