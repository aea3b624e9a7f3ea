"""Whole models train on the device, in strict mode, and agree with the reference step by step."""

import numpy as np
import pytest

import etude
from etude import data, models, nn, optim, train

TOKENS = np.random.default_rng(0).integers(0, 27, (4, 17))


class Everything(nn.Module):
    """The layers that lenet and gpt lack."""

    def __init__(self):
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.SiLU(),
            nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.RMSNorm(16), nn.Dropout(0.2),
                                  nn.Linear(16, 16), nn.Sigmoid(), nn.Linear(16, 10))

    def forward(self, x):
        return self.head(self.features(x))


def digits():
    return list(data.DataLoader(data.digits("train"), 8))[:3]


def text():
    return [(etude.tensor(TOKENS[:, :-1].copy()), etude.tensor(TOKENS[:, 1:].copy()))] * 3


RUNS = {
    "lenet": (models.lenet, digits, lambda p: optim.AdamW(p, lr=3e-3)),
    "gpt": (lambda: models.gpt(27, 16, layers=2, heads=2, embed_dim=16), text,
            lambda p: optim.AdamW(p, lr=3e-3, weight_decay=0.1)),
    "every other layer": (Everything, digits, lambda p: optim.SGD(p, lr=0.1, momentum=0.9)),
}


def learn(device, make, batches, optimizer):
    """The losses of some steps, and the parameters after them, on the host."""
    etude.manual_seed(7)
    model = make().to(device)
    steps, losses = optimizer(model.parameters()), []
    for x, y in batches():
        z = model(x.to(device))
        loss = etude.cross_entropy(z.reshape(-1, z.shape[-1]), y.to(device).reshape(-1))
        steps.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
        losses.append(loss.item())
    return losses, {k: p.to("cpu").numpy() for k, p in model.state_dict().items()}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_some_steps_are_those_of_the_reference(run, lab):
    losses, state = learn("gpu-lab", *run)
    with etude.use("reference"):
        expected, theirs = learn("cpu", *run)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for name, value in theirs.items():
        np.testing.assert_allclose(state[name], value, rtol=2e-3, atol=2e-4, err_msg=name)


def test_fit_trains_there_with_batches_that_threads_copy_ahead(lab):
    def run(device):
        etude.manual_seed(3)
        model = models.mlp(64, 16, 10).to(device)
        loader = data.DataLoader(data.digits("train"), 256, shuffle=True, device=device, workers=2)
        return train.fit(model, loader, optim.SGD(model.parameters(), lr=0.1), epochs=1,
                         progress=False).loss

    there = run("gpu-lab")
    with etude.use("reference"):
        np.testing.assert_allclose(there, run("cpu"), rtol=1e-5)


def test_a_checkpoint_is_saved_from_the_device_and_read_anywhere(lab, tmp_path):
    model = models.mlp(64, 8, 10).to("gpu-lab")
    etude.save_weights(tmp_path / "model.npz", model)
    twin = models.mlp(64, 8, 10)
    etude.load_weights(tmp_path / "model.npz", twin)
    x = etude.tensor(np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32))
    with etude.use("reference"):
        here = twin(x).detach().numpy()
    np.testing.assert_allclose(model(x.to("gpu-lab")).detach().numpy(), here, rtol=1e-5, atol=1e-6)
    again = models.mlp(64, 8, 10).to("gpu-lab")
    etude.load_weights(tmp_path / "model.npz", again)
    assert all(np.array_equal(p.detach().numpy(), q.detach().numpy())
               for p, q in zip(again.parameters(), model.parameters(), strict=True))
