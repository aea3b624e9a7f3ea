"""What small things cost: one op with a gradient, one training step, one matrix product.

Timings are shown by pytest-benchmark; what they must satisfy is a ratio, both sides measured in
turns in this run. PyTorch's side is left out where it is not installed (tox -e bench-torch).
"""

import timeit

import numpy as np
import pytest

import etude
from etude.bench import peers, works

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")


def ratio(ours, theirs, number, rounds=60):
    """How much longer ``ours`` takes than ``theirs``: the best of each, taken in turns."""
    best = [float("inf")] * 2
    for _ in range(rounds):
        for i, fn in enumerate((ours, theirs)):
            best[i] = min(best[i], timeit.timeit(fn, number=number))
    return best[0] / best[1]


def small_add(library):
    """z = x + y of 16 floats, recorded for backward."""
    if library == "torch":
        x, y = torch.ones(16, requires_grad=True), torch.ones(16)
    else:
        x = etude.tensor(np.ones(16, np.float32), requires_grad=True)
        y = etude.tensor(np.ones(16, np.float32))
    return lambda: x + y


def adamw_step(library):
    """Forward, backward and AdamW of a 64-32-10 network on a batch of 32."""
    work = works.STEPS[0]
    if library == "torch":
        side = peers.torch_step(work)
    else:
        side = works.training(work, library.removesuffix(" captured"), library.endswith("captured"))
    side.rate(works.TIMED)
    return side.group(1)


SIDES = ["reference", "cpu", pytest.param("torch", marks=needs_torch)]


@pytest.mark.parametrize("side", SIDES)
def test_timing_of_a_small_op(benchmark, side):
    benchmark.group = small_add.__doc__
    with etude.use("reference" if side == "torch" else side):
        benchmark(small_add(side))


@pytest.mark.parametrize("side", [*SIDES, "cpu captured"])
def test_timing_of_a_step(benchmark, side):
    benchmark.group = adamw_step.__doc__
    benchmark(adamw_step(side))


@needs_torch
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_small_op_with_a_gradient_costs_at_most_twice_pytorchs(backend):
    with etude.use(backend):
        assert ratio(small_add("etude"), small_add("torch"), number=5000) < 2


@needs_torch
def test_a_training_step_on_the_cpu_backend_costs_less_than_pytorchs():
    assert ratio(adamw_step("cpu"), adamw_step("torch"), number=200) < 1


@pytest.mark.parametrize("n", [256, 512, 1024])
def test_matmul_is_at_least_85_percent_of_numpys(n):
    a, b = np.random.default_rng(n).standard_normal((2, n, n)).astype(np.float32)
    with etude.use("cpu"):
        x, y = etude.tensor(a), etude.tensor(b)
        assert ratio(lambda: x @ y, lambda: a @ b, number=max(1, 2**26 // n**3)) < 1 / 0.85
