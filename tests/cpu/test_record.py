"""Every native call fills one record; the records of a step, run again, are the step."""

import threading
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import nn, optim
from etude.backends.native import library
from etude.backends.native.record import recording


def step_of(model, optimizer, x, y):
    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@pytest.fixture
def training():
    """A perceptron with AdamW, after a first step, so that the moments are there."""
    etude.manual_seed(0)
    rng = np.random.default_rng(0)
    model = etude.models.mlp(64, 32, 10)
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    x = etude.tensor(rng.normal(size=(32, 64)).astype(np.float32))
    y = etude.tensor(rng.integers(0, 10, 32))
    with etude.use("cpu", strict=True):
        step = step_of(model, optimizer, x, y)
        step()
        yield model, optimizer, step


def memory(model, optimizer):
    """Every array that a step writes over."""
    return [p.array for p in model.parameters()] + [
        t.array for state in optimizer.state_dict()["state"] for t in state.values()
        if isinstance(t, etude.Tensor)]


def test_the_records_of_a_step_in_a_plain_loop_give_the_same_bits(training):
    model, optimizer, step = training
    arrays = memory(model, optimizer)
    assert len(arrays) == 3 * len(list(model.parameters()))
    before = [a.copy() for a in arrays]
    with recording() as records:
        loss = step()
    after = [a.copy() for a in arrays]
    assert any((a != b).any() for a, b in zip(after, before))
    value = loss.item()
    for array, old in zip(arrays, before):
        array[...] = old
    loss.array[...] = np.nan
    for record in records:
        assert library.host().run(record) == 0
    for array, new in zip(arrays, after):
        assert array.tobytes() == new.tobytes()
    assert loss.item() == value


def test_a_second_run_goes_on_from_where_the_first_ended(training):
    model, optimizer, step = training
    arrays = memory(model, optimizer)
    with recording() as records:
        step()
    once = [a.copy() for a in arrays]
    records.run()
    assert any((a != b).any() for a, b in zip(arrays, once))


def test_a_record_says_what_was_called_on_what():
    x, y = np.arange(12.0).reshape(3, 4), np.empty((3, 4))
    with etude.use("cpu"), recording() as records:
        etude.current()["softmax"](x, out=y)
        etude.current()["leaky_relu"](x, negative_slope=0.25, out=y)
    first, second = records
    assert (first.type, first.sizes, first.attributes) == ("rows_f64", (3, 4), ())
    assert first.pointers == (x.ctypes.data, y.ctypes.data)
    assert (second.type, second.sizes, second.attributes) == ("map_f64", (12,), (0.25, 0.0))
    assert first.stream == 0
    assert first.kernel != second.kernel


@pytest.mark.parametrize("op", ["pad", "slice_backward", "scatter_add", "sum", "cat"])
def test_ops_of_several_calls_are_all_in_the_records(op):
    """Constants, first copies and passes between are native calls too."""
    x = np.arange(24.0).reshape(2, 3, 4)
    calls = {
        "pad": ((x,), {"padding": (1, 2), "value": 7.0}),
        "slice_backward": ((x,), {"shape": (2, 3, 9), "index": (
            (None, None, None), (None, None, None), (1, 9, 2))}),
        "scatter_add": ((x, np.zeros((2, 3, 4), np.int64), x), {"dim": 2}),
        "sum": ((x,), {"dim": (0, 2)}),
        "cat": ((x, x + 1), {"dim": 1}),
    }
    arrays, attrs = calls[op]
    want = etude.TABLE[op](*arrays, **attrs)
    with etude.use("cpu", strict=True), recording() as records:
        y = etude.current()[op](*arrays, **attrs)
    assert len(records) >= 2
    y[...] = -1
    records.run()
    np.testing.assert_array_equal(y, want)


def test_records_outlive_the_plans_of_their_calls():
    """Sizes and strides that a kernel reads belong to a plan; forgetting it must not free them."""
    import gc

    from etude.backends.native.geometry import Geometry, Plans

    x = np.arange(24.0).reshape(2, 3, 4)
    with etude.use("cpu", strict=True), recording() as records:
        y = etude.current()["contiguous"](x.transpose(2, 0, 1))
    for plans in [p for p in gc.get_objects() if type(p) is Plans]:
        plans.clear()
    gc.collect()
    assert Geometry.alive[records[0].pointers[2]]
    y[...] = -1
    records.run()
    np.testing.assert_array_equal(y, x.transpose(2, 0, 1))


def test_nothing_is_kept_outside_of_the_block_nor_of_another_thread():
    x = np.ones(4)
    with etude.use("cpu"):
        table = etude.current()
        with recording() as records:
            table["exp"](x)
            t = threading.Thread(target=table["exp"], args=(x,))
            t.start()
            t.join()
        table["exp"](x)
    assert [r.type for r in records] == ["map_f64"]


def test_without_the_glue_the_records_are_the_same(monkeypatch, tmp_path):
    glue = pytest.importorskip("etude_cpu.glue")
    kernels = Path(glue.COMPILED).parent / "libetude_cpu_portable.so"
    x = np.arange(6.0).reshape(2, 3)
    found = {}
    for mode, host in (("glue", library.host), ("abi", library.abi_host)):
        monkeypatch.setattr(library, "host", host)
        monkeypatch.setattr("etude.backends.native.record.host", host)
        column = etude.Column("mine", "cpu", library.open_library(kernels), checks=True)
        with etude.use(column, strict=True), recording() as records:
            y = etude.current()["softmax"](x)
            etude.current()["contiguous"](x.T)
        found[mode] = [(r.type, r.sizes, r.attributes, len(r.pointers)) for r in records]
        want = y.copy()
        y[...] = 0
        records.run()
        np.testing.assert_array_equal(y, want)
    assert found["glue"] == found["abi"]
    assert len(found["glue"]) == 2
