"""resnet20: its size, its stages, and a block written out."""

import numpy as np
import pytest

import etude
from etude import models, nn, optim
from etude.nn import functional as F


def test_resnet20_has_20_layers_and_270_thousand_parameters():
    model = models.resnet20()
    assert sum(p.numel() for p in model.parameters()) == 272_474
    weights = [m for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))
               and "shortcut" not in n]
    assert len(weights) == 20
    model.eval()
    assert model(etude.zeros(2, 3, 9, 12)).shape == (2, 10)
    assert models.resnet20(1, 5, blocks=1).eval()(etude.zeros(1, 1, 8, 8)).shape == (1, 5)


def test_each_stage_after_the_first_halves_the_image_and_doubles_the_channels():
    x, seen = etude.zeros(1, 3, 16, 16), []
    for layer in models.resnet20().eval().children():
        x = layer(x)
        seen.append(x.shape[1:])
    assert seen == [*[(16, 16, 16)] * 6, *[(32, 8, 8)] * 3, *[(64, 4, 4)] * 3,
                    (64, 1, 1), (64,), (10,)]


@pytest.mark.parametrize("at", [3, 6, 9])  # the first block of each stage
def test_a_block_adds_what_it_was_given_to_two_convolutions_of_it(at):
    etude.manual_seed(0)
    block = list(models.resnet20().children())[at].to("float64")
    x = etude.tensor(np.random.default_rng(0).standard_normal((2, 16 if at < 9 else 32, 6, 6)))

    def normalised(y):
        rows = y.detach().numpy()
        mean, var = (f(rows, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
        return (rows - mean) / np.sqrt(var + 1e-5)

    stride = 1 if at == 3 else 2
    y = np.maximum(normalised(F.conv2d(x, block.conv1.weight, None, stride, 1)), 0)
    y = normalised(F.conv2d(etude.tensor(y), block.conv2.weight, None, 1, 1))
    y += x.numpy() if at == 3 else normalised(F.conv2d(x, block.shortcut[0].weight, None, 2))
    np.testing.assert_allclose(block(x).detach().numpy(), np.maximum(y, 0), rtol=1e-10,
                               atol=1e-12)


def test_a_small_one_learns_two_images():
    etude.manual_seed(0)
    model = models.resnet20(1, 2, blocks=1)
    x = etude.tensor(np.random.default_rng(0).standard_normal((4, 1, 8, 8)).astype("f"))
    y = etude.tensor([0, 1, 0, 1])
    steps = optim.SGD(model.parameters(), 0.05, 0.9, nesterov=True)
    for _ in range(12):
        steps.zero_grad()
        loss = etude.cross_entropy(model(x), y)
        loss.backward()
        steps.step()
    assert loss.item() < 0.1
