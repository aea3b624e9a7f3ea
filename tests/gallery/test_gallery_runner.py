"""Chapters of the gallery are read and run; what is wrong with one is named with its line."""

import inspect
import textwrap
from pathlib import Path

import pytest

import etude
from etude import gallery
from etude.core.errors import ChapterError

FRONT = """\
---
file_format: mystnb
gallery:
  system: Short
  year: 2013  # of the first release
  makers: "some people: two"
  idea: An idea that needs
    two lines.
  figure: seven
  without: six
---
"""
ENDING = """\
def shown(idea=True):
    return {"answer": 7 if idea else 6}

def holds(figures):
    return figures["answer"] == 7

figures = shown()
assert holds(figures), figures
assert not holds(shown(idea=False))
"""


def write(folder, *cells, front=FRONT, name="short"):
    """A chapter of these cells."""
    parts = [front, "# Short\n", *[f"Words.\n\n```{{code-cell}} ipython3\n{textwrap.dedent(c)}```\n"
                                   for c in cells]]
    path = Path(folder, f"{name}.md")
    path.write_text("\n".join(parts))
    return path


def line_of(path, text):
    return path.read_text().splitlines().index(text) + 1


# ------------------------------------------------------------------ reading


def test_the_front_matter_is_read_without_quotes_and_comments(tmp_path):
    chapter = gallery.read(write(tmp_path, ENDING))
    assert chapter.name == "short"
    assert (chapter.system, chapter.year) == ("Short", 2013)
    assert chapter.makers == "some people: two"
    assert chapter.idea == "An idea that needs two lines."
    assert chapter.body().startswith("# Short")


@pytest.mark.parametrize(("change", "told"), [
    (("  year: 2013  # of the first release\n", ""), "does not say year"),
    (("year: 2013", "year: soon"), "the year is a number, got 'soon'"),
    (("  without: six", "  off: six"), "line 10: below 'gallery:' stands each of system, year"),
    (("  without: six", "  without: six\n  without: five"), "line 11: below 'gallery:'"),
    (("gallery:", "galery:"), "does not say system, year, makers, idea, figure, without"),
    (("---\nfile", "file"), "a chapter begins with its front matter"),
])
def test_wrong_front_matter_is_named_with_file_and_line(tmp_path, change, told):
    path = write(tmp_path, ENDING, front=FRONT.replace(*change))
    with pytest.raises(ChapterError, match=r"short\.md") as caught:
        gallery.read(path)
    assert told in str(caught.value)


def test_cells_know_their_lines_and_those_of_solutions_are_left_out(tmp_path):
    path = write(tmp_path, "x = 1\n", ":tags: [hide-input]\n\ny = 2\n")
    path.write_text(path.read_text() + '\n<details class="solution"><summary>1</summary>\n\n'
                    "```{code-cell} ipython3\n1 / 0\n```\n\n</details>\n\n"
                    "```{code-cell} ipython3\nz = 3\n```\n")
    cells = gallery.read(path).cells()
    assert [cell.source.strip() for cell in cells] == ["x = 1", "y = 2", "z = 3"]
    assert cells[0].line == line_of(path, "x = 1")
    assert cells[2].line == line_of(path, "z = 3")


def test_a_cell_without_an_end_is_named(tmp_path):
    path = write(tmp_path, "x = 1\n")
    path.write_text(path.read_text().rstrip("`\n") + "\n")
    begin = line_of(path, "x = 1") - 1
    with pytest.raises(ChapterError, match=f"line {begin}: this cell has no end"):
        gallery.read(path).cells()


def test_chapters_come_by_year_and_then_by_name(tmp_path):
    for name, year in (("b", 2015), ("a", 2015), ("z", 2009)):
        front = FRONT.replace("Short", name).replace("2013", str(year))
        write(tmp_path, ENDING, front=front, name=name)
    assert [c.name for c in gallery.chapters(tmp_path)] == ["z", "a", "b"]


def test_an_unknown_name_suggests_the_nearest_and_case_does_not_matter(tmp_path):
    write(tmp_path, ENDING)
    assert gallery.chapter("SHORT", tmp_path).name == "short"
    with pytest.raises(ChapterError, match=r"no chapter 'shrot'. Did you mean 'short'\?"):
        gallery.chapter("shrot", tmp_path)


