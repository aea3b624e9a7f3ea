"""What a trace makes of a call: calls, values by their memory, and each buffer of its kind."""

import gc
import weakref

import numpy as np
import pytest
from twins import labelled, mlp, numbers, same

import etude
from etude import functional as F
from etude import nn, optim
from etude.core import live
from etude.core.live import WATCHER
from etude.replay import Reference, Value


def program_of(f, *given):
    captured = etude.capture(f)
    captured(*given)
    return captured.program


def ops(program):
    return [c.op for c in program.calls]


def kinds(program):
    found = {}
    for b in program.buffers():
        found.setdefault(b.kind, []).append(b)
    return found


def test_every_op_call_is_a_call_in_order():
    program = program_of(lambda x: F.relu(x * 2) + 1, numbers(2, 3))
    assert ops(program) == ["mul", "relu", "add"]
    assert [c.column for c in program.calls] == ["reference"] * 3


def test_views_are_values_and_no_calls():
    program = program_of(lambda x: F.exp(x.T.reshape(3, 2)[1:]), numbers(2, 3))
    assert ops(program) == ["exp"]
    value, = program.calls[0].reads()
    assert (value.shape, value.strides, value.offset) == ((2, 2), (1, 3), 1)
    assert value.buffer is program.arguments[0].buffer


def test_a_reshape_that_copies_is_the_copy():
    program = program_of(lambda x: F.exp(x.T.reshape(6)), numbers(2, 3))
    assert ops(program) == ["contiguous", "exp"]


def test_the_same_elements_are_one_value():
    program = program_of(lambda x: x * x + x, numbers(3))
    first, second = program.calls[0].inputs
    assert first is second is program.calls[1].inputs[1]


def test_numbers_stay_numbers():
    program = program_of(lambda x: x * 2.5 + 1, numbers(3))
    assert [c.inputs[1] for c in program.calls] == [2.5, 1]


def test_buffers_have_their_kinds():
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    opt = optim.AdamW(model.parameters())

    def step(x):
        opt.zero_grad()
        y = model(x) * etude.tensor([1.0, 2.0])
        F.sum(y).backward()
        opt.step()
        return y

    program = program_of(step, numbers(4, 3))
    found = kinds(program)
    assert [b.label for b in found["argument"]] == ["x"]
    labels = [b.label for b in found["state"]]
    assert sorted(labels) == ["", "", "", "", "0.bias", "0.weight"]  # two moments of each
    assert len(found["live"]) == 2  # the key of the dropout, the numbers of the step
    assert len(found["result"]) == 3  # y and two gradients
    assert len(program.effects) == 2
    for b in (*found["state"], *found["constant"], *found["live"]):
        assert b.source is not None
    assert len({b.name for b in program.buffers()}) == len([*program.buffers()])


def test_moments_that_begin_in_the_traced_step_are_state_and_are_not_made_again():
    training = labelled(1, 6, 12)
    model = mlp(None)
    opt = optim.Adam(model.parameters())

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    program = program_of(step, *training[0])
    assert "full" not in ops(program)
    assert "contiguous" not in ops(program)
    moments = {id(t.array) for s in opt.state for t in s.values() if isinstance(t, etude.Tensor)}
    assert moments <= {id(b.source) for b in kinds(program)["state"]}


def test_a_copy_that_a_kernel_makes_for_itself_is_no_call(backend):
    with etude.use(backend):
        program = program_of(lambda x: F.softmax(x.T, 0), numbers(2, 3))
    assert ops(program) == ["softmax"]


def test_constants_are_not_computed():
    program = program_of(lambda x: x + etude.zeros(3) + etude.arange(3.0), numbers(3))
    assert ops(program) == ["add", "add"]
    assert [b.source.tolist() for b in kinds(program)["constant"]] == [[0, 0, 0], [0, 1, 2]]


def test_an_event_says_where_it_was_told_to_write():
    seen = []
    x = etude.zeros(3)
    with etude.tap(seen.append), etude.no_grad():
        x.copy_(etude.ones(3))
    last = seen[-1]
    assert last.out is x.array
    assert last.table.taps == (seen.append,)


def test_memory_of_the_traced_call_is_given_back_while_it_runs():
    alive = []

    class Block(nn.Module):
        def forward(self, x):
            for _ in range(5):
                x = F.exp(x * 0.5)
                alive.append(weakref.ref(x.array))
                peak.append(sum(r() is not None for r in alive))
            return x

    peak = []
    with etude.no_grad(), pytest.raises(etude.CaptureError, match="sets a list"):
        etude.capture(Block())(numbers(10))
    assert max(peak) <= 2


