"""Are all ranks the same? Versions, config, data, model and state are compared with rank 0's.

A rank that differs would not fail: it would spoil what the others learn. So each says what it has,
in a few words or as a digest, and a difference is a RankError that names the rank and the thing.
Every rank raises it, since every rank sees all answers.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import etude
from etude.core.random import default_generator
from etude.core.tensor import Tensor
from etude.data import DataLoader
from etude.train.run import differences
from etude_mpi.ranks import RankError, Ranks

LOOKED_AT = 256  # samples of a data set, spread evenly, that are compared number by number


def same(ranks: Ranks, what: str, mine: Mapping[str, Any], remedy: str) -> None:
    """RankError unless every rank has ``mine``, a document such as a config."""
    answers = ranks.exchange(dict(mine))
    for rank, answer in enumerate(answers):
        found = [_between_ranks(change, rank) for change in differences(answers[0], answer)]
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise RankError(f"rank {rank} has another {what} than rank 0: "
                            f"{'; '.join(found[:3])}{more}. {remedy}")


def _between_ranks(change: str, rank: int) -> str:
    """"lr was 1, is 2", as two ranks have it."""
    return change.replace(" was ", " is ").replace(", is ", f" on rank 0, and on rank {rank} ")


def same_versions(ranks: Ranks) -> None:
    """Python, and the packages that a result depends on."""
    names = ("etude", "etude-mpi", "etude-cpu", "etude-cuda", "numpy")
    versions = {"python": platform.python_version(), **{name: _version(name) for name in names}}
    same(ranks, "version of a package", versions, "Install the same on every machine")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return etude.__version__ if name == "etude" else "not installed"


def same_model(ranks: Ranks, module: Any) -> None:
    """Names, shapes and dtypes of parameters and buffers."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    same(ranks, "model", {k: f"{t.dtype.name}{list(t.shape)}" for k, t in tensors.items()},
         "Make the same model on every rank")


def same_data(ranks: Ranks, name: str, loader: DataLoader) -> None:
    """The number of samples, the order, and the numbers of some samples."""
    data = loader.dataset
    picked = np.unique(np.linspace(0, len(data) - 1, LOOKED_AT).astype(np.int64))
    same(ranks, f"data set ({name})",
         {"samples": len(data), "batch_size": loader.batch_size, "seed": loader.seed,
          "shuffle": loader.shuffle, "drop_last": loader.drop_last,
          "digest": digest([data[int(i)] for i in picked])},
         "Give every rank the same files, and the loader a seed")


def same_config(ranks: Ranks, run: Any) -> None:
    """The settings that a run was made of, where it knows them."""
    same(ranks, "config", run.config or {}, "Give every rank the same file")


def same_state(ranks: Ranks, run: Any) -> None:
    """Everything that a step depends on, after a start or a resume."""
    weights = {name: digest(t) for name, t in [*run.model.named_parameters(),
                                               *run.model.named_buffers()]}
    scheduler = None if run.scheduler is None else run.scheduler.state_dict()
    same(ranks, "point to start from",
         {"step": run.step, "epoch": run.epoch, "batch": run.batch},
         "The folder of the run must be one that all machines see")
    same(ranks, "state", {**weights, "optimizer": digest(run.optimizer.state_dict()),
                          "scheduler": digest(scheduler),
                          "generator": default_generator.get_state()},
         "Seed every rank alike, with etude.manual_seed, before the model is made")


def same_weights(ranks: Ranks, model: Any) -> None:
    """Parameters and buffers, in the course of a run."""
    same(ranks, "weights", {name: digest(t) for name, t in [*model.named_parameters(),
                                                            *model.named_buffers()]},
         "The ranks did not compute the same step from the same gradient: do they have the same "
         "processor, backend and instruction set")


def digest(thing: Any) -> str:
    """Sixteen hexadecimal digits for arrays, numbers, texts, lists and dicts of them."""
    found = hashlib.sha256()
    _feed(found, thing)
    return found.hexdigest()[:16]


def _feed(into: Any, thing: Any) -> None:
    if isinstance(thing, Tensor):
        thing = thing.detach().to("cpu").numpy()
    if isinstance(thing, np.ndarray):
        into.update(f"{thing.dtype.str}{thing.shape}".encode())
        into.update(np.ascontiguousarray(thing).tobytes())
    elif isinstance(thing, Mapping):
        for key in sorted(thing, key=str):
            into.update(repr(key).encode())
            _feed(into, thing[key])
    elif isinstance(thing, (list, tuple)):
        into.update(f"[{len(thing)}".encode())
        for part in thing:
            _feed(into, part)
    else:
        into.update(repr(thing).encode())
