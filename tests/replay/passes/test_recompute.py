"""Recomputation: less memory, the same bits, and cheap calls first."""

import numpy as np
import pytest
from programs import numbers, ops, peak, program_of, results

import etude
from etude import nn, optim
from etude.nn import functional as F
from etude.replay import executor_for
from etude.replay.passes import dead_code, memory_plan, optimised
from etude.replay.passes.recompute import recomputation


def deep(x, w):
    """Many layers, whose values all wait for the backward pass."""
    h = x
    for _ in range(8):
        h = etude.tanh(F.gelu(h @ w))
    etude.sum(h * h).backward()
    return h


def inputs():
    w = etude.tensor(np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32) / 6,
                     requires_grad=True)
    return numbers(64, 32), w


def gradient_program():
    x, w = inputs()

    def f(x):
        w.grad = None
        return deep(x, w)

    return dead_code(program_of(f, x)), x


def test_the_memory_that_waits_is_halved_and_every_result_keeps_its_bits():
    program, x = gradient_program()
    lean = recomputation(program, peak(program) // 2)
    assert peak(lean) <= peak(program) // 2
    assert len(lean.calls) > len(program.calls)
    assert results(lean, x) == results(program, x)


def test_cheap_calls_are_made_again_before_dear_ones():
    program, _ = gradient_program()
    lean = recomputation(program, int(0.8 * peak(program)))
    again = [op for op in set(ops(lean)) if ops(lean).count(op) > ops(program).count(op)]
    assert set(again) <= {"gelu", "tanh"}


def test_a_budget_that_is_met_changes_nothing():
    program, _ = gradient_program()
    assert recomputation(program, peak(program)) is program


def test_a_budget_that_nothing_can_meet_is_met_as_far_as_it_goes():
    program, x = gradient_program()
    lean = recomputation(program, 1)
    assert 1 < peak(lean) < peak(program) // 2
    assert results(lean, x) == results(program, x)


def test_what_came_from_old_parameters_is_not_made_again_from_new_ones():
    """The moving average of a gelu of w is written before the last read of that gelu."""
    x, w = numbers(64), numbers(64, seed=3)

    def f(x):
        h = F.gelu(w * 2.0)
        big = etude.exp(x.reshape(64, 1) + h)  # the peak, while h waits
        s = etude.sum(big, dim=1)
        with etude.no_grad():
            w.copy_(s)
        return s + h

    program = dead_code(program_of(f, x))
    before = w.array.copy()
    want = results(program, x)
    w.array[...] = before
    assert results(recomputation(program, 1), x) == want


@pytest.mark.parametrize("memory", [None, 1])
def test_a_training_step_with_dropout_and_normalisation_keeps_its_bits(memory):
    def built():
        etude.manual_seed(0)
        model = nn.Sequential(nn.Linear(16, 64), nn.LayerNorm(64), nn.GELU(), nn.Dropout(0.5),
                              nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))
        return model, optim.AdamW(model.parameters(), lr=1e-2)

    x, y = numbers(128, 16), etude.tensor(np.arange(128) % 4)

    def stepper(model, optimizer):
        def step(x, y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss
        return step

    model, optimizer = built()
    eager = stepper(model, optimizer)
    want = [eager(x, y).item() for _ in range(3)]
    twin, optimizer = built()
    step = etude.capture(stepper(twin, optimizer))
    got = [step(x, y).item()]
    step.program = optimised(step.program, memory=memory)
    got += [step(x, y).item() for _ in range(2)]
    assert got == want
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert p.array.tobytes() == q.array.tobytes()


def network(**options):
    etude.manual_seed(0)
    model = nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(32, 32), nn.GELU())])
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return model, etude.capture(step, **options)


def test_a_budget_is_kept_by_the_step_that_asks_for_it():
    x = numbers(64, 32)
    plain, plainly = network()
    plainly(x)
    whole = memory_plan(optimised(plainly.program, memory=1 << 30)).size
    small, step = network(memory=whole * 6 // 10)  # no warning, which would be an error here
    step(x)
    for _ in range(3):
        assert plainly(x).item() == step(x).item()
    for p, q in zip(plain.parameters(), small.parameters(), strict=True):
        assert p.array.tobytes() == q.array.tobytes()
    ran = executor_for(step.program, memory=whole * 6 // 10).program
    assert len(ran.calls) > len(step.program.calls)
    assert memory_plan(ran).size <= whole * 6 // 10


def test_a_budget_that_cannot_be_kept_is_told_at_the_call():
    _, step = network(memory=1000)
    x = numbers(64, 32)

    def twice():  # the reference makes its executor at the second call
        step(x), step(x)

    with pytest.warns(UserWarning, match=r"memory=1000\): what is in between takes \d+ bytes"
                      ) as told:
        twice()
    assert len(told) == 1
    assert told[0].filename == __file__
