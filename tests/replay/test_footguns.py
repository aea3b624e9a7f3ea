"""What trips people up in other frameworks: here each has the right answer, or a clear error."""

import collections
import contextvars
import copy
import threading
import tracemalloc
import types
import warnings

import numpy as np
import pytest
from twins import Training, assert_same, classes, labelled, mlp, numbers, same, twins

import etude
from etude import functional as F
from etude import nn, optim


def arrays(*tensors):
    return [t.detach().numpy().copy() for t in tensors]


def fitted(**options):
    """A training whose step is captured and has run twice, and its twin as written."""
    batches = labelled(2, 6, 12)
    written, captured = Training(mlp, batches, **options), Training(mlp, batches, **options)
    step = etude.capture(captured.step)
    assert same(written.run(written.step), captured.run(step))
    return written, captured, step


def goes_on(written, captured, step, batches=None):
    """Both trainings do the same with more batches."""
    for x, y in batches or labelled(3, 6, 12):
        assert same(arrays(*written.step(x, y)), arrays(*step(x, y)))
    assert_same(written.state(), captured.state())


# ------------------------------------------------------------------ arguments


def test_another_shape_is_traced_anew_and_both_are_kept(column):
    written, captured, step = fitted()
    goes_on(written, captured, step, labelled(2, 6, 12) + labelled(1, 3, 12) + labelled(1, 6, 12)
            + labelled(1, 3, 12))
    assert step.traces == 2


def test_another_dtype_is_traced_anew():
    double = etude.capture(lambda x: x * 2)
    assert double(etude.tensor([1.0, 2.0])).dtype == etude.float32
    assert double(etude.tensor([1, 2])).dtype == etude.int64
    assert double(etude.tensor([1.5, 2.5])).tolist() == [3.0, 5.0]
    assert double.traces == 2


def test_a_transposed_argument_is_another_signature(column):
    twice = etude.capture(lambda x: F.sum(x, 1) * 2)
    x = numbers(3, 3)
    for given in (x, x.T, x, x.T):
        assert same(*arrays(twice(given), F.sum(given, 1) * 2))
    assert twice.traces == 2


def test_numbers_and_texts_among_the_arguments_go_by_value():
    power = etude.capture(lambda x, n, how="mean": getattr(F, how)(x**n))
    x = etude.tensor([1.0, 2.0, 3.0])
    assert power(x, 2).item() == pytest.approx(14 / 3)
    assert power(x, 3).item() == 12
    assert power(x, 2, how="sum").item() == 14
    assert power(x, 2).item() == pytest.approx(14 / 3)
    assert power.traces == 3


def test_true_is_another_value_than_one():
    f = etude.capture(lambda x, flag: x + 1 if flag is True else x)
    x = etude.tensor([1.0])
    assert [f(x, 1).item(), f(x, True).item(), f(x, 1).item()] == [1, 2, 1]


def test_arguments_may_be_nested_and_named(column):
    def f(batch, *, scale):
        return {"sum": batch["x"] + batch["more"][0], "scaled": (batch["x"] * scale["by"],)}

    g = etude.capture(f)
    for i in range(3):
        given = {"x": numbers(2, seed=i), "more": [numbers(2, seed=i + 9), None]}
        scale = {"by": numbers(1, seed=i)}
        got, want = g(given, scale=scale), f(given, scale=scale)
        assert same(*arrays(got["sum"], want["sum"]))
        assert same(*arrays(got["scaled"][0], want["scaled"][0]))
    assert g.traces == 1


def test_arrays_of_numpy_are_arguments_like_tensors(column):
    f = etude.capture(lambda x: etude.tensor(x) * 2 + x)
    for i in range(3):
        x = np.full(3, i, np.float32)
        assert f(x).tolist() == [3.0 * i] * 3
    assert f.traces == 1


def test_a_model_may_be_an_argument():
    f = etude.capture(lambda model, x: model(x))
    one, other, x = nn.Linear(3, 2), nn.Linear(3, 2), numbers(4, 3)
    with etude.no_grad():
        for model in (one, other, one):
            assert same(*arrays(f(model, x), model(x)))
    assert f.traces == 2


def test_an_argument_with_a_history_is_refused():
    w = etude.tensor([1.0], requires_grad=True)
    with pytest.raises(etude.CaptureError, match=r"history of its own.*pass its detach\(\)"):
        etude.capture(lambda x: x * 2)(w * 3)


def test_an_argument_may_want_a_gradient(column):
    def attack(x, y):
        loss = F.sum(x * x * y)
        loss.backward()
        return loss

    f = etude.capture(attack)
    for i in range(4):
        x, y = numbers(3, seed=i).requires_grad_(), numbers(3, seed=i + 5)
        f(x, y)
        assert np.allclose(x.grad.numpy(), 2 * x.detach().numpy() * y.numpy())
    assert f.traces == 1


# ------------------------------------------------------------------ looking at numbers


