"""Data-parallel training over MPI: every process has the model and a part of every batch.

    $ mpirun -n 2 etude train config.toml --distributed

    with etude_mpi.join() as ranks:                    # a loop of your own, in each process
        model = etude_mpi.DistributedDataParallel(model, ranks)
        loader = etude_mpi.shared(DataLoader(dataset, 64, shuffle=True, seed=0), ranks)
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()                            # the gradient is that of the whole batch
            optimizer.step()

The reading path: ``ranks.py`` (the processes, how they wait, and how one that fails ends all),
``buckets.py`` (which gradients travel together), ``parallel.py`` (they travel while backward
runs), ``norm.py`` (BatchNorm over all ranks), ``agree.py`` (are all ranks the same?), ``team.py``
(what ``fit`` and ``etude train`` ask) and ``bench.py`` (what a second rank brings).

It is no parameter server and no pipeline: the whole model must fit into each process.
"""

from importlib import import_module
from typing import Any

from etude import hookimpl

#: Imported when first used: the plugin is found, and asked what it offers, without mpi4py.
_HOMES = {"join": "ranks", "Ranks": "ranks", "RankError": "ranks", "shared": "parallel",
          "DistributedDataParallel": "parallel", "SyncBatchNorm1d": "norm",
          "SyncBatchNorm2d": "norm", "MPITeam": "team"}

__all__ = sorted(_HOMES)


@hookimpl
def etude_teams() -> list[Any]:
    """``etude train --distributed``."""
    from etude_mpi.team import joined

    return [joined]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"etude_mpi has no {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"etude_mpi.{_HOMES[name]}"), name)
