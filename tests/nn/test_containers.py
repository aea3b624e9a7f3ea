"""Sequential, ModuleList and ModuleDict, and losses with each reduction."""

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


@pytest.mark.parametrize("kind", [nn.Sequential, nn.ModuleList])
def test_a_row_of_layers_is_sliced_extended_and_changed(kind):
    one, two, three = nn.ReLU(), nn.Tanh(), nn.Sigmoid()
    row = kind(one) if kind is nn.Sequential else kind([one])
    row.append(two).extend([three])
    assert list(row) == [one, two, three]
    some = row[1:]
    assert type(some) is kind
    assert list(some) == [two, three]
    assert list(row[::-1]) == [three, two, one]
    row[-1] = one
    assert list(row) == [one, two, one]
    with pytest.raises(IndexError):
        row[3] = one
    with pytest.raises(TypeError, match=f"{kind.__name__} takes layers, got function"):
        row.append(etude.relu)
    with pytest.raises(TypeError, match=f"{kind.__name__} takes layers, got int"):
        row[0] = 1


def test_a_sequential_may_have_names():
    model = nn.Sequential({"wide": nn.Linear(2, 3), "act": nn.ReLU(), "thin": nn.Linear(3, 1)})
    assert list(model.state_dict()) == ["wide.weight", "wide.bias", "thin.weight", "thin.bias"]
    assert model.thin is model[2]
    assert model(etude.ones(4, 2)).shape == (4, 1)
    assert list(model[1:].state_dict()) == ["thin.weight", "thin.bias"]  # of slices too
    other = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert list(other[1:].state_dict()) == ["2.weight", "2.bias"]
    assert len(other[1:].append(nn.ReLU())) == 3  # in PyTorch this replaces the layer named "2"


def test_a_layer_is_put_into_the_middle_of_a_list():
    one, two, three = nn.Linear(1, 1), nn.Linear(1, 2), nn.Linear(1, 3)
    layers = nn.ModuleList([one, three])
    layers.insert(1, two)
    assert list(layers) == [one, two, three]
    assert [p.shape for p in layers.state_dict().values()][::2] == [(1, 1), (2, 1), (3, 1)]
    layers.insert(-1, one)
    assert list(layers) == [one, two, one, three]


class Choice(nn.Module):
    """A model that chooses among its layers by name."""

    def __init__(self):
        self.heads = nn.ModuleDict({"small": nn.Linear(2, 1), "large": nn.Linear(2, 3)})

    def forward(self, x, head):
        return self.heads[head](x)


def test_layers_in_a_module_dict_are_trained_saved_and_moved():
    model = Choice().to("float64")
    assert {p.dtype for p in model.parameters()} == {etude.float64}
    assert list(model.state_dict()) == ["heads.small.weight", "heads.small.bias",
                                        "heads.large.weight", "heads.large.bias"]
    model(etude.ones(1, 2, dtype="float64"), "large").sum().backward()
    assert model.heads["large"].weight.grad is not None
    assert model.heads["small"].weight.grad is None


def test_a_module_dict_is_a_dict():
    one, two = nn.ReLU(), nn.Tanh()
    layers = nn.ModuleDict({"one": one})
    layers["two"] = two
    layers.update({"one": two})
    assert list(layers) == list(layers.keys()) == ["one", "two"]
    assert list(layers.values()) == [two, two]
    assert list(layers.items()) == [("one", two), ("two", two)]
    assert "one" in layers
    assert "three" not in layers
    assert "training" not in layers
    assert layers.pop("one") is two
    del layers["two"]
    assert len(layers) == 0 == len(nn.ModuleDict())
    for gone in ("two", "training"):
        with pytest.raises(KeyError):
            del layers[gone]
    assert repr(nn.ModuleDict({"a": one})) == "ModuleDict(\n  (a): ReLU()\n)"


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: nn.ModuleDict({"keys": nn.ReLU()}), ValueError,
     "a layer cannot be called 'keys', which every ModuleDict has already"),
    (lambda: nn.Sequential({"forward": nn.ReLU()}), ValueError, "which every Sequential has"),
    (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), ValueError, "a text without a dot, .* got 'a.b'"),
    (lambda: nn.ModuleDict({1: nn.ReLU()}), ValueError, "the name of a layer is a text"),
    (lambda: nn.ModuleDict({"a": etude.relu}), TypeError, "ModuleDict takes layers, got function"),
    (lambda: nn.ModuleDict([nn.ReLU()]), TypeError, "needs a dict of name and layer, got list"),
])
def test_names_that_cannot_be_are_refused_with_a_reason(make, error, message):
    with pytest.raises(error, match=message):
        make()


LOSSES = [nn.CrossEntropyLoss, nn.MSELoss, nn.L1Loss, nn.BCEWithLogitsLoss]


@pytest.mark.parametrize("loss", LOSSES)
def test_mean_and_sum_are_those_of_the_single_losses(loss):
    x = etude.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    target = etude.tensor([0, 2, 1, 1] if loss is nn.CrossEntropyLoss
                          else np.random.default_rng(1).random((4, 3)))
    each = loss(reduction="none")(x, target).numpy()
    assert each.shape == ((4,) if loss is nn.CrossEntropyLoss else (4, 3))
    assert loss()(x, target).shape == ()
    np.testing.assert_allclose(loss(reduction="mean")(x, target).numpy(), each.mean(), rtol=1e-14)
    np.testing.assert_allclose(loss(reduction="sum")(x, target).numpy(), each.sum(), rtol=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_another_reduction_is_refused(loss):
    with pytest.raises(ValueError, match=f"{loss.__name__}: reduction must be 'mean', 'sum' or"):
        loss(reduction="avg")


@pytest.mark.parametrize("loss", LOSSES[1:])
def test_targets_of_another_shape_are_refused_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"must have shape \[2, 3\], .*of x float32"):
        loss()(etude.zeros(2, 3), etude.zeros(2, 1))


def test_weights_of_a_loss_are_saved_and_moved_but_not_trained():
    loss = nn.CrossEntropyLoss(etude.tensor([1.0, 2.0])).to("float64")
    assert list(loss.parameters()) == []
    assert {k: t.tolist() for k, t in loss.state_dict().items()} == {"weight": [1, 2]}
    assert loss.weight.dtype == etude.float64
    both = nn.BCEWithLogitsLoss(pos_weight=etude.ones(2), weight=etude.ones(1))
    assert list(both.state_dict()) == ["weight", "pos_weight"]
    assert list(nn.BCEWithLogitsLoss().state_dict()) == []
    assert nn.CrossEntropyLoss().weight is None
    with pytest.raises(TypeError, match="buffer 'weight' must be a Tensor, got str"):
        nn.CrossEntropyLoss("sum")


def test_a_class_that_weighs_twice_is_a_class_that_comes_twice():
    x = etude.tensor(np.random.default_rng(0).standard_normal((3, 2)))
    weighed = nn.CrossEntropyLoss(etude.tensor([1.0, 2.0], dtype="float64"))
    twice = nn.CrossEntropyLoss()(x[[0, 1, 1, 2]], etude.tensor([0, 1, 1, 0]))
    np.testing.assert_allclose(weighed(x, etude.tensor([0, 1, 0])).numpy(), twice.numpy(),
                               rtol=1e-14)


def test_ignored_labels_take_no_part_in_the_mean():
    x = etude.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    some = nn.CrossEntropyLoss(ignore_index=-1)(x, etude.tensor([0, -1, 2, -1]))
    np.testing.assert_allclose(some.numpy(), nn.CrossEntropyLoss()(
        x[::2], etude.tensor([0, 2])).numpy(), rtol=1e-14)
