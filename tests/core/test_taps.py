"""Taps: what they see of every call, how they nest, and that they leave nothing behind."""

import threading

import numpy as np

import etude
from etude import functional as F
from etude.core.state import current

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
