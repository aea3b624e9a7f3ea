"""The zoo of GPU mistakes: complete, readable, and found out. A sample runs here; all of it is
`etude zoo run --gpu`.
"""

import json
import os
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from etude_check.commands.zoo import zoo as kit_zoo
from etude_cuda.lab.build import LabError
from etude_cuda.lab.events import KINDS
from etude_cuda.zoo import HERE, Expected, animals, expectations
from etude_cuda.zoo.commands import zoo
from etude_cuda.zoo.score import Fate, Found, Score, Seen, judge, refused, run

ANIMALS = animals()
WRONG = [a for a in ANIMALS.values() if not a.innocent]

gxx = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None,
                         reason="NOT RUN: needs g++")
nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="NOT RUN: needs nvcc")


# ---------------------------------------------------------------- what is in it


def test_there_are_enough_of_both_sorts():
    assert len(WRONG) >= 80
    assert len(ANIMALS) - len(WRONG) >= 20


def test_every_kind_of_finding_has_an_animal():
    assert {k for a in WRONG for k in a.kinds} == set(KINDS)


@pytest.mark.parametrize("animal", ANIMALS.values(), ids=lambda a: a.name)
def test_an_animal_says_what_it_is_in_a_screenful(animal):
    assert len(animal.source.split("\n")) <= 66
    assert all(len(line) <= 100 for line in animal.source.split("\n"))
    assert animal.source.isascii()
    assert animal.about.endswith(".")
    assert animal.innocent == (animal.about.startswith("Looks "))
    assert len(re.findall(r"\bint main\(\)", animal.source)) == 1


@pytest.mark.parametrize("animal", ANIMALS.values(), ids=lambda a: a.name)
def test_a_wrong_animal_has_a_twin_and_a_right_one_needs_none(animal):
    assert ("FIXED" in animal.source) != animal.innocent
    assert "EXPECT" not in animal.source or not animal.innocent
    marks = len(re.findall("EXPECT", animal.source))
    assert marks == len(animal.expected), "a comment EXPECT that is misspelt, or only in the twin"


def test_expectations_are_those_of_the_wrong_variant():
    text = ("a;  // EXPECT race block\n#ifdef FIXED\nb;  // EXPECT leak\n#else\n"
            "c;  // EXPECT race\n#endif\n#ifndef FIXED\nd;  // EXPECT assert\n#else\n"
            "e;  // EXPECT leak\n#endif\n")
    assert expectations(text) == (Expected(1, "race", "block"), Expected(5, "race"),
                                  Expected(8, "assert"))


@nvcc
@pytest.mark.parametrize("name", ["waits_on_later_block", "tile_for_block"])
def test_both_variants_are_cuda(name, tmp_path):
    for variant in ([], ["-DFIXED"]):
        done = subprocess.run(["nvcc", "-std=c++17", "-arch=sm_80", "-ptx", *variant, "-o",
                               str(tmp_path / "out"), str(ANIMALS[name].path)],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stdout + done.stderr == ""


# ---------------------------------------------------------------- how it is judged

RACE = Expected(9, "race", "block")


def test_a_finding_counts_only_with_its_kind_line_and_scope():
    for found, good in ((Found("race", "block", (7, 9)), True),
                        (Found("race", "warp", (9,)), False),
                        (Found("race", "block", (8,)), False),
                        (Found("leak", "", (9,)), False)):
        fate = judge("a", "wrong", [RACE], Seen([found]))
        assert fate.good == good
        assert (fate.missing == []) == good
        assert (fate.besides == []) == good
    assert judge("a", "wrong", [Expected(9, "race")], Seen([Found("race", "grid", (9,))])).good


def test_every_line_that_is_declared_must_be_found():
    fate = judge("a", "wrong", [RACE, Expected(12, "leak")], Seen([Found("race", "block", (9,))]))
    assert fate.outcome == "missed"
    assert fate.missing == ["leak at line 12"]


def test_a_right_program_may_neither_be_accused_nor_fail():
    assert judge("a", "twin", (), Seen()).outcome == "clean"
    assert judge("a", "twin", (), Seen([Found("leak", "", (3,))])).outcome == "alarm"
    assert judge("a", "innocent", (), Seen(status=1)).outcome == "broken"
    assert judge("a", "innocent", (), Seen(trouble="time limit")).outcome == "broken"


def test_what_the_pass_refuses_is_found_at_its_line():
    assert refused("/x/a.cu:7: textures are ...", "a.cu")[0].is_(Expected(7, "unsupported"))
    assert refused("/x/a.cu does not compile:\n/x/a.cu:7: no type", "a.cu") == []


def test_the_score_counts_lines_and_alarms():
    score = Score([Fate("a", "wrong", "missed", 3, ["leak at line 1"]), Fate("a", "twin", "alarm"),
                   Fate("b", "wrong", "found", 1), Fate("b", "twin", "clean"),
                   Fate("c", "innocent", "broken")])
    assert score.sentence == ("3 of 4 findings at their line (75.0%), 1 of 2 wrong programs caught "
                              "whole; 1 false alarms over 3 right ones (33.3%); 1 could not be run")
    assert not score.passed
    assert score.to_json()["detected"] == 3
    assert json.loads(json.dumps(score.to_json()))["fates"][0]["missing"] == ["leak at line 1"]


# ---------------------------------------------------------------- the command


def call(*arguments, code=0, command=zoo):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_list_names_all_animals():
    listed = json.loads(call("list", "--json"))
    assert [a["name"] for a in listed] == list(ANIMALS)
    assert "wrong programs with their twins" in call("list")
    assert json.loads(call("list", "--gpu", "--json", command=kit_zoo)) == listed


def test_an_animal_is_shown_with_what_must_be_found():
    out = call("show", "--gpu", "leak", command=kit_zoo)
    assert "to be found: leak at line" in out
    assert "cudaMalloc" in out


def test_a_wrong_name_is_told_and_options_of_the_kit_are_refused():
    assert "Did you mean 'leak'" in call("run", "leek", code=2)
    out = call("run", "--gpu", "--level", "smoke", command=kit_zoo, code=2)
    assert "--level chooses among the kit's own animals" in out
    assert "there is no folder" in call("run", "leak", "--json", "no/such/file", code=2)


def test_without_the_plugin_the_kit_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("etude.commands.plugin_commands", dict)
    assert "pip install etude-cuda" in call("run", "--gpu", command=kit_zoo, code=2)


def test_without_a_compiler_the_zoo_says_what_is_missing(monkeypatch):
    def none():
        raise LabError("g++ was not found")

    monkeypatch.setattr("etude_cuda.zoo.score.compiler", none)
    assert "g++ was not found" in call("run", "leak", code=2)


# ---------------------------------------------------------------- a sample of it, run


@gxx
@pytest.mark.parametrize("name", ["missing_barrier", "off_by_one_guard", "leak",
                                  "result_left_on_card"])
def test_a_wrong_program_is_found_out_and_its_twin_is_not_accused(name):
    score = run([ANIMALS[name]], jobs=1)
    assert [f.variant for f in score.fates] == ["wrong", "twin"]
    assert score.passed, score.fates


@gxx
def test_a_program_that_only_looks_wrong_is_not_accused():
    assert run([ANIMALS["flag_with_fence"]], jobs=1).passed


def test_the_published_score_is_of_this_zoo():
    published = json.loads((HERE / "gpu_score.json").read_text())
    assert {f["name"] for f in published["fates"]} == set(ANIMALS)
    assert published["expected"] == sum(len(a.expected) for a in WRONG)
