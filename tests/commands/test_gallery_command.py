"""``etude gallery`` lists the chapters, shows one and runs one."""

import json

import pytest
from shell import run, words

from etude import gallery


def test_the_list_has_every_chapter_with_its_year_and_its_idea():
    text = run("gallery")
    found = gallery.chapters()
    for chapter in found:
        assert chapter.system in text
    assert text.count("\n20") == len(found)
    assert max(map(len, text.splitlines())) <= 80
    assert "'etude gallery run NAME' runs one" in text


def test_the_list_is_there_for_programs():
    read = json.loads(run("gallery", "--json"))
    assert [c["name"] for c in read] == [c.name for c in gallery.chapters()]
    assert {"system", "year", "makers", "idea", "figure", "without", "path"} <= set(read[0])


def test_run_shows_what_the_cells_print_and_ends_with_the_figures():
    text = run("gallery", "run", "Caffe")
    assert text.startswith("Caffe, 2013")
    assert "pool1" in text
    assert "431,080" in text
    end = words(text.partition("The idea holds: ")[2])
    assert gallery.chapter("caffe").figure in end
    assert "Switched off, it does not: " in end


def test_show_prints_the_text():
    text = run("gallery", "show", "caffe")
    assert text.startswith("# Caffe")
    assert "```{code-cell} ipython3" in text


@pytest.mark.parametrize("command", ["run", "show"])
def test_an_unknown_chapter_suggests_the_one_that_was_meant(command):
    text = words(run("gallery", command, "cafe", code=1))
    assert "the gallery has no chapter 'cafe'. Did you mean 'caffe'?" in text
