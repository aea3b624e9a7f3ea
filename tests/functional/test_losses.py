"""Forms of the losses: axes, probabilities, weights, against plain formulas in float64."""

import math

import numpy as np
import pytest

import etude
from etude import ShapeError, gradcheck
from etude import functional as F

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(2, 3, 4)), RNG.integers(0, 3, (2, 4))


def log_softmax(x, axis):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


@pytest.mark.parametrize("weight", [None, [0.5, 2.0, 1.0]])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_any_number_of_axes(reduction, weight):
    w = np.ones(3) if weight is None else np.array(weight)
    x = etude.tensor(LOGITS, requires_grad=True)
    given = None if weight is None else etude.tensor(weight, dtype=etude.float64)
    found = F.cross_entropy(x, etude.tensor(LABELS), given, reduction=reduction)
    logp = np.take_along_axis(log_softmax(LOGITS, 1), LABELS[:, None], 1)[:, 0]
    loss = -logp * w[LABELS]
    wanted = {"none": loss, "sum": loss.sum(), "mean": loss.sum() / w[LABELS].sum()}[reduction]
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-13)
    gradcheck(lambda t: F.cross_entropy(t, etude.tensor(LABELS), given, reduction=reduction).sum(),
              [x])


def test_one_sample_alone():
    x = etude.tensor(LOGITS[0, :, 0])
    wanted = -log_softmax(LOGITS[0, :, 0], 0)[1]
    assert F.cross_entropy(x, etude.tensor(1)).item() == pytest.approx(wanted, rel=1e-13)
    assert F.cross_entropy(x, etude.tensor(1), reduction="none").shape == ()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_probabilities_in_place_of_labels(smoothing):
    share = RNG.dirichlet(np.ones(3), (2, 4)).transpose(0, 2, 1)
    w = np.array([0.5, 2.0, 1.0])
    found = F.cross_entropy(etude.tensor(LOGITS), etude.tensor(share), etude.tensor(w),
                            label_smoothing=smoothing)
    smooth = share * (1 - smoothing) + smoothing / 3
    wanted = -(smooth * log_softmax(LOGITS, 1) * w[:, None]).sum() / 8
    assert found.item() == pytest.approx(wanted, rel=1e-13)


def test_labels_as_probabilities_are_the_labels():
    x, labels = etude.tensor(LOGITS[:, :, 0]), etude.tensor(LABELS[:, 0])
    sure = F.one_hot(labels, 3).double()
    assert F.cross_entropy(x, sure).item() == pytest.approx(F.cross_entropy(x, labels).item())


def test_a_weight_of_classes_has_a_gradient():
    w = etude.tensor([0.5, 2.0, 1.0], dtype=etude.float64, requires_grad=True)
    x, labels = etude.tensor(LOGITS[:, :, 0]), etude.tensor([2, 0])
    for reduction in ("mean", "sum", "none"):
        gradcheck(lambda t, r=reduction: F.cross_entropy(x, labels, t, reduction=r,
                                                         label_smoothing=0.1).sum(), [w])


X, Y = RNG.normal(size=(3, 4)) * 3, RNG.uniform(size=(3, 4))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("weight", "pos"), [
    (None, None), (True, None), (None, True), (True, True)])
def test_binary_cross_entropy_with_weights(reduction, weight, pos):
    weight = RNG.uniform(size=(3, 1)) if weight else None
    pos = RNG.uniform(0.5, 2, 4) if pos else None
    p = 1 / (1 + np.exp(-X))
    loss = -(1 if pos is None else pos) * Y * np.log(p) - (1 - Y) * np.log(1 - p)
    loss = loss if weight is None else loss * weight
    wanted = {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]

    def call(x):
        return F.binary_cross_entropy_with_logits(
            x, etude.tensor(Y), None if weight is None else etude.tensor(weight),
            reduction=reduction, pos_weight=None if pos is None else etude.tensor(pos))
    x = etude.tensor(X, requires_grad=True)
    np.testing.assert_allclose(call(x).detach().numpy(), wanted, rtol=1e-12)
    gradcheck(lambda t: call(t).sum(), [x])


def test_a_sure_answer_costs_nothing_if_right_and_is_infinite_if_wrong():
    x, y = etude.tensor([math.inf, -math.inf, math.inf]), etude.tensor([1.0, 0.0, 0.0])
    found = F.binary_cross_entropy_with_logits(x, y, reduction="none", pos_weight=etude.tensor(2.0))
    assert found.tolist() == [0, 0, math.inf]


def test_what_does_not_fit():
    x = etude.ones(2, 3)
    with pytest.raises(ShapeError, match=r"target \[3\] must have the shape of input \[2, 3\]"):
        F.binary_cross_entropy_with_logits(x, etude.ones(3), pos_weight=etude.ones(3))
    with pytest.raises(ValueError, match="reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        F.cross_entropy(x, x, reduction="avg")
