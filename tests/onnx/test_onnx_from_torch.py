"""Models that PyTorch exports: the same outputs here, and the same ten steps of training.

Nothing is kept of them: PyTorch is asked each time, by the exporter of today ("dynamo", which needs
onnxscript) and by the one before it ("traced").
"""

import importlib.util
import logging
import warnings

import numpy as np
import pytest

import etude
from etude import optim

pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")
torch = pytest.importorskip("torch", reason="NOT RUN: needs torch")

from torch import nn  # noqa: E402


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 5),
            nn.ReLU(), nn.AvgPool2d(2))
        self.classify = nn.Linear(6 * 3 * 3, 10)

    def forward(self, x):
        return self.classify(self.features(x).flatten(1))


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.first = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outside)
        self.second = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.short = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x):
        y = self.norm2(self.second(torch.relu(self.norm(self.first(x)))))
        return torch.relu(y + self.short(x))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 1, 1)
        self.blocks = nn.Sequential(Block(4, 4, 1), Block(4, 8, 2))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        y = self.blocks(torch.relu(self.stem(x)))
        return self.head(nn.functional.adaptive_avg_pool2d(y, 1).flatten(1))


class CharRNN(nn.Module):
    def __init__(self, kind, **more):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.layers = getattr(nn, kind)(8, 12, 2, batch_first=True, **more)
        self.head = nn.Linear(24 if more else 12, 20)

    def forward(self, x):
        return self.head(self.layers(self.embed(x))[0])


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = [t.reshape(n, length, self.heads, width // self.heads).transpose(1, 2)
                   for t in self.qkv(x).chunk(3, -1)]
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(n, length, width))


class GPT(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.tokens, self.places = nn.Embedding(30, width), nn.Embedding(16, width)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(5)])
        self.attention = nn.ModuleList([Attention(width, 2) for _ in range(2)])
        self.mlps = nn.ModuleList([nn.Sequential(nn.Linear(width, 32), nn.GELU(),
                                                 nn.Linear(32, width)) for _ in range(2)])
        self.head = nn.Linear(width, 30, bias=False)

    def forward(self, index):
        x = self.tokens(index) + self.places(torch.arange(index.shape[1]))
        for i, (attention, mlp) in enumerate(zip(self.attention, self.mlps)):
            x = x + attention(self.norms[2 * i](x))
            x = x + mlp(self.norms[2 * i + 1](x))
        return self.head(self.norms[4](x))


MODELS = {
    "mlp": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)),
    "lenet": LeNet, "resnet": ResNet, "gpt": GPT,
    "lstm": lambda: CharRNN("LSTM"), "gru": lambda: CharRNN("GRU", bidirectional=True),
    "encoder": lambda: nn.TransformerEncoder(
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), 1,
        enable_nested_tensor=False),
}
INPUTS = {"mlp": (4, 8), "lenet": (2, 1, 20, 20), "resnet": (2, 3, 8, 8), "encoder": (2, 5, 8)}


def made(name):
    """(model in evaluation, input of a batch, input of a larger one). No two vectors are equal:
    the traced exporter keeps tensors of the same numbers once, and they would be trained as one.
    """
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for t in [*model.parameters(), *model.buffers()]:
        if t.ndim == 1:
            nn.init.uniform_(t, 0.5, 1.5)
    shape = INPUTS.get(name)
    x = torch.randint(0, 20, (3, 12)) if shape is None else torch.randn(shape)
    return model, x, torch.cat([x, x[:1]])


def exported(model, x, path, exporter, **more):
    """The model as etude.onnx.load reads it. The batch is left open."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if exporter == "traced":
                torch.onnx.export(model, (x,), str(path), dynamo=False, input_names=["x"],
                                  dynamic_axes={"x": {0: "batch"}}, **more)
            else:
                if importlib.util.find_spec("onnxscript") is None:
                    pytest.skip("NOT RUN: needs the package onnxscript")
                torch.onnx.export(model, (x,), dynamo=True, verbose=False, dynamic_shapes=(
                    {0: torch.export.Dim("batch")},)).save(str(path))
    finally:
        logging.disable(logging.NOTSET)
    return etude.onnx.load(path)


@pytest.mark.parametrize("exporter", ["traced", "dynamo"])
@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_gives_the_same_outputs(name, exporter, tmp_path):
    model, x, larger = made(name)
    loaded = exported(model, x, tmp_path / f"{name}.onnx", exporter)
    for given in (x, larger):
        with torch.no_grad(), etude.no_grad():
            wanted, found = model(given).numpy(), loaded(given.numpy()).numpy()
        np.testing.assert_allclose(found, wanted, atol=2e-6 * max(np.abs(wanted).max(), 1), rtol=0)


def ten_steps(model, optimizer, x):
    losses = []
    for _ in range(10):
        loss = (model(x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "gpt", "lstm"])
def test_an_exported_model_trains_ten_steps_as_in_pytorch(name, tmp_path):
    """BatchNorm stays one if the exporter is asked for a model that may be trained."""
    model, x, _ = made(name)
    more = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    loaded = exported(model, x, tmp_path / f"{name}.onnx", "traced", **more)
    own = optim.SGD(loaded.train().parameters(), lr=0.05)
    theirs = torch.optim.SGD(model.train().parameters(), lr=0.05)
    found = ten_steps(loaded, own, etude.tensor(x.numpy()))
    np.testing.assert_allclose(found, ten_steps(model, theirs, x), rtol=2e-5)
    with torch.no_grad(), etude.no_grad():
        wanted, found = model.eval()(x).numpy(), loaded.eval()(x.numpy()).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5, rtol=0)
    state = loaded.state_dict()
    same = [k for k, v in model.state_dict().items()
            if k in state and tuple(v.shape) == state[k].shape]
    assert same
    for key in same:
        np.testing.assert_allclose(state[key].numpy(), model.state_dict()[key].numpy(), atol=2e-5)
