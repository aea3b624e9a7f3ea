"""In place: a result goes over an input that nobody needs, and over no other."""

import pytest
from programs import numbers, peak, program_of, results

import etude
from etude.replay.passes.in_place import in_place


def shared(call):
    """Whether the call writes over one of its inputs."""
    return bool({v.buffer for v in call.reads()} & {v.buffer for v in call.outputs})


def test_elementwise_results_go_over_inputs_that_are_read_for_the_last_time():
    x = numbers(8, 8)
    program = program_of(lambda x: etude.sum(etude.relu(etude.tanh(x * 2.0) + x)), x)
    lean = in_place(program)
    assert [shared(c) for c in lean.calls if c.op in ("tanh", "add", "relu")] == [True] * 3
    assert peak(lean) == 8 * 8 * 4
    assert peak(program) == 2 * 8 * 8 * 4
    assert results(lean, x) == results(program, x)


def test_an_input_that_is_read_again_is_left_alone():
    x = numbers(8)

    def f(x):
        y = x * 2.0
        return etude.sum(etude.exp(y) * y)

    program = program_of(f, x)
    lean = in_place(program)
    exp = next(c for c in lean.calls if c.op == "exp")
    assert not shared(exp)
    assert results(lean, x) == results(program, x)


def test_an_argument_is_never_written_over():
    x = numbers(8)
    program = program_of(lambda x: etude.sum(etude.exp(x)), x)
    before = x.array.copy()
    results(in_place(program), x)
    assert (x.array == before).all()


def test_an_input_that_broadcasts_or_is_read_transposed_is_no_place_for_the_result():
    x = numbers(6, 6)

    def f(x):
        y = x * 2.0
        return etude.sum(y + y.T)

    program = program_of(f, x)
    lean = in_place(program)
    assert not shared(next(c for c in lean.calls if c.op == "add"))
    assert results(lean, x) == results(program, x)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_ops_whose_row_allows_it_go_over_their_input(op):
    x = numbers(4, 5)
    program = program_of(lambda x: etude.sum(getattr(etude, op)(x * 3.0, dim=-1)), x)
    lean = in_place(program)
    assert shared(next(c for c in lean.calls if c.op == op))
    assert results(lean, x) == results(program, x)
