"""Small trainings, each of which several ranks must do as one process does.

``python tests/mpi/trainings.py FOLDER`` under mpirun runs all of CASES on its ranks and writes
FOLDER/CASE.npz; without mpirun ``trained`` gives what one process learns.
"""

import sys
from pathlib import Path

import numpy as np

import etude
from etude import functional as F
from etude import models, nn, optim
from etude.data import DataLoader, TensorDataset
from etude.train import fit
from etude.train.catalog import token_loss
from etude.train.team import ALONE


class Used(nn.Module):
    """A model with a parameter that no loss depends on."""

    def __init__(self):
        self.body, self.idle = nn.Linear(6, 3), nn.Linear(2, 2)

    def forward(self, x):
        return self.body(x)


def images(channels=1, size=8):
    rng = np.random.default_rng(0)
    return etude.tensor(rng.normal(size=(23, channels, size, size))), classes(23, 4)


def rows():
    return etude.tensor(np.random.default_rng(1).normal(size=(23, 6))), classes(23, 3)


def classes(n, count):
    return etude.tensor(np.random.default_rng(2).integers(0, count, n))


def tokens():
    x = np.random.default_rng(3).integers(0, 7, (13, 6))
    return etude.tensor(x), etude.tensor(np.roll(x, -1, axis=1))


def batch_norms():
    """Convolutions and both kinds of BatchNorm; momentum None among them."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(144, 5), nn.BatchNorm1d(5, momentum=None), nn.Linear(5, 4))


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.3), nn.Linear(16, 3))


def gpt():
    return models.gpt(vocab=7, block_size=6, layers=2, heads=2, embed_dim=8, dropout=0.2)


def recurrent():
    return models.char_rnn(vocab=7, hidden=6, layers=2, cell="gru", dropout=0.3)


def sgd(p):
    return optim.SGD(p, lr=0.1, momentum=0.9)


def adamw(p):
    return optim.AdamW(p, lr=0.01)


#: Name -> (model, data, loss, optimiser, batch size, largest norm of the gradient). 23 samples in
#: batches of 11 leave a last one of 1, of which all ranks but one have none; batches of 7 leave one
#: of 2, which a BatchNorm needs.
CASES = {
    "dropout": (mlp, rows, F.cross_entropy, adamw, 11, 0.5),
    "lenet": (lambda: models.lenet(channels=1, classes=4, size=8), images, F.cross_entropy, sgd, 5,
              None),
    "batch_norm": (batch_norms, images, F.cross_entropy, sgd, 7, None),
    "gpt": (gpt, tokens, token_loss, adamw, 4, 1.0),
    "gru": (recurrent, tokens, token_loss, sgd, 4, None),
    "idle parameter": (Used, rows, F.cross_entropy, adamw, 8, None),
}


def trained(name, team=ALONE, dtype="float64", epochs=2, **options):
    """Arrays: every parameter, buffer and moment, and what was recorded."""
    make, data, loss, optimiser, size, clip = CASES[name]
    etude.manual_seed(5)
    model = make().to(dtype)
    x, y = data()
    x = x.to(dtype) if x.dtype != etude.int64 else x
    loader = DataLoader(TensorDataset(x, y), size, shuffle=True, seed=3)
    held = DataLoader(TensorDataset(x[:7], y[:7]), 3)
    optimizer = optimiser(model.parameters())
    scheduler = optim.CosineAnnealingLR(optimizer, T_max=20)
    history = fit(model, loader, optimizer, loss, epochs, held, progress=False,
                  scheduler=scheduler, schedule="step", clip_norm=clip, team=team,
                  metrics={"largest": lambda output, target: F.mean(F.square(output)).item()},
                  **options)
    found = {k: t.detach().numpy() for k, t in model.state_dict().items()}
    for i, state in enumerate(optimizer.state_dict()["state"]):
        found |= {f"{k} of {i}": v.detach().numpy() for k, v in state.items() if k != "step"}
    last = history.epochs[-1]
    return found | {"loss": history.loss, "accuracy": history.accuracy,
                    "epoch": [last.loss, last.metrics["largest"]], "test": list(last.test[:2])}


def main(folder):
    from etude_mpi import MPITeam, join

    with join() as ranks:
        for name in CASES:
            for dtype in ("float64", "float32"):
                found = trained(name, MPITeam(ranks, bucket_mb=0.0005), dtype)
                if ranks.rank == 0:
                    np.savez(folder / f"{name}-{dtype}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
