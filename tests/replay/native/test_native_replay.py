"""A program bound once and run in one native call gives the bits of the eager step."""

import threading

import numpy as np
import pytest
from watched import step_program, watch

import etude
from etude import optim
from etude.nn import functional as F
from etude.replay.passes import optimised

pytest.importorskip("etude_cpu._glue", reason="NOT RUN: needs etude-cpu", exc_type=ImportError)

from etude.backends.native.replay import Native, takes


class Step:
    """A training step: its program after a first one, its memory, and the eager step itself."""

    def __init__(self, model, x, y, loss=lambda m, x, y: F.cross_entropy(m(x), y), backend="cpu"):
        self.x, self.y, self.backend = x, y, backend
        self.optimizer = optim.AdamW(model.parameters(), lr=1e-2)
        self.program, self.hyper, self.state, self.eager = step_program(
            model, self.optimizer, loss, x, y, backend=backend)

    def memory(self):
        return [t.array.copy() for t in self.state]

    def restore(self, memory):
        for t, a in zip(self.state, memory, strict=True):
            t.array[...] = a

    def executor(self, program, **options):
        with etude.use(self.backend):
            executor = Native(program, **options)
        for v, t in zip(program.arguments, (self.x, self.y), strict=True):
            executor.bind(v.buffer, t.array)
        result = program.results[0]
        loss = np.empty(result.shape, result.dtype)
        executor.bind(result.buffer, loss)
        return executor, loss

    def hyper_of(self, count):
        group = self.optimizer.param_groups[0]
        for a in self.hyper:
            a[...] = self.optimizer.hyper(group, count)

    def compare(self, program, steps=2, **options):
        """Eager steps, then as many runs from where they began: all memory and all losses."""
        before, count = self.memory(), self.optimizer.state[0]["step"]
        want = []
        with etude.use(self.backend):
            want = [self.eager().item() for _ in range(steps)]
        after = self.memory()
        self.restore(before)
        executor, loss = self.executor(program, **options)
        got = []
        for i in range(steps):
            self.hyper_of(count + 1 + i)
            with etude.use(self.backend):
                executor.run()
            got.append(loss.item())
        assert got == want
        for a, t in zip(after, self.state, strict=True):
            assert a.tobytes() == t.array.tobytes()
        return executor


def digits(*shape, classes=10):
    rng = np.random.default_rng(1)
    return (etude.tensor(rng.normal(size=shape).astype(np.float32)),
            etude.tensor(rng.integers(0, classes, shape[0])))


def perceptron(backend="cpu"):
    etude.manual_seed(0)
    return Step(etude.models.mlp(64, 32, 10), *digits(32, 64), backend=backend)


def convolutions():
    etude.manual_seed(0)
    model = etude.nn.Sequential(
        etude.nn.Conv2d(3, 8, 3, padding=1), etude.nn.BatchNorm2d(8), etude.nn.ReLU(),
        etude.nn.MaxPool2d(2), etude.nn.Flatten(), etude.nn.Linear(8 * 16, 10))
    return Step(model, *digits(8, 3, 8, 8))


def attention():
    etude.manual_seed(0)
    model = etude.models.gpt(11, 16, 2, 2, 32)
    rng = np.random.default_rng(2)
    x, y = [etude.tensor(rng.integers(0, 11, (4, 16))) for _ in range(2)]
    return Step(model, x, y,
                lambda m, x, y: F.cross_entropy(m(x).reshape(-1, 11), y.reshape(-1)))


@pytest.mark.parametrize("make", [perceptron, convolutions, attention])
@pytest.mark.parametrize("passes", [False, True], ids=["as traced", "after the passes"])
def test_steps_have_the_bits_of_eager_ones(make, passes):
    step = make()
    program = optimised(step.program) if passes else step.program
    executor = step.compare(program)
    assert len(executor._stretches) == 1  # one native call


@pytest.mark.parametrize("make", [perceptron, convolutions, attention])
def test_no_call_reads_memory_that_the_plan_has_given_away(make):
    step = make()
    step.compare(optimised(step.program), poison=True)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_bits_do_not_depend_on_the_number_of_threads(count):
    import etude_cpu

    step, before = convolutions(), etude_cpu.get_num_threads()
    etude_cpu.set_num_threads(1)
    with etude.use("cpu"):
        memory = step.memory()
        executor, loss = step.executor(step.program)
        executor.run()
    want = loss.item(), step.memory()
    step.restore(memory)
    etude_cpu.set_num_threads(count)
    try:
        executor.run()
    finally:
        etude_cpu.set_num_threads(before)
    assert loss.item() == want[0]
    assert [a.tobytes() for a in step.memory()] == [a.tobytes() for a in want[1]]


def test_copies_for_kernels_lie_in_the_arena():
    """Attention asks for contiguous heads; binding it takes no more than the plan says."""
    import tracemalloc

    step = attention()
    step.executor(step.program)  # plans of its ops are kept
    tracemalloc.start()
    try:
        executor, _ = step.executor(step.program)
        kept, _ = tracemalloc.get_traced_memory()
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    copies = snapshot.filter_traces([tracemalloc.Filter(True, "*/native/copies.py")])
    assert sum(trace.size for trace in copies.traces) < 1000
    assert executor.plan.size < kept


