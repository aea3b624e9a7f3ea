"""Every export says the same score, and what the other system takes.

The schemas are ours, written from the platforms' documentation, which each names.
"""

import csv
import io
import json
from importlib.resources import files

import jsonschema
import made_class as made
import pytest

from etude_course.errors import CourseError
from etude_course.export import classroom50, gradescope, prairielearn, tables
from etude_course.export import text as text_of
from etude_course.grade.roster import Roster, Student
from etude_course.record import Override, Status

CLASS = made.class_of(60)
#: The results that are hard to say: nothing earned, a penalty beyond it, all waiting, points by
#: hand above and below what was found, a group.
HARD = [
    made.result("zero", [made.check(points=0, status=Status.CRASHED)]),
    made.result("late", [made.check()], late_days=9, late_free=1, penalty=3),
    made.result("drowned", [made.check(points=1, status=Status.FAILED)], penalty=3),
    made.result("waits", [made.check(points=0, most=2, status=Status.WAITING)]),
    made.result("lifted", [made.check(points=0, status=Status.FAILED)],
                overrides=[Override("variance-values", 3, "the case was wrong", "ab")]),
    made.result("lowered", overrides=[Override("variance-values", 1, "copied")]),
    made.result("rung", [made.check(points=1, status=Status.FAILED)]),
]


def schema(name):
    return json.loads(files("etude_course.export").joinpath(
        "schemas", f"{name}.schema.json").read_text())


