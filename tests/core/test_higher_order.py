"""Derivatives of derivatives: create_graph, Newton's method, a gradient penalty."""

import itertools

import numpy as np
import pytest
from leaves import leaf

import etude
from etude import float64
from etude import functional as F


def test_all_derivatives_of_a_power():
    x = leaf(2.0)
    y = x**5
    for want in (80, 160, 240, 240, 120, 0):
        (y,) = etude.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(want)
        if not y.requires_grad:
            break


def test_backward_with_create_graph_leaves_gradients_that_can_be_differentiated():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    (x * x).backward(create_graph=True)
    assert x.grad.item() == 27 + 6
    (h,) = etude.grad(x.grad, x)
    assert h.item() == 18 + 2


def test_newtons_method_converges_quadratically():
    """f(x) = sum exp(x) - b x has its minimum at ln b; each step squares the error."""
    b = etude.tensor([2.0, 5.0, 0.5], dtype=float64)
    x = etude.tensor([1.0, 1.3, -0.3], dtype=float64)
    root = np.log(b.numpy())
    errors = []
    for _ in range(5):
        x = x.detach().requires_grad_()
        f = (x.exp() - b * x).sum()
        (g,) = etude.grad(f, x, create_graph=True)
        (h,) = etude.grad(g.sum(), x)  # the Hessian is diagonal
        x = x.detach() - g.detach() / h
        errors.append(np.abs(x.numpy() - root).max())
    for before, after in itertools.pairwise(errors):
        assert after <= max(before**2, 1e-15)
    assert errors[-1] <= 1e-15


def test_a_full_hessian_is_symmetric_and_right():
    x = leaf(0.5, -1.0, 2.0)
    f = (x[0] * x[1] * x[2]).exp() + (x[0] / x[2]).tanh()
    (g,) = etude.grad(f, x, create_graph=True)
    rows = [etude.grad(g[i], x, retain_graph=True)[0].numpy() for i in range(3)]
    hessian = np.array(rows)
    assert np.allclose(hessian, hessian.T, rtol=1e-12, atol=0)
    p = np.exp(0.5 * -1.0 * 2.0)
    assert hessian[0, 1] == pytest.approx(p * 2.0 * (1 + 0.5 * -1.0 * 2.0), rel=1e-12)


def test_a_gradient_penalty_trains_the_norm_of_a_gradient():
    """d/dw of |d(net)/dx|^2, by backward through the gradient and by differences in w."""
    rng = np.random.default_rng(0)
    x0, v0 = rng.normal(size=(4, 3)), rng.normal(size=(5, 1))

    def penalty(w):
        x = etude.tensor(x0, requires_grad=True)
        score = F.gelu(F.layer_norm(x @ w, 5)) @ etude.tensor(v0)
        (g,) = etude.grad(score.sum(), x, create_graph=True)
        return (g * g).sum()

    assert etude.gradcheck(penalty, [etude.tensor(rng.normal(size=(3, 5)), requires_grad=True)])


def test_composites_of_dependent_inputs_are_taken_apart():
    """layer_norm(x, weight=w(x)): each input gets its own share of the gradient, once."""
    x = leaf(0.5, 1.0, 3.0)

    def first(x, create_graph=True):
        y = F.layer_norm(x, 3, x * x, x) ** 2
        return etude.grad(y.sum(), x, create_graph=create_graph)[0]

    assert np.allclose(first(x).detach().numpy(), first(x, False).numpy(), rtol=1e-12, atol=0)
    assert etude.gradcheck(first, [x])
