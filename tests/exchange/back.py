"""A model that goes to another framework, learns something there, and comes back.

    python tests/exchange/back.py            to all of them
    python tests/exchange/back.py keras jax  to these

Etude trains a small mlp on digits for a while and saves it as .safetensors. In a fresh environment
of its own, ``travels/NAME.py`` builds the same network with that framework's own layers, reads the
weights, takes three steps of SGD on three batches, and saves what it has under the same names.
Etude loads that strictly and has taken the same steps: the weights must agree. The exit status is 1
where they do not, or where nothing ran.
"""

import datetime
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

import etude
from etude import data, models, nn, optim

HERE = Path(__file__).parent
BOUND = 1e-5  # of the largest weight, after three steps in float32
RATE, BATCHES, BATCH = 0.1, 3, 32

#: Framework -> what pip installs for it. The first one's version is shown.
FRAMEWORKS = {
    "pytorch": ["torch", "numpy"],
    "jax": ["jax"],
    "keras": ["keras", "jax"],
    "tensorflow": ["tensorflow-cpu"],
    "paddlepaddle": ["paddlepaddle"],
    "mindspore": ["mindspore"],
}


def prepared(folder):
    """Files for the travellers. Returns the weights that Etude has three steps later."""
    etude.manual_seed(0)
    train, _ = data.digits()
    model = models.mlp(64, 32, 10)
    steps = optim.SGD(model.parameters(), lr=RATE)

    def learn(x, y):
        steps.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        steps.step()

    batches = list(data.DataLoader(train, batch_size=BATCH, shuffle=True, seed=1))
    for x, y in batches[BATCHES:]:
        learn(x, y)
    etude.save_weights(folder / "there.safetensors", model)
    chosen = [(x.reshape(BATCH, 64), y) for x, y in batches[:BATCHES]]
    np.savez(folder / "batches.npz", x=np.stack([x.numpy() for x, _ in chosen]),
             y=np.stack([y.numpy() for _, y in chosen]), rate=RATE)
    for x, y in chosen:
        learn(x, y)
    return model


def environment(name, folder):
    """(the Python of a fresh environment, the version of the framework, why pip failed)"""
    home = folder / "venv"
    venv.create(home, with_pip=True, clear=True)
    python, packages = home / "bin" / "python", FRAMEWORKS[name]
    free = {k: v for k, v in os.environ.items() if k not in ("PIP_CONSTRAINT", "PYTHONPATH")}
    asked = subprocess.run([python, "-m", "pip", "install", "-q", *packages, "safetensors"],
                           env=free, capture_output=True, text=True)
    if asked.returncode:
        return python, "-", (asked.stderr.strip().splitlines() or ["pip failed"])[-1]
    ask = f"from importlib.metadata import version; print(version({packages[0]!r}))"
    done = subprocess.run([python, "-c", ask], env=free, capture_output=True, text=True)
    return python, f"{packages[0]} {done.stdout.strip()}", ""


def came_back(python, name, folder, expected):
    """How far the weights are off, as a share of the largest; a sentence if none came back."""
    back = folder / f"{name}.safetensors"
    command = [python, "-I", HERE / "travels" / f"{name}.py", folder / "there.safetensors",
               folder / "batches.npz", back]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600)
    if run.returncode:
        return (run.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    model = models.mlp(64, 32, 10)
    etude.load_torch(back, model)  # strictly: every name, every shape
    theirs, ours = model.state_dict(), expected.state_dict()
    largest = max(float(np.abs(w.numpy()).max()) for w in ours.values())
    off = [float(np.abs(theirs[k].numpy() - w.numpy()).max()) for k, w in ours.items()]
    return max(off) / largest


def main(asked):
    unknown = set(asked) - FRAMEWORKS.keys()
    if unknown:
        raise SystemExit(f"no traveller to {', '.join(unknown)}; there are {', '.join(FRAMEWORKS)}")
    good = 0
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        expected = prepared(folder)
        for name in asked or FRAMEWORKS:
            python, version, failed = environment(name, folder)
            far = failed or came_back(python, name, folder, expected)
            right = isinstance(far, float) and far <= BOUND
            good += right
            what = f"off by {far:.0e}" if isinstance(far, float) else far
            print(f"| {version if not failed else name} | {'equal' if right else 'no'} | {what} | "
                  f"{datetime.date.today()} |", flush=True)
    return 0 if good == len(asked or FRAMEWORKS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
