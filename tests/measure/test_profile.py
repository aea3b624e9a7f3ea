"""etude.profile: what ran, in which phase, on which line, and where the rest of the time was."""

import contextlib
import inspect
import json
import math
import threading
import time

import numpy as np
import pytest

import etude
from etude import data, models, optim
from etude import functional as F
from etude.core.array import DeviceArray
from etude.measure import Span
from etude.measure.profile import sums
from etude.measure.profile import watch as watching
from etude.measure.profile.sums import OUTSIDE

pytestmark = pytest.mark.usefixtures("known")


def line():
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture
def network():
    etude.manual_seed(0)
    model = models.mlp(8, 6, 3)
    rng = np.random.default_rng(0)
    x = etude.tensor(rng.standard_normal((5, 8)).astype(np.float32))
    return model, optim.AdamW(model.parameters(), lr=0.01), x, etude.tensor(rng.integers(0, 3, 5))


def train(network, times=1):
    model, steps, x, y = network
    for _ in range(times):
        loss = F.cross_entropy(model(x), y)
        steps.zero_grad()
        loss.backward()
        steps.step()
    return loss


def rows(p, **wanted):
    return [r for r in p.rows() if all(getattr(r, k) == v for k, v in wanted.items())]


# ------------------------------------------------------------------ ops


def test_calls_cost_and_results_of_an_op_are_told():
    x, w = etude.ones(5, 3), etude.ones(4, 3)
    with etude.profile() as p:
        for _ in range(3):
            F.linear(x, w)
        F.linear(etude.ones(7, 3), w)
        F.exp(x.double())
    (linear,) = rows(p, op="linear")
    assert (linear.phase, linear.dtype, linear.column) == ("forward", "float32", "reference")
    assert linear.calls == 4
    assert linear.flops == 2 * 4 * 3 * (3 * 5 + 7)
    assert linear.bytes == 4 * (3 * (15 + 12 + 20) + (21 + 12 + 28))
    assert linear.made == 4 * (3 * 20 + 28)
    assert linear.seconds > 0
    assert rows(p, op="exp")[0].dtype == "float64"


def test_the_share_of_the_roof_is_that_of_the_slower_of_computing_and_moving(known):
    x = etude.ones(1000)
    with etude.profile() as p:
        F.exp(x)
        etude.ones(200, 200) @ etude.ones(200, 200)
    peak = known.peaks[0]
    exp, = rows(p, op="exp")
    assert exp.least == pytest.approx(8000 / peak.bandwidth)
    matmul, = rows(p, op="matmul")
    assert matmul.least == pytest.approx(2 * 200**3 / peak.float32)
    assert matmul.of_roof == pytest.approx(matmul.least / matmul.seconds)


def test_float64_is_held_against_the_peak_of_float64(known):
    a = etude.ones(200, 200, dtype=etude.float64)
    with etude.profile() as p:
        a @ a
    assert rows(p, op="matmul")[0].least == pytest.approx(2 * 200**3 / known.peaks[0].float64)


def test_of_a_column_on_another_device_no_roof_is_told():
    def exp(x, *, out=None):
        return x

    moon = etude.Column("moonshine", "moon", {"exp": exp}, checks=True, upload=upload)
    with etude.use(moon), etude.profile() as p:
        F.exp(etude.ones(3).to("moon"))
    row, = rows(p, column="moonshine")
    assert row.of_roof is None
    assert p.dots() == []
    assert "Of moonshine, on another device, no roof is known" in p.table()
    assert p.json()["ops"][0]["of_roof"] is None


def upload(x):
    return DeviceArray(x.copy(), "moon", x.shape, x.dtype)


def test_numbers_among_the_operands_do_not_tell_calls_apart():
    x = etude.ones(4)
    with etude.profile() as p:
        for k in range(5):
            x * (0.1 * k)
    assert len(p.sums.work) == 1
    assert rows(p, op="mul")[0].calls == 5


