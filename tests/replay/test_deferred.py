"""The first call of a captured function prepares its kernels and lets the first replay run them:
nothing may tell that from a call that ran as written.
"""

import numpy as np
import pytest
from twins import Training, arrays, assert_same, labelled, mlp, numbers, same

import etude
from etude import functional as F
from etude import nn, optim
from etude.core.columns import Column, table_of
from etude.core.errors import CaptureError, Unsupported
from etude.replay.trace import Trace


@pytest.fixture
def made(monkeypatch):
    """How many calls waited, each time that waiting calls were made early."""
    found = []
    compute = Trace.compute

    def counted(self):
        if self.defers:
            found.append(len(self.calls))
        compute(self)

    monkeypatch.setattr(Trace, "compute", counted)
    return found


@pytest.fixture
def kernels():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    with etude.use("cpu"):
        yield


def first(f, *given):
    """The result of a captured function's first call, as arrays."""
    out = etude.capture(f)(*given)
    return arrays(*out) if isinstance(out, tuple) else arrays(out)


def test_a_training_step_is_only_prepared(kernels, made):
    batches = labelled(3, 6, 12)
    written, captured = Training(mlp, batches), Training(mlp, batches)
    step = etude.capture(captured.step)
    for x, y in batches:
        assert same(arrays(*written.step(x, y)), arrays(*step(x, y)))
        assert_same(written.state(), captured.state())
    assert not made
    assert step.traces == 1


def test_no_kernel_runs_while_the_function_does(kernels):
    weight, x = numbers(64, 64), numbers(64, 64, seed=1)
    inside = [None] * 40  # a long list, which capture leaves alone

    def f(x):
        y = x @ weight
        inside[0] = y.array.copy()  # behind the back of everybody
        return F.relu(y)

    found = first(f, x)
    assert not same(inside[0], *arrays(x @ weight))
    assert same(found, arrays(F.relu(x @ weight)))


def test_the_reference_computes_at_once(made):
    x = numbers(3, 4)
    with etude.use("reference"):
        assert same(first(lambda x: F.softmax(x * 2, dim=1), x), arrays(F.softmax(x * 2, dim=1)))
    assert made == [0]


def test_a_column_in_python_gets_the_values_of_what_went_before(kernels, made):
    """An op that another column has, which is handed arrays."""
    own = Column("own", "cpu", {"relu": lambda x, out=None: np.maximum(x, 0, out=out)})
    stack = (own, *etude.core.state.current("cpu").stack)
    state = etude.core.state.State(etude.core.state.Tables({"cpu": table_of("cpu", stack)}))
    token = etude.core.state.STATE.set(state)
    try:
        x = numbers(5, 4)
        f = lambda x: F.exp(F.relu(x * 2)) + 1  # noqa: E731
        assert same(first(f, x), arrays(f(x)))
    finally:
        etude.core.state.STATE.reset(token)
    assert made == [1]


def test_a_call_that_its_column_declines_gets_the_values(kernels, made):
    """Waiting calls are made, and the reference goes on from there."""
    x = etude.tensor(np.arange(6).reshape(2, 3))

    def f(x):
        y = F.exp(x.float()).to(etude.float64)
        return F.sort(y, dim=1)[0] * 2

    want = arrays(f(x))
    assert same(first(f, x), want)


def test_a_kernel_that_refuses_while_a_call_is_prepared_is_as_in_a_plain_call(kernels, made,
                                                                              monkeypatch):
    from etude.replay import trace

    prepared = trace.prepared

    def refusing(table, column, call, arrays, options):
        if options.get("dim") == 1:
            raise Unsupported("not this one")
        return prepared(table, column, call, arrays, options)

    monkeypatch.setattr(trace, "prepared", refusing)
    x = numbers(4, 5)
    f = lambda x: F.exp(F.softmax(x * 2, dim=1)) + x  # noqa: E731
    assert same(first(f, x), arrays(f(x)))
    assert made == [1]


def test_a_check_of_values_sees_them(kernels, made):
    x, y = numbers(4, 5), numbers(4, 5, seed=1)

    def f(x, y):
        return F.cross_entropy(x, F.softmax(y, dim=1))

    assert same(first(f, x, y), arrays(f(x, y)))
    assert made == [1]
    with pytest.raises(ValueError, match="holds probabilities"):
        etude.capture(lambda x, y: F.cross_entropy(x, y * 2))(x, y)


def test_what_was_done_before_an_error_is_done(column):
    count, x = etude.zeros(3), numbers(3)

    def f(x):
        count.copy_(count + x * 2)
        raise KeyError("half-way")

    with pytest.raises(KeyError, match="half-way"):
        etude.capture(f)(x)
    assert same(*arrays(count, x * 2))


def test_what_was_done_before_a_reading_is_done(column):
    count, x = etude.zeros(3), numbers(3)

    def f(x):
        count.copy_(count + x)
        return count.sum().item()

    with pytest.raises(CaptureError, match="reads the values"):
        etude.capture(f)(x)
    assert same(*arrays(count, x))


def test_an_error_at_the_end_finds_everything_done(column):
    box = {"n": 0}
    written, captured = [Training(mlp, labelled(1, 6, 12)) for _ in range(2)]

    def step(x, y):
        box["n"] = box["n"] + 1
        return captured.step(x, y)

    x, y = captured.batches[0]
    with pytest.raises(CaptureError, match="while it runs"):
        etude.capture(step)(x, y)
    written.step(x, y)
    assert_same(written.state(), captured.state())