LOOKS = {
    "item": lambda x: F.sum(x).item(),
    "bool": lambda x: x if F.sum(x) > 0 else -x,
    "float": lambda x: x * float(F.sum(x)),
    "int": lambda x: x[: int(F.sum(x))],
    "numpy": lambda x: etude.tensor(x.numpy() + 1),
    "np.asarray": lambda x: np.asarray(x * 2),
    "data": lambda x: (x * 2).data,
    "tolist": lambda x: (x * 2).tolist(),
    "print": lambda x: f"{x * 2}",
    "a format": lambda x: f"{F.sum(x):.3f}",
    "the argument": lambda x: x.numpy().sum(),
    "a list index": lambda x: [1, 2, 3][F.argmax(x)],
}


@pytest.mark.parametrize("name", LOOKS)
def test_python_that_looks_at_numbers_is_refused_with_its_line(name):
    with pytest.raises(etude.CaptureError, match=r"reads the values of a tensor .* at .*"
                                                 r"test_footguns.py:\d+.*return the tensor"):
        etude.capture(LOOKS[name])(etude.tensor([1.0, 0.5]))


def test_after_a_refusal_the_function_still_runs_as_written():
    look = etude.capture(LOOKS["item"])
    for _ in range(2):
        with pytest.raises(etude.CaptureError):
            look(etude.tensor([1.0]))
    assert LOOKS["item"](etude.tensor([1.0])) == 1.0
    assert F.sum(etude.tensor([2.0])).item() == 2.0  # nobody watches any more


def test_a_number_worked_out_by_python_is_no_result():
    with pytest.raises(etude.CaptureError, match=r"returns the number 0\.5, and every replay"):
        etude.capture(lambda x: (x, 0.5))(etude.tensor([1.0]))


def test_sizes_and_names_may_be_returned():
    f = etude.capture(lambda x: (x + 1, x.shape[0], "name", None))
    for i in range(3):
        y, n, name, nothing = f(etude.tensor([float(i), 2.0]))
        assert (y.tolist(), n, name, nothing) == ([i + 1, 3.0], 2, "name", None)


# ------------------------------------------------------------------ what names mean


SCALE = 2.0


def scaled(x, by=3.0):
    return helped(x) * by


def helped(x):
    return x * SCALE


def test_a_global_number_is_noticed_in_helpers_too(monkeypatch):
    f = etude.capture(scaled)
    x = etude.tensor([1.0])
    assert f(x).item() == 6
    monkeypatch.setitem(globals(), "SCALE", 5.0)
    assert [f(x).item(), f(x).item()] == [15, 15]
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    assert f(x).item() == 6
    assert f.traces == 2


def test_a_number_of_a_closure_is_noticed():
    rate = 1.0
    f = etude.capture(lambda x: x * rate)
    x = etude.tensor([1.0])
    found = [f(x).item()]
    rate = 4.0
    found += [f(x).item(), f(x).item()]
    assert found == [1, 4, 4]


def test_a_helper_that_is_defined_again_is_noticed(monkeypatch):
    f = etude.capture(lambda x: helped(x))
    x = etude.tensor([1.0])
    assert f(x).item() == 2
    monkeypatch.setitem(globals(), "helped", lambda x: x * 7)
    assert f(x).item() == 7


def test_an_attribute_and_an_entry_are_noticed():
    settings = types.SimpleNamespace(temperature=2.0)
    table = {"shift": 1.0, "more": [1.0, 2.0]}

    class Thing:
        factor = 1.0

        def __init__(self):
            self.factor = 3.0

        def __call__(self, x):
            return x * self.factor

    thing = Thing()
    f = etude.capture(lambda x: thing(x) * table["more"][0] + table["shift"])
    x = etude.tensor([1.0])
    assert f(x).item() == 4
    thing.factor = 5.0
    assert f(x).item() == 6
    table["shift"] = 10.0
    assert f(x).item() == 15
    table["more"][0] = 2.0
    assert f(x).item() == 20
    assert settings.temperature == 2.0


def test_a_number_of_a_module_is_noticed():
    class Scaled(nn.Module):
        def __init__(self):
            self.by = 2.0

        def forward(self, x):
            return x * self.by

    model = Scaled()
    f = etude.capture(model)
    x = etude.tensor([1.0])
    assert [f(x).item(), f(x).item()] == [2, 2]
    model.by = 3.0
    assert [f(x).item(), f(x).item()] == [3, 3]
    model.by = 2.0
    assert f(x).item() == 2
    assert f.traces == 2


