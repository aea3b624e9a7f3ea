"""DataLoader: batches of a dataset, in an order that follows from a seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from etude import random
from etude.backend import STATE
from etude.data.dataset import Dataset
from etude.errors import DTypeError, ShapeError
from etude.ops.random import words
from etude.shapes import float32, float64, supported
from etude.tensor import Tensor, wrap


class DataLoader:
    """``for x, y in loader:`` gives one epoch of batches, as Tensors on ``device``.

    With ``shuffle`` the order of epoch e follows from (seed, e) and nothing else; ``loader.epoch``
    is the number of the next one, from 0, and may be set to repeat or resume. Without a ``seed``
    one is drawn from the generator that ``etude.manual_seed`` sets, so that this seed alone
    repeats a run. ``drop_last`` leaves out a last batch that is not full.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False,
                 drop_last: bool = False, seed: int | None = None, device: str = "cpu") -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be an integer >= 1, got {batch_size!r}")
        if not len(dataset):
            raise ValueError("the dataset is empty: there are no batches to make of it")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(f"with drop_last no batch is left: {len(dataset)} samples are fewer "
                             f"than batch_size={batch_size}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.device = device
        self.epoch = 0
        drawn = random.default_generator.spawn() if shuffle and seed is None else None
        self.seed = (drawn or random.Generator(seed or 0)).seed

    def __len__(self) -> int:
        """Batches in an epoch."""
        n, size = len(self.dataset), self.batch_size
        return n // size if self.drop_last else -(-n // size)

    def order(self, epoch: int) -> np.ndarray[Any, Any]:
        """The sample numbers of an epoch, int64 (len(dataset)), in the order they come."""
        n = len(self.dataset)
        if not self.shuffle:
            return np.arange(n)
        # Sorting random 64-bit words gives each order alike, and stays the same in every NumPy.
        key = np.array([self.seed, epoch], np.uint64)
        return np.argsort(words(key, n), kind="stable")  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = self.order(self.epoch)
        self.epoch += 1
        for i in range(len(self)):
            picked = order[i * self.batch_size : (i + 1) * self.batch_size]
            fields = (self.dataset.batch(picked) if hasattr(self.dataset, "batch")
                      else collate([self.dataset[int(j)] for j in picked]))
            upload = STATE.get().tables[self.device].upload
            yield tuple([wrap(upload(f)) for f in fields])


def collate(samples: list[tuple[Any, ...]]) -> tuple[np.ndarray[Any, Any], ...]:
    """Stack the fields of several samples into arrays with one more axis, in front.

    Raises ShapeError for fields of different shapes, DTypeError for what is not a number.
    """
    if not isinstance(samples[0], tuple):
        raise DTypeError(f"a dataset gives its samples as tuples, such as (image, label); got "
                         f"{type(samples[0]).__name__}")
    fields = []
    for position, values in enumerate(zip(*samples, strict=True)):
        arrays = [np.asarray(v) for v in values]
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise ShapeError(f"samples of one batch need one shape; field {position} has "
                             f"{' and '.join(str(list(s)) for s in sorted(shapes))}")
        stacked = np.stack(arrays)
        if stacked.dtype == float64 and isinstance(values[0], float):
            stacked = stacked.astype(float32)  # as etude.tensor reads Python's floats
        fields.append(supported(stacked))
    return tuple(fields)