def test_lasting_results_lie_in_the_arena_until_the_end():
    step = perceptron()
    (result,) = step.program.results
    executor, loss = step.executor(step.program, lasting=[result.buffer])
    place = executor.lent(result.buffer)
    assert place.nbytes == result.buffer.nbytes
    assert executor.lent(step.program.arguments[0].buffer) is None
    executor.bind(result.buffer, place.view(np.float32).reshape(result.shape))
    before = step.memory()
    executor.run()
    got = place.view(np.float32).item()
    step.restore(before)
    other, loss = step.executor(step.program)
    other.run()
    assert got == loss.item()


def test_a_run_allocates_no_array():
    import tracemalloc

    step = perceptron()
    executor, _ = step.executor(step.program)
    executor.run()
    tracemalloc.start()
    executor.run()
    made = tracemalloc.take_snapshot().filter_traces(
        [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)])
    tracemalloc.stop()
    assert sum(t.size for t in made.traces) == 0


def test_another_argument_is_read_once_it_is_bound():
    x = etude.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    program, _, _ = watch(lambda: (x * 2.0 + 1.0,), [x])
    with etude.use("cpu"):
        executor = Native(program)
    for k in range(3):
        given, y = np.full((2, 3), k, np.float32), np.empty((2, 3), np.float32)
        executor.bind(program.arguments[0].buffer, given)
        executor.bind(program.results[0].buffer, y)
        executor.run()
        np.testing.assert_array_equal(y, given * 2 + 1)


def test_a_call_that_no_kernel_takes_runs_in_python_between_native_stretches():
    @etude.implements("tanh")
    def tanh(x):
        return np.tanh(x)

    x = etude.tensor(np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4))
    column = etude.backends.resolve.resolve(tanh)[0]
    cpu = etude.backends.resolve.resolve("cpu")[0]
    with etude.use(column, cpu):
        program, (want,), _ = watch_here(lambda: etude.exp(etude.tanh(x * 2.0)), x)
        executor = Native(program)
        y = np.empty((3, 4), np.float32)
        executor.bind(program.arguments[0].buffer, x.array)
        executor.bind(program.results[0].buffer, y)
        executor.run()
    assert [s.native for s in executor._stretches] == [True, False, True]
    assert y.tobytes() == want.array.tobytes()


def watch_here(fn, *arguments):
    """``watch`` under the columns in use."""
    from watched import _Watched

    events = []
    with etude.tap(events.append):
        result = fn()
    return _Watched(events, arguments, (), (result,)).program()


def test_copies_that_a_kernel_needs_are_part_of_the_program():
    x = etude.tensor(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    program, (want,), _ = watch(lambda: (F.softmax(x, dim=1),), [x])
    with etude.use("cpu"):
        executor = Native(program)
    y = np.empty(want.shape, np.float32)
    executor.bind(program.results[0].buffer, y)
    given = x.array.copy()
    executor.bind(program.arguments[0].buffer, given)
    executor.run()
    assert y.tobytes() == want.array.tobytes()
    given[...] = 0
    executor.run()
    np.testing.assert_allclose(y, 1 / 3, rtol=1e-6)


def test_a_kernel_that_fails_is_named_by_what_the_reference_says():
    table = etude.tensor(np.eye(4, dtype=np.float32))
    index = etude.tensor(np.array([0, 1, 2]))
    program, _, _ = watch(lambda: (F.embedding(index, table) + 1.0,), [index], [table])
    with etude.use("cpu"):
        executor = Native(program)
        y = np.empty((3, 4), np.float32)
        executor.bind(program.results[0].buffer, y)
        executor.bind(program.arguments[0].buffer, np.array([0, 1, 9]))
        with pytest.raises(IndexError, match="9"):
            executor.run()
        assert program.calls[executor.at].op == "embedding"


def test_two_threads_run_two_programs_at_once():
    steps = [perceptron(), perceptron()]
    wanted = []
    for step in steps:
        before = step.memory()
        executor, loss = step.executor(step.program)
        for _ in range(50):
            executor.run()
        wanted.append((loss.item(), step.memory()))
        step.restore(before)
    runs = [step.executor(step.program) for step in steps]
    start = threading.Barrier(2)

    def work(executor):
        start.wait()
        for _ in range(50):
            executor.run()

    threads = [threading.Thread(target=work, args=(executor,)) for executor, _ in runs]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for step, (_, loss), (want, memory) in zip(steps, runs, wanted, strict=True):
        assert loss.item() == want
        assert [a.tobytes() for a in step.memory()] == [a.tobytes() for a in memory]


def test_where_the_glue_is_missing_a_loop_runs_the_records(monkeypatch):
    from pathlib import Path

    from etude.backends.native import library
    from etude_cpu import glue

    kernels = sorted(Path(glue.COMPILED).parent.glob("libetude_cpu_*.so"))[-1]  # portable, if built
    monkeypatch.setattr(library, "host", library.abi_host)
    column = etude.Column("mine", "cpu", library.open_library(kernels), checks=True)
    step = perceptron(column)
    step.compare(step.program)


def test_a_stack_without_kernels_is_not_for_this_executor():
    x = etude.tensor(np.ones(3, np.float32))
    program, _, _ = watch(lambda: (x + 1.0,), [x], backend="reference")
    with etude.use("reference"):
        assert not takes(program)
    with etude.use("cpu"):
        assert takes(program)