def test_a_copy_inside_of_reshape_is_counted_once():
    x = etude.ones(300, 300).T
    with etude.profile() as p:
        x.reshape(90_000)
    inside = sum(r.seconds for r in p.rows())
    copy, whole = p.slices()
    assert (copy.call.op, whole.call.op) == ("contiguous", "reshape")
    assert inside == pytest.approx(copy.seconds + whole.call.end - whole.call.free)
    assert inside < whole.seconds
    assert rows(p, op="contiguous")[0].made == 360_000


# ------------------------------------------------------------------ phases


@pytest.mark.parametrize("columns", ["reference", "mine"])
def test_phases_follow_from_who_called(network, columns):
    @etude.implements("relu")
    def mine(x):
        return np.maximum(x, 0)

    with etude.use(mine if columns == "mine" else "reference"), etude.profile() as p:
        train(network, 3)
    assert {r.op for r in rows(p, phase="forward")} >= {"linear", "relu", "cross_entropy"}
    assert {r.op for r in rows(p, phase="backward")} >= {"matmul", "relu_backward"}
    assert {r.op for r in rows(p, phase="optimiser")} == {"adamw_step", "full"}
    assert p.sums.steps == 3
    relu, = rows(p, op="relu")
    assert relu.column == ("mine" if columns == "mine" else "reference")
    assert p.numbers().step > 0


def test_what_a_closure_computes_is_no_work_of_the_optimiser(network):
    model, steps, x, y = network

    def closure():
        loss = F.cross_entropy(model(x), y)
        steps.zero_grad()
        loss.backward()
        return loss

    with etude.profile() as p:
        steps.step(closure)
    assert {r.op for r in rows(p, phase="optimiser")} == {"adamw_step", "full"}
    assert rows(p, op="linear", phase="forward")
    assert rows(p, op="matmul", phase="backward")


def test_a_gradient_rule_of_the_users_own_is_backward():
    @etude.op("map", saves="x", flops=1)
    def twice_as_much(x):
        """y = 2 x, elementwise."""
        return x + x

    @twice_as_much.gradient
    def rule(F, grad, x, *, needs):
        return F.add(grad, grad)

    try:
        x = etude.ones(3, requires_grad=True)
        with etude.profile() as p:
            etude.twice_as_much(x).sum().backward()
    finally:
        del etude.TABLE["twice_as_much"]
    assert rows(p, op="add", phase="backward")


def test_a_step_over_all_parameters_at_once_stays_one_call(network):
    calls = []

    def together(rows, hyper, **attrs):
        calls.append(len(rows))
        for row in rows:
            place, _, *moments = row
            made = etude.TABLE["adamw_step"].reference(*row, hyper, **attrs)
            for array, new in zip((place, *moments), made, strict=True):
                array[...] = new
        return []  # none is left to others

    def step(p, g, m, v, hyper, *, out=None, **attrs):
        raise AssertionError("one by one, though there is a way for all")

    column = etude.Column("quick", "cpu", {"adamw_step": step}, checks=True,
                          steps={"adamw_step": together})
    with etude.use(column), etude.profile() as p:
        train(network)
    assert calls == [4]
    row, = rows(p, op="adamw_step")
    assert (row.calls, row.column) == (1, "quick")
    one, hyper = etude.Spec((1,), etude.float32), etude.Spec((7,), etude.float64)
    each = etude.TABLE["adamw_step"].flops(one, one, one, one, hyper)
    assert row.flops == each * sum(q.numel() for q in network[0].parameters())


def test_a_tap_that_wants_every_call_gets_every_call_beside_a_profile(network):
    def step(*arrays, out=None):
        for array, new in zip(out, etude.TABLE["adamw_step"].reference(*arrays), strict=True):
            array[...] = new
        return out

    def together(rows, hyper):
        raise AssertionError("together, though a tap wants to see every call")

    column = etude.Column("quick", "cpu", {"adamw_step": step}, checks=True,
                          steps={"adamw_step": together})
    events = []
    with etude.use(column), etude.profile() as p, etude.tap(events.append):
        train(network)
    assert [e.op for e in events].count("adamw_step") == 4
    assert rows(p, op="adamw_step")[0].calls == 4