def test_what_an_object_keeps_beside_is_none_of_the_steps_business(column):
    class Trainer:
        def __init__(self):
            self.model = mlp(None)
            self.rate, self.steps, self.losses, self.best = 0.5, 0, [], None

        @etude.capture
        def step(self, x, y):
            return self.loss(self.model(x), y)

        def loss(self, out, y):
            return F.cross_entropy(out, y) * self.rate

        def run(self):
            for x, y in labelled(4, 6, 12):
                loss = self.step(x, y)
                self.losses.append(loss.item())
                self.best = min(self.losses)
                self.steps += 1

    trainer = Trainer()
    trainer.run()
    assert vars(trainer)["_captured_step"].traces == 1
    before = trainer.losses
    trainer.losses, trainer.rate = [], 1.0
    trainer.run()
    assert vars(trainer)["_captured_step"].traces == 2
    assert np.allclose(trainer.losses, 2 * np.array(before))


def test_a_counter_on_a_module_of_ones_own_is_none_of_its_forwards_business():
    class Counted(nn.Module):
        def __init__(self):
            self.by, self.seen = 2.0, 0

        def forward(self, x):
            return self.scaled(x)

        def scaled(self, x):
            return x * self.by

    model = Counted()
    f = etude.capture(model)
    x = etude.tensor([1.0])
    for _ in range(3):
        f(x)
        model.seen += 1
    assert f.traces == 1
    model.by = 3.0
    assert f(x).item() == 3


def test_a_tensor_made_of_numbers_inside_is_a_constant(column):
    f = etude.capture(lambda x: x + etude.tensor([1.0, 2.0]) + etude.arange(2))
    assert f(etude.tensor([1.0, 1.0])).tolist() == [2, 4]
    assert f(etude.tensor([0.0, 0.0])).tolist() == [1, 3]


@pytest.mark.parametrize("make", [etude.tensor, etude.from_numpy, lambda a: a], ids=[
    "tensor", "from_numpy", "itself"])
def test_an_array_that_is_kept_elsewhere_is_read_at_every_call(column, make):
    kept = np.ones(2, np.float32)
    f = etude.capture(lambda x: x + make(kept))
    x = etude.tensor([1.0, 1.0])
    assert f(x).tolist() == [2, 2]
    kept[:] = 5
    assert f(x).tolist() == [6, 6]
    assert f.traces == 1


def test_a_result_that_is_a_constant_is_new_memory_every_time(column):
    f = etude.capture(lambda x: (x + 1, etude.zeros(2)))
    x = etude.tensor([1.0])
    first, second = f(x)[1], f(x)[1]
    with etude.no_grad():
        second.copy_(etude.tensor([7.0, 7.0]))
    assert first.tolist() == [0, 0]
    assert f(x)[1].tolist() == [0, 0]


def test_memory_that_is_made_and_then_written_starts_afresh(column):
    def f(x):
        total = etude.zeros(2)
        with etude.no_grad():
            total.copy_(total + x)
            total.copy_(total + x)
        return total

    g = etude.capture(f)
    for i in range(3):
        assert g(etude.tensor([1.0, float(i)])).tolist() == [2, 2 * i]
    assert g.traces == 1


# ------------------------------------------------------------------ what a function leaves behind


def test_keeping_a_tensor_outside_is_refused():
    kept = collections.deque()

    def f(x):
        kept.append(x * 2)
        return x + 1

    g = etude.capture(f)
    g(etude.tensor([1.0]))  # a first call may make memory of its own
    with pytest.raises(etude.CaptureError, match=r"keeps the result float32\[1\] of mul somewhere"):
        g(etude.tensor([1.0]))


def test_appending_to_a_list_is_refused():
    losses = []

    def f(x):
        losses.append(x * 2)
        return x + 1

    with pytest.raises(etude.CaptureError, match="sets a list while it runs"):
        etude.capture(f)(etude.tensor([1.0]))


def test_memory_made_at_the_first_call_is_state_from_the_second_on(column):
    moved = {}

    def f(x):
        with etude.no_grad():
            if "total" not in moved:
                moved["total"] = etude.zeros(2)
            moved["total"].copy_(moved["total"] + x)
        return moved["total"] * 1.0

    g = etude.capture(f)
    found = [g(etude.tensor([1.0, 2.0])).tolist() for _ in range(4)]
    assert found == [[i, 2 * i] for i in (1, 2, 3, 4)]


def test_setting_an_attribute_of_a_module_is_refused():
    class Seen(nn.Module):
        def __init__(self):
            self.last = None

        def forward(self, x):
            self.last = x * 2
            return self.last

    with pytest.raises(etude.CaptureError, match=r"sets Seen\.last while it runs"):
        etude.capture(Seen())(etude.tensor([1.0]))


def test_setting_a_variable_of_an_enclosing_function_is_refused():
    count = 0

    def f(x):
        nonlocal count
        count += 1
        return x * 2

    with pytest.raises(etude.CaptureError, match="sets a variable of an enclosing function"):
        etude.capture(f)(etude.tensor([1.0]))


def test_a_gradient_hook_is_refused():
    w = etude.tensor([1.0], requires_grad=True)
    w.register_post_accumulate_grad_hook(lambda p: None)
    with pytest.raises(etude.CaptureError, match="a hook of a gradient"):
        etude.capture(lambda x: F.sum(x * w).backward())(etude.tensor([1.0]))


