"""Etude on a card beside PyTorch on the same card, in turns: a table in Markdown.

Ops whose speed the arithmetic or the memory decides, with the share of the card's peak (public
figures, ``etude_cuda.lab.cards``), and whole training steps. cuBLAS is PyTorch's matmul with TF32
switched off, so that both multiply in float32. Without PyTorch its column is absent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import etude
import etude_cuda
from etude import models, nn, optim
from etude.measure import compare

try:
    import torch

    torch = torch if torch.cuda.is_available() else None
except ImportError:
    torch = None

BUDGET = 3.0  # seconds for each line

Work = Callable[[], Any]


def both(make: Callable[[Any], Work]) -> dict[str, Work]:
    """The same work on either side, each waiting for its card."""
    work = {"etude": waiting(make(Etude()), etude_cuda.synchronize)}
    if torch is not None:
        work["torch"] = waiting(make(Torch()), torch.cuda.synchronize)
    return work


def waiting(work: Work, wait: Work) -> Work:
    """Several calls and one wait, so that the wait is not what is measured."""
    def run() -> None:
        for _ in range(10):
            work()
        wait()

    return run


class Etude:
    """What the work below needs, from Etude."""

    functional = nn.functional

    def tensor(self, x: np.ndarray[Any, Any], grad: bool = False) -> Any:
        made = etude.tensor(x).to("cuda")
        return made.requires_grad_() if grad else made

    def model(self, name: str) -> Any:
        return MODELS[name][0]().to("cuda")

    def adamw(self, parameters: Any) -> Any:
        return optim.AdamW(parameters, lr=1e-3)


class Torch:
    """The same, from PyTorch."""

    def __init__(self) -> None:
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.functional = torch.nn.functional

    def tensor(self, x: np.ndarray[Any, Any], grad: bool = False) -> Any:
        return torch.from_numpy(x).cuda().requires_grad_(grad)

    def model(self, name: str) -> Any:
        return MODELS[name][1]().cuda()

    def adamw(self, parameters: Any) -> Any:
        return torch.optim.AdamW(parameters, lr=1e-3, fused=True)


def torch_mlp() -> Any:
    t = torch.nn
    return t.Sequential(t.Linear(784, 256), t.ReLU(), t.Linear(256, 128), t.ReLU(),
                        t.Linear(128, 10))


def torch_lenet() -> Any:
    """The layers of etude.models.lenet, found by walking it, so that both are the same network."""
    t = torch.nn
    made = []
    for layer in models.lenet(28):
        name = type(layer).__name__
        if name == "Conv2d":
            o, i, *size = layer.weight.shape
            made.append(t.Conv2d(i, o, tuple(size), layer.stride, layer.padding))
        elif name == "Linear":
            o, i = layer.weight.shape
            made.append(t.Linear(i, o))
        elif name == "MaxPool2d":
            made.append(t.MaxPool2d(layer.kernel_size, layer.stride))
        else:
            made.append(getattr(t, name)())
    return t.Sequential(*made)


MODELS = {"mlp 784-256-128-10, batch 64": (lambda: models.mlp(784, 256, 128, 10), torch_mlp,
                                           (64, 784)),
          "lenet 28 x 28, batch 64": (lambda: models.lenet(28), torch_lenet, (64, 1, 28, 28))}


def matmul(n: int) -> Callable[[Any], Work]:
    def make(side: Any) -> Work:
        rng = np.random.default_rng(0)
        a, b = [side.tensor(rng.standard_normal((n, n), np.float32)) for _ in range(2)]
        return lambda: a @ b

    return make


def rows(name: str, n: int) -> Callable[[Any], Work]:
    def make(side: Any) -> Work:
        x = side.tensor(np.random.default_rng(0).standard_normal((n, 1024), np.float32))
        if name == "softmax":
            return lambda: side.functional.softmax(x, -1)
        return lambda: side.functional.layer_norm(x, (1024,))

    return make


def step(name: str) -> Callable[[Any], Work]:
    def make(side: Any) -> Work:
        rng = np.random.default_rng(0)
        x = side.tensor(rng.standard_normal(MODELS[name][2], np.float32))
        y = side.tensor(rng.integers(0, 10, MODELS[name][2][0]))
        model = side.model(name)
        optimizer = side.adamw(model.parameters())

        def train() -> None:
            optimizer.zero_grad()
            side.functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        return train

    return make


def line(what: str, make: Callable[[Any], Work], flops: float = 0, nbytes: float = 0) -> str:
    """One row of the table: times of a call, the ratio, the share of the card's peak."""
    found = compare(both(make), budget=BUDGET)
    ours = found.seconds("etude").middle / 10
    cells = [what, f"{1e6 * ours:.1f}"]
    if torch is not None:
        cells += [f"{1e6 * found.seconds('torch').middle / 10:.1f}",
                  str(found.speed_up("etude", "torch"))]
    peak = card()
    if peak and flops:
        cells.append(f"{flops / ours / peak.peak:.0%} of {peak.peak / 1e12:.1f} TFLOP/s")
    elif peak and nbytes:
        cells.append(f"{nbytes / ours / peak.bandwidth:.0%} of {peak.bandwidth / 1e9:.0f} GB/s")
    else:
        cells.append("")
    return f"| {' | '.join(cells)} |"


def card() -> Any:
    """The public figures of the card that is here, None for one that etude_cuda does not know."""
    from etude_cuda.backend import device
    from etude_cuda.lab import cards

    facts = device("cuda").facts()
    name = b"".join(facts.name).split(b"\0")[0].decode()
    return next((c for c in cards.CARDS.values() if c.name in name), None)


def main() -> int:
    etude.set_default_backend("cuda", strict=True)
    heads = ["work", "Etude, us"] + (["PyTorch, us", "Etude is faster by"] if torch else [])
    print(f"| {' | '.join([*heads, 'of the peak'])} |")
    print("|" + " --- |" * (len(heads) + 1))
    for n in (512, 1024, 2048, 4096):
        print(line(f"matmul {n}, float32", matmul(n), flops=2 * n**3), flush=True)
    for name in ("softmax", "layer_norm"):
        print(line(f"{name} 8192 x 1024", rows(name, 8192), nbytes=2 * 4 * 8192 * 1024), flush=True)
    for name in MODELS:
        print(line(f"training step, {name}", step(name)), flush=True)
    if torch is None:
        print("\nPyTorch with CUDA is not installed here, so its column is absent.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
