"""What trips people up in other frameworks, in memory and gradients of a captured function: each
has the right answer, or a clear error.
"""

import tracemalloc

import numpy as np
import pytest
from twins import (
    Training,
    arrays,
    assert_same,
    fitted,
    goes_on,
    labelled,
    mlp,
    numbers,
    same,
)

import etude
from etude import functional as F
from etude import nn, optim

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


@pytest.mark.parametrize("others", [lambda x: x, lambda x: x[:], lambda x: x[::-1]])
def test_an_argument_that_is_written_and_lies_in_another_is_refused_at_first(column, others):
    def f(a, b):
        a.copy_(a + 1)
        return b * 2

    x = etude.ones(4)
    with pytest.raises(etude.CaptureError, match=r"writes an argument.*in the same memory"):
        etude.capture(f)(x, others(x))
    first, rest = etude.ones(6)[:3], etude.ones(6)[3:]
    assert etude.capture(f)(first, rest).tolist() == [2.0] * 3


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