def test_a_generator_that_is_spawned_inside_is_refused():
    g = etude.Generator(3)
    with pytest.raises(etude.CaptureError, match=r"spawn\(\) of a generator"):
        etude.capture(lambda x: x + etude.rand(1, generator=g.spawn()))(etude.tensor([1.0]))


# ------------------------------------------------------------------ memory


def test_a_result_that_somebody_holds_is_never_overwritten(column):
    _, captured, step = fitted()
    held, seen = [], []
    for x, y in labelled(6, 6, 12):
        loss, out = step(x, y)
        held.append((loss, out.detach(), out.detach().numpy(), captured.model[1].weight.grad))
        seen.append(arrays(*held[-1][:2]) + [held[-1][3].numpy().copy()])
    for (loss, out, view, grad), before in zip(held, seen, strict=True):
        assert same(arrays(loss, out), before[:2])
        assert same(view, before[1])
        assert same(grad.numpy(), before[2])


def test_a_gradient_that_was_taken_out_of_its_leaf_is_never_overwritten(column):
    _, captured, step = fitted(accumulate=True)
    held, seen = [], []
    for x, y in labelled(5, 6, 12):
        captured.optimizer.zero_grad()
        step(x, y)
        held.append([p.grad for p in captured.model.parameters()])
        seen.append(arrays(*held[-1]))
        for p in captured.model.parameters():
            p.grad = None
    assert same([arrays(*grads) for grads in held], seen)


def test_a_loop_that_forgets_its_results_uses_the_same_memory(column):
    _, captured, step = fitted()
    places = set()
    for x, y in labelled(8, 6, 12):
        kept = step(x, y)
        out = kept[1]
        places.add((out.array.__array_interface__["data"][0],
                    captured.model[1].weight.grad.array.__array_interface__["data"][0]))
    assert len({place for place, _ in places}) <= 2
    assert len({place for _, place in places}) == 1


def test_a_replayed_step_allocates_no_array():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))
    opt = optim.AdamW(model.parameters())

    @etude.capture
    def step(x):
        opt.zero_grad()
        loss = F.mean(model(x) ** 2)
        loss.backward()
        opt.step()
        return loss

    x = numbers(64, 64)  # every array between is 16 kB or more
    with etude.use("cpu"):
        for _ in range(3):
            loss = step(x)
        tracemalloc.start()
        try:
            for _ in range(5):
                loss = step(x)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert loss.item() > 0
    assert peak < 8000


def test_a_result_may_be_the_next_argument(column):
    cell = nn.GRU(3, 3)
    f = lambda x, h: cell(x, h)[1]  # noqa: E731
    g = etude.capture(f)
    with etude.no_grad():
        mine = own = etude.zeros(1, 2, 3)
        for i in range(6):
            x = numbers(1, 2, 3, seed=i)
            mine, own = g(x, mine), f(x, own)
            assert same(*arrays(mine, own))
    assert g.traces <= 2  # the first state lies elsewhere than the next ones


def test_the_same_tensor_may_be_passed_twice(column):
    f = etude.capture(lambda x, y: x * 2 + y)
    a, b = numbers(3), numbers(3, seed=1)
    for x, y in ((a, a), (a, b), (b, b), (b, a)):
        assert same(*arrays(f(x, y), x * 2 + y))
    assert f.traces == 1


def test_slices_of_one_tensor_are_arguments_of_their_own(column):
    data = numbers(8, 3)
    f = etude.capture(lambda x, y: F.sum(x - y, 1))
    for i in range(3):
        x, y = data[i : i + 2], data[i + 3 : i + 5]
        assert same(*arrays(f(x, y), F.sum(x - y, 1)))
    assert f.traces == 1


def test_a_view_of_a_parameter_may_be_passed(column):
    def run(capture):
        w = nn.Parameter(numbers(3))
        opt = optim.SGD([w], lr=0.5)

        def step(x):
            opt.zero_grad()
            loss = F.sum(w * w * x)
            loss.backward()
            opt.step()
            return loss + F.sum(x)

        f = etude.capture(step) if capture else step
        found = []
        for x in (w.detach(), numbers(3, seed=4), w.detach(), numbers(3, seed=5)):
            found += arrays(f(x), w)
        return found

    assert same(run(True), run(False))


def test_an_argument_that_is_written_shows_it(column):
    def f(x, y):
        with etude.no_grad():
            x.copy_(x + y)
        return x * 2

    g = etude.capture(f)
    data = numbers(4, 2)
    for x in (numbers(2), numbers(2, seed=3), data[1], data[2]):
        want = x.detach().clone()
        answer = f(want, want.clone())
        assert same(*arrays(g(x, x.clone()), answer))
        assert same(*arrays(x, want))
    x = numbers(2)
    want = x.clone()
    assert same(*arrays(g(x, x), f(want, want)))  # what is read is written


