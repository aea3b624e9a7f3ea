"""Adam, RMSprop and Nesterov's momentum, against their formulas over plain numbers.

SGD and AdamW, and what holds for every optimiser: test_optimizer.py.
"""

import math

import numpy as np
import pytest

import etude
from etude import nn, optim

START = (1.0, -2.0, 3.0)


def parameter(values=START, dtype="float64"):
    return nn.Parameter(etude.tensor(list(values), dtype=dtype))


def gradients(steps):
    return np.random.default_rng(7).standard_normal((steps, len(START)))


def give(p, grad):
    p.grad = etude.tensor(np.asarray(grad), dtype=p.dtype)


def run(optimizer, p, grads):
    for g in grads:
        give(p, g)
        optimizer.step()
    return p.detach().numpy()


def one_by_one(step, grads):
    """Each number by itself: ``step(p, g, t, memory)`` gives the next p."""
    result = []
    for i, p in enumerate(START):
        memory = {}
        for t, g in enumerate(grads[:, i], 1):
            p = step(p, g, t, memory)
        result.append(p)
    return result


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5)])
@pytest.mark.parametrize("eps", [1e-8, 0.1])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_adam_is_the_textbook_loop(betas, eps, decay):
    def step(p, g, t, was):
        g += decay * p
        was["m"] = betas[0] * was.get("m", 0) + (1 - betas[0]) * g
        was["v"] = betas[1] * was.get("v", 0) + (1 - betas[1]) * g * g
        m, v = was["m"] / (1 - betas[0] ** t), was["v"] / (1 - betas[1] ** t)
        return p - 0.05 * m / (math.sqrt(v) + eps)

    p, grads = parameter(), gradients(20)
    found = run(optim.Adam([p], 0.05, betas, eps, decay), p, grads)
    np.testing.assert_allclose(found, one_by_one(step, grads), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.99, 0.5, 0.0])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_rmsprop_is_the_textbook_loop(alpha, momentum, decay):
    def step(p, g, t, was):
        g += decay * p
        was["v"] = alpha * was.get("v", 0) + (1 - alpha) * g * g
        was["b"] = momentum * was.get("b", 0) + g / (math.sqrt(was["v"]) + 1e-3)
        return p - 0.01 * was["b"]

    p, grads = parameter(), gradients(20)
    found = run(optim.RMSprop([p], 0.01, alpha, 1e-3, decay, momentum), p, grads)
    np.testing.assert_allclose(found, one_by_one(step, grads), rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_nesterov_is_the_textbook_loop(decay):
    def step(p, g, t, was):
        g += decay * p
        was["v"] = 0.9 * was.get("v", 0) + g
        return p - 0.1 * (g + 0.9 * was["v"])

    p, grads = parameter(), gradients(20)
    found = run(optim.SGD([p], 0.1, 0.9, 0.0, decay, nesterov=True), p, grads)
    np.testing.assert_allclose(found, one_by_one(step, grads), rtol=1e-13)


def test_nesterov_is_momentum_looking_one_step_ahead():
    """Sutskever et al. 2013: with q = p - lr m v, both forms make the same path."""
    lr, m = 0.1, 0.8
    p = parameter([5.0])
    optimizer = optim.SGD([p], lr, m, nesterov=True)
    q, v = 5.0, 0.0
    for _ in range(15):
        give(p, 2 * p.detach().numpy())  # the slope of p^2
        optimizer.step()
        ahead = q - lr * m * v
        v = m * v + 2 * ahead
        q = q - lr * v
        np.testing.assert_allclose(p.detach().numpy(), [q - lr * m * v], rtol=1e-12)


def test_adams_first_step_is_the_learning_rate_whatever_the_gradient():
    for scale in (1e-3, 1.0, 1e6):
        p = parameter()
        found = run(optim.Adam([p], lr=0.01), p, [[scale, -scale, scale]])
        np.testing.assert_allclose(found, np.array(START) - [0.01, -0.01, 0.01], rtol=1e-6)


def test_adam_without_decay_is_adamw_without_decay():
    p, q, grads = parameter(), parameter(), gradients(5)
    found = run(optim.Adam([p], weight_decay=0), p, grads)
    assert np.array_equal(found, run(optim.AdamW([q], weight_decay=0), q, grads))


KINDS = {
    "nesterov": lambda p, **kw: optim.SGD(p, **{"lr": 0.1, "momentum": 0.9, "nesterov": True,
                                                **kw}),
    "adam": lambda p, **kw: optim.Adam(p, **{"lr": 0.1, "weight_decay": 0.1, **kw}),
    "rmsprop": lambda p, **kw: optim.RMSprop(p, **{"lr": 0.1, "momentum": 0.5, **kw}),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_float32_follows_float64_within_its_rounding(make):
    found = [run(make([p]), p, gradients(20)) for p in (parameter(), parameter(dtype="float32"))]
    assert found[1].dtype == np.float32
    np.testing.assert_allclose(found[1], found[0], rtol=5e-5)


@every_kind
def test_a_step_writes_into_the_memory_of_the_parameter_and_its_moments(make):
    p = parameter()
    optimizer = make([p])
    give(p, [1, 1, 1])
    optimizer.step()
    memory = [p.array, *(optimizer.state[0][name].array for name in optimizer.moments)]
    before = p.tolist()
    optimizer.step()
    assert p.tolist() != before
    assert all(a is b for a, b in zip(memory, [p.array, *(
        optimizer.state[0][name].array for name in optimizer.moments)], strict=True))


@every_kind
def test_a_run_that_is_saved_and_loaded_goes_on_bit_for_bit(make):
    grads = gradients(10)
    p = parameter(dtype="float32")
    through = run(make([p]), p, grads).copy()
    p = parameter(dtype="float32")
    first = make([p])
    run(first, p, grads[:4])
    q = nn.Parameter(p.detach().clone())
    second = make([q], lr=0.5)
    second.load_state_dict(first.state_dict())
    run(first, p, grads[4:])  # the copy must not see this
    assert np.array_equal(run(second, q, grads[4:]), through)


@every_kind
def test_settings_may_change_between_steps(make):
    p, q, grads = parameter(), parameter(), gradients(2)
    one, other = make([p]), make([q])
    run(one, p, grads[:1])
    run(other, q, grads[:1])
    other.param_groups[0]["lr"] = 0.0
    at = q.tolist()
    run(one, p, grads[1:])
    run(other, q, grads[1:])
    assert q.tolist() == at != p.tolist()


@every_kind
def test_parameters_in_another_memory_order_are_updated_as_they_read(make):
    values = np.arange(6.0).reshape(3, 2)
    fortran = etude.from_numpy(values.copy().T).requires_grad_()
    plain = nn.Parameter(etude.tensor(values.T))
    g = np.random.default_rng(0).standard_normal((2, 3))
    for p in (fortran, plain):
        give(p, g)
        make([p]).step()
    assert fortran.tolist() == plain.tolist()


def test_the_state_of_another_kind_of_optimiser_is_refused_and_nothing_changes():
    sgd, adam = optim.SGD([parameter()], lr=0.5), optim.Adam([parameter()])
    with pytest.raises(ValueError, match="the state has the settings lr, momentum, dampening, weig"
                                         "ht_decay, nesterov; Adam has lr, betas, eps, weight_d"):
        adam.load_state_dict(sgd.state_dict())
    assert adam.param_groups[0]["lr"] == 1e-3


@pytest.mark.parametrize(("make", "message"), [
    (lambda: optim.SGD([parameter()], nesterov=True), "momentum must be > 0"),
    (lambda: optim.Adam([parameter()], betas=(1.0, 0.9)), r"betas\[0\] must be in \[0, 1\), got"),
    (lambda: optim.Adam([parameter()], betas=(0.9,)), r"betas must be two numbers, got \(0.9,\)"),
    (lambda: optim.RMSprop([parameter()], alpha=1.0), r"alpha must be in \[0, 1\), got 1.0"),
    (lambda: optim.RMSprop([parameter()], momentum=-0.1), r"momentum must be in \[0, 1\)"),
    (lambda: optim.RMSprop([parameter()], eps=math.nan), "eps must be >= 0, got nan"),
])
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_repr_shows_the_settings_of_every_group():
    optimizer = optim.RMSprop([{"params": parameter()}, {"params": parameter(), "lr": 1.0}])
    assert repr(optimizer) == (
        "RMSprop(lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0; "
        "lr=1.0, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0)")
