"""The chapters of the gallery, and the page that draws them. The documentation executes the cells;
how chapters are read and run is tested in tests/gallery/.
"""

import ast
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from etude import gallery

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "tutorials" / "gallery"
PATHS = sorted(FOLDER.glob("*.md"))
SYSTEMS = {"angel", "caffe", "chainer", "cntk", "dl4j", "epl", "jax", "jittor", "keras", "mace",
           "megengine", "mindspore", "mnn", "mxnet", "ncnn", "oneflow", "paddlepaddle", "pytorch",
           "tensorflow", "theano", "tnn", "x-deeplearning"}
each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def page():
    sys.path.insert(0, str(ROOT / "docs"))
    import gallery_page

    return gallery_page


# ------------------------------------------------------------------ the chapters


def test_the_22_systems_have_a_chapter_each():
    assert len(SYSTEMS) == 22
    missing = SYSTEMS - {path.stem for path in PATHS}
    assert not missing, f"no chapter about {', '.join(sorted(missing))}"
    assert len(PATHS) == 22


@each
def test_the_front_matter_says_whose_idea_it_is(path):
    chapter = gallery.read(path)
    assert 2005 <= chapter.year <= 2026
    assert chapter.name == re.sub(r"\W+", "-", chapter.system).lower()
    for sentence in (chapter.idea, chapter.figure, chapter.without):
        assert sentence == sentence.strip()
        assert len(sentence.split()) >= 5


@each
def test_the_front_matter_means_to_yaml_what_it_means_here(path):
    yaml = pytest.importorskip("yaml", reason="NOT RUN: needs the package PyYAML")
    chapter = gallery.read(path)
    meant = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])["gallery"]
    assert meant == {field: getattr(chapter, field) for field in gallery.FIELDS}


@each
def test_a_chapter_ends_with_its_figure_and_with_the_idea_switched_off(path):
    text = path.read_text(encoding="utf-8").partition("\n## Exercises\n")[0]
    cells = gallery.read(path).cells()
    assert len(cells) > 4
    claims = [ast.unparse(node.test) for cell in cells for node in ast.parse(cell.source).body
              if isinstance(node, ast.Assert)]
    assert claims[-2:] == ["holds(figures)", "not holds(shown(idea=False))"]
    assert "```{code-cell}" not in text.partition("\n## What survived\n")[2]
    assert "\n## What survived\n" in text


@each
def test_the_exercises_of_a_chapter_have_solutions(path):
    text = path.read_text(encoding="utf-8").partition("\n## Exercises\n")[2]
    exercises = re.findall(r"^\*\*(\d)\. ", text, re.M)
    assert exercises == [str(i + 1) for i in range(len(exercises))]
    assert 2 <= len(exercises) <= 4
    assert re.findall(r"<summary>Solution (\d)</summary>", text) == exercises
    assert text.count('<details class="solution">') == text.count("</details>") == len(exercises)


@each
def test_a_chapter_is_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert 100 <= sum(map(bool, lines)) <= 250  # blank ones are not counted


@each
def test_every_cell_is_plain_python(path):
    for source in re.findall(r"^```\{code-cell\} ipython3\n(?::tags: [^\n]*\n\n)?(.*?)\n^```$",
                             path.read_text(encoding="utf-8"), re.S | re.M):
        ast.parse(source)  # a magic is no Python
        assert "get_ipython" not in source


# ------------------------------------------------------------------ the page


def test_the_time_line_has_each_system_once_with_a_link_and_no_two_lines_of_text_meet(page):
    found = gallery.chapters()
    root = ET.fromstring(page.timeline(found))
    svg = "{http://www.w3.org/2000/svg}"
    assert [a.get("href") for a in root.iter(f"{svg}a")] == [
        f"tutorials/gallery/{c.name}.html" for c in found]
    names = [t for t in root.iter(f"{svg}text") if t.get("class") == "g-name"]
    assert [t.text for t in names] == [c.system for c in found]
    heights = [float(t.get("y")) for t in root.iter(f"{svg}text") if t.get("class") != "g-year"]
    assert all(b - a >= page.LINE for a, b in zip(heights, heights[1:]))
    assert heights[-1] < float(root.get("viewBox").split()[3])
    assert all(len(t.text) <= page.LETTERS for t in root.iter(f"{svg}text"))


def test_the_years_of_the_time_line_stand_in_order(page):
    one = gallery.chapters()[0]
    made = [replace(one, system=f"S{year}", year=year) for year in (2009, 2013, 2013, 2020)]
    root = ET.fromstring(page.timeline(made))
    years = [t for t in root.iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "g-year"]
    assert [int(t.text) for t in years] == list(range(2009, 2021))
    heights = [float(t.get("y")) for t in years]
    assert heights == sorted(set(heights))


def test_the_list_of_the_page_has_each_chapter_with_its_figure(page, tmp_path):
    page.write(tmp_path)
    text = (tmp_path / "gallery_list.md").read_text()
    for chapter in gallery.chapters():
        assert f"(tutorials/gallery/{chapter.path.name})" in text
        assert chapter.figure in text
        assert chapter.without in text
    assert (tmp_path / "gallery.svg").read_text().startswith("<svg")
