"""BatchNorm over the samples of all ranks: the mean and the variance are those of the whole batch.

Legend: x is (N, C, ...) on each rank, n = the number of values of a channel on all ranks together.

    mean = sum x / n,   var = sum (x - mean)^2 / n,   y = (x - mean) / sqrt(var + eps) weight + bias

where each sum goes over the ranks. The gradient of such a sum is a sum over the ranks again, of
what each makes of it; so the rest is the ops that Etude has. Each rank differentiates the loss of
its own samples, which counts in the whole with the weight of that rank, its share of the samples
(``parallel.py`` multiplies by it at the end); so that is what is summed here, too. A layer costs
two messages in forward and two in backward, of C numbers, and each is waited for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import etude
from etude import functional as F
from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.random import PART
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.nn import BatchNorm1d, BatchNorm2d, Module
from etude_mpi.ranks import RankError, Ranks

#: The ranks that the op sums over: an op is a function of arrays, and knows no layer.
_RANKS: list[Ranks] = []


@etude.op("map", flops=1, internal=True)
def sum_over_ranks(x, *, weight):  # type: ignore[no-untyped-def]
    """y = the sum of x over the ranks, the same bits on each. ``weight`` is that of this rank's
    loss in the loss of the whole, of which a gradient comes back.
    """
    return _RANKS[-1].total(x)


@sum_over_ranks.gradient
def _(F, grad, *, weight, **_):  # type: ignore[no-untyped-def]
    whole = F.sum_over_ranks(F.mul(grad, weight), weight=weight)
    return (F.mul(whole, 1 / weight if weight else 0.0),)  # without samples there is no gradient


class _SyncBatchNorm:
    """What a BatchNorm layer becomes among several ranks: in training it looks at all of them."""

    def forward(self: Any, input: Tensor) -> Any:
        if not self.training:
            return super().forward(input)  # type: ignore[misc]
        if input.ndim not in self.dims:
            raise ShapeError(self.misfit(input))
        axes = (0, *range(2, input.ndim))
        column = (1, input.shape[1], *(1 for _ in input.shape[2:]))
        here = input.shape[0] * int(np.prod(input.shape[2:]))
        count = int(_RANKS[-1].total(np.array([here]))[0])
        if count < 2:
            raise ShapeError(f"{type(self).__name__}: in training each channel needs more than one "
                             f"value, and the whole batch has {count}")
        part = PART.get()
        weight = 1 / _RANKS[-1].size if part is None else part.samples / part.whole
        mean = _all(F.sum(input, dim=axes), weight) / count
        centred = input - mean.reshape(column)
        var = _all(F.sum(centred * centred, dim=axes), weight) / count
        y = centred / F.sqrt(var + self.eps).reshape(column)
        if self.weight is not None:
            y = y * self.weight.reshape(column)
        if self.bias is not None:
            y = y + self.bias.reshape(column)
        if self.track_running_stats:
            self._move(mean, var * (count / (count - 1)))
        return y

    def _move(self: Any, mean: Tensor, var: Tensor) -> None:
        """The running statistics, towards those of this batch."""
        share = self.momentum
        if share is None:  # they are the averages over all batches so far
            share = 1 / (self.num_batches_tracked.item() + 1)
        with no_grad():
            self.running_mean.copy_(F.lerp(self.running_mean, mean.detach(), share))
            self.running_var.copy_(F.lerp(self.running_var, var.detach(), share))
            self.num_batches_tracked.copy_(self.num_batches_tracked + 1)


class SyncBatchNorm1d(_SyncBatchNorm, BatchNorm1d):
    """BatchNorm1d over the samples of all ranks."""


class SyncBatchNorm2d(_SyncBatchNorm, BatchNorm2d):
    """BatchNorm2d over the samples of all ranks."""


SYNCHRONISED = {BatchNorm1d: SyncBatchNorm1d, BatchNorm2d: SyncBatchNorm2d}


def _all(x: Tensor, weight: float) -> Any:
    return OPS["sum_over_ranks"](x, weight=weight)


def synchronise(module: Module, ranks: Ranks) -> None:
    """Let the BatchNorm layers inside look at all ranks. Each stays the object it is, wherever it
    is referred to, with its parameters, so only its class changes. RankError for a kind of
    BatchNorm that is not Etude's own.
    """
    _RANKS[:] = [ranks]
    for name, layer in module.named_modules():
        known = SYNCHRONISED.get(type(layer))
        if known is not None:
            layer.__class__ = known
        elif isinstance(layer, (BatchNorm1d, BatchNorm2d)) and not isinstance(layer,
                                                                              _SyncBatchNorm):
            raise RankError(f"{name or 'the model'} is a {type(layer).__name__}, made of "
                            f"{type(layer).__mro__[1].__name__}: what it takes of a batch is not "
                            f"known, so it cannot be taken of all ranks. Use nn.BatchNorm2d, or "
                            f"nn.GroupNorm, which looks at one sample at a time")
