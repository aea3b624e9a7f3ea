"""What a column may return: its shape and dtype, out=, memory of its own; columns made by hand."""

import numpy as np
import pytest

import etude
from etude import BackendError, Column, ops
from etude import functional as F
from etude.core.state import current


class Lazy(np.ndarray):
    """What computes only when somebody looks."""


X = etude.ones(2, 3)


# ---------------------------------------------------------------------------- what a column returns


@pytest.mark.parametrize(("answer", "words"), [
    (lambda x: x[0], r"column 'wrong': exp returned y as float32\[3\], but the op's shape rule "
                     r"says "
                     r"float32\[2, 3\]"),
    (lambda x: x.astype(float), r"exp returned y as float64\[2, 3\], but .* says float32\[2, 3\]"),
    (lambda x: x.sum(), r"exp returned y as float32\[\]"),
    (lambda x: (x,), r"column 'wrong': exp must return one array, got a tuple of 1"),
    (lambda x: None, r"exp returned None: is there a return"),
    (lambda x: x.tolist(), r"exp returned y as float64\[2, 3\]"),
])
def test_a_result_of_the_wrong_shape_or_dtype(answer, words):
    @etude.implements("exp")
    def wrong(x):
        return answer(x)

    with etude.use(wrong), pytest.raises(BackendError, match=words):
        F.exp(X)


@pytest.mark.parametrize("answer", [lambda x: x, lambda x: (x,), lambda x: (x, x, x, x)])
def test_hidden_outputs_must_be_returned(answer):
    @etude.implements("layer_norm")
    def wrong(x, *rest, **attrs):
        return answer(x)

    with etude.use(wrong), pytest.raises(BackendError, match=r"column 'wrong': layer_norm must "
                                                             r"return a "
                                                             r"tuple of 3 arrays \(y, mean, "
                                                             r"rstd\)"):
        F.layer_norm(X, 3)


def test_a_column_sees_no_call_that_the_op_refuses(column, calls):
    with etude.use(column):
        with pytest.raises(etude.AxisError, match="softmax: dim=7 is outside"):
            F.softmax(X, 7)
        with pytest.raises(TypeError, match="softmax: axis is called dim here"):
            F.softmax(X, axis=0)
    assert calls == []


def test_out_is_given_to_those_who_take_it_and_filled_for_the_others():
    @etude.implements("exp")
    def plain(x):
        return np.exp(x)

    @etude.implements("exp")
    def takes(x, out=None):
        return np.exp(x, out=out)

    @etude.implements("exp")
    def ignores(x, out=None):
        return np.exp(x)

    for mine in (plain, takes):
        with etude.use(mine):
            buffer = np.zeros((2, 3), np.float32)
            assert current()["exp"](X.array, out=buffer) is buffer
            assert np.allclose(buffer, np.e)
    with etude.use(ignores), pytest.raises(BackendError, match="column 'ignores': exp did not "
                                                               "return the "
                                                               "buffers it was given as out="):
        current()["exp"](X.array, out=np.zeros((2, 3), np.float32))


def test_several_outputs_go_into_several_buffers():
    @etude.implements("sgd_step")
    def step(p, g, v, hyper):
        return ops.sgd_step(p, g, v, hyper)

    for columns in ((step,), ("reference",)):
        with etude.use(*columns):
            p, v = np.ones(2), np.zeros(2)
            out = current()["sgd_step"](p, np.ones(2), v, np.array([0.5, 0.0, 0.0]), out=(p, v))
            assert out[0] is p
            assert (p.tolist(), v.tolist()) == ([0.5, 0.5], [1, 1])


def test_a_column_that_writes_into_its_input_is_stopped():
    def hasty(x, *, dim=-1, out=None):
        x -= x.max()
        return np.exp(x)

    x = etude.tensor([1.0, 2.0])
    with etude.use(Column("hasty", "cpu", {"softmax": hasty})), pytest.raises(
            BackendError, match=r"column 'hasty': softmax writes into one of its inputs\."):
        F.softmax(x, dim=0)
    assert x.tolist() == [1, 2]


# ------------------------------------------------------------------ memory of its own


def kept(shape, view):
    """A function that writes each result into one buffer."""
    buffer = np.empty(shape, np.float32)

    def keeps(x, out=None):
        np.exp(x, out=buffer)
        return buffer[:] if view else buffer

    return keeps


@pytest.mark.parametrize("view", [False, True])
def test_a_column_that_returns_one_buffer_again_and_again_is_stopped(view):
    with etude.use(Column("keeps", "cpu", {"exp": kept((2, 3), view)})):
        first = F.exp(X)
        with pytest.raises(BackendError, match=r"column 'keeps': exp returned memory that an "
                                               r"earlier result is in, which changes when .* a "
                                               r"new array each time, or a copy"):
            F.exp(X)
        del first


def test_two_buffers_in_turn_and_one_for_two_ops_are_noticed_too():
    turn = [kept((2, 3), False), kept((2, 3), False)]

    def takes_turns(x, out=None):
        turn.reverse()
        return turn[0](x)

    one = kept((2, 3), True)
    with etude.use(Column("turns", "cpu", {"exp": takes_turns})):
        results = [F.exp(X), F.exp(X)]
        with pytest.raises(BackendError, match="column 'turns': exp returned memory that an"):
            F.exp(X)
    with etude.use(Column("shared", "cpu", {"exp": one, "log": one})):
        results.append(F.exp(X))
        with pytest.raises(BackendError, match="column 'shared': log returned memory that an"):
            F.log(X)


