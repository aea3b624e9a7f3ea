"""What a step does beside its op calls, told to whoever watches so that it can be done again.

A captured step (``replay/``) runs its op calls again without the Python between them. Some of that
Python must run all the same, since its numbers differ from step to step: the key of a dropout, the
bias corrections and the rate of AdamW, the count of a schedule. Those places say so here, each in
one line; while nobody watches they do what they always did.

    array = live(numbers, dtype, table)     an array of a few numbers that every step makes anew
    effect(do, undo)                        something that is counted or moved, such as a schedule
    looks_at(array)                         a check of values, made in the traced call alone

The watcher is a ``Trace`` (``replay/trace.py``), which this floor does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

import numpy as np


class Effect(NamedTuple):
    """``do`` is what every step does anew; ``undo`` takes it back where the step then fails."""

    do: Callable[[], Any]
    undo: Callable[[], Any]


class Watcher(Protocol):
    """What a trace is told. Arrays are those that op calls see."""

    def lives(self, array: Any, numbers: Callable[[], Sequence[float]], table: Any,
              undo: Callable[[], Any]) -> None: ...
    def acts(self, effect: Effect) -> None: ...
    def holds(self, test: Callable[[], bool], what: str) -> None: ...
    def begins(self, array: Any) -> None: ...
    def clears(self, leaf: Any) -> None: ...
    def copies(self, source: Any, array: Any) -> None: ...
    def reads(self, array: Any) -> None: ...
    def looks(self, array: Any) -> None: ...
    def refuses(self, what: str) -> None: ...


#: Who watches this thread or task, if anybody does.
WATCHER: ContextVar[Watcher | None] = ContextVar("etude.watcher", default=None)


class Changes:
    """Counts what may change the course of a step and is no argument of it: an attribute set on a
    module (``train()``, a layer replaced), a module moved, the state of an optimiser loaded.
    ``writes`` counts the writes into Tensors, each after the Tensor has its date (``written``).
    """

    count = 0
    writes = 0


def nothing() -> None:
    """What needs no taking back."""


def live(numbers: Callable[[], Sequence[float]], dtype: Any, table: Any,
         undo: Callable[[], Any] = nothing) -> Any:
    """An array of ``numbers()`` on the device of ``table``; a replay fills it by asking again.

    ``undo`` takes back what ``numbers`` counted.
    """
    watcher = WATCHER.get()
    if watcher is None:
        return array_of(numbers, dtype, table)
    with unwatched():  # numbers may look into Tensors: a learning rate may be one
        array = array_of(numbers, dtype, table)
    watcher.lives(array, numbers, table, undo)
    return array


def array_of(numbers: Callable[[], Sequence[float]], dtype: Any, table: Any) -> Any:
    """``numbers()`` as an array on the device of ``table``."""
    kind = int if np.dtype(dtype).kind == "i" else float  # since one may be a Tensor of one element
    return table.upload(np.array([*map(kind, numbers())], dtype))


def effect(do: Callable[[], Any], undo: Callable[[], Any]) -> None:
    """Do ``do()``, now and in every replay."""
    watcher = WATCHER.get()
    if watcher is None:
        do()
        return
    with unwatched():
        do()
    watcher.acts(Effect(do, undo))


def looks_at(array: Any) -> None:
    """Values are checked, which changes nothing that the step does: they must be there."""
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.looks(array)


@contextmanager
def unwatched() -> Iterator[None]:
    """A block of which the watcher is told nothing."""
    token = WATCHER.set(None)
    try:
        yield
    finally:
        WATCHER.reset(token)
