"""first_divergence names the op that is wrong, not the ones that pass on what it made."""

import dataclasses
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import etude
import etude_check
from etude import models, nn, optim
from etude_check.errors import CheckError
from etude_check.report.record import Verdict

SOFTMAX = """
    import numpy as np
    import etude

    @etude.implements("softmax")
    def softmax(x, *, dim=-1):
        e = np.exp(x - x.max(dim, keepdims=True))
        return e / (e.sum(dim, keepdims=True) + x.dtype.type({eps}))
"""
CONV2D_INPUT = """
    import etude

    @etude.implements("conv2d_input")
    def conv2d_input(grad, weight, *, padding=(0, 0), **attrs):
        wrong = (padding[0], 2) if padding[1] == 1 else padding
        y = etude.TABLE["conv2d_input"].reference(grad, weight, padding=padding, **attrs)
        return y if wrong == padding else y.take(range(-1, y.shape[-1] - 1), -1)
"""
ADAMW = """
    import etude

    @etude.implements("adamw_step")
    def adamw_step(p, g, m, v, hyper):
        uncorrected = hyper.copy()
        uncorrected[5:] = 1
        return etude.TABLE["adamw_step"].reference(p, g, m, v, uncorrected)
"""


@pytest.fixture
def column(tmp_path, monkeypatch):
    """Writes a column's file in an empty folder, which is made the current one."""
    monkeypatch.chdir(tmp_path)

    def write(source, **values):
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(source.format(**values)))
        return str(path)

    return write


def training(model, x, labels=10):
    steps = optim.AdamW(model.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)
    y = etude.tensor(rng.integers(0, labels, x.shape[0]))

    def fn():
        for _ in range(2):
            steps.zero_grad()
            logits = model(x)
            loss = nn.functional.cross_entropy(logits.softmax(-1), y)
            loss.backward()
            steps.step()

    return fn, [model, steps]


@pytest.fixture
def lenet():
    etude.manual_seed(0)
    rng = np.random.default_rng(1)
    x = etude.tensor(rng.normal(size=(4, 1, 8, 8)).astype(np.float32))
    return training(models.lenet(8), x)


@pytest.fixture
def mlp():
    etude.manual_seed(0)
    rng = np.random.default_rng(1)
    return training(models.mlp(6, 12, 4), etude.tensor(rng.normal(size=(5, 6)).astype(
        np.float32)), 4)


def repro(folder, *columns):
    return subprocess.run([sys.executable, str(folder / "repro.py"), *columns], text=True,
                          capture_output=True, check=False, cwd=folder.parent)


def test_a_softmax_with_an_eps_is_named_with_its_line(mlp, column):
    fn, state = mlp
    found = etude_check.first_divergence(fn, "reference", column(SOFTMAX, eps=1e-3), state=state)
    assert (found.kind, found.op, found.nth, found.output) == ("op", "softmax", 1, "y")
    assert found.verdict is Verdict.CERTAIN
    path, line = found.where.rsplit(":", 1)
    assert path == __file__
    with open(path) as text:
        assert "logits.softmax(-1)" in text.readlines()[int(line) - 1]
    assert found.error > found.bound > 0
    assert found.error == pytest.approx(abs(found.expected - found.got))
    for word in ("softmax", found.where, "float32[5, 4]", "expected", "bound", "repro.py"):
        assert word in str(found)


def test_a_backward_with_wrong_padding_is_named_in_a_whole_step(lenet, column):
    fn, state = lenet
    found = etude_check.first_divergence(fn, "reference", column(CONV2D_INPUT), state=state)
    assert (found.kind, found.op, found.nth) == ("op", "conv2d_input", 1)


def test_an_optimiser_step_is_judged_by_what_it_was_given_not_by_what_it_wrote(lenet, column):
    fn, state = lenet
    found = etude_check.first_divergence(fn, "reference", column(ADAMW), state=state)
    assert (found.kind, found.op, found.nth, found.output) == ("op", "adamw_step", 1, "p")
    again = repro(found.saved)
    assert again.returncode == 1, again.stderr
    assert "adamw_step: p" in again.stdout
    assert repro(found.saved, "reference").returncode == 0


@pytest.mark.parametrize("net", ["lenet", "mlp"])
def test_right_columns_do_not_diverge(net, request, backend, column):
    fn, state = request.getfixturevalue(net)
    if backend == "reference":
        backend = column(SOFTMAX, eps=0)
    assert etude_check.first_divergence(fn, "reference", backend, state=state) is None
    assert not os.path.exists("divergence-softmax")


def test_model_optimiser_and_generator_are_as_before(mlp, column):
    fn, state = mlp
    before = [p.detach().numpy().copy() for p in state[0].parameters()]
    drawn = etude.core.random.default_generator.get_state()
    etude_check.first_divergence(fn, "reference", column(SOFTMAX, eps=1e-3), state=state,
                                 save=False)
    for p, old in zip(state[0].parameters(), before):
        assert np.array_equal(p.detach().numpy(), old)
        assert p.grad is None
    assert state[1].state == [{} for _ in before]
    assert etude.core.random.default_generator.get_state() == drawn


