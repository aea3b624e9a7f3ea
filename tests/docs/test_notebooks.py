"""Tutorials as notebooks. Executing every cell is left to the documentation: see tox -e docs."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
NUMBERED = [path for path in CHAPTERS if path.name[0].isdigit()]
CELL = re.compile(r"^```\{code-cell\} ipython3\n(?::tags: [^\n]*\n\n)?(.*?)\n?^```$",
                  re.S | re.M)
SOLUTION = re.compile(r"<details.*?</details>", re.S)


@pytest.fixture(scope="module")
def notebooks():
    if importlib.util.find_spec("jupytext") is None:
        pytest.skip("NOT RUN: needs the package jupytext")
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["notebooks"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def chapter(tmp_path):
    """A short chapter, to be changed."""
    path = tmp_path / "01-short.md"
    path.write_text("---\nfile_format: mystnb\n---\n\n# 1. Short\n\nSee "
                    "[columns](../howto/column.md#c), [chapter 2](02-next.md) and [its end]"
                    "(02-next.md#end).\n\n```{code-cell} ipython3\n:tags: [hide-input]\n\n"
                    "x = 1\n```\n\n<details class=\"solution\"><summary>Solution 1</summary>\n\n"
                    "So:\n\n```{code-cell} ipython3\nprint(x)\n```\n\n</details>\n")
    return path


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "notebooks"
    made.mkdir()
    return made


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def change(notebooks, path, source):
    """What a student does: type something else into the first cell of code, and save."""
    there = notebooks.nbformat.read(path, as_version=4)
    next(cell for cell in there.cells if cell.cell_type == "code").source = source
    notebooks.nbformat.write(there, path)


# ------------------------------------------------------------------ every chapter


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_notebook_has_the_cells_that_the_documentation_executes(notebooks, path):
    text = path.read_text()
    made = notebooks.notebook(text)
    notebooks.nbformat.validate(made)
    cells = CELL.findall(SOLUTION.sub("", text))
    assert len(cells) > 5
    assert code(made) == cells


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_cell_is_plain_python(path):
    for source in CELL.findall(path.read_text()):
        ast.parse(source)  # a magic is no Python
        assert "get_ipython" not in source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_in_a_notebook_is_for_sphinx_alone(notebooks, path):
    for cell in notebooks.notebook(path.read_text()).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{\w[\w-]*\}[`\n]|^:::|^---$", cell.source, re.M), cell.source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_shows_its_number_and_how_to_run_it(path):
    title, how, *_ = [line for line in path.read_text().split("---\n", 2)[2].splitlines() if line]
    if path in NUMBERED:
        assert title.startswith(f"# {int(path.stem[:2])}. ")
    else:
        assert re.match(r"# [A-Z]", title)
    assert "`make notebooks`" in how


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_exercise_has_a_solution(path):
    text = path.read_text().partition("\n## Exercises\n")[2]
    exercises = re.findall(r"^\*\*(\d)\. ", text, re.M)
    assert exercises == [str(i + 1) for i in range(len(exercises))]
    assert len(exercises) >= 5
    assert re.findall(r"<summary>Solution (\d)</summary>", text) == exercises
    assert text.count("</details>") == len(exercises)


def test_the_list_links_the_chapters_there_are_and_marks_the_others():
    rows = re.findall(r"^\| (\d+) \| (.*) \| *(to&nbsp;come)? *\|$",
                      (ROOT / "docs" / "tutorials.md").read_text(), re.M)
    assert [int(number) for number, _, _ in rows] == list(range(1, 26))
    there = {int(path.stem[:2]): path for path in NUMBERED}
    for number, what, to_come in rows:
        path = there.get(int(number))
        if path is None:
            assert to_come, f"chapter {number} is neither there nor marked"
            continue
        assert not to_come, f"chapter {number} is there"
        title = re.search(r"^# \d+\. (.*)", path.read_text(), re.M)[1]
        assert what.startswith(f"[{title}](tutorials/{path.name})")


def test_the_list_links_the_pages_beside_the_course():
    text = (ROOT / "docs" / "tutorials.md").read_text().partition("## Beside the course")[2]
    rows = re.findall(r"^\| (\[.*?\]\(.*?\)) \|", text, re.M)
    beside = [path for path in CHAPTERS if path not in NUMBERED]
    titles = {path: re.search(r"^# (.*)", path.read_text(), re.M)[1] for path in beside}
    assert sorted(rows) == sorted(f"[{titles[p]}](tutorials/{p.name})" for p in beside)


# ------------------------------------------------------------------ one notebook


def test_solutions_are_folded_with_their_code_and_links_lead_to_files(notebooks, chapter):
    made = notebooks.notebook(chapter.read_text())
    assert code(made) == ["x = 1"]
    first, cell, last = made.cells
    assert first.source.startswith("# 1. Short")
    assert "[columns](../docs/howto/column.md#c)" in first.source
    assert "[chapter 2](02-next.ipynb) and [its end](02-next.ipynb#end)" in first.source
    assert cell.metadata.jupyter.source_hidden
    assert last.source.startswith("<details")
    assert "```python\nprint(x)\n```" in last.source


def test_links_of_a_chapter_of_the_gallery_lead_to_files_too(notebooks):
    text = ("---\n---\n[a](caffe.md#b) [c](../06-autograd.md) [d](../../howto/capture.md) "
            "[e](../../gallery.md)\n")
    first, = notebooks.notebook(text, "../../").cells
    assert first.source == ("[a](caffe.ipynb#b) [c](../06-autograd.ipynb) "
                            "[d](../../docs/howto/capture.md) [e](../../docs/gallery.md)")


def test_every_chapter_is_written_those_of_the_gallery_in_a_folder_of_their_own(notebooks,
                                                                                 tmp_path):
    said = notebooks.write_all(tmp_path / "notebooks")
    assert {p.stem for p in (tmp_path / "notebooks").glob("*.ipynb")} == {p.stem for p in CHAPTERS}
    made = {p.stem for p in (tmp_path / "notebooks" / "gallery").glob("*.ipynb")}
    assert {"caffe", "keras"} <= made
    assert len(said) == len(CHAPTERS) + len(made)


def test_a_second_time_nothing_is_written(notebooks, chapter, folder):
    assert notebooks.write(chapter, folder) == "01-short.ipynb: written"
    before = (folder / "01-short.ipynb").read_bytes()
    assert notebooks.write(chapter, folder) == ""
    assert (folder / "01-short.ipynb").read_bytes() == before


def test_what_a_student_changed_is_kept(notebooks, chapter, folder):
    notebooks.write(chapter, folder)
    change(notebooks, folder / "01-short.ipynb", "x = 2  # mine")
    assert notebooks.write(chapter, folder) == "01-short.ipynb: kept, with your changes"
    chapter.write_text(chapter.read_text() + "\nMore.\n")
    assert "The chapter is another one by now" in notebooks.write(chapter, folder)
    assert code(notebooks.nbformat.read(folder / "01-short.ipynb", 4)) == ["x = 2  # mine"]


def test_cells_that_only_ran_make_way_for_a_newer_chapter(notebooks, chapter, folder):
    path = folder / "01-short.ipynb"
    notebooks.write(chapter, folder)
    ran = notebooks.nbformat.read(path, as_version=4)
    ran.cells[1].execution_count = 3
    ran.cells[1].outputs = [notebooks.nbformat.v4.new_output("stream", text="1")]
    notebooks.nbformat.write(ran, path)
    saved = path.read_bytes()
    assert notebooks.write(chapter, folder) == ""
    assert path.read_bytes() == saved
    chapter.write_text(chapter.read_text().replace("x = 1", "x = 7"))
    assert notebooks.write(chapter, folder) == "01-short.ipynb: written"
    assert code(notebooks.nbformat.read(path, 4)) == ["x = 7"]


@pytest.mark.parametrize("text", ["", "no notebook", "[]", '{"cells": [], "metadata": {}, '
                                  '"nbformat": 4, "nbformat_minor": 5}'])
def test_a_file_that_is_not_from_here_is_kept(notebooks, chapter, folder, text):
    (folder / "01-short.ipynb").write_text(text)
    assert "kept" in notebooks.write(chapter, folder)
    assert (folder / "01-short.ipynb").read_text() == text


def test_without_a_screen_no_browser_is_asked_for(notebooks):
    assert "--no-browser" in notebooks.command({}, "linux")
    assert "--no-browser" not in notebooks.command({"DISPLAY": ":0"}, "linux")
    assert "--no-browser" not in notebooks.command({}, "darwin")


def test_what_is_about_to_happen_is_said(notebooks):
    told = notebooks.opening(notebooks.command({}, "linux"))
    assert "No screen found: open the http://localhost... line below in a browser" in told
    assert notebooks.opening(notebooks.command({}, "darwin")).startswith("Opening notebooks/")
