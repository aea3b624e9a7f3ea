"""Optimisers, against the formulas of the papers written out as loops over plain numbers."""

import json
import math

import numpy as np
import pytest

import etude
from etude import nn, optim

KINDS = {
    "sgd": lambda p, **kw: optim.SGD(p, **{"lr": 0.1, **kw}),
    "momentum": lambda p, **kw: optim.SGD(
        p, **{"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, **kw}),
    "adamw": lambda p, **kw: optim.AdamW(p, **{"lr": 0.1, "weight_decay": 0.1, **kw}),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def parameter(values=(1.0, -2.0, 3.0), dtype="float64"):
    return nn.Parameter(etude.tensor(list(values), dtype=dtype))


def give(p, grad):
    p.grad = etude.tensor(np.asarray(grad), dtype=p.dtype)


def gradients(steps, n=3):
    return np.random.default_rng(7).standard_normal((steps, n))


def textbook_sgd(p, grads, lr, momentum, weight_decay):
    for i in range(len(p)):
        v = 0.0
        for g in grads[:, i]:
            v = momentum * v + g + weight_decay * p[i]
            p[i] -= lr * v
    return p


def textbook_adamw(p, grads, lr, betas, eps, weight_decay):
    for i in range(len(p)):
        m = v = 0.0
        for t, g in enumerate(grads[:, i], 1):
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g * g
            m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
            p[i] = p[i] - lr * weight_decay * p[i] - lr * m_hat / (math.sqrt(v_hat) + eps)
    return p


def run(optimizer, p, grads):
    for g in grads:
        give(p, g)
        optimizer.step()
    return p.detach().numpy()


@pytest.mark.parametrize("lr", [0.1, 0.003])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_sgd_is_the_textbook_loop(lr, momentum, weight_decay):
    p, grads = parameter(), gradients(20)
    found = run(optim.SGD([p], lr, momentum, weight_decay=weight_decay), p, grads)
    expected = textbook_sgd([1.0, -2.0, 3.0], grads, lr, momentum, weight_decay)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dampening", [0.5, 1.0])
def test_dampening_holds_back_every_gradient_but_the_first(momentum, dampening):
    p, grads = parameter(), gradients(20)
    found = run(optim.SGD([p], 0.1, momentum, dampening, 0.2), p, grads)
    q, v = np.array([1.0, -2.0, 3.0]), 0.0
    for t, given in enumerate(grads):
        g = given + 0.2 * q
        v = momentum * v + (1 - dampening) * g if t and momentum else g
        q = q - 0.1 * v
    np.testing.assert_allclose(found, q, rtol=1e-13)


def test_zero_grad_may_leave_gradients_of_zero():
    p, q = parameter(), parameter()
    optimizer = optim.SGD([p, q], 0.1, 0.9)
    run(optimizer, p, gradients(2))
    before = p.tolist()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0, 0]
    assert q.grad is None
    optimizer.step()
    assert p.tolist() != before  # its momentum goes on
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_may_work_out_the_loss_itself():
    p = parameter()
    optimizer = optim.SGD([p], 0.1)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 14
    np.testing.assert_allclose(p.detach(), [0.8, -1.6, 2.4], rtol=1e-15)
    assert optimizer.step() is None


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
def test_adamw_is_the_textbook_loop(betas, eps, weight_decay):
    p, grads = parameter(), gradients(20)
    found = run(optim.AdamW([p], 0.05, betas, eps, weight_decay), p, grads)
    expected = textbook_adamw([1.0, -2.0, 3.0], grads, 0.05, betas, eps, weight_decay)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@every_kind
def test_float32_follows_float64_within_its_rounding(make):
    found = [run(make([p]), p, gradients(20)) for p in (parameter(), parameter(dtype="float32"))]
    assert found[1].dtype == np.float32
    np.testing.assert_allclose(found[1], found[0], rtol=2e-5)


@every_kind
def test_a_step_writes_into_the_memory_of_the_parameter(make):
    p = parameter()
    memory, before = p.array, p.tolist()
    run(make([p]), p, gradients(3))
    assert p.array is memory
    assert p.tolist() != before


@every_kind
def test_a_parameter_without_a_gradient_is_left_alone(make):
    p, q = parameter(), parameter()
    optimizer = make([p, q])
    run(optimizer, p, gradients(3))
    assert q.tolist() == [1, -2, 3]
    assert optimizer.state[1] == {}


@every_kind
def test_each_parameter_counts_its_own_steps(make):
    p, late = parameter(), parameter()
    optimizer = make([p, late])
    grads = gradients(6)
    run(optimizer, p, grads[:4])
    p.grad = None
    found = run(optimizer, late, grads)
    alone = parameter()
    assert np.array_equal(found, run(make([alone]), alone, grads))
    assert [s["step"] for s in optimizer.state] == [4, 6]


@every_kind
def test_a_gradient_in_another_memory_order_is_taken_as_it_reads(make):
    g = np.random.default_rng(0).standard_normal((2, 3))
    results = []
    for grad in (etude.tensor(g), etude.tensor(np.ascontiguousarray(g.T)).T):
        p = nn.Parameter(etude.ones(2, 3, dtype="float64"))
        p.grad = grad
        make([p]).step()
        results.append(p.detach().numpy())
    assert np.array_equal(*results)
    assert results[0].flags.c_contiguous


@every_kind
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_leaf_that_is_a_view_moves_like_its_copy(make, backend):
    if backend == "cpu":
        pytest.importorskip("etude_cpu._glue", reason="etude-cpu is not installed",
                            exc_type=ImportError)
    w = np.random.default_rng(0).standard_normal((2, 3, 4))
    results = []
    with etude.use(backend):
        for change in (lambda p: p, lambda p: p.clone()):
            base = etude.tensor(w)
            p = change(base.permute((2, 0, 1)).detach()).requires_grad_()
            optimizer = make([p])
            for _ in range(2):
                p.grad = p.detach()[::-1]  # a view of what the step writes
                optimizer.step()
            results.append(p.detach().numpy())
    assert np.array_equal(*results)
    assert not np.array_equal(results[0], w.transpose(2, 0, 1))


@every_kind
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_gradient_in_the_memory_of_the_parameter_is_read_before_the_step_writes(make, backend):
    if backend == "cpu":
        pytest.importorskip("etude_cpu._glue", reason="etude-cpu is not installed",
                            exc_type=ImportError)
    results = []
    with etude.use(backend):
        for copied in (False, True):
            base = etude.tensor(np.linspace(-1, 1, 41))
            p = base[1:].detach().requires_grad_()
            p.grad = base[:-1].clone() if copied else base[:-1].detach()
            make([p]).step()
            results.append(p.detach().numpy())
    assert np.array_equal(*results)


@every_kind
def test_backward_after_a_step_is_noticed(make):
    p = parameter()
    loss = (p * p).sum()
    give(p, [1, 1, 1])
    make([p]).step()
    with pytest.raises(RuntimeError, match=r"was written \(by copy_ or an optimiser"):
        loss.backward()


@every_kind
def test_it_finds_the_lowest_point_of_a_bowl(make):
    p = parameter()
    optimizer = make([p], weight_decay=0.0)
    for _ in range(300):
        optimizer.zero_grad()
        ((p - etude.tensor([3.0, 2.0, 1.0], dtype="float64")) ** 2).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(p.detach().numpy(), [3, 2, 1], atol=1e-3)


@every_kind
def test_zero_grad_forgets(make):
    p = parameter()
    give(p, [1, 1, 1])
    make([p]).zero_grad()
    assert p.grad is None


@every_kind
def test_a_run_that_is_saved_and_loaded_goes_on_bit_for_bit(make):
    grads = gradients(10)
    p = parameter(dtype="float32")
    through = run(make([p]), p, grads).copy()

    p = parameter(dtype="float32")
    first = make([p])
    run(first, p, grads[:4])
    saved = first.state_dict()
    q = nn.Parameter(p.detach().clone())
    second = make([q], lr=0.5)
    second.load_state_dict(saved)
    assert second.param_groups[0]["lr"] == 0.1
    run(first, p, grads[4:])  # the copy must not see this
    assert np.array_equal(run(second, q, grads[4:]), through)


@every_kind
def test_a_state_that_does_not_fit_is_refused_and_nothing_changes(make):
    p, q = parameter(), parameter((1.0, 2.0))
    one, two, other = make([p]), make([p, q]), make([q])
    run(one, p, gradients(1))
    with pytest.raises(ValueError, match=r"groups of \[1\] parameters, this one has \[2\]"):
        two.load_state_dict(one.state_dict())
    name = one.moments[0]
    with pytest.raises(ValueError, match=rf"'{name}' of parameter 0 must be float64\[2\] like "
                                         r"it, got float64\[3\]"):
        other.load_state_dict(one.state_dict())
    state = one.state_dict()
    del state["state"][0][name]
    with pytest.raises(ValueError, match=rf"'{name}' of parameter 0 must be .* got None"):
        one.load_state_dict(state)
    assert other.state == [{}]


@every_kind
@pytest.mark.parametrize(("where", "value", "message"), [
    ("lr", -1.0, "lr must be >= 0"), ("lr", math.nan, "lr must be >= 0"), ("lr", "x", "number"),
    ("lr", True, "lr is .* here and True in the state"), ("params", [1], "by position"),
    ("step", -1, "step of parameter 0"), ("step", 2**60, "more than 2"), ("step", 1.5, "integer"),
    ("other", 0, "parameter 0 has .*other in the state")])
def test_settings_and_counts_that_no_optimiser_has_are_refused_and_nothing_changes(
        make, where, value, message):
    p = parameter()
    one = make([p])
    run(one, p, gradients(1))
    before = repr(one.state_dict())
    state = one.state_dict()
    place = state["state"] if where in ("step", "other") else state["param_groups"]
    place[0][where] = value
    with pytest.raises((ValueError, TypeError), match=message):
        one.load_state_dict(state)
    assert repr(one.state_dict()) == before


@every_kind
def test_groups_have_settings_of_their_own_which_may_change(make):
    p, q, r = parameter(), parameter(), parameter()
    optimizer = make([{"params": [p]}, {"params": q, "lr": 0.01}])
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.01]
    give(p, [1, 1, 1])
    give(q, [1, 1, 1])
    optimizer.step()
    give(r, [1, 1, 1])
    make([r], lr=0.01).step()
    assert q.tolist() == r.tolist() != p.tolist()
    optimizer.param_groups[1]["lr"] = 0.0
    before = q.tolist()
    optimizer.step()
    assert q.tolist() == before


@every_kind
def test_an_empty_parameter_is_fine(make):
    p = nn.Parameter(etude.zeros(0, 3))
    p.grad = etude.zeros(0, 3)
    make([p]).step()
    assert p.shape == (0, 3)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: optim.SGD([]), ValueError, "at least one parameter, got none"),
    (lambda: optim.SGD(iter(())), ValueError, r"the iterator gave nothing.* model.parameters\(\)"),
    (lambda: optim.SGD({parameter()}), TypeError, "params: needs an order, and a set has another"),
    (lambda: optim.SGD(frozenset([parameter()])), TypeError, "params: needs an order"),
    (lambda: optim.SGD({"w": parameter()}), TypeError, r"params: got a dict; .* of its values"),
    (lambda: optim.SGD({"params": [parameter()]}), TypeError, "got one group; put it in a list"),
    (lambda: optim.SGD([{"params": {parameter()}}]), TypeError, "params of a group: needs an ord"),
    (lambda: optim.SGD([{"parameters": [parameter()]}]), ValueError, 'a parameter group needs "p'),
    (lambda: optim.SGD([parameter()], lr=-1), ValueError, "lr must be >= 0, got -1"),
    (lambda: optim.SGD([parameter()], lr=math.nan), ValueError, "lr must be >= 0, got nan"),
    (lambda: optim.SGD([parameter()], dampening=1.5), ValueError, r"dampening must be in \[0, 1\]"),
    (lambda: optim.SGD([parameter()], 0.1, 0.9, 0.1, nesterov=True), ValueError, "dampening 0"),
    (lambda: optim.SGD([parameter()], momentum=1.0), ValueError, r"momentum must be in \[0, 1\)"),
    (lambda: optim.AdamW([parameter()], weight_decay=-0.1), ValueError, "weight_decay must be"),
    (lambda: optim.AdamW([parameter()], eps=-1e-8), ValueError, "eps must be >= 0"),
    (lambda: optim.AdamW([parameter()], betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in"),
    (lambda: optim.SGD(parameter()), TypeError, "an iterable of Tensors, got one Tensor"),
    (lambda: optim.SGD([np.ones(3)]), TypeError, "an optimiser takes Tensors, got ndarray"),
    (lambda: optim.SGD([parameter() * 2]), TypeError, r"takes leaves, but a tensor of shape \[3\]"),
    (lambda: optim.SGD([{"params": [parameter()], "beta": 1}]), ValueError, "no setting 'beta'"),
])
def test_what_cannot_be_optimised_is_refused_with_a_reason(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_an_iterator_that_two_groups_share_is_refused():
    parameters = nn.Linear(2, 2).parameters()
    with pytest.raises(ValueError, match=r"params of a group: the iterator gave nothing. One that"):
        optim.SGD([{"params": parameters}, {"params": parameters, "lr": 1.0}])
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    two = optim.SGD([{"params": first.parameters()}, {"params": second.parameters()}])
    assert [len(g["params"]) for g in two.param_groups] == [2, 2]
    named = dict(first.named_parameters())
    assert optim.SGD(named.values()).param_groups[0]["params"] == list(first.parameters())


def test_a_parameter_given_twice_is_refused():
    p = parameter()
    with pytest.raises(ValueError, match=r"a parameter of shape \[3\] was given twice"):
        optim.SGD([p, p])


def test_a_gradient_of_another_shape_is_an_error_that_shows_both():
    p = parameter()
    p.grad = etude.ones(2, dtype="float64")
    with pytest.raises(ValueError, match=r"must have shape \[3\], .*got float64\[2\]"):
        optim.SGD([p]).step()


NUMBERS = {"np.float32": np.float32, "an array": np.array, "a Tensor": etude.tensor,
           "a Tensor with a graph": lambda v: etude.tensor([v], requires_grad=True) * 1.0}


@every_kind
@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_settings_of_numpy_and_tensors_become_numbers_of_python(make, number):
    optimizer = make([{"params": [parameter()], "weight_decay": number(0.25)}], lr=number(0.5))
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    assert (type(group["lr"]), type(group["weight_decay"])) == (float, float)
    group["lr"] = number(0.125)  # as a schedule written by hand does
    saved = optimizer.state_dict()["param_groups"]
    assert json.loads(json.dumps(saved))[0]["lr"] == 0.125
    optimizer.load_state_dict({**optimizer.state_dict(), "param_groups": [{**saved[0],
                                                                           "lr": number(0.0625)}]})
    assert (group["lr"], type(group["lr"])) == (0.0625, float)
    give(group["params"][0], [1, 1, 1])
    group["lr"] = number(0.125)
    optimizer.step()


def test_betas_are_numbers_too():
    optimizer = optim.Adam([parameter()], betas=[np.float32(0.5), etude.tensor(0.75)])
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.75)
    with pytest.raises(ValueError, match=r"betas must be two numbers, got 0.9"):
        optim.Adam([parameter()], betas=0.9)