def test_a_buffer_is_noticed_under_a_tap_and_in_another_block():
    column = Column("keeps", "cpu", {"exp": kept((2, 3), True)})
    with etude.use(column):
        first = F.exp(X)
    with etude.receipt(), etude.use(column), pytest.raises(BackendError, match="earlier result"):
        F.exp(X)
    del first


@pytest.mark.parametrize("answer", [
    lambda x: x, lambda x: x[:], lambda x: x.reshape(-1).reshape(x.shape), lambda x: x[::-1],
    lambda x: np.asarray(memoryview(x)),
])
def test_a_column_that_returns_its_input_is_stopped(answer):
    @etude.implements("relu")
    def hands_back(x):
        return answer(x)

    with etude.use(hands_back), pytest.raises(
            BackendError, match=r"column 'hands_back': relu returned memory of an input, which"):
        F.relu(X)


def test_a_column_of_the_host_returns_arrays_of_the_host():
    def elsewhere(x, out=None):
        return etude.DeviceArray(x.copy(), "moon", x.shape, x.dtype)

    with etude.use(Column("moony", "cpu", {"relu": elsewhere})), pytest.raises(
            BackendError, match="column 'moony': relu must return NumPy arrays, got DeviceArray"):
        F.relu(X)


def test_an_output_in_the_memory_of_another_is_stopped():
    @etude.implements("layer_norm")
    def twice(x, *rest, **attrs):
        y, mean, _ = ops.layer_norm(x, *rest, **attrs)
        return y, mean, mean

    with etude.use(twice), pytest.raises(BackendError, match="layer_norm returned memory that"):
        F.layer_norm(X, 3)


def test_memory_that_nobody_else_holds_may_be_used_again():
    """A pool that hands out parts of one block, and an ``out`` over the input, are in order."""
    block, at = np.empty(600, np.float32), []

    def pool(x, out=None):
        if out is None:
            at.append(x.size)
            out = block[sum(at) - x.size: sum(at)].reshape(x.shape)
        return np.maximum(x, 0, out=out)

    with etude.use(Column("pool", "cpu", {"relu": pool}), strict=True):
        held = [F.relu(X) for _ in range(100)]
        assert len(held) == 100
        mine = np.full((2, 3), -1.0, np.float32)
        assert current()["relu"](mine, out=mine) is mine
        at.clear()
        del held
        F.relu(X)
    with etude.use(Column("view", "cpu", {"exp": kept((2, 3), True)})):
        for _ in range(3):
            assert F.exp(X).shape == (2, 3)  # dropped before the next call


def test_the_note_of_results_does_not_grow_with_the_calls():
    column = Column("plain", "cpu", {"exp": lambda x: np.exp(x)})
    with etude.use(column):
        held = [F.exp(X) for _ in range(1000)]
        assert len(held) <= len(column.results._held) <= 2000
        del held
        for _ in range(3000):
            F.exp(X)
    assert len(column.results._held) <= 2001


# ------------------------------------------------------------------ columns made by hand


@pytest.mark.parametrize(("options", "words"), [
    ({"ops": {"exp": 3}}, "column 'mine': its entry for exp is 3, which cannot be called"),
    ({"ops": {"exp": None}}, "its entry for exp is None, which cannot be called"),
    ({"ops": {"sofmax": np.exp}}, "there is no op called 'sofmax'. Did you mean 'softmax'?"),
    ({"ops": {3: np.exp}}, "there is no op called 3"),
    ({"ops": [np.exp]}, "ops must be a dict from names of ops to functions, got ["),
    ({"ops": {"exp": lambda x: x}, "checks": True},
     "its entry for exp has no parameter out, and checks=True promises the full interface: "
     "exp(*arrays, out=None, **attrs)"),
    ({"ops": {"exp": lambda x: x}, "device": "moon"}, "and device 'moon' needs the full interface"),
])
def test_a_column_with_an_entry_that_cannot_run_is_refused_when_chosen(options, words):
    with pytest.raises(BackendError) as caught:
        etude.use(Column(**{"name": "mine", "device": "cpu"} | options))
    assert words in str(caught.value)


@pytest.mark.parametrize("entry", [
    np.exp, lambda x: np.exp(x), lambda x, out=None: np.exp(x, out=out),
    lambda *arrays, **options: np.exp(*arrays, **options)])
def test_a_plain_function_in_a_column_is_given_its_out(entry):
    with etude.use(Column("mine", "cpu", {"exp": entry}), strict=True):
        buffer = np.zeros((2, 3), np.float32)
        assert current()["exp"](X.array, out=buffer) is buffer
        assert np.allclose(buffer, np.e)
        assert np.allclose(F.exp(X).numpy(), np.e)


@pytest.mark.parametrize("entry", [
    lambda x, out=None: np.exp(x).view(Lazy), lambda x: np.exp(x).view(Lazy),
    etude.implements("exp")(lambda x: np.exp(x).view(Lazy))], ids=["out", "plain", "implements"])
def test_a_result_that_is_a_subclass_of_ndarray_is_refused(entry):
    column = entry if hasattr(entry, "_etude_ops") else Column("later", "cpu", {"exp": entry})
    with etude.use(column), pytest.raises(
            BackendError, match="exp returned a Lazy, a subclass of ndarray; a result is a plain "
                                "ndarray"):
        F.exp(X)


def test_an_operand_that_is_a_subclass_of_ndarray_reaches_a_column_as_a_plain_array():
    @etude.implements("contiguous")
    def own(x):
        return x.copy()

    with etude.use(own, strict=True):
        assert F.contiguous(X.data).tolist() == X.tolist()
