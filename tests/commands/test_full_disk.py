"""A full disk: every writer names its file, leaves the one before, and nothing half written.

The system refuses the writing for real: it allows this process no file larger than so many bytes,
and /dev/full has no room for any.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("click", reason="NOT RUN: needs the package click")
pytest.importorskip("safetensors", reason="NOT RUN: needs the package safetensors")

from click.testing import CliRunner

import etude
import etude_check
from etude import nn
from etude.commands import etude as program
from etude.train import config, experiment
from etude_check.commands.check import Refused, write

RUN = """
[model]
name = "mlp"
hidden = [64]
[data]
batch_size = 500
[training]
epochs = 1
[tune]
trials = 1
[tune.space]
"optimizer.lr" = {low = 1e-4, high = 0.1, log = true}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(RUN)
    return tmp_path


def everything():
    return {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}


def full(path):
    return pytest.raises(OSError, match=rf"File too large: '{re.escape(str(path))}'$")


def linear():
    etude.manual_seed(0)
    return nn.Linear(32, 32)


def graph():
    return etude.draw(linear()(etude.ones(1, 32)).relu().sum())


WRITERS = {
    "c.safetensors": lambda path: etude.save_checkpoint(path, linear()),
    "w.safetensors": lambda path: etude.save_weights(path, linear()),
    "graph.dot": lambda path: graph().save(path),
}


@pytest.mark.parametrize("path", WRITERS)
def test_a_writer_names_its_file_and_leaves_the_one_before(here, path, room):
    for content in (None, b"before"):
        if content is not None:
            Path(path).write_bytes(content)
        before = everything()
        with room(100), full(path):
            WRITERS[path](path)
        assert everything() == before
    WRITERS[path](path)
    assert Path(path).stat().st_size > 100


def call(*words, code=0):
    result = CliRunner().invoke(program, words)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(("size", "path"), [
    (100, "f/config.toml"), (5000, "f/checkpoints/step-00000003.safetensors")])
def test_a_run_that_finds_no_room_says_for_what_and_goes_on_later(here, size, path, room):
    with room(size):
        out = call("train", "run.toml", "--out", "f", code=1)
    assert f"File too large: '{path}'" in out
    assert not list(here.rglob("*.part"))
    assert not list(here.rglob("run.lock"))
    call("train", "run.toml", "--out", "f", "--resume")


def test_results_of_a_run_are_named_too(here, matplotlib, room):
    from etude.inspect import plots

    made = experiment.build(config.RunConfig.read("run.toml"))
    history = made.fit(progress=False)
    with room(100), full("history.json"):
        experiment.finish(made, history, Path())
    with room(5000), full("weights.safetensors"):
        experiment.finish(made, history, Path())
    with room(5000), full("loss.png"):
        plots.losses(history, Path("loss.png"))
    assert sorted(p.name for p in here.iterdir()) == ["history.json", "run.toml"]


def test_results_of_a_search_are_named_too(here, optuna, matplotlib, room):
    from etude.train.tuning import Search

    search = Search(config.RunConfig.read("run.toml"), Path("s"))
    search.run()
    with room(100), full("s/best.toml"):
        search.write_best()
    from etude.inspect import plots
    with room(5000), full("s/tune.png"):
        search.draw(plots)
    search.close()
    assert sorted(p.name for p in Path("s").iterdir()) == ["config.toml", "study.db"]


def test_a_study_that_finds_no_room_is_named_and_goes_on_later(here, optuna, room):
    with room(10_000):
        out = call("tune", "run.toml", "--out", "s", code=1)
    assert "s/study.db" in out
    assert "1 trials over optimizer.lr" in call("tune", "run.toml", "--out", "s")


def test_a_report_that_finds_no_room_keeps_the_others_from_nothing(here, capsys, room):
    with room(100), pytest.raises(Refused) as refused:
        write([("a.json", "x" * 1000), ("b.html", "small"), ("c.xml", "y" * 1000)])
    assert str(refused.value) == ("a.json cannot be written: File too large\n"
                                  "c.xml cannot be written: File too large")
    assert Path("b.html").read_text() == "small"
    assert "Wrote b.html" in capsys.readouterr().err
    assert sorted(p.name for p in here.iterdir()) == ["b.html", "run.toml"]


def test_a_score_is_refused_before_the_work_if_its_folder_is_missing(here):
    out = call("zoo", "run", "--level", "smoke", "--json", "missing/score.json", code=2)
    assert "--json missing/score.json: there is no folder" in out


def test_a_divergence_is_told_although_its_reproducer_finds_no_room(here, room):
    @etude.implements("relu")
    def relu(x):
        return x + 1

    x = etude.tensor([-1.0, 1.0])
    with room(100), pytest.raises(OSError, match=r"File too large: 'd/call\.npz'") as caught:
        etude_check.first_divergence(lambda: x.relu(), "reference", relu, save="d")
    assert "This was found: " in caught.value.__notes__[0]
    assert "relu" in caught.value.__notes__[0]
    assert not list(Path("d").iterdir())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="NOT RUN: there is no /dev/full")
@pytest.mark.parametrize("words", [["train", "run.toml"], ["train", "--example"]],
                         ids=" ".join)
def test_a_full_standard_output_is_said_in_one_line(here, words):
    with open("/dev/full", "w") as nowhere:
        done = subprocess.run([sys.executable, "-m", "etude", *words], stdout=nowhere,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == ("etude: the output could not be written: No space left on "
                                   "device")
