"""Forms of arithmetic that PyTorch adds by a keyword, against Python and NumPy."""

import math

import numpy as np
import pytest

import etude
from etude import functional as F

X = etude.tensor([[1.0, -2.5], [3.0, 4.0]], dtype=etude.float64)


def test_a_multiple_is_added_and_taken_away():
    assert F.add(X, 2, alpha=3).tolist() == (X + 6).tolist()
    assert F.sub(X, X, alpha=0.5).tolist() == (X * 0.5).tolist()
    assert X.add(X, alpha=2).tolist() == (X * 3).tolist()


@pytest.mark.parametrize(("mode", "wanted"), [
    (None, [3.5, -3.5, 0.5]), ("floor", [3, -4, 0]), ("trunc", [3, -3, 0])])
def test_a_quotient_is_rounded_down_or_towards_zero(mode, wanted):
    x, y = etude.tensor([7.0, -7.0, 1.0]), etude.tensor([2.0, 2.0, 2.0])
    assert F.div(x, y, rounding_mode=mode).tolist() == wanted
    if mode:
        assert F.div(x.long(), y.long(), rounding_mode=mode).tolist() == wanted


def test_an_unknown_way_of_rounding_is_refused():
    with pytest.raises(ValueError, match="rounding_mode must be None, 'trunc' or 'floor', got"):
        F.div(X, X, rounding_mode="up")


def test_bounds_may_be_tensors_with_gradients_of_their_own():
    x, low = (etude.tensor(v, requires_grad=True) for v in ([0.0, 2.0, 3.0], [1.0, 2.0, 0.0]))
    y = F.clamp(x, min=low, max=etude.tensor(2.5))
    assert y.tolist() == [1, 2, 2.5]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 0]
    assert low.grad.tolist() == [1, 0, 0]


def test_a_bound_that_is_nan_gives_nan():
    found = F.clamp(etude.tensor([1.0, math.nan]), max=etude.tensor([math.nan, 0.0]))
    assert np.isnan(found.numpy()).all()


@pytest.mark.parametrize("call", [
    lambda x: F.var(x, 0, False), lambda x: F.var(x, dim=0, unbiased=False),
    lambda x: F.var(x, 0, correction=0), lambda x: F.std(x, 0, False) ** 2])
def test_the_biased_variance_in_each_form(call):
    np.testing.assert_allclose(call(X).numpy(), X.numpy().var(0), rtol=1e-15)


def test_the_variance_of_all_elements():
    assert F.var(X, False).item() == pytest.approx(X.numpy().var(), rel=1e-15)
    assert F.var(X).item() == pytest.approx(X.numpy().var(ddof=1), rel=1e-15)
    with pytest.raises(TypeError, match="var: give unbiased or correction, not both"):
        F.var(X, 0, True, correction=0)


def test_topk_has_named_parts_and_takes_the_smallest_too():
    found = F.topk(X.reshape(-1), 2, largest=False, sorted=True)
    assert found.values.tolist() == [-2.5, 1.0]
    assert found.indices.tolist() == [1, 0]
