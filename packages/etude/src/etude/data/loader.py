"""DataLoader: batches of a dataset, in an order that follows from a seed and the epoch alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from time import perf_counter
from typing import Any

import numpy as np

from etude.core import random
from etude.core.errors import DTypeError, ShapeError
from etude.core.given import integer
from etude.core.live import WATCHER
from etude.core.shapes import float32, float64, supported
from etude.core.state import STATE
from etude.core.state import waited as tell
from etude.core.tensor import Tensor
from etude.data.ahead import ahead
from etude.data.dataset import Dataset
from etude.ops.random import words

TICK = 1e-9  # seconds: two readings of the clock may be the same

Array = np.ndarray[Any, Any]
Transform = Callable[[Any, Any], Any]  # (x, a numpy Generator) -> x
Collate = Callable[[list[tuple[Any, ...]]], tuple[Array, ...]]


class DataLoader:
    """``for x, y in loader:`` gives one epoch of batches, as Tensors on ``device``.

    With ``shuffle`` the order of epoch e follows from (seed, e) and nothing else. ``loader.epoch``
    is the number of the next epoch, from 0; set it to repeat an epoch or to resume. Set
    ``loader.start`` to the batch at which that epoch begins, to go on in the middle of it. Without
    a ``seed`` one is drawn from the generator that ``etude.manual_seed`` sets, so that this seed
    alone repeats a run. ``drop_last`` leaves out a last batch that is not full.

    ``transform(x, rng)`` changes the first field of each batch, an array; it may return a tuple
    of fields instead. rng, a numpy Generator, follows from the seed, the epoch and the batch.
    Whatever makes a field, its dtype becomes one of Etude's: int32 is int64, float16 float32.
    ``collate(samples)`` makes the fields of a batch from a list of samples; the default stacks
    them. ``workers`` is the number of threads that prepare batches ahead, and copy them to
    ``device``. The batches and their order stay the same. Threads help where batches wait for
    files, for NumPy or for a copy, because all of these let other threads run.

    Where several processes train together, set ``loader.part`` to (rank, ranks): each then gets its
    part of every batch, in the order of the whole; the parts differ by one sample at most, and may
    be empty in a last batch. A transform is given the whole batch, whose numbers are drawn in one
    process, too.

    ``wait_share`` is the share of the latest epoch's time, 0 to 1, that the caller waited for
    data; near 0 the loader keeps up. An error in a dataset gets a note that names the sample.

    CaptureError inside a captured function: a replay would see the batches of the trace again.
    """

    def __init__(self, dataset: Dataset, batch_size: int = 1, shuffle: bool = False,
                 drop_last: bool = False, seed: int | None = None, device: str = "cpu",
                 transform: Transform | None = None, collate: Collate | None = None,
                 workers: int = 0) -> None:
        workers = integer("workers", workers, 0)
        _no_arrays(dataset, batch_size)
        if not len(dataset):
            raise ValueError("the dataset is empty: there are no batches to make of it")
        batch_size = integer("batch_size", batch_size, 1)
        if drop_last and len(dataset) < batch_size:
            raise ValueError(f"with drop_last no batch is left: {len(dataset)} samples are fewer "
                             f"than batch_size={batch_size}")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.device = device
        self.transform = transform
        self.collate = collate
        self.workers = workers
        self.epoch = 0
        self.start = 0
        self.part = (0, 1)
        self.wait_share = math.nan
        if seed is not None:
            self.seed = random.Generator(seed).seed  # checked
        elif shuffle or transform is not None:
            self.seed = random.default_generator.spawn().seed
        else:  # nothing is left to chance, and no key of the default generator is used up
            self.seed = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        n, size = len(self.dataset), self.batch_size
        return n // size if self.drop_last else -(-n // size)

    def order(self, epoch: int) -> Array:
        """The sample numbers of an epoch, int64 (len(dataset)), in the order they come."""
        n = len(self.dataset)
        if not self.shuffle:
            return np.arange(n)
        # The places of sorted random 64-bit words: each order is as likely as any other, and they
        # are the same in every version of NumPy.
        key = np.array([self.seed, epoch], np.uint64)
        return np.argsort(words(key, n), kind="stable")  # type: ignore[no-untyped-call]

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        _no_replay()
        begin = perf_counter()
        epoch, first = self.epoch, self.start
        self.epoch += 1
        self.start = 0
        order = self.order(epoch)
        left = len(self) - first

        def make(i: int) -> tuple[Tensor, ...]:
            number = first + i
            picked = order[number * self.batch_size : (number + 1) * self.batch_size]
            fields = self._of_part(picked, epoch, number)
            upload = STATE.get().tables[self.device].upload
            return tuple([Tensor(upload(supported(np.asarray(f)))) for f in fields])

        waited = perf_counter() - begin
        with closing(ahead(make, left, self.workers)) as batches:
            for _ in range(left):
                asked = perf_counter()
                tensors = next(batches)
                now = perf_counter()
                waited += now - asked
                self.wait_share = waited / max(now - begin, TICK)
                tell(asked, now, tuple([t.array for t in tensors]))
                yield tensors
                _no_replay()
        self.wait_share = waited / max(perf_counter() - begin, TICK)

    def _of_part(self, picked: Array, epoch: int, number: int) -> tuple[Array, ...]:
        """The fields of this process's part of batch ``number``, the samples ``picked``."""
        mine = slice(*part_of(len(picked), *self.part))
        if self.part == (0, 1) or self.transform is not None:
            fields = self._transformed(self._fields(picked), epoch, number)
            return fields if self.part == (0, 1) else tuple([f[mine] for f in fields])
        if len(picked[mine]):
            return self._fields(picked[mine])
        return tuple([f[:0] for f in self._fields(picked[:1])])  # none, of the right shape

    def _fields(self, picked: Array) -> tuple[Array, ...]:
        """The fields of the samples ``picked``."""
        if self.collate is None and hasattr(self.dataset, "batch"):
            try:
                return _fields("batch()", self.dataset.batch(picked))
            except Exception as e:
                e.add_note(f"while reading the samples {picked.tolist()} of {self.dataset!r}")
                raise
        samples = []
        for j in picked.tolist():
            try:
                samples.append(self.dataset[j])
            except Exception as e:  # Python prints the note below the message
                e.add_note(f"while reading sample {j} of {self.dataset!r}")
                raise
        if self.collate is None:
            return collate(samples)
        return _fields("collate", self.collate(samples))

    def _transformed(self, fields: tuple[Array, ...], epoch: int, i: int) -> tuple[Array, ...]:
        """``fields`` of batch i, the first changed by the transform."""
        if self.transform is None:
            return fields
        # ``order`` takes the first numbers of a stream. Each batch then has 2^64 blocks of that
        # stream to itself: the second word of the counter is its number.
        philox = np.random.Philox(key=np.array([self.seed, epoch], np.uint64),
                                  counter=np.array([0, i + 1, 0, 0], np.uint64))
        changed = self.transform(fields[0], np.random.Generator(philox))
        if not isinstance(changed, tuple):
            changed = (changed,)
        return (*_fields("the transform", changed), *fields[1:])


