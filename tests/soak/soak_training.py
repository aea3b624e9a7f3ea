"""Whole trainings, to the accuracy that a user would expect: minutes each. Run: tox -e soak.

Each test writes one dated line into soak.md, in the form of the table of docs/figures.md. No
assertion is about time; the seconds are only reported.
"""

import datetime
import os
import time
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import data, models, optim
from etude import functional as F

ROWS = Path(os.environ.get("ETUDE_SOAK_ROWS", "soak.md"))


@pytest.fixture
def report():
    def write(what, result, backend, seconds):
        day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        with ROWS.open("a", encoding="ascii") as file:
            file.write(f"| {day} | {what} | {result} | {backend} | {seconds:.0f} s |\n")
    return write


@pytest.fixture
def fashion():
    try:
        return data.fashion_mnist()
    except FileNotFoundError as missing:
        pytest.skip(f"NOT RUN: {str(missing).splitlines()[0]}")


@pytest.fixture
def cpu():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    with etude.use("cpu") as used:
        yield used


def _train(model, sets, lr, epochs):
    train, test = sets
    loader = data.DataLoader(train, 64, shuffle=True, seed=0)
    opt = optim.AdamW(model.parameters(), lr=lr)
    schedule = optim.CosineAnnealingLR(opt, epochs)
    start = time.perf_counter()
    history = etude.train.fit(model, loader, opt, epochs=epochs, scheduler=schedule,
                              test=data.DataLoader(test, 500))
    return history.epochs[-1].test.accuracy, time.perf_counter() - start


def test_a_perceptron_learns_fashion_mnist(fashion, report):
    """784-256-10 in plain NumPy, ten epochs."""
    etude.manual_seed(0)
    with etude.use("reference"):
        accuracy, seconds = _train(models.mlp(784, 256, 10), fashion, 1e-3, 10)
    report("Fashion-MNIST, mlp 784-256-10, 10 epochs", f"{accuracy:.2%} of the test images",
           "reference", seconds)
    assert accuracy >= 0.885


def test_lenet_learns_fashion_mnist(fashion, cpu, report):
    """Three epochs on the C kernels."""
    etude.manual_seed(0)
    accuracy, seconds = _train(models.lenet(28), fashion, 2e-3, 3)
    report("Fashion-MNIST, lenet, 3 epochs", f"{accuracy:.2%} of the test images", "cpu", seconds)
    assert accuracy >= 0.89


def test_a_small_gpt_learns_shakespeare(cpu, report):
    """Characters, 4 layers of 128 numbers, 64 characters of context."""
    etude.manual_seed(0)
    text = data.shakespeare()
    tokens = data.CharTokenizer.train(text)
    ids = tokens.encode(text)
    train, held_out = data.text_split(ids)
    model = models.gpt(tokens.vocab_size, block_size=64, layers=4, heads=4, embed_dim=128,
                       dropout=0.1)
    steps = 2000
    opt = optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = optim.OneCycleLR(opt, 2e-3, steps, pct_start=0.05)
    blocks = data.LanguageModelDataset(train, 64, stride=1)
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(steps):
        x, y = (etude.tensor(a) for a in blocks.batch(rng.integers(0, len(blocks), 32)))
        loss = _loss(model, x, y)
        opt.zero_grad()
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        schedule.step()
    seconds = time.perf_counter() - start
    model.eval()
    with etude.no_grad():
        losses = [_loss(model, x, y).item() for x, y in data.DataLoader(
            data.LanguageModelDataset(held_out, 64), 64)]
    found = sum(losses) / len(losses)
    sample = model.generate(etude.tensor([tokens.encode("\n")]), 300, 0.8, 20, etude.Generator(1))
    report(f"Shakespeare, character gpt 4 x 128, {steps} steps of 32 x 64", f"validation loss "
           f"{found:.3f} nats per character", "cpu", seconds)
    ROWS.with_suffix(".sample.txt").write_text(tokens.decode(sample.tolist()[0]), encoding="ascii")
    assert found < 1.75


def _loss(model, x, y):
    logits = model(x)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
