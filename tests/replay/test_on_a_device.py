"""Arrays whose memory is not the host's are traced and replayed like NumPy's."""

import sys
from pathlib import Path

import numpy as np
import pytest
from twins import same

import etude
from etude import functional as F
from etude import models, optim

sys.path.insert(0, str(Path(__file__).parents[1] / "opaque"))


@pytest.fixture
def device():
    from opaque_backend import opaque_backend

    backend, _ = opaque_backend()
    with etude.use(backend, strict=True):
        yield backend.device


def trained(device, capture):
    etude.manual_seed(0)
    model = models.mlp(6, 5, 4).to(device)
    opt = optim.AdamW(model.parameters(), lr=0.01)

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(F.dropout(model(x), 0.3), y)
        loss.backward()
        opt.step()
        return loss

    f = etude.capture(step) if capture else step
    rng = np.random.default_rng(0)
    found, kept = [], []
    for _ in range(5):
        x = etude.tensor(rng.standard_normal((3, 6)).astype(np.float32)).to(device)
        y = etude.tensor(rng.integers(0, 4, 3)).to(device)
        kept.append(f(x, y))
        found.append([t.detach().to("cpu").numpy() for t in (
            kept[-1], *model.parameters(), *[p.grad for p in model.parameters()])])
    return found, [t.detach().to("cpu").numpy() for t in kept]


def test_a_training_on_a_device_has_the_bits_of_the_training(device):
    written, captured = trained(device, False), trained(device, True)
    assert same(written[0], captured[0])
    assert same(written[1], captured[1])  # losses that were kept


def test_a_move_to_another_device_inside_is_refused(device):
    f = etude.capture(lambda x: x.to(device) * 2)
    with pytest.raises(etude.CaptureError, match="is moved from 'cpu' to"):
        f(etude.tensor([1.0]))