def test_a_captured_program_is_one_call_that_costs_what_its_ops_cost():
    """Written as ``replay/`` will tell it: many calls of different ops in one native call."""
    x, w = etude.ones(5, 3).array, etude.ones(4, 3).array
    calls = [("linear", (x, w), {}), ("exp", (x,), {}), ("mul", (x, 2.0), {})]
    text = ("def run(tap):\n    sleep(0.002)\n    tap.together('step', calls, 'cpu', 0.001)\n")
    space = {"calls": calls, "sleep": time.sleep}
    exec(compile(text, f"{sums.PACKAGE}replay/made.py", "exec"), space)
    with etude.profile() as p:
        space["run"](p.watch)
    row, = p.rows()
    assert (row.phase, row.op, row.calls) == ("captured", "step", 1)
    assert row.seconds == pytest.approx(0.001)
    assert row.flops == 2 * 5 * 4 * 3 + 15 + 15
    assert row.bytes == 4 * (15 + 12 + 20 + 2 * 15 + 2 * 15)


def test_steps_that_are_replayed_are_counted_as_steps(network):
    model, _, x, _ = network
    step = etude.capture(lambda: train(network))
    predict = etude.capture(lambda x: model(x))
    for _ in range(2):
        step(), predict(x)
    with etude.profile() as p:
        for _ in range(3):
            step()
            predict(x)
    assert p.sums.steps == 3
    assert p.numbers().step > 0


# ------------------------------------------------------------------ data


def batches(workers=0, transform=None):
    images = etude.tensor(np.ones((12, 2), np.float32))
    return data.DataLoader(data.TensorDataset(images), batch_size=4, workers=workers,
                           transform=transform)


@pytest.mark.parametrize("workers", [0, 2])
def test_time_that_waits_for_a_slow_transform_is_time_of_data(workers):
    def slow(x, rng):
        time.sleep(0.02)
        return x

    with etude.profile() as p:
        at = line() + 1
        for x, in batches(workers, slow):
            F.exp(x)
    found = p.parts()["data"]
    assert found.seconds + found.python > 0.015
    assert p.numbers().waiting > 0.1
    assert any(place.number == at and spent.python > 0.01 for place, spent in p.lines())


def test_ops_of_a_transform_are_data_and_counted_once():
    def transform(x, rng):
        return F.exp(etude.tensor(x)).numpy()

    with etude.profile() as p:
        for x, in batches(0, transform):
            F.log(x)
            time.sleep(0.01)
    assert rows(p, op="exp")[0].phase == "data"
    assert rows(p, op="log")[0].phase == "forward"
    parts = p.parts()
    told = sum(s.seconds + s.python for s in parts.values())
    assert told == pytest.approx(p.span.wall, rel=0.05)
    assert parts[OUTSIDE].python > 0.02, "sleeping in the loop is not waiting for data"


def test_ops_of_the_threads_of_a_loader_are_told_and_are_no_time_of_the_program():
    def transform(x, rng):
        return F.exp(etude.tensor(x)).numpy()

    with etude.profile() as p:
        list(batches(2, transform))
    assert rows(p, op="exp")[0].calls == 3
    assert p.sums.elsewhere > 0
    assert p.parts()["data"].seconds == 0
    assert "Other threads were in ops for " in " ".join(p.table().split())


# ------------------------------------------------------------------ the rest of the time


def test_python_between_ops_is_told_on_the_way_to_the_next():
    x = etude.ones(3)
    with etude.profile() as p:
        F.exp(x)
        time.sleep(0.03)
        at = line() + 1
        F.log(x)
    (place, spent), *_ = p.lines()
    assert place.number == at
    assert place.file == __file__
    assert spent.python > 0.025
    assert spent.seconds < 0.025
    assert p.parts()["forward"].python > 0.025


