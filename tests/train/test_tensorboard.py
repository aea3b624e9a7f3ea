"""What a run writes for TensorBoard, read back by TensorBoard's own reader."""

import math
import subprocess
import sys

import pytest

import etude
from etude import nn, optim, train
from etude.data import DataLoader, TensorDataset
from etude.train.checkpoint import CheckpointError

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator",
                                  reason="NOT RUN: needs tensorboard")


def made():
    """A model on 24 samples of two classes, in batches of 8; and its optimiser."""
    etude.manual_seed(3)
    x = etude.randn(24, 4)
    data = TensorDataset(x, (x[:, 0] > 0).to("int64"))
    model = nn.Linear(4, 2)
    return model, DataLoader(data, batch_size=8), optim.SGD(model.parameters(), lr=0.1)


def events(folder):
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    return found


def values(folder, tag):
    """[(step, value)] of a scalar."""
    return [(e.step, e.value) for e in events(folder).Scalars(tag)]


def test_steps_and_epochs_are_those_of_the_history(tmp_path):
    model, loader, optimizer = made()
    half = {"half": lambda output, target: 0.5}
    history = train.fit(model, loader, optimizer, epochs=2, validation=loader, test=loader,
                        progress=False, metrics=half, callbacks=[train.TensorBoard(tmp_path)])
    losses = values(tmp_path, "step/loss")
    assert [step for step, _ in losses] == [1, 2, 3, 4, 5, 6]
    assert [v for _, v in losses] == pytest.approx(history.loss, rel=1e-6)
    assert values(tmp_path, "step/lr") == [(s, pytest.approx(0.1)) for s in range(1, 7)]
    assert values(tmp_path, "train/half") == [(3, 0.5), (6, 0.5)]
    assert values(tmp_path, "validation/accuracy") == [
        (3 * e.number, pytest.approx(e.validation.accuracy)) for e in history.epochs]
    assert values(tmp_path, "test/loss") == [(6, pytest.approx(history.test.loss))]


def test_each_parameter_has_a_histogram_if_wanted(tmp_path):
    model, loader, optimizer = made()
    train.fit(model, loader, optimizer, epochs=2, progress=False,
              callbacks=[train.TensorBoard(tmp_path, histograms=True)])
    found = events(tmp_path)
    assert found.Tags()["histograms"] == ["weight", "bias"]
    last = found.Histograms("weight")[-1]
    assert (last.step, last.histogram_value.num) == (6, 8)
    assert last.histogram_value.max == pytest.approx(model.weight.max().item())


def test_without_classes_there_is_no_accuracy(tmp_path):
    model, _, optimizer = made()
    x = etude.randn(8, 4)
    loader = DataLoader(TensorDataset(x, etude.zeros(8, 2)), batch_size=4)
    train.fit(model, loader, optimizer, nn.functional.mse_loss, progress=False,
              callbacks=[train.TensorBoard(tmp_path)])
    assert "step/accuracy" not in events(tmp_path).Tags()["scalars"]


class Pulled(train.Callback):
    """The plug is pulled after ``step`` steps."""

    only_watches = True

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise RuntimeError("no more power")


def test_a_resumed_run_shows_each_step_once(tmp_path):
    checkpoints = train.Checkpoints(tmp_path / "checkpoints", every_epochs=1)
    model, loader, optimizer = made()
    with pytest.raises(RuntimeError, match="no more power"):
        train.fit(model, loader, optimizer, epochs=3, progress=False, checkpoints=checkpoints,
                  callbacks=[train.TensorBoard(tmp_path / "events"), Pulled(5)])
    assert [s for s, _ in values(tmp_path / "events", "step/loss")] == [1, 2, 3, 4, 5]
    model, loader, optimizer = made()
    history = train.fit(model, loader, optimizer, epochs=3, progress=False, resume=True,
                        checkpoints=checkpoints,
                        callbacks=[train.TensorBoard(tmp_path / "events")])
    losses = values(tmp_path / "events", "step/loss")
    assert [s for s, _ in losses] == list(range(1, 10))
    assert [v for _, v in losses] == pytest.approx(history.loss, rel=1e-6)


def test_who_only_watches_may_come_when_a_run_is_resumed(tmp_path):
    checkpoints = train.Checkpoints(tmp_path / "checkpoints")
    model, loader, optimizer = made()
    train.fit(model, loader, optimizer, epochs=1, progress=False, checkpoints=checkpoints)
    train.fit(model, loader, optimizer, epochs=2, progress=False, checkpoints=checkpoints,
              resume=True, callbacks=[train.TensorBoard(tmp_path / "events")])
    assert [s for s, _ in values(tmp_path / "events", "step/loss")] == [4, 5, 6]
    with pytest.raises(CheckpointError, match="EarlyStopping"):
        train.fit(model, loader, optimizer, epochs=3, progress=False, checkpoints=checkpoints,
                  resume=True, callbacks=[train.EarlyStopping()])


def test_without_tensorboardx_it_says_what_to_install():
    program = ("import sys; sys.modules['tensorboardX'] = None\n"
               "from etude import train\n"
               "try: train.TensorBoard('x')\n"
               "except ModuleNotFoundError as error: print(error)")
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert out.stdout == ("TensorBoard: tensorboardX is not installed. pip install "
                          "'etude[tensorboard]'\n"), out.stderr


def test_the_command_writes_them_into_the_folder_of_the_run(tmp_path):
    config = tmp_path / "digits.toml"
    config.write_text("[training]\nepochs = 1\n[data]\nbatch_size = 256\n")
    out = subprocess.run([sys.executable, "-m", "etude", "train", str(config), "--tensorboard",
                          "--out", str(tmp_path / "run")], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert "tensorboard/" in out.stdout
    [(_, accuracy)] = values(tmp_path / "run" / "tensorboard", "validation/accuracy")
    assert not math.isnan(accuracy)
