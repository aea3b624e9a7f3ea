"""Chapters of the gallery on other ground: without a compiler, and before the system itself.

What a chapter claims is asserted in its own last cells; here is what those cannot see.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials" / "gallery"


def names_after(chapter, until=""):
    """The names that the cells of a chapter leave, up to the first one that contains ``until``."""
    text = (FOLDER / f"{chapter}.md").read_text(encoding="utf-8").partition("\n## Exercises\n")[0]
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, re.S | re.M)
    assert cells
    space = {"__name__": "__main__"}
    for cell in cells:
        exec(cell, space)
        if until and until in cell:
            break
    return space


def test_jittor_moves_the_same_bytes_where_there_is_no_compiler(monkeypatch):
    compiler = shutil.which("cc")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    python = names_after("jittor")
    assert python["COMPILER"] is None
    assert all(nest.startswith("def nest(") for nest in python["KEPT"])
    if compiler is None:
        pytest.skip("NOT RUN: needs a C compiler, cc, for the other half")
    monkeypatch.undo()
    c = names_after("jittor")
    assert all(nest.startswith("void nest(") for nest in c["KEPT"])
    assert c["figures"] == python["figures"]


def test_ncnn_reads_the_two_files_of_its_chapter_and_gives_etudes_scores(tmp_path):
    ncnn = pytest.importorskip("ncnn", reason="NOT RUN: needs ncnn")
    chapter = names_after("ncnn", until="def written(")
    (tmp_path / "digits.param").write_text(chapter["text"])
    (tmp_path / "digits.bin").write_bytes(chapter["weights"])
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert net.load_param(str(tmp_path / "digits.param")) == 0
    assert net.load_model(str(tmp_path / "digits.bin")) == 0
    for image, scores in zip(chapter["images"].numpy()[:50], chapter["scores"].numpy(),
                             strict=False):
        run = net.create_extractor()
        run.input("image", ncnn.Mat(image).clone())
        assert run.extract("blob9")[0] == 0
        found = np.array(run.extract("blob9")[1])
        np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-4)