def test_the_parts_make_up_the_whole(network):
    with etude.profile() as p:
        train(network, 30)
    parts = p.parts()
    assert list(parts) == ["forward", "backward", "optimiser", OUTSIDE, "watching"]
    told = sum(s.seconds + s.python for s in parts.values())
    assert told == pytest.approx(p.span.wall)
    assert all(s.seconds >= 0 and s.python >= 0 for s in parts.values())


def test_lines_are_the_users_own_though_a_layer_called_the_op(network):
    with etude.profile() as p:
        train(network)
    source = inspect.getsource(train).splitlines()
    begins = inspect.getsourcelines(train)[1]
    found = {place.number - begins: place.function for place, _ in p.lines()}
    told = [source[n].strip() for n in sorted(found)]
    assert told == ["loss = F.cross_entropy(model(x), y)", "loss.backward()", "steps.step()"]
    assert set(found.values()) == {"train"}


def test_calls_beyond_what_is_kept_are_added_up_and_leave_no_tuples(network, monkeypatch):
    monkeypatch.setattr(watching, "FOLD", 10)
    with etude.profile() as p:
        train(network, 5)
        assert len(p.watch.calls) < 10
    assert rows(p, op="relu")[0].calls == 5
    told = sum(s.seconds + s.python for s in p.parts().values())
    assert told == pytest.approx(p.span.wall, rel=0.05)


def test_it_may_be_asked_inside_the_block():
    with etude.profile() as p:
        etude.exp(etude.ones(3))
        assert rows(p, op="exp")[0].calls == 1
        etude.exp(etude.ones(3))
    assert rows(p, op="exp")[0].calls == 2


def test_an_error_comes_through_and_what_ran_is_told():
    def work():
        F.exp(etude.ones(3))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), etude.profile() as p:
        work()
    F.exp(etude.ones(3))
    assert rows(p, op="exp")[0].calls == 1


def test_profiles_nest_and_see_blocks_of_use_inside(column):
    with etude.profile() as outer:
        with etude.profile() as inner, etude.use(column):
            F.softmax(etude.ones(2, 3))
        F.exp(etude.ones(3))
    assert [r.column for r in rows(inner, op="softmax")] == ["mine"]
    assert {r.op for r in outer.rows()} >= {"softmax", "exp"}
    assert not rows(inner, op="exp")


# ------------------------------------------------------------------ memory


def test_memory_that_is_alive_is_that_of_arrays_somebody_holds():
    with etude.profile() as p:
        before = p.watch.live
        kept = F.exp(etude.zeros(1000, 1000))
        assert p.watch.live - before == 4_000_000, "the zeros are gone"
        view = kept.reshape(100, 10_000)[3:4]
        del kept
        assert p.watch.live - before == 4_000_000, "a view holds all of it"
        del view
        assert p.watch.live == before
        assert p.watch.most_live - before == 8_000_000


def test_arrays_from_before_and_batches_of_a_loader_are_alive_too():
    big = etude.zeros(1000, 500)
    with etude.profile() as p:
        assert p.memory[0].live >= 2_000_000
        before = p.watch.live
        images = np.ones((4, 1000, 100), np.float32)
        for _ in data.DataLoader(data.TensorDataset(etude.tensor(images)), batch_size=2):
            assert p.watch.live - before >= 800_000
    del big


def test_the_memory_of_the_process_is_told_where_the_system_tells():
    with etude.profile() as p:
        F.exp(etude.zeros(100))
    n = p.numbers()
    if watching.resident():
        assert n.reserved >= n.before > 1e6
    assert len(p.memory) >= 2


