"""Writes into leaves, and backward noticing those that came too early."""

import numpy as np
import pytest
from leaves import leaf

import etude
from etude import ShapeError, float64
from etude import functional as F

WRITERS = {
    "copy_": lambda t: t.copy_(etude.ones(2, dtype=float64)),
    "a view": lambda t: t[:1].copy_(etude.ones(1, dtype=float64)),
    "a view of a view": lambda t: t.reshape(1, 2)[0, 1:].copy_(etude.ones(1, dtype=float64)),
    "detach": lambda t: t.detach().copy_(etude.ones(2, dtype=float64)),
    "a piece": lambda t: t.split(1)[1].copy_(etude.ones(1, dtype=float64)),
    "an optimiser": lambda t: (np.multiply(t.array, 0.9, out=t.array), t.mark_written()),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_write_after_saving_is_noticed(writer, create_graph):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = (x * y).sum()
    with etude.no_grad():
        WRITERS[writer](x)
    with pytest.raises(RuntimeError, match=r"backward through 'mul': its input 'x' was written "
                                           r"\(by "
                                           r"copy_ or an optimiser\) after it was saved. Call "
                                           r"backward before the step, or clone\(\) it"):
        etude.grad(z, y, create_graph=create_graph)


def test_a_write_is_noticed_by_a_composite_which_computes_anew():
    x = leaf(1.0, 2.0)
    y = F.softmax(x)
    with etude.no_grad():
        x.copy_(etude.ones(2, dtype=float64))
    with pytest.raises(RuntimeError, match="backward through 'softmax': its input 'x' was written"):
        etude.grad(y[0], x, create_graph=True)


def test_a_write_before_the_call_or_to_what_was_not_saved_does_no_harm():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with etude.no_grad():
        x.copy_(y)
    z = (x + y).sum() + (x * y).sum()
    z.backward()
    assert y.grad.tolist() == [4, 5]
    z = (x + y).sum()
    with etude.no_grad():
        x.copy_(y)
    z.backward()


@pytest.mark.parametrize("view", [lambda t: t, lambda t: t[:1], lambda t: t.detach(),
                                  lambda t: t.detach()[0], lambda t: t.split(1)[0]])
def test_results_of_ops_are_not_written(view):
    y = leaf(1.0, 2.0).exp()
    t = view(y)
    with etude.no_grad(), pytest.raises(RuntimeError, match=r"copy_ into the result of 'exp': "
                                                            r"backward "
                                                            r"may need its value. copy_ writes "
                                                            r"into"):
        t.copy_(t)
    with pytest.raises(RuntimeError, match="the result of 'exp' was written; only leaves may be"):
        t.mark_written()


WAYS = [
    "t.data -= t", "t.data[...] = 0", "t.data[0] += 1", "t.data[:1][0] = 1", "t.data = t.data",
    "t.data.fill(0)", "t.data.T[...] = 0", "t.data **= 2", "t.data.sort()", "t.data.put(0, 1)"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [lambda: leaf(2.0, 1.0), lambda: leaf(2.0, 1.0).exp()])
def test_nobody_writes_into_data_and_the_error_says_what_to_write(way, make):
    t = make()
    before = t.tolist()
    with pytest.raises(TypeError, match=r"data .*backward may need the values that are there. To "
                                        r"change a leaf, such as a parameter, write: with "
                                        r"no_grad\(\): p.copy_\(p - y\)"):
        exec(way)
    assert t.tolist() == before
    with pytest.raises(ValueError, match="read-only"):
        np.copyto(t.data, 0)


def test_data_is_the_memory_of_the_tensor_and_what_is_made_of_it_may_be_written():
    t = leaf(1.0, 2.0)
    data = t.data
    assert np.shares_memory(data, t.array)
    copied = data.copy()
    copied -= 1
    copied[0] = 5
    assert (copied.tolist(), t.tolist()) == ([5, 1], [1, 2])
    assert type(data + 1) is type(np.exp(data)) is np.ndarray
    assert type(data.sum()) is np.float64
    again = etude.from_numpy(data)
    assert type(again.array) is np.ndarray
    with pytest.raises(AttributeError, match=r"data is a NumPy array, which has no 'zero_'.*"
                                             r"x.detach\(\).*p.copy_\(y\)"):
        t.data.zero_()


def test_a_copy_into_its_own_memory_reads_all_before_it_writes():
    a = etude.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert a.copy_(a.T).tolist() == [[1, 3], [2, 4]]
    c = etude.arange(8)
    c[::2].copy_(c[:4])
    assert c.tolist() == [0, 1, 1, 3, 2, 5, 3, 7]


def test_what_copy_refuses():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"copy_ into a leaf that requires a gradient: do it "
                                           r"under "
                                           r"no_grad\(\)"):
        x.copy_(x)
    with pytest.raises(RuntimeError, match=r"do it under no_grad\(\)"):
        x.detach().copy_(x)
    t = etude.zeros(2)
    with pytest.raises(ShapeError, match=r"copy_: need float32\[2\], got float64\[2\]"):
        t.copy_(x)
    with pytest.raises(ShapeError, match=r"copy_: need float32\[2\], got float32\[1\]"):
        t.copy_(etude.zeros(1))
    memory = t.array
    assert t.copy_(etude.ones(2)) is t
    assert t.array is memory
    assert t.tolist() == [1, 1]
