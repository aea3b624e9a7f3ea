"""Layers, optimisers and whole runs beside PyTorch, in float64, from the same weights.

Collected by ``tox -e torch`` alone: the file's name is not of the form test_*.py.
"""

import numpy as np
import pytest
import torch

import etude
from etude import data, models, nn, optim

torch.set_num_threads(1)
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def twin(model):
    """PyTorch's layers of the same names and settings, with the same weights, in float64."""
    made = torch.nn.Sequential(*[_layer(m) for m in model.children()]) if isinstance(
        model, nn.Sequential) else _layer(model)
    made = made.double()
    state = {k: torch.from_numpy(t.numpy().copy()) for k, t in model.state_dict().items()}
    made.load_state_dict(state)  # strict: the names agree too
    return made


def _layer(m):
    if isinstance(m, nn.Linear):
        return torch.nn.Linear(m.weight.shape[1], m.weight.shape[0], bias=m.bias is not None)
    if isinstance(m, nn.Conv2d):
        return torch.nn.Conv2d(m.weight.shape[1], m.weight.shape[0], m.kernel_size, m.stride,
                               m.padding, bias=m.bias is not None)
    if isinstance(m, nn.MaxPool2d):
        return torch.nn.MaxPool2d(m.kernel_size, m.stride, m.padding)
    if isinstance(m, nn.LayerNorm):
        return torch.nn.LayerNorm(m.normalized_shape, m.eps, m.weight is not None,
                                  m.bias is not None)
    if isinstance(m, nn.Flatten):
        return torch.nn.Flatten(m.start_dim, m.end_dim)
    if isinstance(m, nn.GELU):
        return torch.nn.GELU(m.approximate)
    return getattr(torch.nn, type(m).__name__)()


LAYERS = [
    (lambda: nn.Linear(5, 4), (2, 3, 5)),
    (lambda: nn.Linear(5, 4, bias=False), (7, 5)),
    (lambda: nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 2, 7, 6)),
    (lambda: nn.Conv2d(2, 3, 3, bias=False), (2, 2, 5, 5)),
    (lambda: nn.MaxPool2d(2), (2, 3, 6, 7)),
    (lambda: nn.MaxPool2d(3, 2, 1), (2, 3, 6, 7)),
    (lambda: nn.LayerNorm(6), (4, 6)),
    (lambda: nn.LayerNorm((3, 6), eps=0.1, bias=False), (4, 3, 6)),
    (lambda: nn.LayerNorm(6, elementwise_affine=False), (4, 6)),
    (nn.Flatten, (2, 3, 4)),
    (nn.ReLU, (3, 4)),
    (nn.GELU, (3, 4)),
    (lambda: nn.GELU("tanh"), (3, 4)),
    (nn.Tanh, (3, 4)),
    (nn.Sigmoid, (3, 4)),
]


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=lambda x: repr(x()) if callable(x) else "")
def test_layer(make, shape):
    layer = make().to(etude.float64)
    other = twin(layer)
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    mine, theirs = etude.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = layer(mine), other(theirs)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **TIGHT)
    g = rng.standard_normal(y.shape)
    y.backward(etude.tensor(g))
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), **TIGHT)
    for (name, p), q in zip(layer.named_parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), err_msg=name, **TIGHT)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction):
    x, t = np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 3, 1, 1, 2, 0])
    mine = nn.CrossEntropyLoss(reduction)(etude.tensor(x), etude.tensor(t)).numpy()
    theirs = torch.nn.CrossEntropyLoss(reduction=reduction)(torch.tensor(x), torch.tensor(t))
    np.testing.assert_allclose(mine, theirs.numpy(), **TIGHT)


OPTIMISERS = [
    ("SGD", {"lr": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    ("AdamW", {"lr": 3e-3}),
    ("AdamW", {"lr": 3e-3, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS)
@pytest.mark.parametrize("make", [lambda: models.mlp(64, 32, 10), models.lenet],
                         ids=["mlp", "lenet"])
def test_100_steps_have_the_same_losses(make, name, settings):
    etude.manual_seed(0)
    model = make().to(etude.float64)
    other = twin(model)
    steps = getattr(optim, name)(model.parameters(), **settings)
    their_steps = getattr(torch.optim, name)(other.parameters(), **settings)
    loader = data.DataLoader(data.digits("train"), 64, shuffle=True, seed=0)
    losses = []
    while len(losses) < 100:
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x.double()), y)
            steps.zero_grad()
            loss.backward()
            steps.step()
            their_loss = torch.nn.functional.cross_entropy(
                other(torch.tensor(x.numpy()).double()), torch.tensor(y.numpy()))
            their_steps.zero_grad()
            their_loss.backward()
            their_steps.step()
            losses.append((loss.item(), their_loss.item()))
    mine, theirs = np.array(losses).T
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("mine", "theirs"), [
    (lambda: nn.Linear(300, 200), lambda: torch.nn.Linear(300, 200)),
    (lambda: nn.Conv2d(30, 200, 3), lambda: torch.nn.Conv2d(30, 200, 3)),
], ids=["Linear", "Conv2d"])
def test_first_values_have_the_same_bounds_and_spread(mine, theirs):
    for p, q in zip(mine().parameters(), theirs().parameters(), strict=True):
        a, b = p.detach().numpy(), q.detach().numpy()
        np.testing.assert_allclose(np.abs(a).max(), np.abs(b).max(), rtol=0.05)
        if a.size > 1000:
            np.testing.assert_allclose(a.std(), b.std(), rtol=0.02)