def test_nothing_of_the_traced_call_stays_alive_but_its_result():
    seen = []

    def tapped(event):
        seen.extend(weakref.ref(y) for y in event.outputs)

    f = etude.capture(lambda x: F.exp(F.relu(x) * 2))
    y = f(numbers(10))
    gc.collect()
    f2 = etude.capture(lambda x: x)
    f2(y)
    with etude.tap(tapped):
        f(numbers(10))  # as written, since a tap looks on
    gc.collect()
    assert [r() for r in seen] == [None] * 3


def test_nobody_watches_outside_a_trace():
    etude.capture(lambda x: x)(numbers(2))
    assert WATCHER.get() is None
    assert live.live(lambda: [1, 2], np.float64, etude.current()).tolist() == [1, 2]


# ------------------------------------------------------------------ running, reading, editing


def test_the_reference_runs_a_program_on_memory_that_it_is_given():
    program = program_of(lambda x, y: (x @ y, F.relu(x)), numbers(2, 3), numbers(3, 2))
    run = Reference(program)
    x, y = numbers(2, 3, seed=5).array, numbers(3, 2, seed=6).array
    outs = [np.empty(v.shape, v.dtype) for v in program.results]
    for v, a in zip([*program.arguments, *program.results], [x, y, *outs], strict=True):
        run.bind(v.buffer, a)
    run.run()
    assert same(outs, [x @ y, np.maximum(x, 0)])
    other = np.empty((2, 2), np.float32)
    run.bind(program.results[0].buffer, other)
    run.run()
    assert same(other, outs[0])


def test_a_run_says_which_call_failed():
    table = numbers(3, 2)
    program = program_of(lambda x, i: F.embedding(i, table) + F.relu(x), numbers(2, 2),
                         etude.tensor([0, 1]))
    run = Reference(program)
    out = np.empty((2, 2), np.float32)
    bad = np.array([0, 9])
    for v, a in zip([*program.arguments, *program.results], [numbers(2, 2).array, bad, out],
                    strict=True):
        run.bind(v.buffer, a)
    with pytest.raises(IndexError):
        run.run()
    assert program.calls[run.at].op == "embedding"


def test_a_program_reads_as_text():
    model = nn.Linear(3, 2)

    def predict(x):
        return F.relu(model(x))[:, 1:]

    f = etude.capture(predict)
    with etude.no_grad():
        f(numbers(4, 3))
    lines = str(f.program).splitlines()
    assert lines[0] == "program: 2 calls; 1 argument, 2 state, 1 result, 1 temporary"
    assert lines[1:] == [
        "  x0    argument         48 bytes  x",
        "  w1    state            24 bytes  weight",
        "  w2    state             8 bytes  bias",
        "  t3 float32[4, 2] = linear(x0[4, 3], w1[2, 3], w2[2])",
        "  y4 float32[4, 2] = relu(t3[4, 2])",
        "  return y4<1:2,1>"]


def test_a_program_is_drawn():
    model = nn.Linear(3, 2)
    f = etude.capture(lambda x: F.relu(model(x)))
    with etude.no_grad():
        f(numbers(4, 3))
    dot = f.draw().dot
    assert 'label="x [4, 3]"' in dot
    assert 'label="linear\\nweight [2, 3]\\nbias [2]"' in dot
    assert 'label="relu"' in dot
    assert "result" in dot
    assert len(f.draw(limit=2).boxes) <= 2


def test_a_program_may_be_edited_and_put_back():
    f = etude.capture(lambda x: F.relu(x) * 2.0)
    x = etude.tensor([-1.0, 1.0])
    f(x)
    program = f.program
    mul = program.calls[1]
    mul.inputs = (mul.inputs[0], 10.0)
    f.program = program
    assert f(x).tolist() == [0, 10]
    assert isinstance(mul.inputs[0], Value)


def test_there_is_no_program_before_the_first_call():
    f = etude.capture(lambda x: x)
    with pytest.raises(etude.CaptureError, match="call it once"):
        f.program  # noqa: B018 - asking is the test
    with pytest.raises(etude.CaptureError, match="call it once"):
        f.program = None


@pytest.mark.parametrize("memory", [-1, "1GB", float("nan"), True])
def test_a_budget_is_a_number_of_bytes(memory):
    with pytest.raises(ValueError, match="capture: memory must be an integer >= 0"):
        etude.capture(lambda x: x, memory=memory)


def test_only_a_program_may_take_the_place_of_one():
    step = etude.capture(lambda x: x * 2)
    step(etude.ones(1))
    with pytest.raises(TypeError, match=r"a program is a replay\.Program.*got str"):
        step.program = "mul"
    assert step(etude.ones(1)).item() == 2.0