def test_a_folder_without_chapters_is_an_error(tmp_path):
    with pytest.raises(ChapterError, match="there is no chapter in"):
        gallery.chapters(tmp_path)


# ------------------------------------------------------------------ running


def test_a_chapter_runs_and_says_what_its_cells_say(tmp_path, capsys):
    path = write(tmp_path, "print('printed')\n1 + 1\n", "x = None\nx\n", ENDING)
    said = []
    assert gallery.run(gallery.read(path), said.append) == {"answer": 7}
    assert said == ["2"]
    assert capsys.readouterr().out == "printed\n"


def test_a_cell_that_fails_is_named_with_its_line(tmp_path):
    path = write(tmp_path, "def f():\n    return [][1]\n", "a = 1\n\nf()\n", ENDING)
    with pytest.raises(ChapterError) as caught:
        gallery.run(gallery.read(path))
    line = line_of(path, "    return [][1]")
    assert f"short.md, line {line} (cell 2): IndexError: list index out of range" in str(
        caught.value)
    assert str(caught.value).endswith("return [][1]")
    assert isinstance(caught.value.__cause__, IndexError)


def test_a_figure_that_does_not_hold_is_an_error_with_the_figures(tmp_path):
    path = write(tmp_path, ENDING.replace("7 if", "8 if"))
    with pytest.raises(ChapterError, match=r"AssertionError: \{'answer': 8\}\n    assert holds"):
        gallery.run(gallery.read(path))


def test_an_ablation_that_changes_nothing_is_an_error(tmp_path):
    path = write(tmp_path, ENDING.replace("else 6", "else 7"))
    line = line_of(path, "assert not holds(shown(idea=False))")
    with pytest.raises(ChapterError, match=rf"line {line} \(cell 1\): AssertionError"):
        gallery.run(gallery.read(path))


def test_a_cell_that_is_no_python_is_named_with_its_line(tmp_path):
    path = write(tmp_path, "x = 1\n", "y = 2\ny = = 3\n")
    with pytest.raises(ChapterError, match=rf"line {line_of(path, 'y = = 3')} \(cell 2\): Syntax"):
        gallery.run(gallery.read(path))


def test_a_package_that_is_missing_comes_with_what_to_install(tmp_path):
    path = write(tmp_path, "import not_a_package_of_anybody\n")
    with pytest.raises(ChapterError, match=r"pip install 'etude\[all\]'"):
        gallery.run(gallery.read(path))


def test_a_chapter_that_says_no_figures_is_an_error(tmp_path):
    with pytest.raises(ChapterError, match="no cell says what 'shown' is"):
        gallery.run(gallery.read(write(tmp_path, "x = 1\n")))


def test_the_source_of_what_a_cell_defines_can_be_read(tmp_path, capsys):
    cell = """\
        import inspect

        class Thing:
            size = 3

        def f(x):
            return x + 1

        print(inspect.getsource(f) + inspect.getsource(Thing))
        """
    gallery.run(gallery.read(write(tmp_path, "y = 1\n", cell, ENDING)))
    assert capsys.readouterr().out == ("def f(x):\n    return x + 1\nclass Thing:\n"
                                       "    size = 3\n\n")


def test_a_chapter_is_a_program_of_its_own(tmp_path):
    import __main__

    before = dict(vars(__main__))
    cell = "import pickle\ndef f():\n    pass\nassert pickle.loads(pickle.dumps(f)) is f\n"
    gallery.run(gallery.read(write(tmp_path, cell, ENDING)))
    assert vars(__main__) == before


def test_the_installed_chapters_are_those_of_the_tutorials():
    root = Path(inspect.getfile(etude)).parents[4]
    source = root / "docs" / "tutorials" / "gallery"
    if not source.is_dir():
        pytest.skip("NOT RUN: needs a checkout, Etude runs from an installed package")
    assert {c.path.read_bytes() for c in gallery.chapters()} == {
        path.read_bytes() for path in source.glob("*.md")}


def test_a_real_chapter_holds():
    figures = gallery.run(gallery.chapter("caffe"), lambda text: None)
    assert figures["parameters"] == 431_080
