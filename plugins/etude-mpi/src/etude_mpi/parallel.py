"""DistributedDataParallel: the gradient of the whole batch, summed while backward runs.

Each rank works out loss and gradient of its n samples, of N in all. Where the loss is a mean over
samples, the gradient of the whole is the sum of the ranks' gradients, each times n / N: so a last
batch that cannot be divided evenly is right, too, and so is a rank that has no sample of it.

``backward`` tells when the gradient of a parameter is complete (a hook of ``Tensor``). It goes into
its bucket (``buckets.py``), and a bucket that is full sets out, while backward works on the layers
before. Buckets set out in one order on every rank, whatever order their gradients come in: MPI
matches messages of this kind by their order. MPI moves them on only when it is called, so every
hook asks whether something has arrived.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from etude.core.random import PART, Part, default_generator
from etude.core.state import STATE, is_grad_enabled, no_grad
from etude.core.tensor import Tensor
from etude.data import DataLoader
from etude.nn import Module
from etude_mpi import buckets
from etude_mpi.agree import same_model
from etude_mpi.ranks import Ranks


class DistributedDataParallel(Module):
    """``module``, called on this rank's samples of each batch; ``loss.backward()`` then leaves the
    gradients of the whole batch, the same bits on every rank.

    The loss must be a mean over the samples; the first axis of the first input counts them. The
    parameters, buffers and the random generator of rank 0 are taken by all at the start. BatchNorm
    layers become those of ``norm.py``. ``bucket_mb`` is the size of a message, in 2^20 bytes; with
    ``overlap=False`` all set out after backward, for comparison.

    Where a parameter takes part in no rank's loss, call ``finish()`` after backward: the last
    gradient, which the layer waits for, never comes. RankError for models that differ.
    """

    def __init__(self, module: Module, ranks: Ranks, bucket_mb: float = buckets.MB,
                 overlap: bool = True) -> None:
        from etude_mpi import norm  # it enters an op into the table: not before it is needed

        norm.synchronise(module, ranks)
        same_model(ranks, module)
        _from_rank_0(ranks, module)
        self.module, self.ranks, self.overlap = module, ranks, overlap
        self.counters = Counters()
        self._found = [p for p in module.parameters() if p.requires_grad]
        self._buckets = buckets.planned(self._found, max(1, int(bucket_mb * (1 << 20))))
        self._bucket_of = {i: b for b in self._buckets for i in b.members}
        self._weight: float | None = None  # of this rank, from forward until all is summed
        self._requests: list[Any] = []  # of the buckets that set out
        self._since = 0.0  # when the first of those on their way set out
        self._hooks = [p.register_post_accumulate_grad_hook(self._hook(i))
                       for i, p in enumerate(self._found)]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        if not (self.training and is_grad_enabled()):
            return self.module(*args, **kwargs)
        if any(b.waiting != set(b.members) for b in self._buckets):
            raise RuntimeError("the gradients of the last backward are not all summed: a parameter "
                               "takes no part in the loss. Call finish() after backward()")
        counts = self.ranks.counts(len(args[0]))
        rank, whole = self.ranks.rank, sum(counts)
        if not whole:
            raise ValueError("no rank has a sample in this batch")
        with part(Part(sum(counts[:rank]), counts[rank], whole)):
            y = self.module(*args, **kwargs)
        self._weight = counts[rank] / whole
        return y

    def finish(self) -> None:
        """Wait until every gradient is that of the whole batch. ``backward`` ends with it where
        every parameter takes part in the loss.
        """
        if self._weight is None:
            return
        begin = time.perf_counter()
        for bucket in self._buckets:
            bucket.close()
        self._set_out()
        self.ranks.wait(self._requests)
        for bucket in self._buckets:
            for i, array in bucket.sums().items():
                _set_gradient(self._found[i], array)
            bucket.open()
        now = time.perf_counter()
        self.counters.waited += now - begin
        self.counters.on_the_way += now - self._since
        self.counters.steps += 1
        self._requests, self._weight = [], None

    def _hook(self, i: int) -> Any:
        """What to do when the gradient of parameter ``i`` is complete."""
        bucket = self._bucket_of[i]

        def ready(p: Tensor) -> None:
            if self._weight is None:  # of a forward pass that is no part of the training
                return
            assert p.grad is not None
            bucket.put(i, p.grad.detach().to("cpu").numpy(), self._weight)
            if any(b.waiting for b in self._buckets):
                if self.overlap:
                    self._set_out()
            else:
                self.finish()

        return ready

    def _set_out(self) -> None:
        """Send what is full, in order, and let MPI move on what is on its way."""
        from mpi4py import MPI

        for bucket in self._buckets[len(self._requests):]:
            if bucket.waiting:
                break
            if not self._requests:
                self._since = time.perf_counter()
            self._requests.append(self.ranks.comm.Iallreduce(MPI.IN_PLACE, bucket.array))
            self.counters.bytes += bucket.array.nbytes
        if self._requests:
            MPI.Request.Testsome(self._requests)

    def extra_repr(self) -> str:
        return f"rank {self.ranks.rank} of {self.ranks.size}, {len(self._buckets)} buckets"


class Counters:
    """What the gradients cost: bytes that this rank gave to be summed, seconds they were on the way
    and seconds that were waited for them after backward.
    """

    def __init__(self) -> None:
        self.bytes = self.steps = 0
        self.on_the_way = self.waited = 0.0

    @property
    def hidden(self) -> float:
        """The share of the time on the way that passed behind backward, 0 to 1."""
        return max(0.0, 1 - self.waited / self.on_the_way) if self.on_the_way > 0 else 0.0


@contextmanager
def part(mine: Part) -> Iterator[None]:
    """A forward pass of this part of a batch: dropout draws what the whole would have there."""
    token = PART.set(mine)
    try:
        yield
    finally:
        PART.reset(token)


def shared(loader: DataLoader, ranks: Ranks) -> DataLoader:
    """``loader``, which from now on gives this rank's part of every batch, in the order that one
    process has: its batch size is that of the whole. With ``shuffle``, give it a seed.
    """
    loader.part = ranks.rank, ranks.size
    return loader


def _set_gradient(p: Tensor, array: Any) -> None:
    """Let ``p.grad`` be ``array``, which is written again in the next step."""
    grad = p.grad
    if grad is not None and type(grad.array) is np.ndarray:
        np.copyto(grad.array, array)
        grad.mark_written()
    else:
        p.grad = Tensor(STATE.get().tables[p.device].upload(array.copy()))


def _from_rank_0(ranks: Ranks, module: Module) -> None:
    """Parameters, buffers and the random generator of rank 0, on every rank."""
    for _, t in [*module.named_parameters(), *module.named_buffers()]:
        array = np.array(t.detach().to("cpu").numpy(), order="C")
        ranks.broadcast(array)
        with no_grad():
            t.copy_(Tensor(array).to(t.device))
    default_generator.set_state(ranks.exchange(default_generator.get_state())[0])
