"""An optimiser's native step of many parameters at once: what the op does to each, bit for bit."""

import gc
import inspect

import numpy as np
import pytest

import etude
from etude import ShapeError, optim
from etude.backends.plugins import registry
from etude.core.columns import Column

KINDS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
}


@pytest.fixture
def column():
    """The kernels of etude-cpu, with their steps."""
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    ops = registry().load("cpu").ops
    return Column("cpu", "cpu", ops, checks=True, steps=ops.steps)


def parameters(dtype="float32"):
    """Of several sizes; the second is a view that does not lie together."""
    numbers = np.random.default_rng(0)
    a, b, c = [etude.tensor(numbers.standard_normal(shape), dtype=dtype)
               for shape in ((3, 5), (4, 2), (7,))]
    return [a.requires_grad_(), b.T.detach().requires_grad_(), c.requires_grad_()]


def step(ps, optimiser):
    optimiser.zero_grad()
    for p in ps:
        (p * p * p).mean().backward()
    optimiser.step()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_parameters_move_as_by_the_op_alone(column, make, dtype):
    together, alone = parameters(dtype), parameters(dtype)
    with etude.use(column, strict=True):
        optimiser, other = make(together), make(alone)
        for _ in range(3):
            step(together, optimiser)
            with etude.core.state.tap(lambda event: None):  # who sees every call has every call
                step(alone, other)
    for p, q in zip(together, alone):
        assert p.detach().numpy().tobytes() == q.detach().numpy().tobytes()
    for s, r in zip(optimiser.state, other.state):
        assert s["step"] == r["step"] == 3
        assert all(s[name].tolist() == r[name].tolist() for name in optimiser.moments)


def test_parameters_of_one_dtype_go_together_and_a_tap_sees_each(column):
    calls = []

    def counted(rows, *rest, **attrs):
        calls.append(len(rows))
        return column.steps["adamw_step"](rows, *rest, **attrs)

    seen = Column("cpu", "cpu", column.ops, checks=True, steps={"adamw_step": counted})
    ps = [*parameters(), *parameters("float64")]
    optimiser = optim.AdamW(ps)
    with etude.use(seen):
        step(ps, optimiser)
        assert calls == [3, 3]
        with etude.receipt() as receipt:
            step(ps, optimiser)
    assert calls == [3, 3]
    assert sum(row.calls for row in receipt.rows() if row.op == "adamw_step") == 6


def test_rows_that_are_declined_are_moved_by_the_op(column):
    picky = Column("cpu", "cpu", column.ops, checks=True,
                   steps={"adamw_step": lambda rows, hyper: rows[1:]})
    ps, moved = parameters(), parameters()
    first = ps[0].detach().clone()
    optimiser, other = optim.AdamW(ps), optim.AdamW(moved)
    with etude.use(picky):
        step(ps, optimiser)
    with etude.use(column):
        step(moved, other)
    assert ps[0].tolist() == first.tolist()  # it said that this one was moved, and did not
    assert [p.tolist() for p in ps[1:]] == [p.tolist() for p in moved[1:]]


def test_a_gradient_of_another_shape_is_named_in_a_later_step_too(column):
    ps = parameters()
    optimiser = optim.AdamW(ps)
    with etude.use(column):
        step(ps, optimiser)
        ps[2].grad = etude.ones(8)
        with pytest.raises(ShapeError, match="adamw_step"):
            optimiser.step()


def test_a_parameter_in_memory_that_is_read_only_is_refused(column):
    memory = np.ones(4, np.float32)
    memory.flags.writeable = False
    p = etude.from_numpy(memory).requires_grad_()
    with etude.use(column), pytest.raises(ValueError, match="adamw_step: out is read-only"):
        step([p], optim.AdamW([p]))
    assert memory.tolist() == [1, 1, 1, 1]


def test_what_was_found_of_a_parameter_is_forgotten_with_it(column):
    plans = inspect.getclosurevars(column.steps["adamw_step"]).nonlocals["plans"]
    gc.collect()
    before = len(plans)
    ps = parameters()
    optimiser = optim.AdamW(ps)
    with etude.use(column):
        step(ps, optimiser)
        assert len(plans) > before
        ps[0].array = np.full((3, 5), 2.0, np.float32)  # moved elsewhere, as Module.to does
        step(ps, optimiser)
        assert ps[0].array.max() < 2
    del ps, optimiser
    gc.collect()
    assert len(plans) == before
