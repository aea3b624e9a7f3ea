"""Common subexpressions: equal calls are made once, and only calls that are equal."""

from programs import numbers, ops, program_of, results

import etude
from etude.replay.passes.common import common_subexpressions


def test_the_same_call_on_the_same_values_is_made_once():
    x = numbers(5, 4)
    program = program_of(lambda x: etude.exp(x * 2.0) + etude.sqrt(etude.exp(x * 2.0)), x)
    lean = common_subexpressions(program)
    assert sorted(ops(program)) == ["add", "exp", "exp", "mul", "mul", "sqrt"]
    assert sorted(ops(lean)) == ["add", "exp", "mul", "sqrt"]
    assert results(lean, x) == results(program, x)


def test_another_attribute_or_another_zero_is_another_call():
    x = numbers(3, 3)

    def f(x):
        return etude.sum(x, dim=0) + etude.sum(x, dim=1) * (x[0] * 0.0) * (x[0] * -0.0)

    program = program_of(f, x)
    lean = common_subexpressions(program)
    assert ops(lean) == ops(program)
    assert results(lean, x) == results(program, x)


def test_a_value_is_another_one_once_its_memory_was_written():
    x, w = numbers(3), numbers(3, seed=1)

    def f(x):
        first = etude.exp(w)
        with etude.no_grad():
            w.copy_(w + x)
        return first + etude.exp(w)

    program = program_of(f, x)
    lean = common_subexpressions(program)
    assert ops(lean).count("exp") == 2
    before = w.array.copy()
    want = results(program, x)
    w.array[...] = before
    assert results(lean, x) == want
