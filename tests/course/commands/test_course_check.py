"""``etude course check``, ``prove`` and ``build``, as they are typed."""

import json

import pytest
from click.testing import CliRunner

from etude_course.commands import course
from etude_course.kit import kit as kits
from etude_course.kit.folder import Started
from etude_course.run.pack import kit_of
from etude_course.source.source import Source


def run(*arguments):
    done = CliRunner().invoke(course, [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


@pytest.fixture
def installed(small, tmp_path, monkeypatch):
    """The small assignment, as if it came with the package."""
    folder = tmp_path / "assigned"
    folder.mkdir()
    (folder / "t1.json").write_text(kit_of(small).text)
    monkeypatch.setattr(kits, "folder", lambda: folder)


@pytest.fixture
def started(installed, hand_in):
    def start(text):
        folder = hand_in(text)
        Started("T1", 1, "autumn", "ada").write(folder)
        return folder

    return start


HALF = """
def double(x):
    return x * x

def double_all(xs):
    raise NotImplementedError
"""


def test_feedback_is_the_mistake_then_the_case_then_where_to_get_a_hint(started):
    done = run("check", started(HALF))
    assert done.exit_code == 1
    text = done.output
    places = [text.index(words) for words in (
        "failed      0 of 3  double values", "mistake    this is x * x; asked for is x + x",
        "wrong      ", "case       ", "asked      double(x)", "expected   float32", "got        ",
        "hint       etude course hint double", "not written 0 of 2", "0 of 5 points")]
    assert places == sorted(places)
    assert text.isascii()


def test_a_number_of_cases_is_no_number_of_right_ones(started):
    lines = run("check", started(HALF)).output.splitlines()
    assert "  failed      0 of 3  double values  3 cases tried" in lines
    assert "  not written 0 of 2  double refuses" in lines  # and no cases


def test_what_is_still_to_be_timed_costs_nothing(capsys):
    from rich.console import Console

    from etude_course.export.text import print_result
    from etude_course.record import CheckResult, Result, Status

    right = CheckResult("a", "q", "right", 3, 3, Status.PASSED, executed=4, declared=4)
    busy = CheckResult("b", "q", "fast", 0, 2, Status.NOT_RUN, "contended: others had the cores")
    print_result(Result("T1", 1, "ada", [right, busy]), Console(width=100))
    text = capsys.readouterr().out
    assert "  to be timed - of 2  fast\n" in text
    assert "wrong" not in text
    assert text.endswith("3 of 3 points; 2 more are still to be timed\n")


def test_all_right_exits_with_0(started):
    done = run("check", started("def double(x):\n    return x + x\n\n\ndef double_all(xs):\n"
                                "    if not xs:\n        raise ValueError\n"
                                "    return [x + x for x in xs]\n"))
    assert done.exit_code == 0
    assert "5 of 5 points" in done.output


def test_what_waits_for_a_person_is_no_failure(written, hand_in):
    toml = (written() / "assignment.toml").read_text().replace(
        "[[mutant]]", '[[question.check]]\nid = "why"\npoints = 2\nhand = "x"\n[[mutant]]', 1)
    source = Source.read(written(toml=toml))
    run("build", source.folder, "--to", source.folder.parent)
    folder = source.folder.parent / "mine"
    assert run("start", source.folder.parent / "t1/t1.json", folder).exit_code == 0
    (folder / "small.py").write_text(source.solutions()["small.py"])
    done = run("check", folder)
    assert "waiting" in done.output
    assert done.exit_code == 0


def test_the_result_can_be_had_as_json(started):
    document = json.loads(run("check", started(HALF), "--json").output)
    assert document["score"] == 0
    assert document["student"] == "ada"


def test_one_question_may_be_asked_for(started):
    folder = started(HALF)
    assert "double values" in run("check", folder, "--question", "double").output
    done = run("check", folder, "--question", "doubel")
    assert done.exit_code == 2
    assert "T1 has no question 'doubel'. Did you mean 'double'?" in done.output


def test_what_cannot_be_checked_is_a_sentence(tmp_path):
    assert "holds no started assignment" in run("check", tmp_path).output
    assert "there is no folder" in run("check", tmp_path / "nowhere").output


def test_a_folder_that_was_not_started_is_checked_by_its_assignment(installed, hand_in):
    assert "0 of 5 points" in run("check", hand_in(HALF), "--assignment", "t1").output


def test_prove_prints_what_it_tried(small):
    done = run("prove", small.folder)
    assert done.exit_code == 0
    assert "ok        5 of 5  the solution\n" in done.output
    assert "ok        2 of 5  mutant squared\n" in done.output
    assert "T1 has 2 mutants, and 8 are the least" in done.output
    assert done.output.endswith("PROVEN\n")


def test_a_mutant_that_there_is_not_is_no_proof(small):
    done = run("prove", small.folder, "--mutant", "sqared")
    assert done.exit_code == 2
    assert "has no mutant 'sqared'. Did you mean 'squared'?" in done.output
    assert "PROVEN" not in done.output


def test_prove_says_what_is_wrong(written, small):
    text = (small.folder / "assignment.toml").read_text()
    folder = written(toml=text.replace('loses = ["double-values"]', 'loses = ["double-refuses"]'))
    done = run("prove", folder, "--mutant", "squared", "--show")
    assert done.exit_code == 1
    assert "WRONG" in done.output
    assert "double-refuses gives its points all the same" in done.output
    assert "double-values is lost too" in done.output
    assert "failed      0 of 3  double values" in done.output  # what a student is shown
    assert "NOT PROVEN: 1" in done.output
    assert "no folder" in run("prove", small.folder / "nowhere").output


def test_build_writes_the_same_bytes_twice(small, tmp_path):
    texts = []
    for _ in range(2):
        done = run("build", small.folder, "--to", tmp_path / "out")
        assert done.exit_code == 0
        texts.append({p.relative_to(tmp_path): p.read_bytes()
                      for p in sorted((tmp_path / "out").rglob("*")) if p.is_file()})
    assert texts[0] == texts[1]
    names = {p.name for p in texts[0]}
    assert {"t1.json", "handout.md", "small.py"} <= names
    assert "an example" not in done.output
    assert run("build").exit_code == 2


def test_what_is_built_with_parameters_is_an_example_and_says_so(written, tmp_path):
    toml = (written() / "assignment.toml").read_text().replace(
        "[[question]]", "[parameters]\nlimit = [4.0, 5.0]\n[[question]]", 1)
    done = run("build", written(toml=toml, handout="# Up to {{limit}}\n"), "--to", tmp_path / "out")
    assert "are an example (limit 4.0), and not to be handed out" in " ".join(done.output.split())
    assert (tmp_path / "out/t1/handout.md").read_text() == "# Up to 4.0\n"
    assert "Up to {{limit}}" in (tmp_path / "out/t1/t1.json").read_text()


def test_a_proof_in_several_processes_is_the_same(small):
    from etude_course.author.prove import prove

    one, two = (([(p.what, p.points, p.wrong) for p in prove(small, jobs=n)]) for n in (1, 2))
    assert one == two