def test_copy_into_a_parameter_and_a_loaded_state_are_seen(column):
    written, captured, step = fitted()
    for training in (written, captured):
        with etude.no_grad():
            training.model[1].weight.copy_(numbers(8, 12, seed=77))
    goes_on(written, captured, step)
    saved = {k: v.clone() for k, v in written.model.state_dict().items()}
    goes_on(written, captured, step)
    for training in (written, captured):
        training.model.load_state_dict(saved)
    goes_on(written, captured, step)
    assert step.traces == 1


def test_a_loaded_optimiser_goes_on_from_what_was_loaded(column):
    written, captured, step = fitted()
    state = written.optimizer.state_dict()
    for training in (written, captured):
        training.optimizer.load_state_dict(state)
        training.optimizer.param_groups[0]["lr"] = 0.003
    goes_on(written, captured, step)


def test_a_parameter_that_is_replaced_is_seen(column):
    def run(capture):
        model = nn.Linear(3, 2)
        with etude.no_grad():
            model.weight.copy_(numbers(2, 3))
            model.bias.copy_(numbers(2))
        f = etude.capture(model) if capture else model
        found = []
        with etude.no_grad():
            for i in range(4):
                found += arrays(f(numbers(4, 3, seed=i)))
                if i == 1:
                    model.weight = nn.Parameter(numbers(2, 3, seed=9))
        return found

    assert same(run(True), run(False))


def test_a_layer_that_is_replaced_is_seen(column):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    f = etude.capture(model)
    x = numbers(4, 3)
    with etude.no_grad():
        f(x)
        model[1] = nn.Tanh()
        assert same(*arrays(f(x), model(x)))
        model.append(nn.Sigmoid())
        assert same(*arrays(f(x), model(x)))


def test_a_model_that_is_converted_is_seen():
    model = nn.Linear(3, 2)
    f = etude.capture(lambda x: model(x.to(model.weight.dtype)))
    with etude.no_grad():
        f(numbers(4, 3))
        model.double()
        assert f(numbers(4, 3)).dtype == etude.float64


def test_train_and_eval_are_two_programs(column):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    f = etude.capture(model)
    x = numbers(5, 4)
    with etude.no_grad():
        for _ in range(3):
            model.train()
            a, b = f(x), f(x)
            assert not same(*arrays(a, b))
            model.eval()
            assert same(*arrays(f(x), model(x)))
    assert f.traces == 2


def test_a_parameter_that_is_frozen_is_seen(column):
    written, captured, step = fitted()
    for training in (written, captured):
        training.model[1].weight.requires_grad = False
    goes_on(written, captured, step)
    assert captured.model[1].weight.grad is None
    for training in (written, captured):
        training.model[1].weight.requires_grad_()
    goes_on(written, captured, step)


# ------------------------------------------------------------------ gradients


def test_gradients_are_forgotten_outside(column):
    written, captured, step = fitted(accumulate=True)
    for x, y in labelled(4, 6, 12):
        for training in (written, captured):
            training.optimizer.zero_grad()
        goes_on(written, captured, step, [(x, y)])


def test_gradients_are_forgotten_every_other_step(column):
    written, captured, step = fitted(accumulate=True)
    for i, batch in enumerate(labelled(6, 6, 12)):
        if i % 2:
            written.model.zero_grad()
            captured.model.zero_grad()
        goes_on(written, captured, step, [batch])
    assert step.traces == 2


@pytest.mark.parametrize("how", ["set to zero", "by hand"])
def test_gradients_are_forgotten_inside_in_other_ways(column, how):
    def step(training):
        def run(x, y):
            if how == "set to zero":
                training.optimizer.zero_grad(set_to_none=False)
            else:
                for p in training.model.parameters():
                    p.grad = None
            loss = F.cross_entropy(training.model(x), y)
            loss.backward()
            training.optimizer.step()
            return loss, loss

        return run

    written, captured = Training(mlp, []), Training(mlp, [])
    first, second = step(written), etude.capture(step(captured))
    for x, y in labelled(5, 6, 12):
        assert same(arrays(*first(x, y)), arrays(*second(x, y)))
    assert_same(written.state(), captured.state())
    assert second.traces <= 2


def test_an_update_written_by_hand(column):
    def run(capture):
        model = nn.Linear(3, 2)
        with etude.no_grad():
            model.weight.copy_(numbers(2, 3))
            model.bias.copy_(numbers(2))

        def update():
            with etude.no_grad():
                for p in model.parameters():
                    p.copy_(p - 0.1 * p.grad)
                    p.grad = None

        f = etude.capture(update) if capture else update
        for i in range(4):
            F.sum(model(numbers(4, 3, seed=i)) ** 2).backward()
            f()
            assert model.weight.grad is None
        return arrays(*model.parameters())

    assert same(run(True), run(False))


