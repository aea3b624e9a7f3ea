"""What trips people up in other frameworks, in how a captured function is called and what it names:
each has the right answer, or a clear error. Memory and gradients: ``test_footguns_of_memory.py``.
"""

import collections
import types

import numpy as np
import pytest
from twins import (
    arrays,
    fitted,
    goes_on,
    labelled,
    mlp,
    numbers,
    same,
)

import etude
from etude import functional as F
from etude import nn

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


def test_each_of_the_two_zeros_is_a_value_of_its_own():
    f = etude.capture(lambda x, k: x / k)
    x = etude.tensor([1.0])
    zeros = [0.0, -0.0, np.float32(-0.0), np.float32(0.0)]
    assert [f(x, k).item() for k in zeros] == [np.inf, -np.inf, -np.inf, np.inf]
    assert [f(x, k).item() for k in zeros] == [np.inf, -np.inf, -np.inf, np.inf]
    assert f.traces == 4


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
                                                 r"footguns_of_calls.py:\d+.*return the tensor"):
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


def loader_of_eight():
    data = etude.data.TensorDataset(etude.arange(8.0).reshape(8, 1))
    return etude.data.DataLoader(data, batch_size=2, shuffle=True, seed=1)


def test_an_epoch_inside_is_refused_and_not_counted():
    loader = loader_of_eight()

    def f(x):
        return sum((F.sum(batch) for batch, in loader), x)

    with pytest.raises(etude.CaptureError, match=r"a DataLoader gives a batch.*test_footguns"):
        etude.capture(f)(etude.zeros(1))
    assert loader.epoch == 0


def test_the_next_batch_of_a_loop_outside_is_refused_inside():
    batches = iter(loader_of_eight())
    next(batches)
    with pytest.raises(etude.CaptureError, match="pass the batch as an argument"):
        etude.capture(lambda x: x + F.sum(next(batches)[0]))(etude.zeros(1))


def test_data_goes_on_where_the_batch_is_an_argument(column):
    def run(f):
        return [f(batch) for _ in range(2) for batch, in loader]

    def f(x):
        return x * 2

    found = []
    for g in (f, etude.capture(f)):
        loader = loader_of_eight()
        found.append(arrays(*run(g)))
    assert all(same(a, b) for a, b in zip(*found, strict=True))
