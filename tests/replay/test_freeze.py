"""capture(freeze=True) on every column: what it refuses, and what it does when weights change."""

import numpy as np
import pytest

import etude
from etude import nn, optim
from etude.core.errors import CaptureError


def model():
    etude.manual_seed(0)
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3)).eval()


def predictor(model):
    def predict(x):
        with etude.no_grad():
            return model(x)

    return etude.capture(predict, freeze=True), predict


def bits(t):
    return t.detach().numpy().tobytes()


def test_predictions_follow_the_weights(column):
    net, x = model(), etude.randn(16, 20)
    frozen, predict = predictor(net)
    assert bits(frozen(x)) == bits(predict(x)) == bits(frozen(x))
    before = bits(frozen(x))
    with etude.no_grad():
        net[0].weight.copy_(etude.ones(16, 20))
    assert before != bits(frozen(x)) == bits(predict(x))
    net[2].weight.detach().array[...] = 2.0
    frozen.refreeze()
    assert bits(frozen(x)) == bits(predict(x))
    assert (frozen.kept_bytes > 0) is (column == "cpu")


def test_training_between_predictions(column):
    net, x = model(), etude.randn(16, 20)
    frozen, predict = predictor(net)
    optimizer = optim.AdamW(net.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()

    captured, seen = etude.capture(step), set()
    for train in (step, captured, captured, captured, step):
        train(x)
        seen.add(bits(frozen(x)))
        assert bits(frozen(x)) == bits(predict(x))
    assert len(seen) == 5


def test_a_training_step_is_refused_and_the_parameter_named(column):
    net, x = model(), etude.randn(16, 20)
    optimizer = optim.SGD(net.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()

    with pytest.raises(CaptureError, match=r"step writes \d\.\w+ \(in sgd_step\).*without freeze"):
        etude.capture(step, freeze=True)(x)


def test_batch_norm_in_training_is_refused_with_what_to_try(column):
    net = nn.Sequential(nn.Linear(20, 4), nn.BatchNorm1d(4))
    frozen, predict = predictor(net)
    with pytest.raises(CaptureError, match=r"writes 1\.running_\w+ .*model\.eval\(\)"):
        frozen(etude.randn(16, 20))
    net.eval()
    x = etude.randn(16, 20)
    assert bits(frozen(x)) == bits(predict(x)) == bits(frozen(x))


def test_a_tensor_of_ones_own_that_is_written_is_refused_by_shape(column):
    seen, x = etude.zeros(3), etude.ones(3)

    def adds(x):
        seen.copy_(seen + x)
        return seen * 2.0

    with pytest.raises(CaptureError, match=r"adds writes a tensor float32\[3\]"):
        etude.capture(adds, freeze=True)(x)


def test_dropout_in_training_may_be_frozen(column):
    net = nn.Sequential(nn.Linear(20, 16), nn.Dropout(0.5), nn.Linear(16, 3))
    frozen, predict = predictor(net)
    x = etude.ones(16, 20)
    etude.manual_seed(5)
    want = [bits(predict(x)) for _ in range(3)]
    etude.manual_seed(5)
    assert [bits(frozen(x)) for _ in range(3)] == want
    assert np.unique(want).size == 3


def test_without_freeze_nothing_is_kept(column):
    net, x = model(), etude.randn(16, 20)
    step = etude.capture(net)
    step(x), step(x)
    assert step.kept_bytes == 0
    step.refreeze()  # which has nothing to do
    assert bits(step(x)) == bits(net(x))
