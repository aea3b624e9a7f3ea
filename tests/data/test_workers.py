"""The loader's workers, transforms and clock: the same batches in the same order, whatever runs."""

import gc
import threading
import time

import numpy as np
import pytest

import etude
from etude.core.errors import ShapeError
from etude.core.state import STATE
from etude.data.ahead import DEPTH, ahead
from etude.data.loader import DataLoader
from etude.data.transforms import Compose, RandomCrop, RandomHorizontalFlip


class Squares:
    """Sample i is (an image of i, i squared); samples take a while, and some more than others."""

    def __init__(self, n=23, fail_at=None, seconds=0.0005):
        self.n, self.fail_at, self.seconds = n, fail_at, seconds
        self.read = []

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        self.read.append(i)
        time.sleep(self.seconds * (i % 3))
        if i == self.fail_at:
            raise OSError(f"disk error at {i}")
        return np.arange(i, i + 64, dtype=np.float32).reshape(1, 8, 8), i * i

    def __repr__(self):
        return "Squares()"


def data_threads():
    return [t for t in threading.enumerate() if t.name.startswith("etude-data")]


def batches(workers, epochs=2, **options):
    loader = DataLoader(Squares(), batch_size=4, shuffle=True, seed=7, workers=workers, **options)
    return [[t.numpy().copy() for t in batch] for _ in range(epochs) for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [False, True])
def test_any_number_of_workers_gives_the_same_batches_in_the_same_order(workers, drop_last):
    options = {"drop_last": drop_last,
               "transform": Compose(RandomCrop(8, padding=2), RandomHorizontalFlip())}
    want, got = batches(0, **options), batches(workers, **options)
    assert len(want) == len(got) == (10 if drop_last else 12)
    for a, b in zip(want, got):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)
            assert x.dtype == y.dtype
    assert not data_threads()


def test_random_transforms_differ_by_epoch_and_batch_and_repeat_with_the_seed():
    draws = []

    def transform(x, rng):
        draws.append(rng.integers(0, 2**62))
        return x

    def run(seed, epochs=2):
        draws.clear()
        loader = DataLoader(Squares(8, seconds=0), batch_size=4, transform=transform, seed=seed)
        for _ in range(epochs):
            list(loader)
        return draws.copy()

    first = run(5)
    assert len(set(first)) == 4
    assert run(5) == first
    assert not set(run(6)) & set(first)
    loader = DataLoader(Squares(8, seconds=0), batch_size=4, transform=transform, seed=5)
    loader.epoch = 1  # to repeat or resume an epoch is to name it
    draws.clear()
    list(loader)
    assert draws == first[2:]


def test_without_a_seed_the_transform_follows_manual_seed():
    def run():
        loader = DataLoader(Squares(8, seconds=0), 8, transform=RandomCrop(8, padding=3))
        return next(iter(loader))[0].numpy().copy()

    etude.manual_seed(3)
    first, second = run(), run()
    etude.manual_seed(3)
    np.testing.assert_array_equal(run(), first)
    assert not np.array_equal(first, second)


def test_workers_run_in_a_copy_of_the_callers_context():
    seen = []

    class Spy(Squares):
        def __getitem__(self, i):
            seen.append((threading.current_thread().name, STATE.get().grad))
            return super().__getitem__(i)

    with etude.no_grad():
        list(DataLoader(Spy(9), batch_size=3, workers=2))
    assert {grad for _, grad in seen} == {False}
    assert all(name.startswith("etude-data") for name, _ in seen)
    assert STATE.get().grad


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_error_in_a_sample_comes_out_in_its_place_with_the_sample_named(workers):
    loader = DataLoader(Squares(20, fail_at=13), batch_size=4, workers=workers)
    got = []
    with pytest.raises(OSError, match="disk error at 13") as error:  # noqa: PT012
        for x, _ in loader:
            got.append(len(x))
    assert got == [4, 4, 4]
    assert error.value.__notes__ == ["while reading sample 13 of Squares()"]
    assert "__getitem__" in [entry.name for entry in error.traceback]
    assert not data_threads()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_batch_names_its_samples(workers):
    class Batched(Squares):
        def batch(self, indices):
            raise IndexError("out of range")

    with pytest.raises(IndexError, match="out of range") as error:
        list(DataLoader(Batched(3), batch_size=2, workers=workers))
    assert error.value.__notes__ == ["while reading the samples [0, 1] of Squares()"]