def test_the_reproducer_fails_until_the_column_is_mended(mlp, column):
    fn, state = mlp
    found = etude_check.first_divergence(fn, "reference", column(SOFTMAX, eps=1e-3), state=state)
    failing = repro(found.saved)
    assert failing.returncode == 1, failing.stderr
    for word in ("expected", "got", "error", "bound", f"{found.expected:.9g}", f"{found.got:.9g}"):
        assert word in failing.stdout
    column(SOFTMAX, eps=0)
    mended = repro(found.saved)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "within their bounds" in mended.stdout


def test_the_reproducer_keeps_the_layout(column):
    source = """
        import numpy as np
        import etude

        @etude.implements("relu")
        def relu(x):
            y = np.maximum(x, 0)
            return y if x.flags.c_contiguous else np.zeros(x.shape, x.dtype)
    """
    x = etude.tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    mine = column(source)
    assert etude_check.first_divergence(lambda: x.relu(), "reference", mine) is None
    found = etude_check.first_divergence(lambda: x.T.relu(), "reference", mine)
    assert "strides" in found.asked
    assert repro(found.saved).returncode == 1


def test_nothing_is_overwritten(mlp, column, tmp_path):
    fn, state = mlp
    mine = column(SOFTMAX, eps=1e-3)
    first, second = (etude_check.first_divergence(fn, "reference", mine, state=state).saved
                     for _ in range(2))
    assert [str(first), str(second)] == ["divergence-softmax", "divergence-softmax-2"]
    with pytest.raises(FileExistsError, match="divergence-softmax"):
        etude_check.first_divergence(fn, "reference", mine, state=state,
                                     save="divergence-softmax")
    found = etude_check.first_divergence(fn, "reference", mine, state=state,
                                         save=tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "repro.py").is_file()
    assert found.saved == tmp_path / "a" / "b"


def test_a_function_is_a_column_too_and_its_reproducer_asks_for_a_file(column):
    @etude.implements("exp")
    def exp(x):
        return np.exp(x) * np.float32(1.001)

    column("")
    x = etude.tensor(np.ones(3, np.float32))
    found = etude_check.first_divergence(lambda: x.exp(), "reference", (exp, "reference"))
    assert found.op == "exp"
    assert repro(found.saved).returncode == 2
    assert repro(found.saved, "reference").returncode == 0


def test_an_exception_on_the_second_backend_only_names_the_op(column):
    mine = column("""
        import etude

        @etude.implements("tanh")
        def tanh(x):
            raise MemoryError("no room")
    """)
    x = etude.tensor(np.ones(3, np.float32))
    found = etude_check.first_divergence(lambda: x.exp().tanh(), "reference", mine)
    assert (found.kind, found.op, found.call) == ("raised", "tanh", 2)
    assert "MemoryError" in str(found)
    assert "no room" in str(found)


def test_an_exception_on_the_first_backend_is_the_programs_own(column):
    def fn():
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        etude_check.first_divergence(fn, "reference", column(SOFTMAX, eps=0))


def test_programs_that_branch_on_rounding_are_reported_as_such(column):
    mine = column(SOFTMAX, eps=0)
    x = etude.tensor(np.linspace(-1, 1, 7, dtype=np.float32))

    def fn():
        y = x.softmax(-1)
        return y.exp() if etude.current().stack else y.log()

    found = etude_check.first_divergence(fn, "reference", mine)
    assert (found.kind, found.call) == ("sequence", 2)
    assert "log" in found.message
    assert "exp" in found.message


def test_drift_through_right_ops_is_said_to_be_drift():
    """A sum of 1,000 ones is exact in any order of adding up, on any processor. The column answers
    the next number above it: within the bound of a sum, and never the same.
    """
    @etude.implements("sum")
    def one_ulp_more(x, *, dim=None, keepdim=False):
        total = etude.TABLE["sum"].reference(x, dim=dim, keepdim=keepdim)
        return np.nextafter(total, np.float32(np.inf))

    x = etude.tensor(np.ones(1000, np.float32))

    def fn():
        return ((x.sum() - 999.0) * 50.0).exp()  # exp(50) on the reference, exp(50.003) on it

    found = etude_check.first_divergence(fn, "reference", (one_ulp_more, "reference"), drift=1e-4)
    assert (found.kind, found.op) == ("drift", "exp")
    assert found.saved is None
    assert found.ratio > 1e-4
    assert "within its bound" in str(found)


def test_a_backend_that_no_call_reached_proves_nothing(column):
    x = etude.tensor(np.ones(3, np.float32))
    with pytest.raises(CheckError, match="reference stood in"):
        etude_check.first_divergence(lambda: x.exp(), "reference", column(SOFTMAX, eps=0))


@pytest.fixture
def opaque(monkeypatch):
    """A device that NumPy cannot reach."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "opaque"))
    from opaque_backend import opaque_backend

    return opaque_backend()[0]


def test_a_column_of_another_device_is_judged_too(opaque, column):
    def fn(device):
        x = etude.tensor(np.arange(12, dtype=np.float32).reshape(3, 4), device=device)
        return (x.T * 0.1).exp().softmax(-1).sum()

    assert etude_check.first_divergence(fn, "reference", opaque) is None
    ops = {**opaque.ops, "softmax": lambda x, *, dim=-1, out=None: opaque.ops["exp"](x)}
    found = etude_check.first_divergence(fn, "reference", dataclasses.replace(opaque, ops=ops))
    assert (found.kind, found.op, found.nth) == ("op", "softmax", 1)