@pytest.mark.parametrize(("settings", "message"), [
    ({"lr": "0.1"}, "lr must be a number, got '0.1'"),
    ({"lr": None}, "lr must be a number, got None"),
    ({"lr": True}, "lr must be a number, got True"),
    ({"momentum": "0.9"}, "momentum must be a number, got '0.9'"),
    ({"weight_decay": np.ones(2)}, "weight_decay must be a number, got array"),
])
def test_a_setting_that_is_no_number_is_refused_by_name(settings, message):
    with pytest.raises(TypeError, match=message):
        optim.SGD([parameter()], **settings)


def test_a_gradient_that_is_no_tensor_is_named():
    p = parameter()
    p.grad = np.ones(3)
    for use in (optim.SGD([p]).step, lambda: optim.clip_grad_norm_(p, 1.0),
                lambda: optim.clip_grad_value_([p], 1.0)):
        with pytest.raises(TypeError, match="grad of a parameter is a Tensor or None, got ndarray"):
            use()


def test_the_repr_shows_the_settings():
    assert repr(optim.SGD([parameter()], lr=0.5)) == (
        "SGD(lr=0.5, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False)")


@pytest.mark.parametrize(("make", "words"), [
    (lambda m: optim.SGD(m.parameters(), lr="0.1"),
     "SGD: lr must be a number, got '0.1'; write 0.1, without quotes"),
    (lambda m: optim.Adam(m.parameters(), betas=("0.9", 0.9)), r"Adam: betas\[0\] must be a numb"),
    (lambda m: optim.AdamW(m.parameters), r"AdamW: params: got parameters itself and not what it "
                                          r"returns; write parameters\(\), with brackets"),
    (lambda m: optim.RMSprop(m), r"RMSprop: got a model, Linear; write RMSprop\(model.parameters"),
    (lambda m: optim.clip_grad_norm_(m.parameters, 1.0), r"write parameters\(\), with brackets"),
])
def test_what_is_given_in_another_form_is_told_the_right_one(make, words):
    with pytest.raises(TypeError, match=words):
        make(nn.Linear(2, 2))


@pytest.mark.parametrize(("package", "name", "words"), [
    (optim, "adam", "etude.optim has no 'adam'; write optim.Adam"),
    (optim, "sgd", "write optim.SGD"), (optim, "Adamw", "write optim.AdamW"),
    (optim, "StepLr", "write optim.StepLR"),
    (nn, "linear", "etude.nn has no 'linear'; write nn.Linear"), (nn, "Relu", "write nn.ReLU"),
    (nn, "embedding", "write nn.Embedding"), (nn, "Linaer", "Did you mean 'Linear'?"),
])
def test_a_name_in_another_case_is_told_the_right_one(package, name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(package, name)


def test_a_step_without_any_gradient_warns():
    p, q = parameter(), parameter()
    steps = optim.SGD([p, q], lr=0.1)
    with pytest.warns(UserWarning, match="no parameter has a gradient.* call loss.backward"):
        steps.step()
    give(p, [1.0, 1.0, 1.0])  # one that has none is left alone, without a word
    steps.step()
    assert p.tolist() == pytest.approx([0.9, -2.1, 2.9])
    assert q.tolist() == [1.0, -2.0, 3.0]
