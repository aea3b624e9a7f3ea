"""Taps: what they see of every call, how they nest, and that they leave nothing behind."""

import threading

import numpy as np

import etude
from etude import functional as F
from etude.core.state import DEFAULT, current, tap_everywhere

X = etude.ones(2, 3)
WIDE = etude.ones(2, 3, dtype=etude.float64)


def test_a_tap_sees_every_call_with_what_went_in_and_out(column):
    events = []
    with etude.use(column), etude.tap(events.append):
        F.softmax(X, 1)
        F.softmax(WIDE)
        X.reshape(6)
    a, b, c = events
    assert (a.op, a.column, a.attrs, a.declined) == ("softmax", "mine", {"dim": 1}, ())
    assert a.arrays[0] is X.array
    assert a.outputs[0].shape == (2, 3)
    assert a.seconds > 0
    assert (b.column, b.declined) == ("reference", (("mine", "float64"),))
    assert (c.op, c.column) == ("reshape", "view")


def test_taps_nest_and_close(column):
    first, second = [], []
    with etude.tap(first.append):
        F.exp(X)
        with etude.tap(second.append), etude.use(column):
            F.softmax(X)
        F.log(X)
        with etude.no_grad():
            F.exp(X)
    F.exp(X)
    assert [e.op for e in first] == ["exp", "softmax", "log", "exp"]
    assert [e.op for e in second] == ["softmax"]


def test_a_tap_sees_backward_and_is_the_threads_own():
    x = etude.ones(2, requires_grad=True)
    seen = []
    with etude.tap(seen.append):
        x.exp().sum().backward()
        t = threading.Thread(target=F.tanh, args=(X,))
        t.start()
        t.join()
    names = [e.op for e in seen]
    assert names[:2] == ["exp", "sum"]
    assert "mul" in names
    assert "tanh" not in names


def test_closed_a_tap_leaves_the_table_as_it_was():
    F.exp(X)
    table, entry = current(), current()["exp"]
    with etude.tap(lambda event: None):
        assert current() is not table
        F.exp(X)
    assert current() is table
    assert current()["exp"] is entry


def test_a_tap_sees_the_buffers_given_as_out():
    seen = []
    buffer = np.zeros((2, 3), np.float32)
    with etude.tap(seen.append):
        current()["exp"](X.array, out=buffer)
    assert seen[0].outputs[0] is buffer
    assert "out" not in seen[0].attrs


# ------------------------------------------------------------------ what a tap may have beside


class Notes:
    """A tap that is told more than calls."""

    def __init__(self):
        self.calls, self.batches, self.waits = [], [], []

    def __call__(self, event):
        self.calls.append(event.op)

    def together(self, op, calls, column, seconds):
        self.batches.append((op, [arrays[0].shape for _, arrays, _ in calls], column))
        assert seconds >= 0

    def waited(self, start, end, arrays):
        self.waits.append((end >= start, [a.shape for a in arrays]))


def quick_column():
    """A column that steps all parameters of SGD at once, and must not step one alone."""
    def alone(*arrays, out=None, **attrs):
        raise AssertionError("one by one, though the taps take all at once")

    def together(rows, hyper, **attrs):
        for place, gradient, *_ in rows:
            place -= hyper[0] * gradient
        return []  # none is left to others

    return etude.Column("quick", "cpu", {"sgd_step": alone}, checks=True,
                        steps={"sgd_step": together})


def test_a_step_over_many_parameters_is_told_to_a_tap_that_takes_it():
    from etude.optim import SGD

    a, b = etude.ones(2, requires_grad=True), etude.ones(3, requires_grad=True)
    steps = SGD([a, b], lr=0.5)
    notes = Notes()
    with etude.use(quick_column()):
        (a.sum() + b.sum()).backward()
        with etude.tap(notes):
            steps.step()
    assert notes.batches == [("sgd_step", [(2,), (3,)], "quick")]
    assert "sgd_step" not in notes.calls
    assert a.tolist() == [0.5, 0.5]


def test_waits_for_batches_are_told():
    from etude.data import DataLoader, TensorDataset

    notes = Notes()
    loader = DataLoader(TensorDataset(etude.ones(5, 2)), batch_size=2)
    with etude.tap(notes), etude.tap(lambda event: None):
        list(loader)
    assert notes.waits == [(True, [(2, 2)]), (True, [(2, 2)]), (True, [(1, 2)])]


def test_a_tap_everywhere_is_in_every_thread_and_under_a_default_set_later(column):
    seen = []

    def work():
        F.softmax(X)

    before = DEFAULT.tables["cpu"]
    try:
        with tap_everywhere(seen.append):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            etude.set_default_backend(column)
            work()
            with etude.use("reference"):
                work()
        work()
        assert [e.column for e in seen] == ["reference", "mine", "reference"]
        assert [b.name for b in DEFAULT.tables["cpu"].stack] == ["mine"], "the default holds"
        assert not DEFAULT.tables.taps
        assert not DEFAULT.tables["cpu"].taps
    finally:
        DEFAULT.tables["cpu"] = before
