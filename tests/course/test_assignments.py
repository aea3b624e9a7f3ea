"""The assignments of the course: each is proven, and its kit is that of its source."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from etude_check.worker.values import from_plain
from etude_course.author.make import leaks, packed
from etude_course.author.prove import prove
from etude_course.kit.kit import folder, installed
from etude_course.source.source import Source

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(p.parent for p in (ROOT / "docs/tutorials").glob("a*/assignment.toml"))
each = pytest.mark.parametrize("path", FOLDERS, ids=lambda p: p.name)


def test_there_are_assignments_and_each_has_a_kit():
    assert len(FOLDERS) == 9
    ids = sorted(Source.read(p).assignment.id.lower() for p in FOLDERS)
    assert ids == sorted(p.stem for p in installed()), "run etude course build --all"


@each
def test_it_knows_at_least_eight_mistakes(path):
    assert len(Source.read(path).assignment.mutants) >= 8


#: Those that compile each mistake many times over, for a minute and more.
LONG = {"a8-matmul-ladder", "a9-rows-in-c"}


@each
def test_it_is_proven(path):
    """Nothing, the starter and a syntax error earn 0, the solution all; mutants are caught."""
    if path.name in LONG and not os.environ.get("ETUDE_SOAK"):
        pytest.skip("NOT RUN: takes a minute and more; tox -e course, or ETUDE_SOAK=1")
    wrong = {p.what: p.wrong for p in prove(Source.read(path)) if p.wrong}
    assert wrong == {}


def same(mine, theirs, where="kit"):
    """Texts are equal, numbers nearly: they may have been computed on another machine."""
    if isinstance(mine, dict) and set(mine) & {"array", "number"}:
        np.testing.assert_allclose(from_plain(mine), from_plain(theirs), rtol=1e-4, atol=1e-5,
                                   err_msg=where)
    elif isinstance(mine, dict):
        assert sorted(mine) == sorted(theirs), where
        for k in mine:
            (one_same if k == "answers" else same)(mine[k], theirs[k], f"{where}.{k}")
    elif isinstance(mine, list):
        assert len(mine) == len(theirs), where
        for i, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            same(a, b, f"{where}[{i}]")
    elif isinstance(mine, float):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5), where
    else:
        assert mine == theirs, where


def one_same(mine, theirs, where):
    """A fingerprint. A mistake that reads where nothing lies answers differently on each machine;
    what it answers to some case must be the same all the same.
    """
    assert len(mine) == len(theirs), where
    wrong = []
    for a, b in zip(mine, theirs, strict=True):
        try:
            same(a, b, where)
        except AssertionError as error:
            wrong.append(error)
    assert len(wrong) < len(mine), wrong


@each
def test_its_kit_is_that_of_its_source_and_gives_nothing_away(path):
    source = Source.read(path)
    there = (folder() / f"{source.assignment.id.lower()}.json").read_text()
    assert leaks(source, there) == []
    same(packed(source).to_json(), json.loads(there))
