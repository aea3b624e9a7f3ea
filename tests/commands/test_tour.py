"""etude tour: what it shows and finds, and how it copes with trouble."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from shell import MAIN, python, run, words

import etude
from etude.backends import plugins
from etude.commands import backends, runs, tour
from etude.commands.show import console
from etude.measure import Comparison, Span
from etude.measure.machine import _queues
from etude.measure.timing import Turn


@pytest.fixture
def short(monkeypatch):
    """A tour over a tenth of the digits."""
    train, test = etude.data.digits()
    few = [etude.data.TensorDataset(*(t[:n] for t in d.tensors))
           for d, n in ((train, 144), (test, 40))]
    monkeypatch.setattr(runs.data, "digits", lambda split=None: few[split == "test"] if split
                        else few)
    monkeypatch.setattr(runs, "WATCHED", 3)
    monkeypatch.setattr(runs, "COMPARED", 4)


def column(folder, op, body):
    path = folder / f"my_{op}.py"
    path.write_text(f"import numpy as np\nimport etude\n\n\n@etude.implements({op!r})\n{body}\n")
    return str(path)


@pytest.fixture
def relu(tmp_path):
    return column(tmp_path, "relu", "def my_relu(x):\n    return np.where(x > 0, x, x * 0)")


@pytest.fixture
def crowded():
    """This thread has to share one core with a process that is never tired."""
    if not _queues() or not hasattr(os, "sched_setaffinity"):
        pytest.skip("NOT RUN: needs Linux with scheduler statistics")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield
    other.kill()
    other.wait()
    os.sched_setaffinity(0, before)


def timed(slow, fast, waited=0.0, turns=6):
    """What ``runs.time_steps`` returns, of steps that take so many milliseconds."""
    seconds = {"reference": slow * 1e-3 * runs.TIMED, "other": fast * 1e-3 * runs.TIMED}
    return Comparison([Turn(seconds, Span(1.0, 1.0, waited, 0.9, 0.0))] * turns)


@pytest.fixture
def two(short):
    """The runs of the reference and of a column that is the reference under another name."""
    found = [runs.train("reference", 1, 0, lambda run: None) for _ in range(2)]
    runs.watch(found, 0)
    runs.compare(found[1], found[0], 0)
    found[1].column = "other"
    return found


def test_the_tour_compares_a_column_with_the_reference(short, relu, tmp_path):
    text = run("tour", "--epochs", "2", "--backend", relu, "--out", str(tmp_path / "new"))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 80
    told = words(text)
    assert "my_relu.py agrees with the reference" in told
    assert "within 0.0001 of it" in told
    assert "3 my_relu.py" in told
    assert "Try next" in told
    assert (tmp_path / "new" / "tour.png").read_bytes().startswith(b"\x89PNG")


def test_where_etude_is_not_on_the_path_the_tour_says_how_it_gets_there(short, relu, tmp_path,
                                                                       monkeypatch):
    activate = tmp_path / "env" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.chdir(tmp_path)
    call = ("tour", "--epochs", "1", "--backend", relu, "--no-picture")
    monkeypatch.setenv("PATH", "")
    assert "Try next source env/bin/activate first" in words(run(*call))
    command = tmp_path / "etude"
    command.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "activate" not in run(*call)


def test_a_tour_tells_no_seconds_of_epochs_and_says_what_its_own_seconds_are_of(short, relu):
    text = run("tour", "--epochs", "1", "--backend", relu, "--no-picture")
    epochs = [line for line in text.splitlines() if " epoch " in line]
    assert epochs
    assert not any(line.endswith(" s") for line in epochs)
    assert "Training and measuring took" in text


def test_the_tour_for_programs(short, relu, tmp_path):
    found = json.loads(run("tour", "--epochs", "2", "--backend", relu, "--json", "--no-picture"))
    assert found["agree"]
    reference, mine = found["runs"]
    assert reference["backend"] == "reference"
    assert len(reference["loss"]) == 2 * 9
    assert mine["step_apart"] <= found["bound"]
    assert mine["curve_apart"] == pytest.approx(max(np.abs(np.subtract(mine["loss"],
                                                                       reference["loss"]))))
    assert mine["calls_per_step"]["my_relu.py"] == 3
    assert found["picture"] is None
    assert not list(tmp_path.glob("*.png"))


def test_a_speed_up_is_told_with_its_interval(two, capsys):
    tour._table(two, timed(3.0, 1.25), console())
    tour._conclude(two, timed(3.0, 1.25), console())
    told = words(capsys.readouterr().out)
    assert "3.00 1.0 x" in told
    assert "1.25 2.4 x" in told
    assert "A step on other is 2.40 times as fast as on the reference (2.40 to 2.40" in told
    found = tour.as_json(two, timed(3.0, 1.25), None)
    assert found["busy"] is None
    assert found["runs"][1]["speed_up"] == pytest.approx([2.4] * 3)
    assert found["runs"][1]["milliseconds_of_a_step"] == pytest.approx(1.25)


def test_a_busy_machine_makes_no_speed_up(two, capsys):
    busy = timed(4.8, 1.0, waited=0.9)
    tour._table(two, busy, console())
    tour._conclude(two, busy, console())
    told = words(capsys.readouterr().out)
    assert "No speed is told. This machine was busy in 6 of 6 turns: threads of this" in told
    assert "4.8" not in told
    assert "times as fast" not in told
    found = tour.as_json(two, busy, None)
    assert "was busy" in found["busy"]
    assert all(run["speed_up"] is None for run in found["runs"])
    assert all(run["milliseconds_of_a_step"] is None for run in found["runs"])


def test_the_picture_of_a_busy_machine_compares_no_backends(two, matplotlib, tmp_path):
    from matplotlib.figure import Figure

    from etude.commands import picture

    free, crowded = (Figure().subplots() for _ in range(2))
    picture._bars(free, two)
    picture._shares(crowded, two, "This machine was busy.")
    assert any(text.get_text().endswith(" x") for text in free.texts)
    assert not crowded.texts
    assert "busy" in crowded.get_legend().get_title().get_text()
    assert all(bar.get_width() <= 100 for bar in crowded.patches)
    picture.draw(two, tmp_path / "tour.png", "This machine was busy.")
    assert (tmp_path / "tour.png").stat().st_size > 20_000


def test_the_picture_compares_backends_only_where_the_table_does(two):
    assert tour._untold(two, timed(3.0, 1.25), "") == ""
    assert "was busy in 6 of 6 turns" in tour._untold(two, timed(4.8, 1.0, waited=0.9), "")
    assert tour._untold(two, timed(3.0, 1.25), "It was busy later.") == "It was busy later."
    differ = Comparison([turn for ms in range(1, 7) for turn in timed(ms, 1.0, turns=1).turns])
    assert "differ too much to tell" in tour._untold(two, differ, "")


def test_on_a_core_that_another_process_wants_too_the_tour_tells_no_speed(short, relu, crowded):
    found = json.loads(run("tour", "--epochs", "1", "--backend", relu, "--json", "--no-picture"))
    assert "This machine was busy" in found["busy"]
    assert [one["speed_up"] for one in found["runs"]] == [None, None]
    assert found["agree"]


def test_a_column_that_fails_when_it_is_timed_leaves_the_others_their_times(short, tmp_path):
    path = column(tmp_path, "relu", "def relu(x):\n    return 1 / 0")
    found = [runs.Run("reference"), runs.Run(path)]
    assert runs.time_steps(found, 0).names == ["reference"]
    assert "ZeroDivisionError" in found[1].error


def test_the_tour_finds_a_kernel_that_is_a_little_wrong(short, tmp_path):
    wrong = column(tmp_path, "linear", "def linear(x, weight, bias=None):\n"
                   "    y = x @ weight.T * np.float32(1.001)\n"
                   "    return y if bias is None else y + bias")
    text = run("tour", "--epochs", "1", "--backend", wrong, "--no-picture", code=1)
    assert "my_linear.py does not agree" in words(text)
    assert "0.0001 is allowed" in words(text)


def test_the_tour_finds_a_wrong_gradient(short, tmp_path):
    wrong = column(tmp_path, "relu_backward", "def relu_backward(grad, y):\n"
                   "    return np.where(y >= 0, grad, grad * 0)")
    assert "does not agree" in run("tour", "--epochs", "1", "--backend", wrong, "--no-picture",
                                   code=1)


class Told:
    """A setting whose steps lose what they are told."""

    def __init__(self, losses):
        self.train = [("x", "y")] * len(losses)
        self.losses = iter(losses)

    def step(self, x, y):
        return next(self.losses)

    def loss(self, x, y):
        return 1.0

    def become(self, other):
        pass


@pytest.mark.parametrize("at", range(3))
def test_a_step_whose_loss_is_nan_is_never_forgotten(at):
    losses = [1.0, 1.0, 1.0]
    losses[at] = np.nan
    assert np.isnan(runs._largest("reference", Told(losses), Told([1.0] * 3), sync=False))
    assert runs._largest("reference", Told([1.0, 1.5, 1.0]), Told([1.0] * 3), sync=True) == 0.5


def test_the_tour_goes_on_past_a_column_that_fails(short, relu, tmp_path):
    broken = column(tmp_path, "max_pool2d", "def pool(x, **attrs):\n    raise OSError('no pool')")
    text = words(run("tour", "--epochs", "1", "--backend", broken, "--backend", relu,
                     "--no-picture", code=1))
    assert "my_max_pool2d.py does not agree: OSError: no pool" in text
    assert "my_relu.py agrees with the reference" in text


def test_an_unknown_backend_stops_the_tour_before_it_starts():
    text = words(run("tour", "--backend", "cpuu", code=1))
    assert "there is no backend 'cpuu'" in text
    assert "epoch" not in text


def test_a_tour_without_accelerators_says_why_and_how_to_get_one(short, alone):
    text = words(run("tour", "--epochs", "1", "--no-picture"))
    assert "No accelerator is active" in text
    assert "pip install etude-cpu" in text


def test_a_tour_with_broken_plugins_alone_gives_their_reasons(short, installed, monkeypatch):
    monkeypatch.setenv("ETUDE_PLUGINS", "cardless,raises")
    plugins.registry(refresh=True)
    text = words(run("tour", "--epochs", "1", "--no-picture"))
    assert "cardless is unavailable: no card was found on this machine" in text
    assert "raises is broken: RuntimeError: boom at import" in text


def test_a_tour_that_may_not_write_still_shows_its_table(short, alone, tmp_path):
    (tmp_path / "file").touch()
    text = words(run("tour", "--epochs", "1", "--out", str(tmp_path / "file" / "folder")))
    assert "speed-up" in text
    assert "There is no picture, because" in text
    assert "--out names another folder" in text


def test_a_tour_without_matplotlib_says_what_to_install(short, alone, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "etude.commands.picture", raising=False)
    text = words(run("tour", "--epochs", "1", "--out", str(tmp_path)))
    assert "matplotlib is not installed: pip install 'etude[plots]'" in text
    assert not (tmp_path / "tour.png").exists()


def test_the_real_tour_reads_at_least_97_percent_of_the_digits_on_every_backend(tmp_path):
    # One thread for NumPy: on a busy machine its threads wait for one another.
    status, out, err = python(MAIN, "tour", "--json", "--out", str(tmp_path),
                              OPENBLAS_NUM_THREADS="1")
    assert status == 0, out + err
    found = json.loads(out)
    offered = plugins.registry().backends
    active = [x.backend for x in backends.lines() if x.state == "active" and x.backend]
    meant = [b for b in active if b not in offered or not offered[b][0].emulation]
    assert [r["backend"] for r in found["runs"]] == meant
    assert all(r["test_accuracy"] >= 0.97 for r in found["runs"])
    assert (tmp_path / "tour.png").stat().st_size > 20_000