def test_the_optimiser_alone_may_be_captured(column):
    def run(capture):
        training = Training(mlp, [])
        step = training.optimizer.step
        f = etude.capture(step) if capture else step
        for x, y in labelled(4, 6, 12):
            training.optimizer.zero_grad()
            F.cross_entropy(training.model(x), y).backward()
            f()
        return training.state()

    assert_same(run(True), run(False))


def test_a_gradient_penalty_is_captured(column):
    def run(capture):
        w = nn.Parameter(numbers(3))

        def step(x):
            w.grad = None
            y = F.sum(F.tanh(w * x))
            g, = etude.grad(y, w, create_graph=True)
            loss = F.sum(g * g)
            loss.backward()
            return loss

        f = etude.capture(step) if capture else step
        return [[*arrays(f(numbers(3, seed=i))), w.grad.numpy().copy()] for i in range(4)]

    assert same(run(True), run(False))


def test_a_replay_tells_backward_that_parameters_were_written():
    _, captured, step = fitted()
    x, y = labelled(1, 6, 12)[0]
    loss = F.cross_entropy(captured.model(x), y)
    step(x, y)
    with pytest.raises(RuntimeError, match="was written"):
        loss.backward()


def test_backward_through_a_result_says_where_it_belongs():
    model = nn.Linear(3, 2)
    f = etude.capture(lambda x: F.sum(model(x)))
    for _ in range(3):
        loss = f(numbers(4, 3))
        assert loss.requires_grad
        with pytest.raises(RuntimeError, match="Call backward inside the function"):
            loss.backward()


def test_inference_has_no_history(column):
    model = nn.Linear(3, 2)
    f = etude.capture(model)
    with etude.no_grad():
        for i in range(3):
            x = numbers(4, 3, seed=i)
            y = f(x)
            assert not y.requires_grad
            assert same(*arrays(y, model(x)))
    assert f(numbers(4, 3)).requires_grad  # where gradients are recorded it is another program
    assert f.traces == 2


def test_what_is_passed_or_kept_comes_back_itself():
    w = nn.Parameter(numbers(3))
    f = etude.capture(lambda x: (x, w, x.reshape(3, 1), w.detach()))
    for i in range(3):
        x = numbers(3, seed=i)
        same_x, same_w, view, detached = f(x)
        assert same_x is x
        assert same_w is w
        assert np.shares_memory(view.array, x.array)
        assert np.shares_memory(detached.array, w.array)


# ------------------------------------------------------------------ chance and time


def test_the_seed_may_be_set_inside(column):
    def f(x):
        etude.manual_seed(5)
        return F.dropout(x, 0.5)

    g = etude.capture(f)
    x = numbers(20)
    first = g(x)
    assert same(*arrays(first, g(x)))
    assert same(*arrays(first, f(x)))


def test_a_state_of_a_generator_is_gone_back_to(column):
    generator = etude.Generator(1)
    f = etude.capture(lambda x: F.dropout(x, 0.5, generator=generator))
    x = numbers(20)
    f(x)
    state = generator.get_state()
    a = f(x)
    generator.set_state(state)
    b = f(x)
    assert same(*arrays(a, b))
    generator.manual_seed(3)
    c = f(x)
    generator.manual_seed(3)
    assert same(*arrays(c, F.dropout(x, 0.5, generator=generator)))


def test_a_rate_that_is_set_by_hand_is_seen(column):
    written, captured, step = fitted()
    for rate in (0.1, 0.001):
        for training in (written, captured):
            training.optimizer.param_groups[0]["lr"] = rate
        goes_on(written, captured, step)
    assert step.traces == 1


def test_a_schedule_outside_goes_on(column):
    written, captured, step = fitted()
    schedules = [optim.StepLR(t.optimizer, 2, 0.5) for t in (written, captured)]
    for batch in labelled(5, 6, 12):
        goes_on(written, captured, step, [batch])
        for schedule in schedules:
            schedule.step()
    assert step.traces == 1


def test_a_plateau_that_is_told_a_tensor_is_refused():
    training = Training(mlp, [], schedule=optim.ReduceLROnPlateau)
    x, y = labelled(1, 6, 12)[0]

    def step(x, y):
        loss = F.cross_entropy(training.model(x), y)
        training.scheduler.step(loss)

    with pytest.raises(etude.CaptureError, match="reads the values"):
        etude.capture(step)(x, y)


def test_parameters_that_have_had_other_numbers_of_steps_are_seen(column):
    def run(capture):
        training = Training(mlp, [])
        step = etude.capture(training.step) if capture else training.step
        for i, (x, y) in enumerate(labelled(6, 6, 12)):
            step(x, y)
            if i == 2:  # one parameter alone
                training.optimizer.zero_grad()
                F.sum(training.model[1].weight).backward()
                training.optimizer.step()
        return training.state()

    assert_same(run(True), run(False))