def test_what_is_kept_outside_has_its_values(column, made):
    kept, x = [None] * 40, numbers(3)  # a long list, whose inside nobody looks at

    def f(x):
        if kept[0] is None:
            kept[0] = x * 3
        return F.exp(kept[0]) + x

    assert same(first(f, x), arrays(F.exp(x * 3) + x))
    assert same(*arrays(kept[0], x * 3))


def test_a_wrong_label_is_the_error_of_a_plain_call_and_counts_nothing(column):
    written, captured = [Training(mlp, labelled(2, 6, 12)) for _ in range(2)]
    step, (x, y) = etude.capture(captured.step), captured.batches[0]
    wrong = etude.tensor(np.full(6, 10))
    for f in (written.step, step):
        with pytest.raises(IndexError, match="10"):
            f(x, wrong)
    for state in captured.optimizer.state_dict()["state"]:  # moments may have begun, at 0
        assert state.pop("step", 0) == 0
        assert all((m.numpy() == 0).all() for m in state.values())
    for x, y in captured.batches:
        assert same(arrays(*written.step(x, y)), arrays(*step(x, y)))
        assert_same(written.state(), captured.state())


def test_an_array_that_changes_inside_is_copied_when_it_is_read(column):
    buffer = np.zeros(3, np.float32)

    def f(x):
        buffer[:] = 1
        y = x + etude.tensor(buffer)
        buffer[:] = 5
        return y

    x = numbers(3)
    assert same(first(f, x), arrays(x + 1))


def test_arrays_passed_and_written_are_as_in_a_plain_call(column):
    def f(x, y):
        x.copy_(x + y)
        return x * 2

    mine, own = numbers(8), numbers(8)
    for data, g in ((mine, etude.capture(f)), (own, f)):
        for i in (0, 2):
            g(data[i : i + 3], data[3:6] if i == 0 else data[5:])
    assert same(*arrays(mine, own))


def test_constants_that_are_written_begin_anew(column, made):
    def f(x):
        total = etude.zeros(3)
        total.copy_(total + x)
        total.copy_(total + x)
        return total

    g, x = etude.capture(f), numbers(3)
    for _ in range(3):
        assert same(*arrays(g(x), x + x))


def test_who_watches_the_first_call_sees_values(kernels):
    class Watching(list):
        def __call__(self, event):
            self.append((event.op, event.outputs[0].copy()))

        def together(self, op, calls, column, seconds):
            self.append((op, len(calls)))

    f, x, seen = etude.capture(lambda x: F.relu(x * 2)), numbers(3), Watching()
    with etude.tap(seen):
        for _ in range(2):
            assert same(*arrays(f(x), F.relu(x * 2)))
    assert [name for name, _ in seen[:2]] == ["mul", "relu"]
    assert same([seen[0][1], seen[1][1]], arrays(x * 2, F.relu(x * 2)))
    assert ("<lambda>", 2) in seen[4:]


def test_running_statistics_move_once(column):
    def norm():
        return nn.BatchNorm1d(4)

    mine, own = norm(), norm()
    f, x = etude.capture(lambda x: mine(x)), numbers(6, 4)
    for _ in range(2):
        assert same(*arrays(f(x), own(x)))
        assert same(*arrays(mine.running_mean, own.running_mean))
        assert same(*arrays(mine.running_var, own.running_var))


# ------------------------------------------------------------------ gradients in the arena


def trained():
    etude.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4))
    opt = optim.AdamW(model.parameters())

    def step(x):
        opt.zero_grad()
        loss = F.mean(model(x) ** 2)
        loss.backward()
        opt.step()
        return loss.detach()

    return model, step


def test_gradients_nobody_holds_share_memory_with_the_rest(kernels):
    _, step = trained()
    step = etude.capture(step)
    x = numbers(256, 32)
    step(x)
    (take,) = step._takes
    lent = [p for p in take._grads.kept if p[1].lent]
    assert len(lent) == 4
    arena = take._executor.plan
    assert arena.size < arena.total
    assert all(arena.lives[place._value.buffer][1] == len(take._executor.program.calls)
               for _, place in lent)


@pytest.mark.parametrize("hold", [
    lambda g: g, lambda g: g.numpy(), lambda g: g.numpy()[1:], lambda g: g.T, lambda g: g.detach(),
    lambda g: memoryview(g.numpy()), lambda g: np.from_dlpack(g)],
    ids=["tensor", "array", "slice", "view", "detached", "memory", "dlpack"])
def test_a_gradient_that_is_held_in_any_way_is_left_alone(column, hold):
    (model, plain), (own, step) = trained(), trained()
    step = etude.capture(step)
    kept, want = [], []
    for i in range(5):
        x = numbers(16, 32, seed=i)
        assert same(*arrays(plain(x), step(x)))
        if i % 2:
            kept.append(hold(own[0].weight.grad))
            want.append(np.array(hold(model[0].weight.grad)))
        for p, q in zip(model.parameters(), own.parameters(), strict=True):
            assert same(*arrays(p.grad, q.grad))
    assert same([np.array(k) for k in kept], want)
    assert step.traces == 1


def test_a_step_that_fails_leaves_no_gradient_half_written(column):
    written, captured = [Training(mlp, labelled(2, 6, 12)) for _ in range(2)]
    step = etude.capture(captured.step)
    for x, y in captured.batches:
        step(x, y), written.step(x, y)
    with pytest.raises(IndexError):
        step(x, etude.tensor(np.full(6, 10)))
    assert all(p.grad is None for p in captured.model.parameters())
    assert same(arrays(*written.step(x, y)), arrays(*step(x, y)))
