"""etude tour: what it shows and finds, and how it copes with trouble."""

import json
import sys

import numpy as np
import pytest
from shell import MAIN, python, run, words

import etude
from etude.backends import plugins
from etude.commands import backends, runs


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
    active = [x.backend for x in backends.lines() if x.state == "active" and x.backend]
    assert [r["backend"] for r in found["runs"]] == active
    assert all(r["test_accuracy"] >= 0.97 for r in found["runs"])
    assert (tmp_path / "tour.png").stat().st_size > 20_000
