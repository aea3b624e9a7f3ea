"""What trips people up in other frameworks, around a captured function (chance, schedules,
backends, taps, threads, failures): each has the right answer, or a clear error.
"""

import collections
import contextvars
import copy
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from twins import (
    Training,
    arrays,
    assert_same,
    classes,
    fitted,
    goes_on,
    labelled,
    mlp,
    numbers,
    same,
    twins,
)

import etude
from etude import functional as F
from etude import nn, optim

SCALE = 2.0


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


def test_a_function_that_waits_for_a_trace_in_another_thread_is_told(monkeypatch):
    monkeypatch.setattr("etude.replay.captured.PATIENCE", 0.1)
    inner = etude.capture(lambda x: x * 2)

    def outer(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(inner, x).result()

    with pytest.raises(etude.CaptureError, match="must not wait for a thread"):
        etude.capture(outer)(etude.tensor([1.0]))


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
