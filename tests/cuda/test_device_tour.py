"""The tour compares the device with the reference where it is named, and else leaves it out."""

import pytest

import etude
from etude.commands import runs, tour


@pytest.fixture
def short(monkeypatch):
    """A tour over few of the digits."""
    train, test = etude.data.digits()
    few = [etude.data.TensorDataset(*(t[:n] for t in d.tensors))
           for d, n in ((train, 64), (test, 20))]
    monkeypatch.setattr(runs.data, "digits", lambda split=None: few)
    monkeypatch.setattr(runs, "WATCHED", 1)
    monkeypatch.setattr(runs, "COMPARED", 2)


def test_its_training_agrees_with_the_reference_and_nothing_falls_back(short, lab_column):
    reference, run = (runs.train(name, 1, 0, lambda run: None) for name in ("reference", "gpu-lab"))
    runs.watch([reference, run], 0)
    runs.compare(run, reference, 0)
    assert run.problem(reference) == ""
    assert run.apart < 1e-5
    assert set(run.calls()) <= {"gpu-lab", "view"}
    assert run.calls()["gpu-lab"] > 20


def test_an_emulation_takes_part_where_it_is_named(lab_column):
    assert tour._accelerators(("gpu-lab",)) == ["gpu-lab"]
    assert "gpu-lab" not in tour._accelerators(())
