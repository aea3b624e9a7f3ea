"""A student's kit: enough to check an answer with, and nothing of the solution."""

import json

import pytest

from etude_course.author.make import leaks, packed
from etude_course.errors import CourseError
from etude_course.kit.folder import Started
from etude_course.kit.kit import Kit, installed
from etude_course.record import Status
from etude_course.run.run import run
from etude_course.source.source import Source


def test_a_kit_is_read_back_as_it_was_written(small, tmp_path):
    kit = packed(small)
    (tmp_path / "t1.json").write_text(kit.text)
    back = Kit.load(tmp_path / "t1.json")
    assert back.text == kit.text
    assert back.assignment.checks == kit.assignment.checks
    assert back.starters == small.starters()


def test_making_a_kit_twice_gives_the_same_bytes(small):
    assert packed(small).text == packed(Source.read(small.folder)).text


def test_it_has_cases_and_what_is_expected_and_no_name_of_a_mutant(small):
    kit = packed(small)
    shown = kit.shown["double-values"]["{}"]
    assert len(shown.cases) == 3
    assert all(c.expected is not None for c in shown.cases)
    assert [f.mistake for f in shown.fingerprints] == ["this is x * x; asked for is x + x"]
    assert "squared" not in kit.text
    assert "x * x\\n" not in kit.text


HAND = '[[question.check]]\nid = "why"\npoints = 2\nhand = "names the empty list"\n[[mutant]]'


def test_what_a_person_looks_for_is_not_in_it(written):
    toml = (written() / "assignment.toml").read_text().replace("[[mutant]]", HAND, 1)
    source = Source.read(written(toml=toml))
    assert source.assignment.check("why").hand == "names the empty list"
    kit = packed(source)
    assert "names the empty list" not in kit.text
    read = Kit.from_json(json.loads(kit.text), "t1").assignment.check("why")
    assert (read.kind, read.points, read.hand) == ("hand", 2, "")


def test_an_answer_that_nobody_wrote_waits_for_nobody(written, hand_in):
    toml = (written() / "assignment.toml").read_text().replace("[[mutant]]", HAND, 1)
    source = Source.read(written(toml=toml))
    starter = source.starters()["small.py"]
    for text, waits in (("", False), (starter, False), (starter + "# the empty list\n", True)):
        found, = run(source, hand_in(text), hidden=False, only=["why"]).checks
        assert (found.status is Status.WAITING) == waits
        assert waits or found.message == "nothing is written in small.py"


def test_a_text_that_gives_the_solution_away_is_found(small):
    said = "return [x + x for x in xs]"
    assert leaks(small, packed(small).text) == []
    assert leaks(small, f"the answer is {said}") == [said]
    quoted = 'raise ValueError("double_all: nothing to double")'
    assert leaks(small, json.dumps(f"\n    {quoted}\n")) == [quoted]
    assert leaks(small, 'yield "an empty list", ([],)') == ['yield "an empty list", ([],)']


def test_what_the_author_has_published_is_no_secret(written):
    source = Source.read(written(handout="Write `return [x + x for x in xs]`.\n"))
    assert leaks(source, packed(source).text) == []


def test_a_mutant_is_a_secret_too(written):
    text = (written() / "assignment.toml").read_text()
    source = Source.read(written(toml=text.replace("return x * x", "return x * x * 1.0001")))
    assert leaks(source, "return x * x * 1.0001") == ["return x * x * 1.0001"]


@pytest.mark.parametrize("path", installed(), ids=lambda p: p.stem)
def test_an_installed_kit_can_be_read(path):
    kit = Kit.load(path)
    assert kit.assignment.id.lower() == path.stem
    assert kit.assignment.mutants == ()


def test_an_unknown_or_broken_kit_is_a_clear_error(tmp_path):
    with pytest.raises(CourseError, match="there is no assignment 'A99'"):
        Kit.read("A99")
    for text in ("{", "{}", '{"schema": 99}', "[]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(CourseError, match="is no kit of an assignment"):
            Kit.load(tmp_path / "a.json")


def test_a_started_folder_remembers_what_it_is(tmp_path):
    started = Started("T1", 1, "autumn", "ada", {"factor": 3})
    started.write(tmp_path)
    assert Started.read(tmp_path) == started
    with pytest.raises(CourseError, match="holds no started assignment"):
        Started.read(tmp_path / "elsewhere")
    (tmp_path / "assignment.json").write_text('{"assignment": ')
    with pytest.raises(CourseError, match="cannot be read"):
        Started.read(tmp_path)
