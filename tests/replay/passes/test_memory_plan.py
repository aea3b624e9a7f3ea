"""The memory plan: aligned, without overlaps, and near the bound that no plan can beat."""

import itertools
import random

import numpy as np
import pytest
from programs import numbers, program_of

import etude
from etude.replay.passes.memory import ALIGNMENT, memory_plan
from etude.replay.program import Buffer, Call, Program, Value


def random_program(seed, calls=60):
    """Calls that each read some earlier temporaries, of all sizes."""
    draw = random.Random(seed)
    made, found = [], []
    for i in range(calls):
        b = Buffer(f"t{i}", "temporary", draw.choice([1, 60, 64, 1000, 4096, 100_000]))
        inputs = [draw.choice(made[-12:]) for _ in range(2)] if made else []
        y = Value(b, (b.nbytes,), np.dtype(np.bool_), (1,))
        found.append(Call("cat", tuple(inputs), {}, (y,), ""))
        made.append(y)
    return Program(found, [], [])


@pytest.mark.parametrize("seed", range(8))
def test_buffers_that_are_live_at_once_do_not_overlap(seed):
    plan = memory_plan(random_program(seed))
    for a, b in itertools.combinations(plan.offsets, 2):
        (first, last), (start, end) = plan.lives[a], plan.lives[b]
        if first <= end and start <= last:
            apart = (plan.offsets[a] + a.nbytes <= plan.offsets[b]
                     or plan.offsets[b] + b.nbytes <= plan.offsets[a])
            assert apart
    assert all(at % ALIGNMENT == 0 for at in plan.offsets.values())
    assert all(at + b.nbytes <= plan.size for b, at in plan.offsets.items())


@pytest.mark.parametrize("seed", range(8))
def test_the_arena_is_near_the_live_bound(seed):
    plan = memory_plan(random_program(seed))
    assert plan.live_bound <= plan.size <= 1.25 * plan.live_bound < plan.total


def test_the_plan_says_how_good_it_is():
    x = numbers(16, 16)
    plan = memory_plan(program_of(lambda x: etude.sum(etude.exp(etude.tanh(x * 2.0))), x))
    assert str(plan) == ("arena 2,048 bytes for 3 temporaries of 3,072; live at once at most "
                         "2,048 (arena / bound 1.00)")


def test_only_temporaries_lie_in_the_arena():
    x = numbers(16)
    program = program_of(lambda x: x * 2.0, x)
    assert memory_plan(program).offsets == {}
    assert memory_plan(program).size == 0


def test_a_lasting_result_lies_in_the_arena_from_its_call_on():
    x = numbers(16)
    program = program_of(lambda x: (x * 2.0, etude.exp(etude.tanh(x))), x)
    first = program.results[0].buffer
    plan = memory_plan(program, lasting=[first])
    assert plan.lives[first] == (0, len(program.calls))
    assert not any(first in plan.dead_after(i) for i in range(len(program.calls)))
    (other,) = plan.offsets.keys() - {first}
    assert plan.offsets[other] != plan.offsets[first]
    assert plan.beside(0) == [(plan.offsets[first], 64)]
