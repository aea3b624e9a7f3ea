"""Buckets: which gradients travel together, in which order, and how they lie in one array.

A message costs time before its first byte, so small gradients travel together; and the first should
be on its way early, so there are several. The last layers have their gradients first: buckets
are filled in reverse order of the parameters. Nothing here knows MPI.

A bucket is one array: the gradients, each times the weight of this rank, and behind them a 1 for
each parameter that has a gradient here. Summed over the ranks, a 0 there says that nobody has one:
then the parameter has none in one process either, and the optimiser leaves it alone.
Source of the idea: Li et al. 2020, PyTorch Distributed, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Of a bucket, unless one gradient alone is larger, in 2^20 bytes. With four times as much a LeNet
#: is one bucket, and hides nothing; with less than half of it, it hides no more.
MB = 0.25


class Bucket:
    """The gradients of the parameters numbered ``members``, of ``shapes`` and one dtype."""

    def __init__(self, members: Sequence[int], shapes: Sequence[tuple[int, ...]],
                 dtype: Any) -> None:
        self.members, self.shapes = tuple(members), dict(zip(members, shapes))
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes]).tolist()
        self.array: Array = np.zeros(ends[-1] + len(self.members), dtype)
        self.places = {i: slice(begin, end)
                       for i, begin, end in zip(self.members, [0, *ends], ends)}
        self._flags = {i: ends[-1] + k for k, i in enumerate(self.members)}
        self.waiting = set(self.members)

    def put(self, i: int, gradient: Array, weight: float) -> None:
        """Take the gradient of parameter ``i``, times ``weight``."""
        np.multiply(gradient.reshape(-1), weight, out=self.array[self.places[i]])
        self.array[self._flags[i]] = 1
        self.waiting.discard(i)

    def close(self) -> None:
        """What has not come until now has no gradient here: it gives 0 to the sum."""
        for i in self.waiting:
            self.array[self.places[i]] = 0
            self.array[self._flags[i]] = 0
        self.waiting.clear()

    def sums(self) -> dict[int, Array]:
        """Parameter -> the sum of its gradients, without those that no rank had one for."""
        return {i: self.array[self.places[i]].reshape(self.shapes[i]) for i in self.members
                if self.array[self._flags[i]]}

    def open(self) -> None:
        """Wait for the gradients of the next step."""
        self.waiting = set(self.members)


def planned(parameters: Sequence[Any], limit: int = int(MB * (1 << 20))) -> list[Bucket]:
    """The buckets of ``parameters``, anything with a shape and a dtype, in the order in which they
    travel. A bucket has at most ``limit`` bytes, or one parameter.
    """
    found: list[Bucket] = []
    members: list[int] = []
    size = 0

    def full() -> None:
        if members:
            dtype = np.dtype(parameters[members[0]].dtype)
            found.append(Bucket(members, [tuple(parameters[i].shape) for i in members], dtype))
            members.clear()

    for i in reversed(range(len(parameters))):
        dtype = np.dtype(parameters[i].dtype)
        bytes_of = int(np.prod(parameters[i].shape)) * dtype.itemsize
        if members and (size + bytes_of > limit or np.dtype(parameters[members[0]].dtype) != dtype):
            full()
            size = 0
        members.append(i)
        size += bytes_of
    full()
    return found
