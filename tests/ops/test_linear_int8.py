"""linear_int8 against exact fractions; what it takes, and that it has no gradient."""

from fractions import Fraction

import numpy as np
import pytest
from op_cases import Case, sample

import etude
from etude import DTypeError, ShapeError, ops


def _exact(x, weight, scale, bias=None):
    y = np.empty((*x.shape[:-1], len(weight)))
    for at in np.ndindex(y.shape):
        *lead, n = at
        pairs = zip(x[tuple(lead)].tolist(), weight[n].tolist(), strict=True)
        total = sum((Fraction(p) * q for p, q in pairs), Fraction(0)) * Fraction(scale[n].item())
        y[at] = float(total + (0 if bias is None else Fraction(bias[n].item())))
    return y


def _size(x, weight, scale, bias=None):
    return _exact(np.abs(x), np.abs(weight.astype(int)), np.abs(scale),
                  None if bias is None else np.abs(bias))


def _samples(rng):
    def draw(x, n, k, bias):
        arrays = [rng.uniform(-1, 1, (*x, k)), rng.integers(-128, 128, (n, k)).astype(np.int8),
                  rng.uniform(-1, 1, n)]
        return sample(*arrays, *([rng.uniform(-1, 1, n)] if bias else []), smooth=False)
    return [draw(x, 4, 3, bias) for x in ((2,), (5,), (), (2, 3), (0,)) for bias in (0, 1)] + [
        draw((2,), 0, 3, True), draw((2,), 2, 0, True), draw((3,), 5, 40, False)]


CASES = {"linear_int8": Case(_samples, _exact, scale=_size, ulps=8)}


def test_it_is_linear_of_the_weight_that_is_meant():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 40))
    weight = rng.integers(-127, 128, (5, 40)).astype(np.int8)
    scale, bias = rng.uniform(0.01, 0.1, 5), rng.normal(size=5)
    meant = ops.linear(x, scale[:, None] * weight, bias)
    assert np.allclose(ops.linear_int8(x, weight, scale, bias), meant, rtol=1e-13)


def test_tensors_of_int8_are_asked_for_by_name():
    """Small integers of an array are int64 as ever; int8 is for those who ask."""
    assert etude.tensor(np.ones(2, np.int8)).dtype == "int64"
    weight = etude.tensor([[1, -128]], dtype="int8")
    assert weight.dtype == "int8"
    y = etude.linear_int8(etude.tensor([[1.0, 2.0]]), weight, etude.tensor([0.5]))
    assert y.tolist() == [[-127.5]]


def test_a_number_that_int8_does_not_hold_is_refused():
    with pytest.raises(DTypeError, match=r"tensor\(\).*128.*int8 holds -128 to 127"):
        etude.tensor([1, 128], dtype="int8")
    with pytest.raises(DTypeError, match=r"0\.5"):
        etude.tensor([0.5], dtype="int8")


@pytest.mark.parametrize("fn", [lambda w: w + 1, lambda w: w.to("float32"), etude.relu,
                                lambda w: w @ w, lambda w: etude.linear(etude.ones(1, 2), w)])
def test_no_other_op_computes_with_int8(fn):
    with pytest.raises(DTypeError, match="int8 is only stored"):
        fn(etude.tensor([[1, 2], [3, 4]], dtype="int8"))


def test_float_and_int64_weights_are_refused():
    x, scale = etude.ones(2, 3), etude.ones(4)
    for weight in (etude.ones(4, 3), etude.ones(4, 3, dtype="int64")):
        with pytest.raises(DTypeError, match=r"weight must be int8.*quantize_weight"):
            etude.linear_int8(x, weight, scale)
    with pytest.raises(ShapeError, match="scale"):
        etude.linear_int8(x, etude.tensor(np.ones((4, 3)), dtype="int8"), etude.ones(1))


def test_it_has_no_gradient_and_says_so():
    x = etude.ones(1, 2, requires_grad=True)
    y = etude.linear_int8(x, etude.tensor([[1, 2]], dtype="int8"), etude.ones(1))
    with pytest.raises(RuntimeError, match=r"linear_int8.: it is for inference.*quantise it after"):
        y.sum().backward()
