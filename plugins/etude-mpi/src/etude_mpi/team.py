"""MPITeam: what ``fit`` asks the processes that train together (``etude.train.team``).

Losses, accuracies and metrics are sums over the samples of all ranks, so every rank records the
same history, stops at the same epoch and takes the same learning rate. Rank 0 prints and writes.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from etude import functional as F
from etude.data import DataLoader
from etude.train.record import Mean, measure
from etude.train.run import Run
from etude.train.team import Team
from etude_mpi.agree import same_config, same_data, same_state, same_weights
from etude_mpi.buckets import MB
from etude_mpi.parallel import DistributedDataParallel, shared
from etude_mpi.ranks import Ranks, join

#: What mpirun sets in the processes it starts: those of Open MPI, of MPICH and of Slurm.
STARTED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK", "SLURM_PROCID")


class MPITeam(Team):
    """The ranks as a team: ``fit(..., team=MPITeam(ranks))``, called alike on every rank."""

    def __init__(self, ranks: Ranks, bucket_mb: float = MB) -> None:
        self.ranks, self.size, self.leads = ranks, ranks.size, ranks.rank == 0
        self.bucket_mb = bucket_mb
        self.parallel: Any = None  # the model of the run, once that has begun

    @property
    def advice(self) -> Callable[[], str]:
        return self.ranks.advice

    @advice.setter
    def advice(self, value: Callable[[], str]) -> None:
        self.ranks.advice = value

    def begin(self, run: Run) -> None:
        """Compare everything, and give each loader its part. RankError for a difference, TypeError
        for batches that cannot be shared.
        """
        same_config(self.ranks, run)
        for name in ("loader", "validation", "test"):
            loader = getattr(run, name)
            if loader is None:
                continue
            if not isinstance(loader, DataLoader):
                raise TypeError(f"fit: among several processes {name} must be a DataLoader, which "
                                f"knows how to give a part of each batch; got "
                                f"{type(loader).__name__}")
            same_data(self.ranks, name, shared(loader, self.ranks))
        same_state(self.ranks, run)
        self.parallel = DistributedDataParallel(run.model, self.ranks, self.bucket_mb)

    def forward(self, run: Run, x: Any, y: Any) -> tuple[Any, dict[str, float], int]:
        output, count = self.parallel(x), len(x)
        names = ["loss", "accuracy", *run.metrics]
        found = dict.fromkeys(names, 0.0)
        if count:
            value = run.loss(output, y)
            found["loss"] = float(value.item())
            if math.isfinite(found["loss"]):
                found |= measure(output, y, run.metrics)
        else:  # the gradients of no samples: zeros, which complete the buckets
            value = F.sum(output)
        sums = self.ranks.total(np.array([*(found[n] * count for n in names), float(count)]))
        whole = int(sums[-1])
        return value, {n: float(s) / whole for n, s in zip(names, sums)}, whole

    def backward(self, value: Any) -> None:
        value.backward()
        self.parallel.finish()

    def gathered(self, mean: Mean) -> Mean:
        known = [n for found in self.ranks.exchange(list(mean.sums)) for n in found]
        names = list(dict.fromkeys(known))
        sums = self.ranks.total(np.array([*(mean.sums.get(n, 0.0) for n in names),
                                          float(mean.samples)]))
        whole = Mean()
        whole.sums = {n: float(s) for n, s in zip(names, sums)}
        whole.samples = int(sums[-1])
        return whole

    def finish(self, run: Run) -> list[str]:
        """Do all ranks still have the same weights? And what did their messages cost?"""
        same_weights(self.ranks, run.model)
        counters = self.parallel.counters
        if not counters.steps or self.size == 1:
            return []
        each, whole = counters.bytes / counters.steps / 1e6, counters.bytes / 1e6
        return [f"{self.size} ranks: {each:.2f} MB of gradients per rank and step, {whole:.1f} MB "
                f"in all. They were on the way for {counters.on_the_way:.2f} s, "
                f"{counters.hidden:.0%} of that behind backward"]


@contextmanager
def joined() -> Iterator[MPITeam]:
    """The team of ``etude train --distributed``. Only rank 0 prints."""
    with join() as ranks:
        if ranks.size == 1 and not any(name in os.environ for name in STARTED):
            print("One process alone. Several: mpirun -n 2 etude train CONFIG --distributed")
        with contextlib.redirect_stdout(io.StringIO()) if ranks.rank else contextlib.nullcontext():
            yield MPITeam(ranks)
