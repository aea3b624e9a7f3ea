"""assignment.toml: what it says, and what it cannot say."""

import pytest

from etude_course.errors import CourseError
from etude_course.source.assignment import of_document, read
from etude_course.source.source import Source


def test_what_it_says_is_read(small):
    a = small.assignment
    assert (a.id, a.version, a.files, a.points) == ("T1", 1, ("small.py",), 5)
    assert [c.id for c in a.checks] == ["double-values", "double-refuses"]
    assert a.checks[0].kind == "call"
    assert a.checks[0].title == "double values"
    assert a.mutants[0].loses == ("double-values",)
    assert a.question(a.check("double-refuses")).id == "double"


def document(**changes):
    base = {"id": "T1", "title": "t", "version": 1, "files": ["a.py"], "question": [
        {"id": "q", "title": "q", "check": [{"id": "c", "points": 1, "call": "f"}]}]}
    return {**base, **changes}


def checked(**check):
    return document(question=[{"id": "q", "title": "q", "check": [{"id": "c", "points": 1,
                                                                   **check}]}])


def with_mutant(**mutant):
    return document(mutant=[{"name": "m", "mistake": "s", "old": "a", "new": "b", "loses": ["c"],
                             **mutant}])


@pytest.mark.parametrize(("given", "said"), [
    (document(idd="x"), "an entry 'idd', which nothing reads. Did you mean 'id'?"),
    (document(id="a2"), "a capital letter and a number"),
    (document(version="1"), "'version' of the assignment should be a whole number, got '1'"),
    (document(version=True), "should be a whole number, got True"),
    (document(files=["../a.py"]), "a plain name without a folder, got '../a.py'"),
    (document(files=[]), "'files' names no file"),
    (document(question=[]), "there is no [[question]]"),
    (document(limits={"call": 0}), "seconds above 0"),
    (document(parameters={"slope": [1]}), "a list of two or more"),
    (document(parameters={n: [1, 2, 3] for n in "abc"}), "27 combinations; 24 are the most"),
    (checked(call="f", op="exp"), "it says call and op"),
    (checked(), "it says none of them"),
    (checked(call="f", points=0), "worth 0 points"),
    (checked(call="f", points=1.5), "should be a whole number, got 1.5"),
    (checked(call="f", tolerance="loose"), "one of exact, float32, float64"),
    (checked(call="f", tolerance=2.0), "lies between 0 and 0.5"),
    (checked(call="f", visible=0), "one visible case or more"),
    (checked(call="f", judge="is_sorted"), "names a function of drivers.py"),
    (checked(speed="matmul", ladder=[[1.0, 2]]), "climbs to its 1 points"),
    (checked(speed="matmul", ladder=[[1.0]]), "is [ratio, points]"),
    (checked(call="f", vissible=3), "Did you mean 'visible'?"),
    (document(question=[{"id": "q", "title": "q", "file": "b.py", "check": []}]),
     "'b.py', which 'files' does not list"),
    (document(question=[{"id": "Q", "title": "q", "check": []}]), "small letters"),
    (with_mutant(loses=[]), "loses nothing"),
    (with_mutant(loses=["d"]), "loses 'd': T1 has no check called 'd'"),
    (with_mutant(edits=[["a", "b"]]), "with 'old' and 'new', or with 'edits'"),
    (with_mutant(file="b.py"), "in 'b.py', which no question names"),
])
def test_what_it_cannot_say_is_an_error_that_names_it(given, said):
    with pytest.raises(CourseError) as error:
        of_document(given, "here/assignment.toml")
    assert str(error.value).startswith("here/assignment.toml: ")
    assert said in str(error.value)


def test_an_id_stands_once():
    check = {"id": "c", "points": 1, "call": "f"}
    with pytest.raises(CourseError, match="two checks are called 'c'"):
        of_document(document(question=[{"id": "q", "title": "q", "check": [check, check]}]), "x")


def test_broken_toml_is_named_with_its_line(tmp_path):
    (tmp_path / "assignment.toml").write_text('id = "T1"\ntitle = \n')
    with pytest.raises(CourseError, match=r"assignment.toml is not valid TOML: .*line 2"):
        read(tmp_path)
    with pytest.raises(CourseError, match="there is no assignment in"):
        read(tmp_path / "nowhere")


def test_a_mutant_must_change_something_that_is_there_once(written):
    text = (written() / "assignment.toml").read_text()
    for old in ("return y + y", "return"):
        folder = written(toml=text.replace("return x + x", old))
        with pytest.raises(CourseError, match=r"should be once in small\.py"):
            Source.read(folder)


def test_a_check_needs_cases_and_cases_a_check(written):
    text = (written() / "checks.py").read_text()
    with pytest.raises(CourseError, match="draws no cases of the check 'double-values'"):
        Source.read(written(checks=text.replace('@cases("double-values")\n', "")))
    with pytest.raises(CourseError, match="has no check 'tripled' that calls"):
        Source.read(written(checks=text.replace('@cases("double-values")', '@cases("double-values")'
                                                '\n@cases("tripled")')))


def test_drivers_that_are_asked_for_must_be_there(written):
    text = (written() / "assignment.toml").read_text()
    with pytest.raises(CourseError, match=r"drivers\.py has no function twice"):
        Source.read(written(toml=text.replace('"double_all"', '"drivers:twice"')))
    with pytest.raises(CourseError, match="no folder"):
        Source.read(written() / "elsewhere")