def test_a_system_that_does_not_tell_what_a_process_holds_leaves_it_open(monkeypatch):
    monkeypatch.setattr(watching, "resident", lambda: 0)
    monkeypatch.setattr("etude.measure.profile.report.most_resident", lambda: 0)
    with etude.profile() as p:
        F.exp(etude.zeros(100_000))
    line, = [x for x in p.table().splitlines() if x.startswith("  memory ")]
    assert line.split()[1] == "?"
    assert line.endswith("and this system does not say what the process holds")


def test_looks_at_the_memory_are_thinned_out(monkeypatch):
    monkeypatch.setattr(watching, "MOST", 8)
    with etude.profile() as p:
        for _ in range(100):
            p.watch.look(time.perf_counter())
        assert len(p.memory) < 8


# ------------------------------------------------------------------ the four numbers


def test_the_four_numbers_are_made_of_what_was_measured(known, network):
    with etude.profile() as p:
        train(network, 20)
    n, wall = p.numbers(), p.span.wall
    told = p.rows(views=False)
    assert n.achieved == pytest.approx(sum(r.flops for r in told) / wall)
    assert n.of_peak == pytest.approx(n.achieved / known.peaks[0].float32, rel=1e-6)
    assert n.of_roof == pytest.approx(sum(r.least for r in told) / sum(r.seconds for r in told))
    assert n.busy == pytest.approx(p.span.cpu / wall / n.cores)
    assert 0 < n.inside_ops < 1
    assert n.waiting == 0
    assert 0 < n.watching < 1


def test_a_profile_of_nothing_says_so_in_every_form(tmp_path):
    with etude.profile("silence") as p:
        pass
    told = "Nothing of Etude ran in silence: no op was called."
    assert str(p) == told
    assert told in p._repr_html_()
    p.html(tmp_path / "p.html")
    assert told in (tmp_path / "p.html").read_text()
    assert p.json()["ops"] == []
    p.trace(tmp_path / "t.json")
    p.flame(tmp_path / "f.svg")


def test_other_threads_of_the_users_are_no_part_of_a_block():
    def work():
        F.exp(etude.ones(3))

    with etude.profile() as p:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert p.empty, "as with every tap"


# ------------------------------------------------------------------ as text


def test_the_table_has_the_numbers_the_phases_the_ops_and_the_lines(network):
    with etude.profile("a test") as p:
        train(network, 2)
    text = p.table()
    first = text.splitlines()[0]
    assert first.startswith("Profile of a test: ")
    assert "2 steps of" in first
    with etude.profile() as p:
        train(network)
    assert ", 1 step, " in p.table()
    for word in ("busy", "achieved", "memory", "data", "forward", "backward", "optimiser",
                 "profiling", "adamw_step", "cross_entropy", "loss.backward()", "Roof:"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 115
    assert text.isascii()
    short = p.table(ops=2, lines=1)
    assert "more: " in short
    assert len(short) < len(text)


def test_a_busy_machine_is_told_first(network, monkeypatch):
    with etude.profile() as p:
        train(network)
    monkeypatch.setattr(Span, "busy", "others had its cores")
    second = p.table().split("\n\n")[1]
    assert second == "Times say little, for this machine was busy: others had its cores."
    assert second in p._repr_html_()


def test_json_has_all_of_it(network):
    with etude.profile() as p:
        train(network, 2)
    found = json.loads(json.dumps(p.json()))
    assert {op["op"] for op in found["ops"]} >= {"linear", "adamw_step"}
    assert found["numbers"]["steps"] == 2
    assert found["parts"]["backward"]["calls"] > 0
    assert found["lines"][0]["file"] == __file__
    assert found["peaks"]["peaks"][0]["float64_by"] == "etude-cpu"
    assert all(math.isfinite(v) for v in found["numbers"].values() if isinstance(v, float))


def test_a_profile_takes_no_memory_of_the_results_it_saw(network):
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(etude.profile())
        before = p.watch.live
        for _ in range(5):
            F.exp(etude.zeros(1000, 100))
        assert p.watch.live == before
