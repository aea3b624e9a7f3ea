"""A team of one process, which does what fit did alone, and one that says where fit asks it."""

import numpy as np

import etude
from etude import functional as F
from etude import nn, optim
from etude.data import DataLoader, TensorDataset
from etude.train import Callback, Checkpoints, fit
from etude.train.record import Mean
from etude.train.team import Team


class Watched(Team):
    """A team of two, of which this process does not lead; the other one gives nothing."""

    size, leads = 2, False

    def __init__(self):
        self.asked = []

    def begin(self, run):
        self.asked.append(("begin", run.step))

    def forward(self, run, x, y):
        value, found, n = super().forward(run, x, y)
        return value, {**found, "loss": 7.0}, n * 2

    def gathered(self, mean):
        whole = Mean()
        whole.add({k: v / mean.samples for k, v in mean.sums.items()}, mean.samples * 2)
        return whole

    def finish(self, run):
        self.asked.append(("finish", run.step))
        return ["a sentence"]


def parts():
    etude.manual_seed(0)
    rng = np.random.default_rng(0)
    data = TensorDataset(etude.tensor(rng.normal(size=(10, 3)), dtype=etude.float32),
                         etude.tensor(rng.integers(0, 2, 10)))
    model = nn.Linear(3, 2)
    return model, DataLoader(data, 4), optim.SGD(model.parameters(), lr=0.1)


def test_one_that_does_not_lead_prints_and_writes_nothing(tmp_path, capsys):
    class Saw(Callback):
        steps = 0

        def on_step(self, run):
            self.steps += 1

    class Writes(Saw):
        only_watches = True

    team, saw, writes = Watched(), Saw(), Writes()
    model, loader, optimizer = parts()
    history = fit(model, loader, optimizer, F.cross_entropy, 2, loader, callbacks=[saw, writes],
                  checkpoints=Checkpoints(tmp_path / "run", every_steps=1), team=team)
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "run").exists()
    assert team.asked == [("begin", 0), ("finish", 6)]
    assert (saw.steps, writes.steps) == (6, 0)
    assert history.loss == [7.0] * 6
    assert history.epochs[0].loss == 7.0
    assert history.epochs[0].test.samples == 20


def test_the_one_that_leads_prints_lines_and_no_bar(capsys):
    team = Watched()
    team.leads = True
    fit(*parts(), F.cross_entropy, 1, team=team)
    out = capsys.readouterr().out
    assert out.startswith("epoch 1: loss 7.0000")
    assert out.endswith("a sentence\n")


def test_ctrl_c_ends_the_program_where_others_would_wait():
    class Stop(Callback):
        def on_step(self, run):
            raise KeyboardInterrupt

    try:
        fit(*parts(), F.cross_entropy, 1, callbacks=[Stop()], team=Watched())
    except KeyboardInterrupt:
        return
    raise AssertionError("fit went on")