# ------------------------------------------------------------------ who runs, who watches


def test_another_backend_is_another_program(backend):
    if backend == "reference":
        pytest.skip("NOT RUN: it takes two backends")
    f = etude.capture(lambda x: F.softmax(x, -1))
    x = numbers(4, 5)
    with etude.use("cpu"):
        f(x)
        assert {c.column for c in f.program.calls} == {"cpu"}
    f(x)
    assert {c.column for c in f.program.calls} == {"reference"}
    with etude.use("cpu"):
        f(x)
        assert {c.column for c in f.program.calls} == {"cpu"}
    assert f.traces == 2


def test_a_backend_chosen_inside_is_kept():
    seen = collections.deque()

    @etude.implements("relu")
    def my_relu(x):
        seen.append("relu")
        return np.maximum(x, 0)

    def f(x):
        with etude.use(my_relu):
            y = F.relu(x)
        return y + 1

    g = etude.capture(f)
    for i in range(3):
        x = numbers(4, seed=i)
        assert same(*arrays(g(x), F.relu(x) + 1))
    assert g.traces == 1
    assert list(seen) == ["relu"] * 3  # by the column, as at the trace


def test_strict_mode_around_and_inside(backend):
    if backend == "reference":
        pytest.skip("NOT RUN: strict mode is about a column")
    f = etude.capture(lambda x: F.softmax(x, -1))
    with etude.use("cpu", strict=True):
        for i in range(3):
            f(numbers(4, 5, seed=i))

    def inside(x):
        with etude.use("cpu", strict=True):
            return F.softmax(x, -1)

    g = etude.capture(inside)
    for i in range(3):
        assert g(numbers(4, 5, seed=i)).shape == (4, 5)


def test_a_tap_around_sees_every_op_call():
    f = etude.capture(lambda x: F.relu(x) * 2)
    x = numbers(3)
    f(x)
    f(x)
    with etude.receipt() as r:
        f(x)
    assert sorted(row.op for row in r.rows()) == ["mul", "relu"]


def test_a_tap_that_takes_many_calls_as_one_is_told_of_the_replay(column):
    class Profile:
        def __init__(self):
            self.single, self.told = [], []

        def __call__(self, event):
            self.single.append(event.op)

        def together(self, op, calls, column, seconds):
            self.told.append((op, [name for name, _, _ in calls], column))

    f = etude.capture(lambda x: F.relu(x) * 2)
    x, watch = numbers(3), Profile()
    with etude.tap(watch):
        first, second = f(x), f(x)
    assert same(*arrays(first, second))
    assert watch.single == ["relu", "mul"]  # of the traced call
    assert watch.told == [("<lambda>", ["relu", "mul"], column)]
    assert same(*arrays(f(x), first))
    assert f.traces == 1


def test_check_nan_around_finds_the_op():
    f = etude.capture(lambda x: F.log(x) * 2)
    f(etude.tensor([1.0]))
    with etude.check_nan(), pytest.raises(FloatingPointError, match="log"):
        f(etude.tensor([-1.0]))


@pytest.mark.parametrize("watch", [etude.check_nan, etude.receipt], ids=["check_nan", "receipt"])
def test_a_tap_inside_is_refused(watch):
    def f(x):
        with watch():
            return F.relu(x)

    with pytest.raises(etude.CaptureError, match=r"a tap is opened inside.*Around a call"):
        etude.capture(f)(numbers(3))


def test_a_captured_function_inside_another_is_part_of_it(column):
    inner = etude.capture(lambda x: F.relu(x) * SCALE)
    outer = etude.capture(lambda x: inner(x) + 1)
    for i in range(3):
        x = numbers(3, seed=i)
        assert same(*arrays(outer(x), F.relu(x) * SCALE + 1))
    assert (outer.traces, inner.traces) == (1, 0)
    inner(numbers(3))
    assert inner.traces == 1


# ------------------------------------------------------------------ when something fails


@pytest.mark.parametrize("bad", [99, -5])
def test_a_label_out_of_range_leaves_what_it_would_leave_without_capture(column, bad):
    def run(capture):
        training = Training(mlp, [], schedule=lambda o: optim.StepLR(o, 1))
        step = etude.capture(training.step) if capture else training.step
        for x, y in labelled(2, 6, 12):
            step(x, y)
        wrong = etude.tensor([0, 1, 2, bad, 4, 5])
        with pytest.raises(IndexError):
            step(x, wrong)
        after = training.state()
        for x, y in labelled(2, 6, 12):
            step(x, y)
        return {**{f"after {k}": v for k, v in after.items()}, **training.state()}

    assert_same(run(True), run(False))


