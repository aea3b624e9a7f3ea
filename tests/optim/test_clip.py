"""Clipping gradients by their common norm and by value."""

import math

import numpy as np
import pytest

import etude
from etude import nn, optim


def parameters(*grads):
    made = []
    for g in grads:
        p = nn.Parameter(etude.zeros(len(g), dtype="float64"))
        p.grad = etude.tensor(np.array(g, float))
        made.append(p)
    return made


def grads(ps):
    return [p.grad.tolist() for p in ps]


def test_gradients_are_scaled_together_to_the_norm():
    ps = parameters([3.0, 0.0], [0.0, -4.0])
    assert optim.clip_grad_norm_(ps, 1.0) == 5
    np.testing.assert_allclose(np.concatenate(grads(ps)), [0.6, 0, 0, -0.8], rtol=1e-6)


def test_a_smaller_norm_is_left_alone_bit_for_bit():
    ps = parameters([0.3, 0.1])
    before = ps[0].grad
    assert optim.clip_grad_norm_(ps, 1.0) == pytest.approx(math.sqrt(0.1))
    assert ps[0].grad is before


def test_it_takes_one_tensor_an_iterator_and_parameters_without_gradient():
    p, q = parameters([2.0], [0.0])
    q.grad = None
    assert optim.clip_grad_norm_(iter([p, q]), 1.0) == 2
    assert q.grad is None
    p.grad = etude.tensor([2.0], dtype="float64")
    assert optim.clip_grad_norm_(p, 1.0) == 2
    assert p.grad.tolist() == pytest.approx([1.0], rel=1e-6)
    assert optim.clip_grad_norm_([q], 1.0) == 0
    assert optim.clip_grad_norm_([], 1.0) == 0


@pytest.mark.parametrize("clip", [optim.clip_grad_norm_, optim.clip_grad_value_])
def test_an_iterator_that_is_used_up_is_not_clipped_in_silence(clip):
    (p,) = parameters([3.0])
    given = iter([p])
    optim.SGD(given)
    with pytest.raises(ValueError, match=r"parameters: the iterator gave nothing. One that was us"):
        clip(given, 1.0)
    with pytest.raises(TypeError, match="parameters: needs an order, and a set has another one"):
        clip({p}, 1.0)
    with pytest.raises(TypeError, match="parameters: got a dict; give a list of its values"):
        clip({"weight": p}, 1.0)
    assert grads([p]) == [[3.0]]


def test_float32_and_float64_gradients_clip_together():
    (q,) = parameters([4.0])
    p = nn.Parameter(etude.zeros(1))
    p.grad = etude.tensor([3.0])
    assert optim.clip_grad_norm_([p, q], 1.0) == 5
    assert (p.grad.dtype, q.grad.dtype) == (etude.float32, etude.float64)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_norm_that_is_not_finite_is_returned_or_raised(bad):
    ps = parameters([1.0, bad])
    with pytest.raises(FloatingPointError, match=r"not finite; with etude.check_nan\(\) you see"):
        optim.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    assert ps[0].grad.tolist()[0] == 1  # untouched
    with np.errstate(invalid="ignore"):
        norm = optim.clip_grad_norm_(ps, 1.0)
    assert math.isnan(norm) if math.isnan(bad) else norm == math.inf
    first, spoilt = ps[0].grad.tolist()
    assert math.isnan(spoilt)
    assert math.isnan(first) if math.isnan(bad) else first == 0


def test_values_are_kept_within_bounds():
    ps = parameters([-3.0, 0.5, 2.0], [math.inf])
    optim.clip_grad_value_(ps, 1.5)
    assert grads(ps) == [[-1.5, 0.5, 1.5], [1.5]]


@pytest.mark.parametrize("bad", [0, 0.0, -1.0, math.nan])
def test_bounds_are_above_zero_which_would_stop_every_step(bad):
    ps = parameters([1.0])
    with pytest.raises(ValueError, match=r"max_norm must be > 0, got .* leave it out where"):
        optim.clip_grad_norm_(ps, bad)
    with pytest.raises(ValueError, match="clip_value must be > 0, got"):
        optim.clip_grad_value_(ps, bad)
    assert grads(ps) == [[1]]


def test_a_bound_may_be_a_number_of_numpy_or_a_tensor():
    for bound in (np.float32(2.5), np.array(2.5), etude.tensor([2.5], requires_grad=True)):
        (p,) = parameters([3.0, 4.0])
        norm = optim.clip_grad_norm_(p, bound)
        assert (norm, type(norm)) == (5, float)
        np.testing.assert_allclose(p.grad.numpy(), [1.5, 2], rtol=1e-6)
        optim.clip_grad_value_(p, bound / 2.5)
        assert p.grad.tolist() == [1, 1]
        assert not p.grad.requires_grad
    with pytest.raises(TypeError, match="max_norm must be a number, got '1'"):
        optim.clip_grad_norm_(p, "1")


def test_an_infinite_norm_measures_and_clips_nothing():
    (p,) = parameters([3.0, 4.0])
    assert optim.clip_grad_norm_(p, math.inf) == 5
    assert grads([p]) == [[3, 4]]


@pytest.mark.parametrize(("kind", "norm"), [(1, 8.0), (3, 134.0 ** (1 / 3)), (math.inf, 5.0),
                                            (0.5, (1 + 2**0.5 + 5**0.5) ** 2), (2, 30**0.5)])
def test_the_norm_may_be_of_another_kind(kind, norm):
    ps = parameters([1.0, -2.0], [-5.0])
    assert optim.clip_grad_norm_(ps, 2.0, kind) == pytest.approx(norm, rel=1e-12)
    share = 2 / norm
    np.testing.assert_allclose(np.concatenate(grads(ps)),
                               share * np.array([1, -2, -5]), rtol=1e-6)


def test_the_norm_of_another_kind_is_refused_below_0():
    with pytest.raises(ValueError, match="norm_type must be > 0, got -1"):
        optim.clip_grad_norm_(parameters([1.0]), 1.0, norm_type=-1)


def test_clipping_makes_no_graph():
    x = etude.tensor([3.0, 4.0], requires_grad=True)
    (x * x).sum().backward()
    optim.clip_grad_norm_(x, 1.0)
    assert x.grad.is_leaf
    assert not x.grad.requires_grad
