"""Choosing columns: use and the default, blocks and threads, fallback and its count, strict."""

import contextvars
import threading

import numpy as np
import pytest

import etude
from etude import BackendError, Column, DeviceError, ops
from etude import functional as F
from etude.core.state import DEFAULT, current

X = etude.ones(2, 3)
WIDE = etude.ones(2, 3, dtype=etude.float64)


# ---------------------------------------------------------------------------- use


def test_use_as_a_block_is_over_when_the_block_is(column, calls):
    with etude.use(column):
        F.softmax(X)
        assert current().stack[0].name == "mine"
    F.softmax(X)
    assert len(calls) == 1
    assert current().stack == ()


def test_the_default_holds_for_the_process(column, calls):
    etude.set_default_backend(column)
    F.softmax(X)
    t = threading.Thread(target=F.softmax, args=(X,))
    t.start()
    t.join()
    assert len(calls) == 2
    etude.set_default_backend("reference")
    F.softmax(X)
    assert len(calls) == 2


def test_a_use_that_is_not_entered_chooses_nothing_and_says_so(column, calls):
    chosen = etude.use(column)
    assert current().stack == ()
    with pytest.warns(RuntimeWarning, match=r"use\('mine'\) was made and never entered, so it "
                                            r"chose nothing. Write with use\('mine'\): for a "
                                            r"block, set_default_backend\('mine'\) for the "
                                            r"process"):
        del chosen  # CPython frees it at once
    F.softmax(X)
    assert calls == []


def test_the_tables_of_a_stack_are_kept(column):
    with etude.use(column) as first:
        F.softmax(X)
    with etude.use(column) as second:
        assert second.table is first.table is current()
        assert dict.__contains__(second.table, "softmax")
    with etude.use(column, strict=True) as third:
        assert third.table is not first.table


def test_a_block_is_over_also_after_an_exception(column, calls):
    with pytest.raises(KeyError), etude.use(column):
        raise KeyError
    F.softmax(X)
    assert calls == []


def test_blocks_nest(column, calls):
    @etude.implements("softmax", "exp")
    def inner(x, **attrs):
        return np.zeros_like(x)

    with etude.use(column):
        with etude.use(inner):
            assert not F.softmax(X).numpy().any()
            with etude.use("reference"):
                assert F.exp(X).numpy().any()
            assert not F.exp(X).numpy().any()
        F.softmax(X)
    assert len(calls) == 1


def test_a_block_leaves_the_grad_mode_as_it_is(column):
    with etude.no_grad(), etude.use(column), etude.tap(lambda event: None):
        assert not etude.is_grad_enabled()
    assert etude.is_grad_enabled()


def test_a_use_can_be_entered_again_and_within_itself(column, calls):
    chosen = etude.use(column)
    with chosen, chosen:
        F.softmax(X)
    with chosen:
        F.softmax(X)
    F.softmax(X)
    assert len(calls) == 2


def test_a_block_is_the_threads_own(column, calls):
    with etude.use(column):
        t = threading.Thread(target=F.softmax, args=(X,))
        t.start()
        t.join()
        assert calls == []
        contextvars.copy_context().run(F.softmax, X)
        context = contextvars.copy_context()
        t = threading.Thread(target=context.run, args=(F.softmax, X))
        t.start()
        t.join()
        assert len(calls) == 2


