"""Several ranks learn what one process learns with the whole batch."""

from pathlib import Path

import numpy as np
import pytest
import trainings

BOUND = {"float64": 1e-12, "float32": 1e-4}  # docs/howto/distributed.md promises them


def distance(a, b):
    """The largest difference, as a share of the largest number, if that is above 1."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape
    return np.abs(a - b).max() / max(1, np.abs(a).max())


@pytest.mark.parametrize("n", [2, 3])
def test_ranks_learn_what_one_process_learns(mpirun, n):
    mpirun(n, Path(trainings.__file__), mpirun.folder)
    for name in trainings.CASES:
        for dtype, bound in BOUND.items():
            alone = trainings.trained(name, dtype=dtype)
            together = np.load(mpirun.folder / f"{name}-{dtype}.npz")
            assert set(together.files) == set(alone)
            for key, value in alone.items():
                assert distance(value, together[key]) <= bound, (name, dtype, key)


def test_the_cases_are_told_apart():
    """One of them with other masks, or without its clip, would lie far beyond the bounds."""
    first = trainings.trained("dropout")
    make = trainings.CASES["dropout"]
    trainings.CASES["other"] = (*make[:-1], None)
    try:
        other = trainings.trained("other")
    finally:
        del trainings.CASES["other"]
    assert distance(first["0.weight"], other["0.weight"]) > 1e-6


def test_a_loop_of_ones_own(mpirun):
    script = mpirun.folder / "loop.py"
    script.write_text('''
import sys
import numpy as np
import etude, etude_mpi
from etude import functional as F, nn, optim
from etude.data import DataLoader, TensorDataset

def loop(ranks):
    etude.manual_seed(ranks.rank if ranks else 0)  # what rank 0 has counts
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    rng = np.random.default_rng(0)
    data = TensorDataset(etude.tensor(rng.normal(size=(17, 4))),
                         etude.tensor(rng.integers(0, 3, 17)))
    loader = DataLoader(data, 5, shuffle=True, seed=1)
    called = model
    if ranks:
        called = etude_mpi.DistributedDataParallel(model, ranks)
        loader = etude_mpi.shared(loader, ranks)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        for x, y in loader:
            loss = F.cross_entropy(called(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return np.concatenate([p.detach().numpy().reshape(-1) for p in model.parameters()]), called

with etude_mpi.join() as ranks:
    found, parallel = loop(ranks)
    assert parallel.counters.steps == 8 and parallel.counters.bytes > 0
    assert 0 <= parallel.counters.hidden <= 1
    every = ranks.exchange(found)
    if ranks.rank == 0:
        assert all(np.array_equal(found, other) for other in every)
        assert np.abs(found - loop(None)[0]).max() <= 1e-12
        print("equal")
''')
    out, _ = mpirun(2, script)
    assert out == "equal\n"


def test_a_parameter_without_a_gradient_wants_finish(mpirun):
    script = mpirun.folder / "idle.py"
    script.write_text('''
import etude, etude_mpi
from etude import nn

class Idle(nn.Module):
    def __init__(self):
        self.body, self.idle = nn.Linear(2, 1), nn.Linear(1, 1)
    def forward(self, x):
        return self.body(x)

with etude_mpi.join() as ranks:
    model = etude_mpi.DistributedDataParallel(Idle(), ranks)
    x = etude.ones(2, 2) * (ranks.rank + 1)
    model(x).mean().backward()
    model.finish()
    assert model.module.body.weight.grad.tolist() == [[1.5, 1.5]]
    assert model.module.idle.weight.grad is None
    model(x).mean().backward()
    try:
        model(x)
    except RuntimeError as error:
        if ranks.rank == 0:
            print(error)
    model.finish()
''')
    out, _ = mpirun(2, script)
    assert "Call finish() after backward()" in out
