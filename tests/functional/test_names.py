"""PyTorch's names of parameters go for every function made from the table, and for methods."""

import inspect
import sys

import numpy as np
import pytest

import etude
from etude import TABLE
from etude import functional as F

X = etude.tensor([[1.0, 2.0], [3.0, 4.0]])
MADE = sorted(set(F.__all__) - F.BY_HAND - F.COMPOSED)
ONE = [name for name in MADE if TABLE[name].arrays == ("x",) and TABLE[name].order[0] == "x"
       and all(v is not inspect.Parameter.empty for v in TABLE[name].attrs.values())]
TWO = [name for name in MADE if TABLE[name].arrays == ("x", "y")]


def same(one, other):
    parts = zip(one, other) if isinstance(one, tuple) else [(one, other)]
    for a, b in parts:
        assert np.array_equal(a.numpy(), b.numpy(), equal_nan=a.dtype.kind == "f")


def test_there_are_many_of_both_kinds():
    assert len(ONE) > 25
    assert len(TWO) > 10


@pytest.mark.parametrize("name", ONE)
def test_the_operand_is_called_input(name):
    same(getattr(F, name)(input=X), getattr(F, name)(X))
    same(getattr(F, name)(x=X), getattr(F, name)(X))


@pytest.mark.parametrize("name", TWO)
def test_the_second_operand_is_called_other(name):
    fn, wanted = getattr(F, name), getattr(F, name)(X, X)
    same(fn(input=X, other=X), wanted)
    same(fn(X, other=X), wanted)
    if name in ("pow", "maximum", "eq", "lt"):
        same(getattr(X, name)(other=X), wanted)


def test_some_have_names_of_their_own():
    same(F.pow(X, exponent=2), X**2)
    same(F.lerp(input=X, end=X + 1, weight=0.5), X + 0.5)
    same(F.where(condition=X > 2, input=X, other=0.0), F.where(X > 2, X, 0.0))
    same(F.expand(X, size=(3, 2, 2)), X.expand(3, 2, 2))
    same(X.expand(size=(3, 2, 2)), X.expand((3, 2, 2)))
    same(X.reshape(shape=(4,)), X.flatten())
    same(X.permute(dims=(1, 0)), X.T)
    same(X.flip(0, 1), F.flip(X, dims=(0, 1)))
    same(F.pad(X, pad=(1, 0)), F.pad(X, (1, 0)))
    same(etude.full(size=(2,), fill_value=3.0), etude.full((2,), 3.0))
    same(etude.zeros(size=(2, 3)), etude.zeros(2, 3))
    same(etude.ones(size=2), etude.ones(2))
    assert etude.rand(size=(2, 3)).shape == etude.randn(size=(2, 3)).shape == (2, 3)
    same(etude.arange(start=1, end=4), etude.arange(1, 4))
    same(etude.zeros_like(input=X, dtype=etude.int64), etude.zeros((2, 2), dtype=etude.int64))


def test_a_name_given_twice_or_unknown_is_refused():
    for call, words in (
            (lambda: F.exp(X, input=X), "exp: input given twice"),
            (lambda: F.add(X, X, third=1), "third"),
            (lambda: F.softmax(X, 0, 1), r"softmax\(x, dim=-1\) takes 2 arguments, got 3"),
            (lambda: F.relu(X, inplace=True), "inplace is not in Etude: an op changes nothing"),
            (lambda: F.exp(X, out=X), "out is not in Etude: an op returns memory of its own"),
            (lambda: X.expand(3, 2, 2, size=(2,)), "one by one, as one tuple, or as size=; got 3"),
            (lambda: etude.zeros(shape=(2,)), r"as size=; got shape="),
            (lambda: F.mse_loss(X, X, True), r"size_average=True is not in Etude: PyTorch has")):
        with pytest.raises(TypeError, match=words):
            call()


def test_sums_and_shares_may_be_taken_in_another_dtype():
    whole = etude.tensor([1, 2, 3])
    for name in ("sum", "mean", "prod", "softmax", "log_softmax"):
        assert getattr(F, name)(whole, dtype=etude.float64).dtype == etude.float64
    assert F.cumsum(whole, 0, dtype=etude.float32).tolist() == [1, 3, 6]
    assert etude.tensor([0.1], dtype=etude.float64).sum(dtype=etude.float32).dtype == etude.float32


def entered(call):
    """The Python functions that a call enters, once everything is warm."""
    names = []
    call()
    sys.setprofile(lambda frame, event, _: event == "call" and names.append(
        frame.f_code.co_qualname))
    try:
        call()
    finally:
        sys.setprofile(None)
    return names[1:]


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sum", "mean", "cumsum", "softplus"])
def test_an_attribute_by_position_takes_the_way_of_one_by_name(name):
    fn, x = getattr(F, name), etude.tensor([[1.0, 2.0], [3.0, 5.0]])
    attribute = next(iter(TABLE[name].attrs))
    placed, named = fn(x, 1), fn(x, **{attribute: 1})
    assert placed.tolist() == named.tolist()
    assert entered(lambda: fn(x, 1)) == entered(lambda: fn(x, **{attribute: 1}))


def test_an_attribute_given_by_position_and_by_name_is_refused():
    x = etude.ones(2, 2)
    with pytest.raises(TypeError, match="dim given twice"):
        F.softmax(x, 1, dim=1)
    with pytest.raises(TypeError, match="takes 2 arguments, got 3"):
        F.softmax(x, 1, 1)
