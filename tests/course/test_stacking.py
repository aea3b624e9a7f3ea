"""Finished answers stack: the next chapter's network trains on them, and the receipt shows it. What
is not written yet is caught up by the next column or the reference, and said.
"""

import pytest

import etude
from etude import data, nn, optim

MINE = """
import numpy as np
import etude


@etude.implements("relu")
def relu(x):
    return np.maximum(x, 0)


@etude.implements("log_softmax")
def log_softmax(x, *, dim=-1):
    raise NotImplementedError


@etude.implements("softmax")
def softmax(x, *, dim=-1):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)
"""


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "my"
    folder.mkdir()
    (folder / "softmax.py").write_text(MINE)
    return str(folder / "softmax.py")


def train(*columns):
    """The losses of some steps of a small network on digits, and what ran: op -> columns."""
    etude.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    steps = optim.SGD(model.parameters(), lr=0.5)
    train, _ = data.digits()
    x, y = next(iter(data.DataLoader(train, batch_size=64)))
    x = x.reshape(64, -1)
    losses = []
    with etude.use(*columns), etude.receipt() as receipt:
        for _ in range(5):
            scores = nn.functional.log_softmax(model(x), dim=1)
            loss = nn.functional.cross_entropy(scores, y)
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses.append(loss.item())
        nn.functional.softmax(model(x), dim=1)
    return losses, receipt


def expecting_the_gap():
    return pytest.warns(UserWarning, match=r"log_softmax of column 'softmax.py' is not written yet")


def ran(receipt, op):
    """The columns that an op ran in."""
    return {row.column for row in receipt.rows() if row.op == op}


def test_a_network_trains_on_what_is_finished_and_the_reference_catches_up(mine):
    with expecting_the_gap():
        losses, receipt = train(mine)
    assert losses[-1] < losses[0]
    assert ran(receipt, "relu") == ran(receipt, "softmax") == {"softmax.py"}
    assert ran(receipt, "log_softmax") == ran(receipt, "matmul") == {"reference"}
    assert "declined 5 times by softmax.py: not written yet" in str(receipt)


def test_it_stacks_on_the_kernels_of_the_next_column(mine):
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    with expecting_the_gap():
        losses, receipt = train(mine, "cpu")
    assert losses[-1] < losses[0]
    assert ran(receipt, "relu") == ran(receipt, "softmax") == {"softmax.py"}
    assert ran(receipt, "log_softmax") == ran(receipt, "matmul") == {"cpu"}
    assert "reference" not in receipt.columns()


def test_in_strict_mode_a_gap_is_an_error_that_says_so(mine):
    with expecting_the_gap(), pytest.raises(etude.BackendError, match="not written yet"), \
            etude.use(mine, strict=True):
        nn.functional.log_softmax(etude.tensor([[1.0, 2.0]]), dim=1)


def test_another_error_of_an_answer_is_no_gap(tmp_path):
    (tmp_path / "wrong.py").write_text(MINE.replace("raise NotImplementedError",
                                                    "raise KeyError('x')"))
    with pytest.raises(KeyError), etude.use(str(tmp_path / "wrong.py")):
        nn.functional.log_softmax(etude.tensor([[1.0, 2.0]]), dim=1)
