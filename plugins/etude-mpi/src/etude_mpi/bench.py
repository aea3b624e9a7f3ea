"""What a second rank brings: ``mpirun -n 2 python -m etude_mpi.bench`` (or any other number).

Two questions are asked for each model. Strong: the same batch, shared by the ranks; with p ranks a
step should take 1/p of the time. Weak: each rank has the whole batch of one; a step should take as
long. Efficiency is the share of that which is reached: t(1) / (p t(p)), and t(1) / t(p).

Rank 0 measures the step of one process first, while the others wait asleep. Each time is the median
of the steps. On a machine that does other work, too, the wall clock says little; so the CPU time is
shown as well, that of all ranks together. What it is above that of one process is the price of
working together: messages, waiting in short naps, a smaller batch, which is slower per sample, and
the optimiser, which every rank runs over all parameters. "By CPU" is the efficiency that this
price allows.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import etude
from etude import functional as F
from etude import models, optim
from etude.train.catalog import token_loss
from etude_mpi.buckets import MB
from etude_mpi.parallel import DistributedDataParallel
from etude_mpi.ranks import Ranks, join

Batch = tuple[Any, Any]
HEAD = (f"{'model':8}{'':8}{'one':>9}{'together':>10}{'efficiency':>12}{'CPU one':>10}"
        f"{'CPU all':>10}{'by CPU':>8}{'MB/step':>9}{'hidden':>8}{'no overlap':>12}")


def _mlp(n: int) -> tuple[Any, Batch, Any]:
    """3.2 MB of weights."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 784)).astype(np.float32), rng.integers(0, 10, n)
    model = models.mlp(784, 512, 512, 256, 10)
    return model, (etude.tensor(x), etude.tensor(y)), F.cross_entropy


def _lenet(n: int) -> tuple[Any, Batch, Any]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, n)
    return (models.lenet(size=28), (etude.tensor(x), etude.tensor(y)),
            F.cross_entropy)


def _gpt(n: int) -> tuple[Any, Batch, Any]:
    x = etude.tensor(np.random.default_rng(0).integers(0, 65, (n, 64)))
    return models.gpt(vocab=65, block_size=64, layers=4, heads=4, embed_dim=128), (x, x), token_loss


#: Name -> (what makes model, batch and loss of n samples, n).
WORKS: dict[str, tuple[Callable[[int], tuple[Any, Batch, Any]], int]] = {
    "mlp": (_mlp, 256), "lenet": (_lenet, 128), "gpt": (_gpt, 16)}


class Times:
    """Medians over steps, in seconds."""

    def __init__(self, wall: list[float], cpu: list[float]) -> None:
        self.wall, self.cpu = statistics.median(wall), statistics.median(cpu)


def steps(model: Any, called: Any, batch: Batch, loss: Any, count: int) -> Times:
    """The time of a training step. The first, which makes moments and threads, does not count."""
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    wall, cpu = [], []
    for _ in range(count + 1):
        begin, used = time.perf_counter(), time.process_time()
        value = loss(called(batch[0]), batch[1])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
    return Times(wall[1:], cpu[1:])


def _part(ranks: Ranks, batch: Batch) -> Batch:
    n = len(batch[0])
    mine = slice(n * ranks.rank // ranks.size, n * (ranks.rank + 1) // ranks.size)
    return batch[0][mine], batch[1][mine]


def measured(ranks: Ranks, name: str, count: int, bucket_mb: float) -> list[str]:
    """The two lines of a model."""
    make, n = WORKS[name]
    model, batch, loss = make(n)
    alone = [steps(model, model, batch, loss, count)] if ranks.rank == 0 else []
    one = ranks.exchange(alone)[0][0]
    lines = []
    for kind in ("strong", "weak"):
        mine = _part(ranks, batch) if kind == "strong" else batch
        parallel = DistributedDataParallel(make(n)[0], ranks, bucket_mb)
        together = steps(parallel.module, parallel, mine, loss, count)
        late = DistributedDataParallel(make(n)[0], ranks, bucket_mb, overlap=False)
        after = steps(late.module, late, mine, loss, count)
        cpu = sum(t.cpu for t in ranks.exchange(together))
        fair = ranks.size if kind == "strong" else 1
        price = cpu * fair / (one.cpu * ranks.size)
        counters = parallel.counters
        sent = counters.bytes / counters.steps / 1e6
        lines.append(f"{name:8}{kind:8}{one.wall * 1e3:6.1f} ms{together.wall * 1e3:7.1f} ms"
                     f"{one.wall / (fair * together.wall):12.0%}{one.cpu * 1e3:7.1f} ms"
                     f"{cpu * 1e3:7.1f} ms{1 / price:8.0%}{sent:9.2f}"
                     f"{counters.hidden:8.0%}{after.wall * 1e3:9.1f} ms")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m etude_mpi.bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", choices=[*WORKS, []],  # [] is what none given is
                        metavar="MODEL", help=f"of {', '.join(WORKS)}; by default all")
    parser.add_argument("--steps", type=int, default=30, help="how many are timed (30)")
    parser.add_argument("--bucket-mb", type=float, default=MB,
                        help=f"size of a message, in 2^20 bytes ({MB})")
    given = parser.parse_args()
    with join() as ranks:
        if ranks.rank == 0:
            print(f"{ranks.size} ranks, {given.steps} steps, medians\n\n{HEAD}", flush=True)
        for name in given.models or WORKS:
            lines = measured(ranks, name, given.steps, given.bucket_mb)
            if ranks.rank == 0:
                print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
