"""ModuleList, and losses with each reduction."""

import numpy as np
import pytest

import etude
from etude import nn


class Sum(nn.Module):
    """A model that calls its layers itself."""

    def __init__(self, n):
        self.parts = nn.ModuleList(nn.Linear(2, 2) for _ in range(n))

    def forward(self, x):
        return sum(part(x) for part in self.parts)


def test_layers_in_a_module_list_are_trained_saved_and_moved():
    model = Sum(2)
    assert [n for n, _ in model.named_parameters()] == [
        "parts.0.weight", "parts.0.bias", "parts.1.weight", "parts.1.bias"]
    model(etude.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not any(m.training for m in model.eval().modules())
    assert {p.dtype for p in model.to("float64").parameters()} == {etude.float64}
    other = Sum(2).to("float64")
    other.load_state_dict(model.state_dict())
    x = etude.ones(1, 2, dtype="float64")
    assert model(x).tolist() == other(x).tolist()


def test_a_module_list_is_a_list():
    one, two, three = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    layers = nn.ModuleList([one]).append(two).append(three)
    assert list(layers) == [one, two, three]
    assert len(layers) == 3
    assert layers[0] is one
    assert layers[-1] is three
    with pytest.raises(IndexError):
        layers[3]
    assert len(nn.ModuleList()) == 0
    assert len(Sum(0).parts) == 0
    assert repr(nn.ModuleList([one, two])) == "ModuleList(\n  (0): ReLU()\n  (1): Tanh()\n)"


@pytest.mark.parametrize("kind", [list, tuple])
def test_layers_of_a_sequential_come_one_by_one(kind):
    with pytest.raises(TypeError, match=rf"argument 0 is a {kind.__name__} of them: write nn.Seq"):
        nn.Sequential(kind([nn.ReLU()]))


def test_a_module_list_takes_layers_and_is_not_called():
    with pytest.raises(TypeError, match="ModuleList takes layers, got function"):
        nn.ModuleList([etude.relu])
    with pytest.raises(TypeError, match="ModuleList: needs an order, and a set has another one"):
        nn.ModuleList({nn.ReLU(), nn.Tanh()})
    with pytest.raises(TypeError, match="ModuleList: got a dict; give a list of its values"):
        nn.ModuleList({"first": nn.ReLU()})
    with pytest.raises(NotImplementedError, match=r"ModuleList has no forward\(\)"):
        nn.ModuleList([nn.ReLU()])(etude.ones(1))


LOSSES = [nn.CrossEntropyLoss, nn.MSELoss, nn.L1Loss, nn.BCEWithLogitsLoss]


@pytest.mark.parametrize("loss", LOSSES)
def test_mean_and_sum_are_those_of_the_single_losses(loss):
    x = etude.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    target = etude.tensor([0, 2, 1, 1] if loss is nn.CrossEntropyLoss
                          else np.random.default_rng(1).random((4, 3)))
    each = loss("none")(x, target).numpy()
    assert each.shape == ((4,) if loss is nn.CrossEntropyLoss else (4, 3))
    assert loss()(x, target).shape == ()
    np.testing.assert_allclose(loss("mean")(x, target).numpy(), each.mean(), rtol=1e-14)
    np.testing.assert_allclose(loss("sum")(x, target).numpy(), each.sum(), rtol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_another_reduction_is_refused(loss):
    with pytest.raises(ValueError, match=f"{loss.__name__}: reduction must be 'mean', 'sum' or"):
        loss("avg")


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_targets_of_another_shape_are_refused_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"must have shape \[2, 3\]: .*from x float32"):
        loss()(etude.zeros(2, 3), etude.zeros(2, 1))


def test_ignored_labels_take_no_part_in_the_mean():
    x = etude.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    some = nn.CrossEntropyLoss(ignore_index=-1)(x, etude.tensor([0, -1, 2, -1]))
    np.testing.assert_allclose(some.numpy(), nn.CrossEntropyLoss()(
        x[::2], etude.tensor([0, 2])).numpy(), rtol=1e-14)
