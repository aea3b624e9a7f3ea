"""The models: their shapes, what they refuse, and that they learn real digits."""

import numpy as np
import pytest

import etude
from etude import data, models, nn, optim, train


def test_mlp_is_linear_layers_with_relu_between():
    model = models.mlp(64, 32, 16, 10)
    assert [type(m) for m in model.children()] == [
        nn.Flatten, nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [p.shape for p in model.parameters()] == [
        (32, 64), (32,), (16, 32), (16,), (10, 16), (10,)]
    assert model(etude.zeros(5, 1, 8, 8)).shape == (5, 10)


def test_mlp_needs_two_sizes():
    with pytest.raises(ValueError, match=r"at least two sizes, inputs and outputs, got \(64,\)"):
        models.mlp(64)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3)])
def test_lenet_fits_images_of_its_size(size, channels):
    model = models.lenet(size, channels, classes=7)
    assert model(etude.zeros(2, channels, size, size)).shape == (2, 7)


def test_lenet_says_which_sizes_it_takes():
    with pytest.raises(ValueError, match="size must be a multiple of 4, got 30"):
        models.lenet(30)


def test_a_gradient_reaches_every_parameter():
    for model in (models.lenet(), models.mlp(64, 32, 10)):
        x, y = next(iter(data.DataLoader(data.digits("train"), 64)))
        etude.cross_entropy(model(x), y).backward()
        assert all(np.any(p.grad.numpy() != 0) for p in model.parameters())


def learn(model, epochs, batch_size, lr):
    training, test = data.digits()
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    loader = data.DataLoader(training, batch_size, shuffle=True)
    return train.fit(model, loader, optimizer, epochs=epochs, progress=False,
                     test=data.DataLoader(test, 256))


def test_lenet_reads_97_digits_of_100():
    etude.manual_seed(0)
    history = learn(models.lenet(), epochs=20, batch_size=32, lr=3e-3)
    assert history.epochs[-1].test.accuracy >= 0.97


def test_mlp_reads_94_digits_of_100():
    etude.manual_seed(0)
    history = learn(models.mlp(64, 32, 10), epochs=20, batch_size=32, lr=3e-3)
    assert history.epochs[-1].test.accuracy >= 0.94