def validate(document, name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
    jsonschema.validate(document, schema(name), cls=jsonschema.Draft202012Validator)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def column(result):
    return f"{result.assignment} {result.title}"


def scores(result):
    """The score that each system would show, in whole points."""
    shown = {
        "gradescope": gradescope.document(result)["score"],
        "classroom50": classroom50.document(result, made.RUNNER)["score"],
        "prairielearn": prairielearn.document(result)["score"] * result.max_score,
        "csv": int(rows(tables.plain([result], Roster()))[0]["score"]),
        "canvas": int(rows(tables.canvas([result], Roster()))[1][column(result)]),
        "moodle": int(rows(tables.moodle([result], Roster()))[0][column(result)]),
    }
    return shown


@pytest.mark.parametrize("result", HARD, ids=lambda r: r.student)
def test_the_score_is_the_same_from_each_where_it_is_hard_to_say(result):
    for system, score in scores(result).items():
        assert round(score, 9) == result.score, system


def test_the_score_is_the_same_from_each_for_a_class():
    assert len({r.score for r in CLASS}) > 5
    for result in CLASS:
        assert {round(s, 9) for s in scores(result).values()} == {result.score}


def test_a_whole_score_has_the_same_bytes_everywhere():
    for result in (*CLASS, *HARD):
        text = str(result.score)
        assert f'"score": {text},' in json.dumps(gradescope.document(result))
        assert f'"score": {text},' in json.dumps(classroom50.document(result, made.RUNNER))
        assert tables.moodle([result], Roster()).splitlines()[1].split(",")[2] == text
        assert tables.canvas([result], Roster()).splitlines()[2].split(",")[-1] == text


@pytest.mark.parametrize("result", [*HARD, *CLASS[:20]], ids=lambda r: r.student)
def test_each_document_is_what_its_system_takes(result):
    validate(gradescope.document(result), "gradescope")
    validate(prairielearn.document(result), "prairielearn")
    document = classroom50.document(result, made.RUNNER)
    validate(document, "classroom50")
    assert document["score"] <= document["max-score"]
    assert all(t["score"] <= t["max-score"] for t in document["tests"])


def test_the_tables_are_what_their_systems_take():
    roster = Roster({r.student: Student(r.student, f"Name {n}", other={"email": f"{n}@x.org"})
                     for n, r in enumerate(CLASS)} | {"s999": Student("s999", "Nobody")}, True)
    validate(rows(tables.canvas(CLASS, roster)), "canvas")
    validate(rows(tables.moodle(CLASS, roster)), "moodle")
    assert rows(tables.canvas(CLASS, roster))[-1]["Student"] == "Nobody"
    assert rows(tables.canvas(CLASS, roster))[-1][column(CLASS[0])] == ""  # not a zero
    assert "s999" not in {r["ID number"] for r in rows(tables.moodle(CLASS, roster))}


@pytest.mark.parametrize(("name", "spoil"), [
    ("gradescope", lambda d: d.update(tests=[{"visibility": "sometimes"}])),
    ("gradescope", lambda d: (d.pop("score"), d.pop("tests"))),
    ("prairielearn", lambda d: d.update(score=1.5)),
    ("prairielearn", lambda d: d["tests"][0].pop("points")),
    ("classroom50", lambda d: d.update(tests=[])),
    ("classroom50", lambda d: d.update(extra=1)),
    ("classroom50", lambda d: d.update(score=1.0 / 3)),
])
def test_the_schemas_refuse_what_the_systems_do(name, spoil):
    result = HARD[0]
    document = classroom50.document(result, made.RUNNER) if name == "classroom50" else \
        {"gradescope": gradescope, "prairielearn": prairielearn}[name].document(result)
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        validate(document, name)


def test_a_result_without_checks_is_refused_since_others_would_call_it_a_pass():
    empty = made.result(checks=[])
    for document in (gradescope.document, prairielearn.document,
                     lambda r: classroom50.document(r, made.RUNNER)):
        with pytest.raises(ValueError, match="s001 has no checks"):
            document(empty)


def test_classroom50_needs_its_runner():
    with pytest.raises(CourseError, match="COMMIT_URL"):
        classroom50.document(CLASS[0], {k: v for k, v in made.RUNNER.items() if k != "COMMIT_URL"})


@pytest.mark.parametrize("tag", ["submit/20261128T120000Z-ab12", "submit/2026-11-28T12-00-00Z-ab"])
def test_classroom50_has_the_time_of_the_tag_where_no_collector_gave_one(tag):
    document = classroom50.document(made.result(submitted=""), made.RUNNER | {
        "SUBMISSION_TAG": tag})
    validate(document, "classroom50")
    assert document["datetime"] == "2026-11-28T12:00:00Z"
    with pytest.raises(CourseError, match="SUBMISSION_TAG is"):
        classroom50.document(made.result(submitted=""), made.RUNNER | {"SUBMISSION_TAG": "x"})


def test_prairielearn_keeps_to_one_megabyte_whatever_was_printed():
    loud = made.result(checks=[
        made.check(f"c-{n}", 0, status=Status.FAILED, detail="\u00fc" * 700_000)
        for n in range(3)])
    document = prairielearn.document(loud)
    assert len(json.dumps(document).encode()) <= 1_000_000
    validate(document, "prairielearn")
    assert "cut: the file may have 1 MB" in document["tests"][2]["output"]


def test_a_case_that_students_do_not_have_is_not_shown():
    result = made.result(checks=[made.check(points=0, status=Status.FAILED, case="hidden: row 7",
                                            detail="expected 42", message="a case is wrong")])
    texts = [json.dumps(gradescope.document(result)), json.dumps(prairielearn.document(result)),
             json.dumps(classroom50.document(result, made.RUNNER)),
             tables.plain([result], Roster()), tables.moodle([result], Roster()),
             text_of.feedback(result)]
    for text in texts:
        assert "42" not in text
        assert "row 7" not in text
    assert "a case is wrong" in texts[0]
    assert "case one that students do not have" in " ".join(texts[-1].split())


def test_what_is_for_those_who_teach_is_not_told_to_students():
    result = made.result(notes=["taken as answer.py: answer-1.py"],
                         remarks=["started as 'bob', graded as 's001'"])
    for said in (tables.moodle([result], Roster()), text_of.feedback(result),
                 gradescope.document(result)["output"], prairielearn.document(result)["message"]):
        assert "taken as answer.py" in said
        assert "bob" not in said


def test_what_was_found_stays_beside_points_by_hand():
    lowered = made.result(checks=[made.check(points=0, status=Status.FAILED, message="is wrong")],
                          overrides=[Override("variance-values", 1, "the idea", "ab")])
    [test] = gradescope.document(lowered)["tests"]
    assert test["output"] == "1 of 3 points were given by ab: the idea\nis wrong"


def test_a_penalty_and_points_by_hand_are_explained():
    late, lifted = gradescope.document(HARD[1]), gradescope.document(HARD[4])
    assert "3 points were taken off for 8 late days" in late["output"]
    assert lifted["tests"][0]["output"] == ("3 of 3 points were given by ab: the case was wrong")


def test_a_group_gets_the_score_of_its_hand_in():
    group = made.result("s2", members=["s1", "s2"])
    found = rows(tables.plain([group], Roster()))
    assert [(r["student"], r["score"]) for r in found] == [("s1", "3"), ("s2", "3")]


def test_a_cell_is_no_formula():
    roster = Roster({"s1": Student("s1", '=HYPERLINK("http://x")')}, True)
    [row] = rows(tables.plain([made.result("s1")], roster))
    assert row["name"].startswith("'=")


def test_two_versions_are_not_one_column():
    other = made.result("s2", [made.check(most=4)])
    with pytest.raises(ValueError, match="not of one assignment"):
        tables.canvas([made.result("s1"), other], Roster())