@pytest.mark.parametrize("end", ["break", "close", "drop", "raise"])
def test_leaving_early_ends_the_threads_and_starts_no_more_reads(end):
    data = Squares(1000)
    loader = DataLoader(data, batch_size=2, workers=3)
    iterator = iter(loader)
    next(iterator)
    if end == "break":
        for _ in iterator:
            break
        del iterator, _
    elif end == "close":
        iterator.close()
    elif end == "drop":
        del iterator
    else:
        with pytest.raises(KeyboardInterrupt):
            iterator.throw(KeyboardInterrupt)
    gc.collect()
    assert not data_threads()
    read = len(data.read)
    assert read <= 2 * (2 + DEPTH * 3 + 3)
    time.sleep(0.02)
    assert len(data.read) == read
    assert len(list(DataLoader(Squares(10), batch_size=2, workers=3))) == 5


def test_workers_are_a_bounded_number_of_batches_ahead():
    made = []
    iterator = ahead(lambda i: made.append(i) or i, 100, workers=2)
    assert next(iterator) == 0
    time.sleep(0.05)
    assert len(made) == 2 * DEPTH + 1
    assert [next(iterator) for _ in range(3)] == [1, 2, 3]
    iterator.close()


def test_more_workers_than_batches():
    assert list(ahead(lambda i: i * i, 3, workers=16)) == [0, 1, 4]
    assert list(ahead(lambda i: i, 0, workers=2)) == []


def test_waiting_samples_are_read_side_by_side():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.02)
            return (i,)

    def seconds(workers):
        start = time.perf_counter()
        got = [int(x.item()) for (x,) in DataLoader(Slow(16), workers=workers)]
        assert got == list(range(16))
        return time.perf_counter() - start

    assert seconds(8) < 0.5 * seconds(0)


class Clock:
    """A clock that stands still until someone works."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("etude.data.loader.perf_counter", lambda: self.now)

    def work(self, seconds):
        self.now += seconds


@pytest.mark.parametrize(("reading", "training", "share"), [(1, 3, 0.25), (2, 0, 1), (0, 1, 0)])
def test_the_share_of_time_spent_waiting_is_reported(monkeypatch, reading, training, share):
    clock = Clock(monkeypatch)

    class Slow(Squares):
        def __getitem__(self, i):
            clock.work(reading)
            return (i,)

    loader = DataLoader(Slow(12), batch_size=1)
    assert np.isnan(loader.wait_share)
    for _ in range(2):
        for n, _ in enumerate(loader):
            if n == 5 and reading:  # so far, in the middle of an epoch
                assert loader.wait_share == 6 * reading / (6 * reading + 5 * training)
            clock.work(training)
        assert loader.wait_share == share


def test_workers_that_keep_up_leave_little_to_wait_for():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.01)
            return (i,)

    loader = DataLoader(Slow(20), workers=2)
    for _ in loader:
        time.sleep(0.03)
    assert loader.wait_share < 0.5  # only the first batch is waited for: about 0.02


def test_a_collate_of_ones_own_is_given_the_samples():
    class Batched(Squares):
        def batch(self, indices):
            raise AssertionError("the samples were asked for")

    def sums(samples):
        return (np.array([image.sum() for image, _ in samples]),)

    ((total,),) = DataLoader(Batched(3), batch_size=3, collate=sums)
    assert total.tolist() == [64 * i + 2016 for i in range(3)]


def test_samples_that_do_not_fit_together_are_an_error_from_a_worker_too():
    class Ragged(Squares):
        def __getitem__(self, i):
            return (np.zeros(i),)

    with pytest.raises(ShapeError, match=r"samples of one batch need one shape; field 0 has \[0\]"):
        list(DataLoader(Ragged(4), batch_size=2, workers=2))


def test_workers_must_be_a_count():
    for wrong in (-1, 1.5, None):
        with pytest.raises(ValueError, match="workers must be an integer >= 0, got"):
            DataLoader(Squares(), workers=wrong)
