"""Where results go: memory that is used again as soon as nobody else holds it, and never before.

A caller may keep a result for as long as he likes. So before a run each result buffer asks
Python how many references there are to its array, and to the Tensor that was made of it: if no more
than the replay's own, nobody can look there any more. Else the result goes into another array. A
loop with ``loss = step(x, y)`` holds the last loss while the next one is made, so two arrays take
turns. The executor is given a view of the array, which is one reference however it keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from etude.core.columns import Table
from etude.core.tape import Node
from etude.core.tensor import Tensor
from etude.replay.executor import Executor
from etude.replay.guards import grad_of
from etude.replay.memory import array_of, fresh
from etude.replay.program import Value

SPARE = 2  # arrays that are kept although somebody holds them: he may let go


class Past(Node):
    """The history of a result of a captured function: none that backward could follow."""

    __slots__ = ()

    def parents(self) -> list[Any]:
        raise RuntimeError("backward through the result of a captured function, which keeps no "
                           "history. Call backward inside the function, and return the loss")


PAST = Past(SimpleNamespace(name="capture"), (), (), {}, ())  # type: ignore[arg-type]
PAST.free()


class Pair:
    """Memory, and the Tensor over it that a leaf has as its grad."""

    __slots__ = ("array", "tensor")

    def __init__(self, array: Any, tensor: Tensor | None) -> None:
        self.array, self.tensor = array, tensor


class Place:
    """The memory of one result buffer. ``grad``: it is the gradient of one leaf, and nothing else.
    """

    def __init__(self, value: Value, table: Table, grad: bool) -> None:
        self.value, self.buffer, self.table, self.grad = value, value.buffer, table, grad
        self.now: Pair | None = None
        self._spare: list[Pair] = []
        self._refs = self._tensor_refs = 0  # those of ``now`` that are the replay's own

    def ready(self, executor: Executor, read: Tensor | None = None) -> None:
        """Have memory bound that nobody else holds. ``read`` is what this run still reads."""
        pair = self.now
        if pair is not None and self.buffer.device == "cpu":
            array, tensor = pair.array, pair.tensor
            if getrefcount(array) <= self._refs and (tensor is None or (
                    tensor is not read and getrefcount(tensor) <= self._tensor_refs)):
                return
            self._spare.append(pair)
            del array, tensor, pair
        found = self._found()
        if found is None:
            array = fresh(self.value, self.table)
            found = Pair(array, Tensor(array_of(self.value, array)) if self.grad else None)
        self.now = found
        array = found.array
        executor.bind(self.buffer, array.view() if isinstance(array, np.ndarray) else array)
        self._refs = 0

    def _found(self) -> Pair | None:
        """A spare pair that nobody holds any more."""
        for i, pair in enumerate(self._spare):
            array, tensor = pair.array, pair.tensor
            if pair is not self.now and getrefcount(array) <= _ALONE[self.grad] and (
                    tensor is None or getrefcount(tensor) <= _ALONE_TENSOR):
                return self._spare.pop(i)
        del self._spare[: -SPARE]
        return None

    def settle(self) -> None:
        """After a run, before anybody sees the result: count the references that are our own."""
        if not self._refs:
            assert self.now is not None
            array, tensor = self.now.array, self.now.tensor
            self._refs = getrefcount(array)
            self._tensor_refs = getrefcount(tensor) + 1 if tensor is not None else 0


def _alone(grad: bool) -> tuple[int, int]:
    """How many references there are to the array and the Tensor of a pair that nobody holds."""
    made = np.empty(0)
    spare = [Pair(made, Tensor(made) if grad else None)]
    del made
    for _, pair in enumerate(spare):
        array, tensor = pair.array, pair.tensor
        return getrefcount(array), getrefcount(tensor)
    raise AssertionError("there is one")


_ALONE = {grad: _alone(grad)[0] for grad in (False, True)}
_ALONE_TENSOR = _alone(True)[1]


class Result(NamedTuple):
    """One leaf of what the function returns."""

    kind: str  # argument: what was passed at place ``what``. same: ``what`` itself. new: a Tensor
    what: Any
    value: Value | None = None  # of a new one
    wants: bool = False  # whether the function's own would require a gradient
    base: Any = None  # whose memory it views: a Tensor, or the place of an argument


class Gradient:
    """The grad of a leaf: what it must be before, and what it is afterwards.

    ``leaf`` is a Tensor, or the place of an argument. ``before``: "none", "some" or "any", as far as
    values are not read; a Value is an argument of the program. ``after``: a Value is a result, None
    is what the grad is made, "same" says that it is left alone.
    """

    __slots__ = ("after", "before", "leaf", "place", "strides")

    def __init__(self, leaf: Any, before: Any, after: Any) -> None:
        self.leaf, self.before, self.after = leaf, before, after
        self.strides = None  # of the array that is read, as arrays of its device give them
        self.place: Place | None = None

    def of(self, given: Sequence[Any]) -> Tensor:
        """The leaf, in a call with these arguments."""
        return given[self.leaf] if type(self.leaf) is int else self.leaf  # type: ignore[no-any-return]

    def fits(self, leaf: Tensor) -> bool:
        """Whether the grad of ``leaf`` may be replayed upon."""
        before = self.before
        if before == "any":
            return True
        g = grad_of(leaf)
        if type(before) is str:
            return (g is None) is (before == "none")
        a = g.array if isinstance(g, Tensor) else None
        return a is not None and (a.shape, a.dtype, a.strides) == (
            before.shape, before.dtype, self.strides)

    def set(self, given: Sequence[Any]) -> None:
        """After a run: leave the gradient in the leaf."""
        if self.after == "same":
            return
        leaf = self.of(given)
        if self.place is None:
            leaf.grad = None
            return
        pair = self.place.now
        assert pair is not None
        tensor = pair.tensor
        if tensor is None:
            tensor = Tensor(array_of(self.after, pair.array))
        if grad_of(leaf) is not tensor:
            leaf.grad = tensor

    def spoilt(self, given: Sequence[Any]) -> None:
        """After a run that failed: the leaf must not show what was half written."""
        pair = None if self.place is None else self.place.now
        if pair is not None and pair.tensor is not None:
            leaf = self.of(given)
            if grad_of(leaf) is pair.tensor:
                leaf.grad = None


def tensor_over(array: Any, r: Result, given: Sequence[Any]) -> Tensor:
    """A new Tensor for the caller."""
    t = Tensor(array, node=PAST if r.wants else None)
    if r.base is not None:
        t._base = (given[r.base] if type(r.base) is int else r.base)._owner()
    return t
