"""Losses against their formulas in 40-digit decimals, one element at a time."""

import decimal
import math

import numpy as np
import pytest
import scipy.special
from op_cases import Case, apart, elementwise, near, sample

import etude
from etude import ShapeError, ops
from etude import functional as F

D = decimal.Decimal
SHAPES = [(), (1,), (4,), (8,), (2, 3)]


def _loss(fn):
    def oracle(x, target, *, reduction):
        with decimal.localcontext(prec=40):
            each = elementwise(lambda a, b: float(fn(D(a), D(b))), x, target)
        if reduction == "none":
            return each
        return np.array(math.fsum(each.ravel()) / (each.size if reduction == "mean" else 1))
    return oracle


def _bce(x, t):
    p = 1 / (1 + (-x).exp())
    return -t * p.ln() - (1 - t) * (1 - p).ln()


def _two(rng):
    found = [sample(apart(rng, s), rng.uniform(3, 4, s), reduction=r) for s in SHAPES
             for r in ("mean", "sum", "none")]
    return found + [sample(np.zeros((0, 2)), np.zeros((0, 2)), reduction="sum")]


def _probabilities(rng):
    return [sample(apart(rng, s), np.asarray(rng.uniform(0, 1, s)), reduction=r) for s in SHAPES
            for r in ("mean", "sum", "none")]


CASES = {
    "mse_loss": Case(_two, _loss(lambda x, t: (x - t) ** 2), ulps=16, analytic=True),
    "l1_loss": Case(_two, _loss(lambda x, t: abs(x - t)), ulps=16),
    "binary_cross_entropy_with_logits": Case(_probabilities, _loss(_bce), ulps=16, analytic=True,
                                             scale=lambda x, *_, **__: np.abs(x).max(initial=1)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_shapes_do_not_broadcast_and_an_empty_mean_is_refused(name):
    loss = getattr(F, name)
    with pytest.raises(ShapeError, match=rf"{name}: target must have shape \[3, 1\], .* of x "):
        loss(etude.ones(3, 1), etude.ones(3))
    with pytest.raises(ShapeError, match=f"{name}: the mean over no elements has no value"):
        loss(etude.ones(0), etude.ones(0))


def test_sure_logits_do_not_overflow():
    x = np.array([1e4, -1e4, 1e4], np.float32)
    y = ops.binary_cross_entropy_with_logits(x, np.array([1, 0, 0], np.float32), reduction="none")
    near(y, [0, 0, 1e4], 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_of_a_sure_and_right_logit_is_small_and_not_0(backend, dtype):
    x = np.array([-80.0, -40.0, -20.0, -3.0, 3.0, 20.0, 40.0, 80.0], dtype)
    for target, sign in ((0.0, 1), (1.0, -1)):
        t = etude.tensor(x, requires_grad=True)
        with etude.use(backend):
            loss = F.binary_cross_entropy_with_logits(t, etude.full(x.shape, target, t.dtype),
                                                      reduction="sum")
            loss.backward()
        near(t.grad.numpy(), sign * scipy.special.expit(sign * x.astype(float)), 4)


def test_an_infinite_logit_costs_nothing_if_it_is_right_and_is_no_nan_if_it_is_wrong():
    inf = math.inf
    x = etude.tensor([-inf, inf, -inf, inf, -inf, 0.0], requires_grad=True)
    target = etude.tensor([0.0, 0.0, 1.0, 1.0, 0.25, 0.5])
    y = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    near(y.detach().numpy(), [0, inf, inf, 0, inf, math.log(2)], 1)
    (first,) = etude.grad(y.sum(), [x], create_graph=True)
    assert first.tolist() == [0, 1, -1, 0, -0.25, 0]
    (second,) = etude.grad(first.sum(), [x])
    assert second.tolist() == [0, 0, 0, 0, 0, 0.25]
    nan = ops.binary_cross_entropy_with_logits(np.array([math.nan] * 2), np.array([0.0, 1.0]),
                                               reduction="none")
    near(nan, [math.nan] * 2)
