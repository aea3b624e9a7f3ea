"""Every layer, and the larger models, train on the opaque device as on the host, bit for bit."""

import sys
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import models, nn, optim

sys.path.insert(0, str(Path(__file__).parents[1] / "nn"))
from layer_cases import CASES


def host(t):
    return None if t is None else t.detach().numpy()


def same(mine, theirs, name=""):
    assert (mine is None) == (theirs is None), name
    if mine is not None:
        assert mine.device == "opaque", name
        assert np.array_equal(host(mine), host(theirs)), name


def backward(layer, inputs, device):
    """The output, and the inputs with their gradients; the same random numbers each time."""
    etude.manual_seed(1)
    given = [etude.tensor(x, requires_grad=x.dtype.kind == "f", device=device) for x in inputs]
    y = layer(*given)
    y = y[0] if isinstance(y, tuple) else y
    (y * y).sum().backward()
    return y, given


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.shown.partition("\n")[0])
def test_a_layer_and_its_gradients_are_those_of_the_host(case, traffic):
    inputs = [x.astype("f") if x.dtype.kind == "f" else x for x in case.arrays()]
    there, here = (case.layer().to("float32").to(d) for d in ("opaque", "cpu"))
    y, given = backward(there, inputs, "opaque")
    expected, held = backward(here, inputs, "cpu")
    same(y, expected)
    for a, b in zip(given, held, strict=True):
        same(a.grad, b.grad, "input")
    for (name, p), q in zip(there.named_parameters(), here.parameters(), strict=True):
        same(p.grad, q.grad, name)
    for (name, b), c in zip(there.named_buffers(), here.buffers(), strict=True):
        same(b, c, name)


def images():
    rng = np.random.default_rng(0)
    return (etude.tensor(rng.standard_normal((4, 1, 8, 8)).astype("f")),
            etude.tensor(rng.integers(0, 3, 4)))


def text(vocab=5):
    x = np.random.default_rng(0).integers(0, vocab, (2, 7))
    return etude.tensor(x[:, :-1]), etude.tensor(x[:, 1:].reshape(-1))


MODELS = {
    "resnet": (lambda: models.resnet20(1, 3, blocks=1), images),
    "rnn": (lambda: models.char_rnn(5, 8, 2, "rnn"), text),
    "lstm": (lambda: models.char_rnn(5, 8, 2, "lstm", dropout=0.2), text),
    "gru": (lambda: models.char_rnn(5, 8, 1, "gru"), text),
    "gpt": (lambda: models.gpt(5, 6, 2, 2, 8, dropout=0.1), text),
}
OPTIMISERS = {
    "nesterov": lambda p: optim.SGD(p, 0.05, 0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, 1e-2),
    "rmsprop": lambda p: optim.RMSprop(p, 1e-2, momentum=0.5),
}


def learn(make, batch, optimizer, device, steps=3):
    """The model and losses after some steps with a schedule and clipped gradients."""
    etude.manual_seed(3)
    model = make().to(device)
    x, y = (t.to(device) for t in batch())
    moves = optimizer(model.parameters())
    schedule = optim.OneCycleLR(moves, 0.02, steps)
    losses, norms = [], []
    for _ in range(steps):
        moves.zero_grad()
        logits = model(x)
        loss = etude.cross_entropy(logits.reshape(-1, logits.shape[-1]), y, label_smoothing=0.1)
        loss.backward()
        norms.append(optim.clip_grad_norm_(model.parameters(), 0.5))
        optim.clip_grad_value_(model.parameters(), 0.1)
        moves.step()
        schedule.step()
        losses.append(loss.item())
    return model, losses, norms


@pytest.mark.parametrize("optimizer", OPTIMISERS.values(), ids=OPTIMISERS)
@pytest.mark.parametrize(("make", "batch"), MODELS.values(), ids=MODELS)
def test_training_equals_the_host_bit_for_bit(make, batch, optimizer, traffic):
    there, losses, norms = learn(make, batch, optimizer, "opaque")
    here, expected, expected_norms = learn(make, batch, optimizer, "cpu")
    assert losses == expected
    assert norms == expected_norms
    assert len(set(losses)) == 3  # it did move
    for (name, t), h in zip(there.state_dict().items(), here.state_dict().values(), strict=True):
        same(t, h, name)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {}, {"temperature": 0.7, "top_k": 3}],
                         ids=str)
def test_a_text_written_there_is_the_one_written_here(settings, traffic):
    etude.manual_seed(0)
    model = models.gpt(5, 6, 2, 2, 8)
    x, _ = text()

    def write(device):
        return model.to(device).generate(x.to(device), 10, generator=etude.Generator(4),
                                         **settings)

    there = write("opaque")
    assert there.device == "opaque"
    assert there.tolist() == write("cpu").tolist()


@pytest.mark.parametrize("fill", ["uniform_", "normal_", "kaiming_normal_", "xavier_uniform_",
                                  "xavier_normal_"])
def test_first_values_drawn_there_are_those_of_the_host(fill, traffic):
    def draw(device):
        return host(getattr(nn.init, fill)(etude.zeros(4, 3, device=device),
                                           generator=etude.Generator(1)))

    assert np.array_equal(draw("opaque"), draw("cpu"))
