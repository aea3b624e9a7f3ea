"""A frozen capture keeps packed weights from call to call: the bits are those of an unfrozen one,
and a weight that was written is packed again.
"""

import threading

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import nn, optim

pytest.importorskip("etude_cpu._glue", reason="NOT RUN: needs etude-cpu", exc_type=ImportError)

from etude.backends.native.replay import Native


def deep():
    """Products with two blocks along k, an odd width and one column. Few rows do not pack."""
    return nn.Sequential(nn.Linear(300, 70), nn.ReLU(), nn.Linear(70, 33), nn.Linear(33, 1))


def images():
    """Convolutions that pack: with a stride, one tap wide, and in groups."""
    return nn.Sequential(nn.Conv2d(3, 20, 3, stride=2, padding=1), nn.BatchNorm2d(20), nn.ReLU(),
                         nn.Conv2d(20, 600, 1), nn.Conv2d(600, 6, 3, stride=2, groups=2),
                         nn.Flatten(), nn.Linear(6 * 9, 5))


def lines():
    """Convolutions along the pixels: of whole vectors, flat, and with lines of 8."""
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 3),
                         nn.Conv2d(16, 8, 3, stride=2, padding=2), nn.Conv2d(8, 8, 3, padding=1))


def given(model, n, dtype="float32"):
    """The model in evaluation, and an input for it."""
    shape = (n, 300) if isinstance(model[0], nn.Linear) else (n, 3, 16, 16)
    x = np.random.default_rng(n).standard_normal(shape)
    return model.to(dtype).eval(), etude.tensor(x.astype(dtype))


def predictor(model, **options):
    """A captured prediction, and the function itself."""

    def predict(x):
        with etude.no_grad():
            return model(x)

    return etude.capture(predict, **options), predict


def bits(t):
    return t.detach().numpy().tobytes()


@pytest.fixture(autouse=True)
def _on_the_kernels():
    etude.manual_seed(0)
    with etude.use("cpu"):
        yield


@pytest.fixture
def threads():
    """Sets the number of threads, for one test."""
    import etude_cpu

    before = etude_cpu.get_num_threads()
    yield etude_cpu.set_num_threads
    etude_cpu.set_num_threads(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 3, 13, 64, 257])
@pytest.mark.parametrize("make", [deep, images, lines])
def test_the_bits_are_those_of_an_unfrozen_call(make, n, dtype):
    model, x = given(make(), n, dtype)
    frozen, predict = predictor(model, freeze=True)
    want = bits(predict(x))
    for _ in range(3):
        assert bits(frozen(x)) == want
    assert frozen.kept_bytes > 0
    assert predictor(model)[0].kept_bytes == 0


@pytest.mark.parametrize("n", [1, 5, 64])
@pytest.mark.parametrize("make", [deep, images, lines])
def test_what_is_kept_serves_any_number_of_threads(make, n, threads):
    model, x = given(make(), n)
    frozen, predict = predictor(model, freeze=True)
    want = bits(predict(x))
    for count in (1, 2, 5, 3, 1):
        threads(count)
        assert bits(frozen(x)) == want


@pytest.mark.parametrize("n", [1, 13])
def test_a_matrix_that_is_wider_than_a_slab_is_not_kept(n):
    wide = etude.tensor(np.random.default_rng(0).standard_normal((70000, 130)).astype(np.float32))
    x = etude.tensor(np.random.default_rng(1).standard_normal((n, 130)).astype(np.float32))
    frozen = etude.capture(lambda x: F.linear(x, wide), freeze=True)
    want = bits(F.linear(x, wide))
    assert bits(frozen(x)) == want == bits(frozen(x))
    assert frozen.kept_bytes == 0


WRITES = {
    "copy_": lambda model, other: _copy(model[0].weight, other[0].weight),
    "an optimiser": lambda model, other: _one_step(model),
    "load_state_dict": lambda model, other: model.load_state_dict(other.state_dict()),
    "another parameter": lambda model, other: setattr(model[0], "weight", other[0].weight),
    "another layer": lambda model, other: setattr(model, "0", other[0]),
    "a captured step": lambda model, other: _one_step(model, etude.capture),
}


def _copy(to, source):
    with etude.no_grad():
        to.copy_(source)


def _one_step(model, wrap=lambda step: step):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    shape = (16, 300) if isinstance(model[0], nn.Linear) else (16, 3, 16, 16)

    @wrap
    def step(x):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()

    for _ in range(3):
        step(etude.ones(*shape))


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("n", [1, 64])
@pytest.mark.parametrize("make", [deep, images])
def test_a_weight_that_was_written_is_packed_again(make, n, write):
    model, x = given(make(), n)
    frozen, predict = predictor(model, freeze=True)
    before = bits(frozen(x))
    WRITES[write](model, make().eval())
    want = bits(predict(x))
    assert want != before
    assert bits(frozen(x)) == want == bits(frozen(x))


