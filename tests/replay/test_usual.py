"""The usual call of a take, which is one function, does what ``fits`` and ``run`` do."""

import gc
import weakref

import numpy as np
import pytest
from twins import Training, assert_same, dropping_mlp, labelled, mlp, numbers, same

import etude
from etude import nn, optim
from etude.core.state import STATE
from etude.replay import take as takes
from etude.replay.usual import UNUSUAL, never

pytestmark = pytest.mark.usefixtures("_on_kernels")


@pytest.fixture
def _on_kernels():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    with etude.use("cpu"):
        yield


def trained(model, options):
    """What six captured steps return, and what they leave behind."""
    training = Training(model, labelled(6, 6, 12), **options)
    etude.manual_seed(3)
    return training.run(etude.capture(training.step)), training.state()


def halved(optimizer):
    return optim.StepLR(optimizer, 1, 0.5)


@pytest.mark.parametrize(("model", "options"), [
    (mlp, {}), (mlp, {"optimizer": "sgd", "momentum": 0.9}), (mlp, {"schedule": halved}),
    (dropping_mlp, {"clip": 0.1}), (mlp, {"accumulate": True})])
def test_training_is_the_same_without_it(monkeypatch, model, options):
    results, state = trained(model, options)
    monkeypatch.setattr(takes, "usual_call", lambda take, executor: never)
    others, after = trained(model, options)
    assert same(results, others)
    assert_same(state, after)


class Step:
    """A step of a small network that is captured and has run twice, and its take."""

    def __init__(self):
        self.factor = 2.0
        self.model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.0), nn.Linear(3, 2))
        self.optimizer = optim.AdamW(self.model.parameters())
        self.step = etude.capture(self.written)
        for seed in range(2):
            self.step(numbers(5, 4, seed=seed))
        self.take = self.step._takes[0]

    def written(self, x):
        self.optimizer.zero_grad()
        loss = (self.model(x) * self.factor).mean()
        loss.backward()
        self.optimizer.step()
        return loss

    def usual(self, *given):
        return self.take.usual(self.take, STATE.get(), given)


def test_it_is_what_runs_where_nothing_has_changed():
    s = Step()
    held = [s.usual(numbers(5, 4, seed=seed)) for seed in range(4)]
    assert not any(t is UNUSUAL for t in held)
    assert len({t.item() for t in held}) == 4
    assert s.optimizer.state[0]["step"] == 6
    weights = s.model[0].weight.detach().numpy().copy()
    assert s.usual(numbers(5, 4)).requires_grad
    assert not np.array_equal(weights, s.model[0].weight.detach().numpy())


def sets_a_gradient(s):
    s.model[0].weight.grad = etude.zeros(3, 4)


def holds_a_gradient(s):
    s.held = s.model[0].weight.grad


def holds_the_memory_of_a_gradient(s):
    s.held = s.model[0].weight.grad.numpy()


CHANGES = {
    "a layer is frozen": lambda s: s.model[0].requires_grad_(False),
    "an attribute": lambda s: setattr(s, "factor", 3.0),
    "eval": lambda s: s.model.eval(),
    "a layer is replaced": lambda s: setattr(s.model, "2", nn.Linear(3, 2)),
    "a parameter lies elsewhere": lambda s: s.model.to("float64"),
    "no gradient": lambda s: s.optimizer.zero_grad(),
    "another gradient": sets_a_gradient,
    "a gradient is held": holds_a_gradient,
    "the memory of a gradient is held": holds_the_memory_of_a_gradient,
    "the optimiser is loaded": lambda s: s.optimizer.load_state_dict(s.optimizer.state_dict()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_leaves_the_call_to_others_before_anything_is_done(change):
    s = Step()
    CHANGES[change](s)
    before = [p.detach().numpy().copy() for p in s.model.parameters()]
    count = s.optimizer.state[0]["step"]
    assert s.usual(numbers(5, 4)) is UNUSUAL
    assert s.optimizer.state[0]["step"] == count
    assert same(before, [p.detach().numpy() for p in s.model.parameters()])


def wanting():
    return numbers(5, 4).requires_grad_()


@pytest.mark.parametrize("given", [
    lambda: (numbers(6, 4),), lambda: (numbers(5, 4).double(),), lambda: (numbers(4, 5).T,),
    lambda: (wanting(),), lambda: (numbers(5, 4).numpy(),), lambda: (), lambda: (None,),
    lambda: (numbers(5, 4), numbers(5, 4))])
def test_other_arguments_are_not_usual(given):
    assert Step().usual(*given()) is UNUSUAL


def test_an_argument_in_memory_that_is_written_is_not_usual():
    s = Step()
    wide = nn.Parameter(etude.zeros(5, 4))

    @etude.capture
    def moved(x):
        with etude.no_grad():
            wide.copy_(x + wide)
        return x.sum()

    for _ in range(3):
        moved(numbers(5, 4))
    take = moved._takes[0]
    usual = take.usual(take, STATE.get(), (wide.detach(),))
    assert usual is UNUSUAL
    assert s.usual(numbers(5, 4)) is not UNUSUAL


def test_under_another_mode_or_column_it_is_not_usual():
    s = Step()
    with etude.no_grad():
        assert s.usual(numbers(5, 4)) is UNUSUAL
    with etude.use("reference"):
        assert s.usual(numbers(5, 4)) is UNUSUAL
    assert s.usual(numbers(5, 4)) is not UNUSUAL


def test_a_captured_function_that_goes_takes_its_memory_along():

    s = Step()
    gone = weakref.ref(s.take)
    gc.collect()
    gc.disable()
    try:
        s.take = None
        s.step._takes.clear()
        assert gone() is None  # at once: the usual call holds no reference to its take
    finally:
        gc.enable()


def test_another_captured_function_does_not_hold_the_gradients():
    s = Step()
    predict = etude.capture(lambda x: s.model(x))
    with etude.no_grad():
        for _ in range(2):
            predict(numbers(5, 4))
    gc.collect()
    assert s.usual(numbers(5, 4)) is not UNUSUAL