def test_a_key_that_was_drawn_before_the_failure_is_used_up(column):
    def run(capture):
        generator = etude.Generator(0)
        table = numbers(5, 3)

        def f(x, index):
            y = F.dropout(x, 0.5, generator=generator)
            z = F.embedding(index, table)
            return F.dropout(y + z, 0.5, generator=generator)

        g = etude.capture(f) if capture else f
        x = numbers(2, 3)
        g(x, etude.tensor([1, 2]))
        g(x, etude.tensor([1, 2]))
        with pytest.raises(IndexError):
            g(x, etude.tensor([1, 7]))
        return [generator.get_state(), arrays(g(x, etude.tensor([0, 1])))]

    assert same(run(True), run(False))


def test_an_error_in_the_traced_call_is_the_functions_own():
    f = etude.capture(lambda x: x @ x)
    with pytest.raises(etude.ShapeError, match="matmul"):
        f(numbers(2, 3))
    assert f(numbers(2, 2)).shape == (2, 2)


def test_two_threads_replay_one_capture(column):
    model = mlp(None)
    f = etude.capture(model)
    context = []
    with etude.no_grad():
        inputs = [numbers(4, 12, seed=i) for i in range(20)]
        want = [arrays(model(x)) for x in inputs]
        f(inputs[0])
        context = [contextvars.copy_context() for _ in range(2)]
    found = [[], []]

    def work(k):
        for x in inputs:
            found[k].append(f(x))

    threads = [threading.Thread(target=c.run, args=(work, k)) for k, c in enumerate(context)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for results in found:
        assert same([arrays(t) for t in results], want)


def test_two_threads_train_one_model_step_by_step(column):
    _, captured, step = fitted()
    x, y = labelled(1, 6, 12)[0]
    before = captured.optimizer.state[0]["step"]
    contexts = [contextvars.copy_context() for _ in range(2)]

    def work():
        for _ in range(10):
            step(x, y)

    threads = [threading.Thread(target=c.run, args=(work,)) for c in contexts]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert captured.optimizer.state[0]["step"] == before + 20


# ------------------------------------------------------------------ what is captured


def test_a_method_is_captured_for_each_object():
    class Scale:
        def __init__(self, by):
            self.by = by

        @etude.capture
        def __call__(self, x):
            return x * self.by

    two, three = Scale(2.0), Scale(3.0)
    x = etude.tensor([1.0])
    assert [two(x).item(), three(x).item(), two(x).item()] == [2, 3, 2]


def test_the_forward_of_a_layer_is_captured_and_the_model_copied(column):
    class Layer(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(numbers(3, 3))

        @etude.capture
        def forward(self, x):
            return F.relu(x @ self.weight)

    model = nn.Sequential(Layer(), Layer())
    whole = etude.capture(model)
    x = numbers(2, 3)
    with etude.no_grad():
        want = F.relu(F.relu(x @ model[0].weight) @ model[1].weight)
        for _ in range(3):
            assert same(*arrays(model(x), want))
            assert same(*arrays(whole(x), want))
        other = copy.deepcopy(model)
        other[0].weight.copy_(numbers(3, 3, seed=5))
        again = F.relu(F.relu(x @ other[0].weight) @ other[1].weight)
        assert same(*arrays(other(x), again))
        assert same(*arrays(model(x), want))
    assert whole.traces == 1


def test_what_is_captured_already_is_not_captured_again():
    f = etude.capture(lambda x: x)
    assert etude.capture(f) is f


def test_as_a_decorator_it_keeps_name_and_text():
    @etude.capture
    def double(x):
        """Twice x."""
        return x * 2

    assert (double.__name__, double.__doc__) == ("double", "Twice x.")
    assert repr(double) == "<capture of double: 0 programs>"


@pytest.mark.parametrize("thing", [3, nn.Linear, "step"])
def test_only_functions_are_captured(thing):
    with pytest.raises(TypeError, match="capture takes a function"):
        etude.capture(thing)


def test_a_number_that_changes_every_time_is_warned_of_once():
    f = etude.capture(lambda x, n: x * n)
    x = etude.tensor([1.0])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [f(x, n).item() for n in range(20)] == list(range(20))
    assert len(told) == 1
    assert "an argument was 7 and is 8" in str(told[0].message)
    assert told[0].filename == __file__


def test_not_more_programs_are_kept_than_are_good():
    f = etude.capture(lambda x: x * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n in range(1, 30):
            f(etude.zeros(n))
    assert repr(f) == "<capture of <lambda>: 8 programs>"


def test_dropout_and_schedule_and_clipping_all_at_once(column):
    from twins import dropping_mlp

    step, *_ = twins(dropping_mlp, labelled(6, 6, 12), clip=0.5,
                     schedule=lambda o: optim.CosineAnnealingLR(o, 4))
    assert step.traces == 1


def test_labels_may_be_classes(column):
    f = etude.capture(lambda x, y: F.cross_entropy(x, y))
    for i in range(3):
        x, y = numbers(4, 5, seed=i), classes(5, 4, seed=i)
        assert same(*arrays(f(x, y), F.cross_entropy(x, y)))
