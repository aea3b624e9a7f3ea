"""Every op of the table beside PyTorch's, at about a million elements: at least as fast, or as fast
as memory allows. The shapes are fixed ones and three that are drawn; the seed is printed.

    tox -e bench-torch -- -k beside

What is called stands in ``etude/bench/calls.py``; ``etude bench ops`` shows three sizes.
"""

import time

import pytest

import etude
from etude.bench.calls import CASES, OTHERWISE, op_of
from etude.bench.ops import at_a_million, timed
from etude.core.table import TABLE
from etude.measure import peaks

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="NOT RUN: PyTorch is not installed")
PRODUCTS = ("matmul", "linear")  # not bound by memory: bench_step.py has one


def test_every_op_stands_beside_pytorchs_or_the_reason_is_given():
    ops = {name for name, op in TABLE.items() if op.cls not in ("view", "create")}
    assert {op_of(name) for name in CASES} | set(OTHERWISE) == ops
    assert not {op_of(name) for name in CASES} & set(OTHERWISE)


@needs_torch
@pytest.mark.parametrize("name", [name for name in CASES if name not in PRODUCTS])
def test_an_op_is_as_fast_as_pytorchs_or_as_memory_beside_it(name):
    import etude_cpu

    seed = time.time_ns() % 10_000
    etude_cpu.set_num_threads(1)
    torch.set_num_threads(1)
    bandwidth = peaks().of(1).bandwidth
    made = list(at_a_million(name, seed))
    with etude.use("cpu"), torch.no_grad():
        found = [timed(name, case, 1, bandwidth) for case in made]
    print(f"seed {seed}", *found, sep="\n")
    assert all(line.passes for line in found), "\n".join(map(str, found))
