"""Constant folding: what gives the same at every run is computed once."""

import numpy as np
from programs import numbers, ops, program_of, results

import etude
from etude.replay.passes.fold import SMALL, constant_folding


def test_what_depends_on_constants_alone_is_computed_when_the_program_is_made():
    x = numbers(4, 4)

    def f(x):
        mask = etude.tril(etude.ones((4, 4))) * 2.0
        return x * mask

    program = program_of(f, x)
    lean = constant_folding(program)
    assert ops(lean) == ["mul"]
    assert len(program.calls) > 1
    assert results(lean, x) == results(program, x)
    constant = lean.calls[0].reads()[1].buffer
    assert constant.kind == "constant"
    np.testing.assert_array_equal(constant.source, 2 * np.tri(4, dtype=np.float32))


def test_state_is_no_constant():
    x, w = numbers(3), etude.tensor(np.ones(3, np.float32), requires_grad=True)
    program = program_of(lambda x: x * (w * 2.0), x)
    assert ops(constant_folding(program)) == ops(program)


def test_a_constant_that_would_be_much_larger_than_what_it_is_made_of_stays_a_call():
    x = numbers(SMALL // 4 + 1)
    many = x.shape[0]
    program = program_of(lambda x: x + etude.ones(1).expand(many).contiguous(), x)
    assert "contiguous" in ops(constant_folding(program))
