"""``etude train --distributed``: what it prints and writes, and how it goes on after a stop."""

import json
import os
import signal

import numpy as np
import pytest
from launched import rank_of, ready, wait_for
from safetensors.numpy import load_file

CONFIG = """
[model]
name = "lenet"
[data]
name = "digits"
batch_size = 150
[training]
epochs = 2
checkpoint_steps = 3
"""


@pytest.fixture
def config(mpirun):
    (mpirun.folder / "run.toml").write_text(CONFIG)
    return mpirun.folder


def weights(folder):
    return load_file(folder / "weights.safetensors")


def same(a, b, bound):
    a, b = weights(a), weights(b)
    assert a.keys() == b.keys()
    return all(np.abs(a[k] - b[k]).max() <= bound for k in a)


def losses(folder):
    return json.loads((folder / "history.json").read_text())["steps"]["loss"]


def test_one_rank_prints_and_the_result_is_that_of_one_process(mpirun, config):
    assert mpirun.alone("run.toml", "--out", "alone").returncode == 0
    out, _ = mpirun.train(2, "run.toml", "--out", "two")
    assert out.count("epoch 1: loss") == out.count("\nIn two: ") == 1
    assert "2 ranks: 0.05 MB of gradients per rank and step" in out
    assert "behind backward" in out
    assert sorted(p.name for p in (config / "two").iterdir()) == sorted(
        p.name for p in (config / "alone").iterdir())
    assert same(config / "two", config / "alone", 1e-5)
    assert np.allclose(losses(config / "two"), losses(config / "alone"), rtol=0, atol=1e-5)


@pytest.mark.parametrize("n", [2, 3])
def test_a_killed_run_resumed_equals_one_that_was_not_stopped(mpirun, config, n):
    """Two ranks are killed after a checkpoint; the run goes on with the same number, or three."""
    long = ["run.toml", "--set", "model.name=mlp", "--set", "training.epochs=50", "--set",
            "training.checkpoint_epochs=0", "--set", "training.checkpoint_steps=20", "--out"]
    process = mpirun.start(2, "-m", "etude", "train", *long, "run", "--distributed")
    wait_for(lambda: ready(config), "checkpoint")
    os.kill(rank_of(process, 1), signal.SIGKILL)
    mpirun.ended(process, status=1)
    assert not (config / "run/history.json").exists()
    out, _ = mpirun.train(n, *long, "run", "--resume")
    assert "resumed from run/checkpoints/step-" in out
    mpirun.train(2, *long, "whole")
    assert len(losses(config / "run")) == len(losses(config / "whole"))
    assert same(config / "run", config / "whole", 0 if n == 2 else 1e-4)


def test_what_ranks_began_one_process_goes_on_with(mpirun, config):
    mpirun.train(2, "run.toml", "--out", "run", "--set", "training.epochs=1")
    found = mpirun.alone("run.toml", "--out", "run", "--resume")
    assert "resumed from" in found.stdout, found.stderr
    assert mpirun.alone("run.toml", "--out", "alone").returncode == 0
    assert same(config / "run", config / "alone", 1e-5)


def test_one_process_without_mpirun_trains_and_gives_a_hint(mpirun, config):
    found = mpirun.alone("run.toml", "--out", "run", "--distributed")
    assert found.returncode == 0, found.stderr
    assert "One process alone. Several: mpirun -n 2 etude train" in found.stdout
    assert (config / "run/weights.safetensors").exists()
