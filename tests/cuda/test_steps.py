"""Optimisers on a device: many parameters move in one launch, as each by itself does."""

import numpy as np
import pytest

import etude
from etude import optim

OPTIMISERS = [
    lambda p: optim.SGD(p, lr=0.1),
    lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1),
    lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5),
]


def trained(make, device, count=3, steps=3):
    """``count`` parameters of several sizes after some steps."""
    generator = np.random.default_rng(0)
    values = [generator.standard_normal((i + 1, 5)).astype(np.float32) for i in range(count)]
    parameters = [etude.tensor(v).to(device).requires_grad_() for v in values]
    optimiser = make(parameters)
    for _ in range(steps):
        optimiser.zero_grad()
        for p in parameters:
            (p * p * p).mean().backward()
        optimiser.step()
    return [p.detach().to("cpu").numpy() for p in parameters]


@pytest.mark.parametrize("make", OPTIMISERS, ids=["sgd", "nesterov", "adam", "adamw", "rmsprop"])
def test_parameters_move_as_on_the_cpu(lab, make):
    for a, b in zip(trained(make, "gpu-lab"), trained(make, "cpu"), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_a_step_is_one_call_whatever_the_number_of_parameters(lab, monkeypatch):
    calls = []
    column = etude.core.state.current("gpu-lab").stack[0]
    step = column.steps["adamw_step"]
    monkeypatch.setitem(column.steps, "adamw_step",
                        lambda rows, *rest, **attrs: calls.append(len(rows)) or step(rows, *rest,
                                                                                   **attrs))
    trained(optim.AdamW, "gpu-lab", count=60, steps=2)
    assert calls == [60, 60]


def test_a_receipt_sees_the_step_of_every_parameter(lab):
    with etude.receipt() as seen:
        trained(optim.AdamW, "gpu-lab", count=3, steps=2)
    assert sum(row.calls for row in seen.rows() if row.op == "adamw_step") == 6


def test_a_gradient_of_another_shape_is_named(lab):
    w = etude.zeros(3, device="gpu-lab", requires_grad=True)
    optimiser = optim.AdamW([w])
    w.sum().backward()
    w.grad = etude.zeros(4, device="gpu-lab")
    with pytest.raises(etude.ShapeError, match="adamw_step"):
        optimiser.step()
