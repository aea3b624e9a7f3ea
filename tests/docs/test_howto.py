"""The pages on data of one's own and on what becomes of a model, followed as a reader would."""

import importlib
import shutil
import sys
import threading
import urllib.error
import urllib.request
from http.server import HTTPServer
from pathlib import Path

import pytest

import etude

sys.path.insert(0, str(Path(__file__).parent))
import following

for needed in ("click", "safetensors", "matplotlib"):
    pytest.importorskip(needed, reason=f"NOT RUN: needs the package {needed}")

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def follow(page, folder):
    """Follow a page; how many commands it had."""
    done = following.follow(HOWTO / page, folder)
    following.expect_what_is_shown(HOWTO / page, done)
    return len(done)


def test_data_of_ones_own_is_trained_on_as_the_page_says(tmp_path):
    assert follow("own-data.md", tmp_path) == 5


def test_weights_become_int8_as_the_page_says(tmp_path):
    assert follow("quantize.md", tmp_path) == 3


def test_models_become_c_files_as_the_page_says(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("NOT RUN: needs a C compiler")
    assert follow("c-export.md", tmp_path) == 12


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """Which folders were started, and kits that were made, are kept out of the user's."""
    pytest.importorskip("etude_course", reason="NOT RUN: needs the package etude-course")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ".data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))


def test_an_assignment_is_made_and_graded_as_the_page_says(tmp_path, own_data):
    assert follow("teach.md", tmp_path) == 9


def test_a_student_works_as_the_page_says(tmp_path, own_data):
    assert follow("students.md", tmp_path) == 9
    page = (tmp_path / "path.html").read_text()
    assert "0 of 32 points" in page


def test_a_model_is_trained_sampled_and_served_as_the_page_says(tmp_path, monkeypatch):
    assert follow("serve-a-gpt.md", tmp_path) == 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    server = HTTPServer(("127.0.0.1", 0), quiet(importlib.import_module("serve").Names))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        etude.manual_seed(1)
        assert ask(server, "?start=Jo").startswith("jo")
        assert len(ask(server, "").splitlines()) == 1
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(server, "?start=7")
        assert refused.value.code == 400
        assert "'7' (U+0037) at position 1 is not among" in refused.value.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        for name in ("serve", "sample"):
            sys.modules.pop(name, None)


def test_weights_go_out_and_come_back_as_the_page_says(tmp_path):
    pytest.importorskip("gguf", reason="NOT RUN: needs the package gguf")
    assert follow("weights.md", tmp_path) == 5


def quiet(handler):
    """The same handler without its line for each request."""
    return type("Quiet", (handler,), {"log_message": lambda self, *words: None})


def ask(server, query):
    """What the server answers. It is on this machine, whatever proxy there may be."""
    open_ = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    with open_(f"http://127.0.0.1:{server.server_port}/{query}", timeout=60) as answer:
        return answer.read().decode()
