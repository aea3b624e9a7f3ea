"""The notebook: what a student has and nothing else, valid for Jupyter, jupytext and nbgrader."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from etude_course import notebook as cell
from etude_course.author.make import build, leaks
from etude_course.author.notebook import CONFIG, notebook
from etude_course.kit.cells import answers
from etude_course.source.source import Source

DONE = """
def double(x):
    return x + x


def double_all(xs):
    if not xs:
        raise ValueError("nothing")
    return [x + x for x in xs]
"""


@pytest.fixture
def document(kit):
    return json.loads(notebook(kit))


def marked(document):
    """The metadata of nbgrader, in order."""
    return [c["metadata"]["nbgrader"] for c in document["cells"] if "nbgrader" in c["metadata"]]


def test_making_it_twice_gives_the_same_bytes(kit, small):
    from etude_course.run.pack import kit_of

    assert notebook(kit) == notebook(kit_of(Source.read(small.folder)))


def test_it_holds_no_line_of_a_solution_a_mistake_or_a_hidden_check(kit, small):
    assert leaks(small, notebook(kit)) == []
    assert "yield" not in notebook(kit)


def test_every_check_has_a_cell_with_its_points_that_starts_the_grader(document, small):
    graded = {m["grade_id"]: m["points"] for m in marked(document) if m["grade"]}
    assert graded == {c.id: c.points for c in small.assignment.checks}
    sources = ["".join(c["source"]) for c in document["cells"]]
    assert sources[-1] == ("from etude_course.notebook import check\n\n"
                           'check("T1", "double-refuses")')


def test_ids_are_unique_and_a_graded_cell_is_locked(document):
    ids = [c["id"] for c in document["cells"]]
    assert len(set(ids)) == len(ids)
    assert len({m["grade_id"] for m in marked(document)}) == len(marked(document))
    for m in marked(document):
        assert m["schema_version"] == 3
        assert m["locked"] == m["grade"] == (not m["solution"])


def test_an_answer_graded_by_a_person_has_a_cell_to_write_in(written):
    from etude_course.kit.kit import Kit

    toml = (written() / "assignment.toml").read_text().replace(
        "[[mutant]]", '[[question.check]]\nid = "why"\npoints = 2\nhand = "a reason"\n[[mutant]]',
        1)
    source = Source.read(written(toml=toml))
    made = json.loads(notebook(Kit(source.assignment, source.starters(), "", source.handout, {})))
    last = made["cells"][-1]
    assert last["cell_type"] == "markdown"
    assert last["metadata"]["nbgrader"] == {
        "schema_version": 3, "grade_id": "why", "grade": True, "solution": True, "locked": False,
        "task": False, "points": 2}


def test_jupyter_takes_it(document):
    nbformat = pytest.importorskip("nbformat", reason="NOT RUN: needs nbformat")
    nbformat.validate(nbformat.from_dict(document))


def test_jupytext_pairs_it_with_a_text_and_loses_nothing(kit):
    jupytext = pytest.importorskip("jupytext", reason="NOT RUN: needs jupytext")
    made = jupytext.reads(notebook(kit), fmt="ipynb")
    back = jupytext.reads(jupytext.writes(made, fmt="py:percent"), fmt="py:percent")
    assert [c.source for c in back.cells] == [c.source for c in made.cells]
    assert [c.metadata.get("nbgrader") for c in back.cells] == [c.metadata.get("nbgrader")
                                                                for c in made.cells]


# ------------------------------------------------------------------ from a cell


@pytest.fixture
def folder(small, tmp_path, monkeypatch):
    """What is made for notebooks, and a hand-in in it."""
    build(small, tmp_path / "made")
    monkeypatch.chdir(tmp_path / "made/notebook")
    return Path.cwd()


def test_a_check_in_a_cell_passes_quietly_and_fails_with_a_sentence(folder, capsys):
    (folder / "small.py").write_text(DONE)
    assert cell.check("T1", "double-values") is None
    assert "3 of 3 points" in capsys.readouterr().out
    (folder / "small.py").write_text(DONE.replace("x + x\n", "x * x\n"))
    with pytest.raises(cell.NoPoints, match="double-values: 0 of 3 points"):
        cell.check("T1", "double-values")
    said = capsys.readouterr()
    assert "this is x * x; asked for is x + x" in said.out
    assert said.err == ""  # what is written there costs all points in nbgrader


def test_answers_are_read_from_the_cells(kit):
    text = notebook(kit).replace("raise NotImplementedError", "return 1")
    files, notes = answers(text.encode())
    assert list(files) == ["small.py"]
    assert b"return 1" in files["small.py"]
    assert b"%%writefile" not in files["small.py"]
    assert notes == []


def test_a_duplicated_cell_is_named(kit):
    document = json.loads(notebook(kit))
    at = next(i for i, c in enumerate(document["cells"]) if c["cell_type"] == "code")
    twin = {**document["cells"][at], "source": "%%writefile small.py\nlater = 1"}
    document["cells"].insert(at + 1, twin)
    files, notes = answers(json.dumps(document).encode())
    assert files == {"small.py": b"later = 1\n"}
    assert "two cells that write small.py; the later one was taken" in notes[0]
    assert "'answer-small-py' of nbgrader is 2 times" in notes[1]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"cells": [1]}', b'{"cells": [{}]}'])
def test_a_broken_notebook_is_a_note(data):
    files, notes = answers(data)
    assert files == {}
    assert len(notes) == 1


def test_a_notebook_is_a_hand_in(kit, tmp_path):
    from etude_course.grade import handins

    folder = tmp_path / "ada/T1"
    folder.mkdir(parents=True)
    (folder / "t1.ipynb").write_text(notebook(kit).replace("raise NotImplementedError", "return 1"))
    (folder / "small.py").write_text("old = 1\n")
    taken = handins.single(tmp_path / "ada", ["small.py"])
    assert b"return 1" in taken.files["small.py"]
    assert taken.notes == ["small.py: as in the notebook T1/t1.ipynb"]


# ------------------------------------------------------------------ nbgrader's own programs


@pytest.fixture
def nbgrader(small, tmp_path):
    """``nbgrader("validate", ...)`` in a course with the notebook as its source."""
    if importlib.util.find_spec("nbgrader") is None:
        pytest.skip("NOT RUN: needs nbgrader")
    build(small, tmp_path / "made")
    course = tmp_path / "course"
    shutil.copytree(tmp_path / "made/notebook", course / "source/t1")
    (course / "source/t1/nbgrader_config.py").unlink()
    (course / "nbgrader_config.py").write_text(CONFIG)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(tmp_path),
           "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
           "PYTHONWARNINGS": "ignore", "JUPYTER_PREFER_ENV_PATH": "1"}

    def run(*words):
        done = subprocess.run([sys.executable, "-m", "nbgrader", *words], cwd=course, env=env,
                              capture_output=True, text=True, check=False, timeout=300)
        return done.returncode, done.stdout + done.stderr

    run.course = course
    return run


def test_nbgrader_releases_validates_and_autogrades_it(nbgrader):
    status, said = nbgrader("generate_assignment", "t1", "--create", "--force")
    assert status == 0, said
    released = nbgrader.course / "release/t1/t1.ipynb"
    assert "raise NotImplementedError" in released.read_text()
    assert "YOUR CODE HERE" not in released.read_text()
    for student, text in (("ada", DONE), ("ben", DONE.replace("x + x\n", "x * x\n")),
                          ("cleo", None)):
        folder = nbgrader.course / f"submitted/{student}/t1"
        shutil.copytree(nbgrader.course / "release/t1", folder)
        document = json.loads((folder / "t1.ipynb").read_text())
        for c in document["cells"]:
            if text is not None and "".join(c["source"]).startswith("%%writefile"):
                c["source"] = f"%%writefile small.py\n{text}"
        (folder / "t1.ipynb").write_text(json.dumps(document))
    status, said = nbgrader("validate", "submitted/ada/t1/t1.ipynb")
    assert "Success" in said, said
    status, said = nbgrader("validate", "submitted/ben/t1/t1.ipynb")
    assert "double-values: 0 of 3 points" in said
    status, said = nbgrader("autograde", "t1", "--create")
    assert status == 0, said
    nbgrader("export")
    rows = (nbgrader.course / "grades.csv").read_text().splitlines()
    head = rows[0].split(",")
    scores = {r.split(",")[head.index("student_id")]: float(r.split(",")[head.index("raw_score")])
              for r in rows[1:]}
    assert scores == {"ada": 5, "ben": 2, "cleo": 0}