def test_a_write_through_numpy_is_seen_after_refreeze():
    model, x = given(deep(), 64)
    frozen, predict = predictor(model, freeze=True)
    frozen(x)
    model[0].weight.detach().array[...] = 0.5
    frozen.refreeze()
    assert bits(frozen(x)) == bits(predict(x))


def test_a_write_into_a_view_of_a_weight_is_seen():
    model, x = given(deep(), 64)
    frozen, predict = predictor(model, freeze=True)
    frozen(x)
    _copy(model[0].weight[3], etude.ones(300))
    assert bits(frozen(x)) == bits(predict(x))


def test_a_weight_computed_from_constants_is_kept_as_well():
    x = etude.tensor(np.random.default_rng(0).standard_normal((64, 40)).astype(np.float32))
    frozen = etude.capture(lambda x: F.linear(x, etude.ones(30, 40) * 0.5), freeze=True)
    want = bits(F.linear(x, etude.ones(30, 40) * 0.5))
    assert bits(frozen(x)) == want == bits(frozen(x))
    assert frozen.kept_bytes > 0


def test_a_weight_that_is_an_argument_is_not_kept():
    frozen = etude.capture(lambda x, w: F.linear(x, w), freeze=True)
    rng = np.random.default_rng(0)
    for _ in range(3):
        x, w = [etude.tensor(rng.standard_normal((64, 64)).astype(np.float32)) for _ in range(2)]
        assert bits(frozen(x, w)) == bits(F.linear(x, w))
    assert frozen.kept_bytes == 0


def test_two_threads_share_one_frozen_function():
    model, x = given(deep(), 64)
    frozen, predict = predictor(model, freeze=True)
    want, found = bits(predict(x)), []

    def work():
        with etude.use("cpu"):
            for _ in range(50):
                found.append(bits(frozen(x)) == want)
                frozen.refreeze()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert len(found) == 100
    assert all(found)


def test_what_is_kept_stays_right_where_dead_memory_is_overwritten():
    model, x = given(images(), 16)
    frozen, predict = predictor(model, freeze=True)
    want = predict(x)
    frozen(x)
    program = frozen.program
    weights = [b for b in program.buffers() if b.kind in ("state", "constant")]
    executor = Native(program, poison=True, frozen=weights)
    y = np.empty(want.shape, np.float32)
    executor.bind(program.arguments[0].buffer, x.array)
    executor.bind(program.results[0].buffer, y)
    for _ in range(3):
        executor.run()
        assert y.tobytes() == bits(want)
    assert executor.kept_bytes > 0


def test_what_the_program_writes_is_never_frozen():
    """An edited program may write what the traced one did not."""
    model, x = given(deep(), 64)
    frozen, _ = predictor(model, freeze=True)
    frozen(x)
    program = frozen.program
    weight = next(v for c in program.calls for v in c.reads() if v.buffer.label == "0.weight")
    double = etude.replay.program.Call("add", (weight, weight), {}, (weight,), "cpu")
    edited = type(program)([*program.calls, double], program.arguments, program.results)
    frozen.program = edited
    first = bits(frozen(x))
    assert bits(frozen(x)) != first  # the weight has doubled, and nothing of it was kept
    plain, _ = predictor(model)
    assert bits(plain(x)) == bits(frozen(x))


def test_memory_goes_with_the_function_and_does_not_grow():
    import gc
    import resource

    model, x = given(nn.Sequential(nn.Linear(300, 1000), nn.Linear(1000, 300)), 64)
    frozen, _ = predictor(model, freeze=True)
    frozen(x)
    kept = frozen.kept_bytes
    assert 2 * 4 * 300 * 1000 <= kept < 1.03 * 2 * 4 * 300 * 1000
    for _ in range(20):
        frozen.refreeze()
        frozen(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(1000):
        frozen.refreeze()
        frozen(x)
    for _ in range(100):
        other, _ = predictor(model, freeze=True)
        other(x)
        other(x)
        del other
        gc.collect()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert frozen.kept_bytes == kept
    assert (after - before) * 1024 < 20 * kept  # a hundred functions that leak would take 100


def test_a_call_that_its_kernel_declines_is_right_between_frozen_ones():
    @etude.implements("relu")
    def relu(x):
        return np.maximum(x, 0)

    model, x = given(deep(), 64)
    frozen, predict = predictor(model, freeze=True)
    column = etude.backends.resolve.resolve(relu)[0]
    with etude.use(column, etude.backends.resolve.resolve("cpu")[0]):
        want = bits(predict(x))
        assert bits(frozen(x)) == want == bits(frozen(x))
        assert frozen.kept_bytes > 0


def test_methods_and_copies_stay_frozen():
    import copy

    class Predictor:
        def __init__(self, model):
            self.model = model

        @lambda f: etude.capture(f, freeze=True)
        def predict(self, x):
            with etude.no_grad():
                return self.model(x)

    model, x = given(deep(), 64)
    one = Predictor(model)
    assert bits(one.predict(x)) == bits(model(x))
    assert one.predict.kept_bytes > 0
    assert copy.deepcopy(one.predict).freeze