def test_blocks_of_two_threads_leave_the_default_alone(column):
    F.softmax(X)
    before = DEFAULT.tables["cpu"]
    a, b = etude.use(column), etude.use(column)
    inside, done = threading.Barrier(2), []

    def work(chosen):
        with chosen:
            inside.wait()
            done.append(current().stack[0].name)
            inside.wait()
        done.append(current() is before)

    threads = [threading.Thread(target=work, args=(chosen,)) for chosen in (a, b)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(map(str, done)) == ["True", "True", "mine", "mine"]
    assert DEFAULT.tables["cpu"] is before is current()


def test_a_default_chosen_meanwhile_stays(column, calls):
    with etude.use("reference"):
        etude.set_default_backend(column)  # or by another thread
    F.softmax(X)
    assert len(calls) == 1


def test_a_block_keeps_what_it_began_with(column, calls):
    with etude.use("reference"), etude.receipt():
        etude.set_default_backend(column)
        F.softmax(X)
    assert calls == []
    F.softmax(X)
    assert len(calls) == 1


def test_a_default_for_one_device_leaves_the_others(column):
    moon = Column("moonshine", "moon", {})
    etude.set_default_backend(column)
    etude.set_default_backend(moon)
    assert [current(d).stack[0].name for d in ("cpu", "moon")] == ["mine", "moonshine"]


def test_gradients_run_on_the_column_too(calls):
    @etude.implements("softmax_backward")
    def backward(grad, y, *, dim=-1):
        calls.append(dim)
        return ops.softmax_backward(grad, y, dim=dim)

    x = etude.ones(2, 3, requires_grad=True)
    with etude.use(backward):
        F.softmax(x, 1)[0, 0].backward()
    assert calls == [1]


def test_columns_are_tried_in_the_order_given(column, calls):
    @etude.implements("softmax")
    def other(x, *, dim=-1):
        calls.append("other")
        return ops.softmax(x, dim=dim)

    with etude.use(column, other) as chosen:
        F.softmax(X)
        F.softmax(WIDE)
    assert calls == [(2, 3), "other"]
    assert not chosen.fallbacks  # declined by one, but the reference did not stand in


@pytest.mark.parametrize(("arguments", "error", "words"), [
    ((), BackendError, r"use\(\) needs at least one column, such as use\('reference'\)"),
    ((3,), BackendError, "a column is a name, a path, a function with @etude.implements or a "
                         "Column; "
                         "got int"),
    ((np.exp,), BackendError, "got ufunc"),
    ((lambda x: x,), BackendError, "got function"),
    (("referense",), BackendError, r"there is no backend 'referense'; known are reference.*. Did "
                                   r"you "
                                   r"mean 'reference'\?"),
    (("moon",), BackendError, "there is no backend 'moon'; known are reference"),
    (("no_such.py",), BackendError, r"there is no file 'no_such.py' \(looked in "),
    (("no_such.so",), BackendError, r"there is no file 'no_such.so' \(looked in "),
    ((Column("a", "cpu", {}), Column("b", "moon", {})), DeviceError,
     r"use\(\): columns of one device only, got cpu, moon. Call use\(\) once for each device"),
])
def test_columns_that_cannot_be_used(arguments, error, words):
    with pytest.raises(error, match=words):
        etude.use(*arguments)
    with pytest.raises(error, match=words.replace("use", "set_default_backend")):
        etude.set_default_backend(*arguments)
    assert current().stack == ()


# ---------------------------------------------------------------------------- fallback


def test_every_stand_in_of_the_reference_is_counted_with_its_reason(column):
    with etude.use(column) as chosen:
        F.softmax(X)
        assert not chosen.fallbacks
        F.softmax(WIDE)
        F.softmax(WIDE)
        F.exp(X)
        X.reshape(3, 2)  # views belong to the array type
    assert dict(chosen.fallbacks) == {
        ("softmax", "float64", "mine: float64"): 2,
        ("exp", "float32", "not implemented"): 1,
    }


def test_it_is_counted_alike_under_a_tap(column):
    with etude.tap(lambda event: None), etude.use(column) as outer:
        F.softmax(WIDE)
    with etude.use(column) as inner, etude.tap(lambda event: None):
        F.softmax(WIDE)
    assert outer.fallbacks == inner.fallbacks == {("softmax", "float64", "mine: float64"): 1}


def test_the_reference_alone_counts_nothing():
    with etude.use("reference") as chosen:
        F.softmax(X)
    assert not chosen.fallbacks


@pytest.mark.parametrize("tapped", [False, True])
def test_strict_refuses_to_fall_back(column, calls, tapped):
    with etude.use(column, strict=True), etude.tap(calls.append) if tapped else etude.no_grad():
        F.softmax(X)
        X.reshape(3, 2)
        etude.zeros(2)
        with pytest.raises(BackendError, match="strict mode: exp would fall back to the reference "
                                               r"\(not implemented by mine\). Add a column that "
                                               r"has "
                                               "it, or leave strict=True away"):
            F.exp(X)
        with pytest.raises(BackendError, match=r"softmax would fall back to the reference \(mine: "
                                               r"float64\)"):
            F.softmax(WIDE)


def test_a_wrong_call_is_told_first_also_in_strict_mode(column):
    with etude.use(column, strict=True), pytest.raises(etude.AxisError, match="sum: dim=5"):
        X.sum(5)


def test_strict_asks_nothing_more_of_the_reference_itself():
    with etude.use("reference", strict=True):
        assert F.exp(etude.zeros(2)).tolist() == [1, 1]


def test_other_exceptions_of_a_column_are_not_a_refusal(column):
    @etude.implements("exp")
    def broken(x):
        raise ZeroDivisionError("a bug")

    with etude.use(broken) as chosen, pytest.raises(ZeroDivisionError, match="a bug"):
        F.exp(X)
    assert not chosen.fallbacks


def by_its_public_op(x, *, dim=-1, out=None):
    return F.softmax(x, dim=dim).numpy()


def by_its_op_on_arrays(x, *, dim=-1, out=None):
    return current()["softmax"](x, dim=dim)


def by_another_op(x, *, dim=-1, out=None):
    return F.log_softmax(x, dim=dim).exp().numpy()


def log_by_the_first(x, *, dim=-1, out=None):
    return F.softmax(x, dim=dim).log().numpy()


@pytest.mark.parametrize("checks", [False, True])
@pytest.mark.parametrize("tapped", [False, True])
@pytest.mark.parametrize("kernel", [by_its_public_op, by_its_op_on_arrays, by_another_op])
def test_a_kernel_that_calls_its_own_op_is_named(kernel, tapped, checks):
    column = Column("mine", "cpu", {"softmax": kernel, "log_softmax": log_by_the_first},
                    checks=checks)
    tap = etude.tap(lambda event: None) if tapped else etude.enable_grad()
    with etude.use(column), tap, pytest.raises(BackendError, match=(
            r"^column 'mine': (\w+) calls \1 again, which comes back to it without end\. On "
            r"arrays, etude\.ops\.\1 is the reference; or raise Unsupported")):
        F.softmax(etude.ones(2, 3))


def test_a_kernel_may_call_the_reference_of_its_op_and_other_ops():
    def softmax(x, *, dim=-1):
        return (F.exp(x) / F.exp(x).sum(dim, keepdim=True)).numpy() + ops.softmax(x, dim=dim)

    with etude.use(Column("mine", "cpu", {"softmax": softmax, "exp": np.exp})):
        assert F.softmax(etude.zeros(1, 2)).tolist() == [[1, 1]]


def test_a_call_from_too_deep_a_recursion_of_the_user_stays_what_it_is(column):
    def down(x):
        return down(F.exp(x))

    with etude.use(column), pytest.raises(RecursionError):
        down(etude.zeros(2))


def test_a_device_without_an_op_is_an_error_unless_fallback_is_allowed():
    from etude.core.array import DeviceArray

    def upload(x):
        return DeviceArray(x.copy(), "moon", x.shape, x.dtype)

    moon = Column("moonshine", "moon", {}, upload=upload, download=lambda a: np.array(a.buffer))
    with etude.use(moon):
        x = etude.ones(3).to("moon")
        assert x.device == "moon"
        with pytest.raises(DeviceError, match=r"exp is not implemented by moonshine on device "
                                              r"'moon'. "
                                              r"Move the tensors with .to\('cpu'\), or allow "
                                              r"copies "
                                              r"through the host with use\(..., fallback=True\)"):
            x.exp()
        with pytest.raises(DeviceError, match=r"add: operands on different devices \(cpu, moon\); "
                                              r"move one with .to\(device\)"):
            x + etude.ones(3)
    with etude.use(moon, fallback=True) as chosen:
        y = x.exp()
        assert y.device == "moon"
        assert np.allclose(y.to("cpu").numpy(), np.e)
        assert chosen.fallbacks == {("exp", "float32", "not implemented"): 1}
