"""Where results go: memory that is used again as soon as nobody else holds it, and never before.

A caller may keep a result for as long as he likes. So before a run each result buffer asks
Python how many references there are to its array, and to the Tensor that was made of it: if no more
than the replay's own, nobody can look there any more. Else the result goes into another array. A
loop with ``y = predict(x)`` holds the last result while the next one is made, so two arrays take
turns. The executor is given a view of the array, which is one reference however it keeps it. A few
numbers, such as a loss, are copied for the caller instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount, maxsize
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from etude.core.columns import Table
from etude.core.tape import Node
from etude.core.tensor import Tensor
from etude.replay.executor import Executor
from etude.replay.guards import grad_of
from etude.replay.memory import array_of, fresh, is_whole
from etude.replay.program import Value

SPARE = 2  # arrays that are kept although somebody holds them: he may let go
FEW = 64  # bytes, up to which a result is copied out


class Past(Node):
    """The history of a result of a captured function: none that backward could follow."""

    __slots__ = ()

    def freed(self) -> RuntimeError:
        return RuntimeError("backward through the result of a captured function, which keeps no "
                            "history. Call backward inside the function, and return the loss")


PAST = Past(SimpleNamespace(name="capture"), (), (), {}, ())  # type: ignore[arg-type]
PAST.inputs = None


class Result(NamedTuple):
    """One leaf of what the function returns."""

    kind: str  # argument: what was passed at place ``what``. same: ``what`` itself. new: a Tensor
    what: Any
    value: Value | None = None  # of a new one
    wants: bool = False  # whether the function's own would require a gradient
    base: Any = None  # whose memory it views: a Tensor, or the place of an argument


class Gradient:
    """The grad of a leaf: what it must be before, and what it is afterwards.

    ``leaf`` is a Tensor, or the place of an argument. ``before``: "none", "some" or "any", where
    values are not read; a Value is an argument of the program. ``value`` is the result that becomes
    the grad; without one a grad that ``changes`` is forgotten.
    """

    __slots__ = ("before", "changes", "leaf", "place", "strides", "value")

    def __init__(self, leaf: Any, before: Any, value: Value | None, changes: bool) -> None:
        self.leaf, self.before, self.value, self.changes = leaf, before, value, changes
        self.strides: Any = None  # of the array that is read, as arrays of its device give them
        self.place: Place | None = None

    def of(self, given: Sequence[Any]) -> Tensor:
        """The leaf, in a call with these arguments."""
        return given[self.leaf] if type(self.leaf) is int else self.leaf  # type: ignore[no-any-return]

    def stays(self) -> bool:
        """Whether the same leaf has the same Tensor after every run, as long as nobody takes it."""
        return type(self.leaf) is not int and not isinstance(self.before, Value) and (
            self.place is not None and self.place.keeps_tensor)

    def has_none(self) -> bool:
        """Whether there must be no grad before, of a leaf that is the same in every call."""
        return type(self.before) is str and self.before == "none" and type(self.leaf) is not int

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
        leaf = self.of(given)
        if self.place is None:
            leaf.grad = None
            return
        tensor = self.place.tensor
        if tensor is None:
            assert self.value is not None
            tensor = Tensor(array_of(self.value, self.place.array))
        leaf.grad = tensor

    def spoilt(self, given: Sequence[Any]) -> None:
        """After a run that failed: the leaf must not show what was half written."""
        if self.place is not None and self.place.tensor is not None:
            leaf = self.of(given)
            if grad_of(leaf) is self.place.tensor:
                leaf.grad = None


class Place:
    """The memory of one result buffer, as an array and, where ``use`` is all that is made of it, as
    the Tensor that the use is given: a ``Result`` with a history or a ``Gradient``.
    """

    __slots__ = ("_spare", "_table", "_use", "_value", "array", "keeps_tensor", "lent", "refs",
                 "tensor", "tensor_refs")

    def __init__(self, value: Value, table: Table, use: Result | Gradient | None) -> None:
        self._value, self._table, self._use = value, table, use
        self.keeps_tensor = isinstance(use, Gradient) or (use is not None and use.wants)
        self.array: Any = None
        self.tensor: Tensor | None = None
        self.lent = False  # whether the memory is the executor's, which needs it at the next run
        #: how many references there are while nobody but the replay has any
        self.refs = self.tensor_refs = -1
        self._spare: list[tuple[Any, Tensor | None]] = []

    def renew(self, executor: Executor) -> None:
        """Somebody holds the memory, or there is none yet: take other memory, and bind it."""
        if self.array is not None:
            self._spare.append((self.array, self.tensor))
        del self._spare[: -SPARE]
        self.array = self.tensor = None
        for i, (array, tensor) in enumerate(self._spare):
            if getrefcount(array) <= ALONE[self.keeps_tensor] and (
                    tensor is None or getrefcount(tensor) <= ALONE_TENSOR):
                del self._spare[i]
                break
        else:
            array, tensor = self._new(executor)
        executor.bind(self._value.buffer, _seen(array))
        self.array, self.tensor = array, tensor
        del array, tensor
        #: counted while nobody else can have any; on a device, where views count for nothing, 0
        self.refs = getrefcount(self.array) if self._value.buffer.device == "cpu" else 0
        self.tensor_refs = maxsize if self.tensor is None else getrefcount(self.tensor)

    def is_like(self, v: Value) -> bool:
        """Whether ``array`` is ``v``, as it stands."""
        own = self._value
        return is_whole(own) and is_whole(v) and (own.shape, own.dtype) == (v.shape, v.dtype)

    def is_held(self, also: int = 0) -> bool:
        """Whether somebody holds the memory, but for ``also`` references to the Tensor."""
        return getrefcount(self.array) > self.refs or (
            getrefcount(self.tensor) > self.tensor_refs + also)

    def _new(self, executor: Executor) -> tuple[Any, Tensor | None]:
        memory = executor.lent(self._value.buffer)
        self.lent = memory is not None
        array = array_of(self._value, memory) if self.lent else fresh(self._value, self._table)
        if not self.keeps_tensor:
            return array, None
        assert self._use is not None
        over = array_of(self._value, array)
        result = isinstance(self._use, Result)
        return array, Tensor(over, node=PAST if result else None)


class Copied:
    """The place of a result that is a few numbers, such as a loss. They are computed in memory of
    the replay's own, and the caller gets a copy: that is quicker than to bind memory for him.
    """

    def __init__(self, value: Value, wants: bool) -> None:
        self.array = np.empty(value.shape, value.dtype)  # where it is computed
        self.node = PAST if wants else None

    def tensor(self) -> Tensor:
        """The numbers of the last run, for the caller."""
        return Tensor(self.array.copy(), False, self.node)


def _seen(array: Any) -> Any:
    """What an executor gets of an array: a view, one reference to it however it is kept."""
    return array.view() if isinstance(array, np.ndarray) else array


def _alone(keeps_tensor: bool) -> tuple[int, int]:
    """How many references ``renew`` finds to spare memory that nobody holds."""
    made = np.empty(0)
    spare = [(made, Tensor(made) if keeps_tensor else None)]
    del made
    for _, (array, tensor) in enumerate(spare):
        return getrefcount(array), getrefcount(tensor)
    raise AssertionError("there is one")


ALONE = {keeps: _alone(keeps)[0] for keeps in (False, True)}
ALONE_TENSOR = _alone(True)[1]


def tensor_over(array: Any, r: Result, given: Sequence[Any]) -> Tensor:
    """A new Tensor for the caller."""
    t = Tensor(array, node=PAST if r.wants else None)
    if r.base is not None:
        t.base = (given[r.base] if type(r.base) is int else r.base)._owner()
    return t


class Grads:
    """The gradients that stay in the same leaves: looked after all at once, since there are many.

    A leaf's own reference to its grad is nobody else's. So all memory may be written if every leaf
    has the Tensor of its place, and no count of references is larger than it was. While nobody else
    has any, gradients lie in the executor's arena: few of them are there while most else is.
    """

    def __init__(self, kept: Sequence[tuple[Tensor, Place]]) -> None:
        self.kept = kept
        self.watched: list[Any] = []
        self.counts: list[int] | None = None  # None: to be counted after the next run

    def ready(self, executor: Executor) -> bool:
        """Have memory bound for every gradient that nobody else holds. False where somebody holds
        memory that the executor has lent.
        """
        for leaf, place in self.kept:
            if leaf.grad is not place.tensor:
                break
        else:
            if list(map(getrefcount, self.watched)) == self.counts:
                return True
        self.watched, self.counts = [], None
        for leaf, place in self.kept:
            if place.array is None or place.is_held(leaf.grad is place.tensor):
                if place.lent:
                    return False
                place.renew(executor)
        return True

    def set(self) -> None:
        """After a run: leave them in the leaves, if they are others than before."""
        for leaf, place in self.kept:
            leaf.grad = place.tensor
        places = [place for _, place in self.kept]
        self.watched = [p.array for p in places] + [p.tensor for p in places]
        self.counts = [p.refs + IN_LIST for p in places] + [
            p.tensor_refs + IN_LIST + 1 for p in places]


def _in_list() -> int:
    """How many more references there are to what an attribute holds, counted by a map over a list
    that holds it too.
    """
    place = Place.__new__(Place)
    place.array = np.empty(0)
    alone = getrefcount(place.array)
    watched = [place.array]
    return next(map(getrefcount, watched)) - alone


IN_LIST = _in_list()
