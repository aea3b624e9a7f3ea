"""Dead code: what nobody sees is left out, and what anybody sees stays."""

from programs import numbers, ops, program_of, results

import etude
from etude.replay.passes.dead import dead_code


def test_a_result_that_nobody_reads_is_not_computed():
    x = numbers(4, 3)

    def f(x):
        etude.exp(etude.sin(x))  # worked out, and forgotten
        return x * 2.0

    program = program_of(f, x)
    assert "exp" in ops(program)
    lean = dead_code(program)
    assert ops(lean) == ["mul"]
    assert results(lean, x) == results(program, x)


def test_a_chain_that_leads_to_the_result_stays():
    x = numbers(4, 3)
    program = program_of(lambda x: etude.tanh(x * x) + 1.0, x)
    assert dead_code(program).calls == program.calls


def test_what_is_written_into_state_is_seen():
    x, total = numbers(3), etude.zeros(3)

    def f(x):
        with etude.no_grad():
            total.copy_(total + x)
        return x

    program = program_of(f, x)
    assert ops(dead_code(program)) == ops(program)


def test_the_program_that_is_given_stays_as_it_is():
    x = numbers(2)

    def f(x):
        etude.exp(x)
        return x + 1.0

    program = program_of(f, x)
    before = list(program.calls)
    dead_code(program)
    assert program.calls == before