def _no_replay() -> None:
    """Tell a trace that a batch is asked for."""
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.refuses("a DataLoader gives a batch, and a replay would see the same one again; "
                        "pass the batch as an argument")


def part_of(n: int, rank: int, ranks: int) -> tuple[int, int]:
    """(first, end) of the part of n samples that a rank has: they differ by one at most."""
    return n * rank // ranks, n * (rank + 1) // ranks


def _fields(source: str, given: Any) -> tuple[Array, ...]:
    """What ``source`` made, as arrays of Etude's dtypes: bytes, int32 and float16 convert.

    Raises DTypeError for what is no tuple of fields, or has a field that is not numbers.
    """
    if not isinstance(given, (tuple, list)):
        raise DTypeError(f"{source} gives the fields of a batch as a tuple of arrays; got "
                         f"{type(given).__name__}")
    fields = []
    for position, value in enumerate(given):
        if value is None:
            raise DTypeError(f"{source} gave None as field {position}; was a return forgotten?")
        try:
            fields.append(as_numbers(value))
        except (DTypeError, ValueError) as e:  # ValueError: lists of different lengths
            raise DTypeError(f"{source}, field {position} of the batch: {e}") from None
    return tuple(fields)


def as_numbers(value: Any) -> Array:
    """``value`` as an array of one of Etude's dtypes. Floats of Python, also in lists, become
    float32, as in ``etude.tensor``.
    """
    if isinstance(value, Tensor):
        value = value.detach().to("cpu").numpy()
    array = np.asarray(value)
    if array.dtype == float64 and not isinstance(value, np.ndarray):
        array = array.astype(float32)
    return supported(array)


def collate(samples: list[tuple[Any, ...]]) -> tuple[Array, ...]:
    """Stack the fields of several samples into arrays with one more axis, in front.

    Raises ShapeError for fields of different shapes, DTypeError for what is not a number.
    """
    for sample in samples:
        if not isinstance(sample, tuple):
            raise DTypeError(f"a dataset gives its samples as tuples, such as (image, label); got "
                             f"{type(sample).__name__}")
    numbers = {len(sample) for sample in samples}
    if len(numbers) > 1:
        raise ShapeError(f"samples of one batch need the same fields, but some have "
                         f"{min(numbers)} and some {max(numbers)}")
    fields = []
    for position, values in enumerate(zip(*samples, strict=True)):
        arrays = [np.asarray(v) for v in values]
        shapes = {a.shape for a in arrays}
        if len(shapes) > 1:
            raise ShapeError(f"samples of one batch need one shape; field {position} has "
                             f"{' and '.join(str(list(s)) for s in sorted(shapes))}")
        stacked = np.stack(arrays)
        of_arrays = any(isinstance(v, (np.ndarray, Tensor)) for v in values)
        if stacked.dtype == float64 and not of_arrays:
            stacked = stacked.astype(float32)  # as etude.tensor reads Python's floats
        try:
            fields.append(supported(stacked))
        except DTypeError as e:
            raise DTypeError(f"field {position} of the samples: {e}") from None
    return tuple(fields)


def _no_arrays(dataset: Any, labels: Any) -> None:
    """TypeError for arrays in the place of a dataset, which names what makes one of them."""
    arrays = (Tensor, np.ndarray)
    several = isinstance(dataset, tuple) and dataset and all(
        isinstance(part, arrays) for part in dataset)
    if isinstance(dataset, arrays) or several:
        given = ", ".join(type(part).__name__ for part in (dataset if several else [dataset]))
        both = several or isinstance(labels, arrays)
        made = "tensor(X), tensor(Y)" if both else "tensor(X)"
        raise TypeError(f"DataLoader takes a dataset, got {given}; write DataLoader("
                        f"TensorDataset({made}), batch_size=32, shuffle=True), with etude.tensor "
                        f"and etude.data.TensorDataset")
