"""Runs and searches that meet in one folder, and those that are killed: nothing mixes, nothing is
lost, nothing is left behind. What is at work, and what is killed, are processes of their own.
"""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("click", reason="NOT RUN: needs the package click")
pytest.importorskip("safetensors", reason="NOT RUN: needs the package safetensors")

from click.testing import CliRunner

import etude
from etude.commands import etude as program
from etude.train import Checkpoints, experiment
from etude.train.config import RunConfig

RUN = """
[model]
name = "mlp"
hidden = [16]
[data]
batch_size = 200
[optimizer]
lr = 0.01
[training]
epochs = {epochs}
checkpoint_steps = 1
[tune]
trials = {trials}
prune = false
[tune.space]
"optimizer.lr" = {{low = 1e-4, high = 0.1, log = true}}
"""
FOREVER = 100_000


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(RUN.format(epochs=2, trials=3))
    Path("long.toml").write_text(RUN.format(epochs=FOREVER, trials=3))
    Path("many.toml").write_text(RUN.format(epochs=2, trials=FOREVER))
    return tmp_path


def start(*words):
    return subprocess.Popen([sys.executable, "-u", "-m", "etude", *words], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(*words, code=0):
    """What a command says that runs to its end, in this process."""
    result = CliRunner().invoke(program, words)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def live(here):
    """``live(*words, until=text)``: a command that runs until the end of the test; it has printed
    a line with the text.
    """
    children = []

    def begin(*words, until):
        child = start(*words)
        children.append(child)
        while until not in (line := child.stdout.readline()):
            assert line, child.stderr.read()
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate()


def everything(folder):
    return {p: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def settled(folder, keep):
    """What is in the folder but for what a live run replaces from step to step."""
    return {p: b for p, b in everything(folder).items() if p.name in keep}


def in_use(folder, child):
    return re.compile(rf"Error: {folder} is in use: process {child.pid} on .*, since 20.*, writes "
                      rf"into it\. Wait until that run has ended, or end it; or take another "
                      rf"folder, with --out")


def test_nothing_goes_into_the_folder_of_a_run_at_work(live):
    child = live("train", "long.toml", "--out", "f", until="epoch 2")
    before = settled("f", ["config.toml", "run.lock"])
    for words in (["train", "run.toml"], ["train", "long.toml", "--resume"],
                  ["train", "long.toml", "--resume", "--set", "training.seed=5"],
                  ["tune", "run.toml"]):
        error = end(*words, "--out", "f", code=1)
        assert in_use("f", child).search(error), error
        assert settled("f", ["config.toml", "run.lock"]) == before
    child.send_signal(signal.SIGKILL)
    child.communicate()
    paths = Checkpoints(Path("f/checkpoints")).paths()
    assert len(paths) in (3, 4)  # the last three, and perhaps one more that was just made
    done = int(paths[-1].stem.removeprefix("step-")) // 7
    end("train", "long.toml", "--out", "f", "--resume", "--set", f"training.epochs={done + 1}")
    assert not list(Path("f").rglob("*.part"))
    assert not list(Path("f").rglob("run.lock"))


def test_of_two_runs_begun_at_once_one_goes_on_alone(here):
    end("train", "run.toml", "--out", "alone")
    children = [start("train", "run.toml", "--out", "f") for _ in range(2)]
    errors = [child.communicate()[1] for child in children]
    codes = [child.returncode for child in children]
    assert sorted(codes) == [0, 1], errors
    error = errors[codes.index(1)]
    assert "f is in use" in error or "f has a run in it" in error  # it came when the first was over
    assert same_run("alone", "f")


def same_run(first, second):
    weights = [Path(f, "weights.safetensors").read_bytes() for f in (first, second)]
    losses = [json.loads(Path(f, "history.json").read_text())["steps"]["loss"]
              for f in (first, second)]
    return weights[0] == weights[1] and losses[0] == losses[1]


@pytest.mark.usefixtures("optuna")
def test_a_second_search_in_a_folder_is_refused_and_ends_no_trial_of_the_first(live):
    child = live("tune", "many.toml", "--out", "f", until="trial 2")
    for words in (["tune", "many.toml"], ["train", "run.toml"]):
        error = end(*words, "--out", "f", code=1)
        assert in_use("f", child).search(error), error
    for _ in range(3):
        assert "failed" not in child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    out = end("tune", "many.toml", "--out", "f", "--trials", "8")
    assert " are done" in out


@pytest.mark.usefixtures("optuna")
def test_a_run_and_a_search_do_not_share_a_folder(here):
    end("train", "run.toml", "--out", "run", "--set", "training.epochs=1")
    end("tune", "run.toml", "--out", "search", "--trials", "1")
    before = everything(".")
    error = end("train", "run.toml", "--out", "search", code=1)
    assert "search has a search of etude tune in it; give this run another folder" in error
    error = end("tune", "run.toml", "--out", "run", code=1)
    assert "run has a run of etude train in it; give the search another folder" in error
    assert everything(".") == before


def test_a_resume_with_other_settings_names_each_and_changes_nothing(here):
    end("train", "run.toml", "--out", "f")
    before = everything("f")
    error = end("train", "run.toml", "--out", "f", "--resume", "--set", "optimizer.lr=0.5",
                   "--set", "data.batch_size=100", code=1)
    assert "data.batch_size was 200, is 100; optimizer.lr was 0.01, is 0.5" in error
    assert everything("f") == before
    edited = Path("f/config.toml").read_text().replace("lr = 0.01", "lr = 0.5")
    Path("f/config.toml").write_text(edited)  # the checkpoints remember
    before[Path("f/config.toml")] = edited.encode()
    error = end("train", "f/config.toml", "--out", "f", "--resume", code=1)
    assert "safetensors: the run had other settings: optimizer.lr was 0.01, is 0.5" in error
    assert everything("f") == before
    Path("f/config.toml").unlink()
    error = end("train", "run.toml", "--out", "f", "--resume", "--set", "optimizer.lr=0.5", code=1)
    assert "safetensors: the run had other settings: optimizer.lr was 0.01, is 0.5" in error
    before.pop(Path("f/config.toml"))
    assert everything("f") == before


def test_runs_killed_at_random_moments_go_on_bit_for_bit(here, soak):
    """A kill may hit the start, a step, or any file while it is written."""
    kills = 60 if soak else 3
    epochs, moments = str(5 * kills), random.Random(11)
    words = ["train", "run.toml", "--set", f"training.epochs={epochs}"]
    killed = 0
    while killed < kills:
        with start(*words, "--out", "parts", "--resume") as child:
            child.stdout.readline()
            time.sleep(moments.uniform(0, 0.4))
            child.kill()
            child.communicate()
        if child.returncode != -signal.SIGKILL:
            break
        killed += 1
    assert killed
    end(*words, "--out", "parts", "--resume")
    end(*words, "--out", "whole", "--set", "training.checkpoint_steps=0")
    assert same_run("whole", "parts")
    assert sorted(p.name for p in Path("whole").iterdir()) == sorted(
        p.name for p in Path("parts").iterdir())
    assert not list(Path("parts").rglob("*.part"))


def test_ctrl_c_leaves_the_weights_of_the_last_step_and_the_status_130(here):
    every = ["--set", "training.keep=100000"]
    for wait in (0.0, 0.05):
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "etude", "train", "long.toml", "--out", f"f{wait}"],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
        with child:
            while "epoch 1" not in child.stdout.readline():
                assert child.poll() is None
            time.sleep(wait)
            child.send_signal(signal.SIGINT)
            out = child.stdout.read()
        assert child.returncode == 130, out
        assert f"Go on with: etude train long.toml --out f{wait} --resume" in out
        found = json.loads(Path(f"f{wait}/history.json").read_text())
        steps = len(found["steps"]["loss"])
        end("train", "long.toml", "--out", f"g{wait}", "--set", f"training.epochs={-(-steps // 7)}",
            *every)
        weights = [experiment.build(RunConfig.read("run.toml")).model for _ in range(2)]
        etude.load_weights(f"f{wait}/weights.safetensors", weights[0])
        etude.load_weights(f"g{wait}/checkpoints/step-{steps:08d}.safetensors", weights[1])
        first, second = ([t.numpy().tobytes() for t in m.state_dict().values()] for m in weights)
        assert first == second


@pytest.mark.usefixtures("optuna")
def test_searches_killed_at_random_moments_go_on(here, soak):
    kills, moments = 20 if soak else 1, random.Random(12)
    for _ in range(kills):
        with start("tune", "many.toml", "--out", "f") as child:
            child.stdout.readline()
            time.sleep(moments.uniform(0, 0.6))
            child.kill()
            child.communicate()
        assert child.returncode == -signal.SIGKILL
    done = end("tune", "many.toml", "--out", "f", "--trials", "1")
    most = int(re.search(r"; (\d+) are done|$", done)[1] or 0)
    out = end("tune", "many.toml", "--out", "f", "--trials", str(most + 2))
    assert sum(line.startswith("trial ") for line in out.splitlines()) in (1, 2)
    assert {p.name for p in Path("f").iterdir()} - {"tune.png"} == {"best.toml", "config.toml",
                                                                    "study.db"}
