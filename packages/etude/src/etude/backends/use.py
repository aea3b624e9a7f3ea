"""Choosing what runs: ``with use(...)`` for a block, ``set_default_backend(...)`` for the process.

The two do not undo each other. A block is local to its thread or task and over when it is left;
the default holds wherever no block is open.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextvars import Token
from functools import lru_cache
from typing import Any

from etude.backends.resolve import resolve
from etude.core.columns import FALLBACKS, Column, Table, table_of
from etude.core.errors import BackendError, DeviceError
from etude.core.state import DEFAULT, STATE, State, Tables


class use:  # noqa: N801 - read as a verb: with use("cpu")
    """Choose the backend of a block: ``with use("cpu"):``.

    Columns are tried in the order given, then the reference. A column is the name of a backend
    (see ``etude backends``), the path of a .py file with ``@etude.implements`` functions, of a
    shared library that exports kernels of etude.h, or of a CUDA source that etude-cuda compiles
    for the device "gpu-lab", such a function itself, or a ``Column``;
    ``"reference"`` is the reference alone. With ``strict`` nothing may fall back; ``fallback``
    lets a device without some op borrow the host's, at the price of copies.

    Nothing happens before the block is entered; for the whole process there is
    ``set_default_backend``. Raises BackendError if a column cannot be found or loaded,
    DeviceError if columns of different devices are mixed.
    """

    def __init__(self, *columns: Any, strict: bool = False, fallback: bool = False) -> None:
        self.table = _table("use", columns, strict, fallback)
        #: (op, dtype, reason) -> how often the reference stood in, since the block was entered.
        #: Empty as it is made; Counter's __init__ would look for elements, which takes its time.
        self.fallbacks: Counter[tuple[str, str, str]] = Counter.__new__(Counter)
        self._tokens: list[tuple[Token[State], Token[Any]]] = []
        self._entered = False

    @property
    def device(self) -> str:
        """The device whose ops are chosen."""
        return self.table.device

    def __repr__(self) -> str:
        return f"<use {_names(self.table.stack)} on {self.device}>"

    def __enter__(self) -> use:
        here, table = STATE.get(), self.table
        tables = Tables(here.tables, here.tables.taps)
        tables[table.device] = table.with_taps(tables.taps) if tables.taps else table
        if not self._tokens:
            self.fallbacks.clear()
        self._tokens.append((STATE.set(State(tables, here.grad)), FALLBACKS.set(self.fallbacks)))
        self._entered = True
        return self

    def __exit__(self, *exc: object) -> None:
        state, fallbacks = self._tokens.pop()
        STATE.reset(state)
        FALLBACKS.reset(fallbacks)

    def __del__(self) -> None:
        if not getattr(self, "_entered", True):  # a use that raised has no such attribute
            names = ", ".join(repr(b.name) for b in self.table.stack) or repr("reference")
            warnings.warn(f"use({names}) was made and never entered, so it chose nothing. Write "
                          f"with use({names}): for a block, set_default_backend({names}) for the "
                          f"process", RuntimeWarning, stacklevel=2)


def set_default_backend(*columns: Any, strict: bool = False, fallback: bool = False) -> None:
    """Choose the backend of the process, wherever no ``with use(...)`` says otherwise.

    Arguments and errors are those of ``use``; ``set_default_backend("reference")`` goes back to
    the reference. It takes one device at a time and leaves the other devices' backends alone.
    Blocks that are open, of ``use``, ``tap`` and ``receipt``, keep what they began with. The
    environment variable ETUDE_BACKEND does the same for a run whose text nobody wants to change.
    """
    table = _table("set_default_backend", columns, strict, fallback)
    taps = DEFAULT.tables.taps
    DEFAULT.tables[table.device] = table.with_taps(taps) if taps else table


def _table(verb: str, columns: tuple[Any, ...], strict: bool, fallback: bool) -> Table:
    if not columns:
        raise BackendError(f"{verb}() needs at least one column, such as {verb}('reference')")
    stack: tuple[Column, ...] = ()
    for column in columns:
        stack += resolve(column)
    return _table_of_stack(verb, stack, strict, fallback)


@lru_cache(maxsize=64)
def _table_of_stack(verb: str, stack: tuple[Column, ...], strict: bool, fallback: bool) -> Table:
    devices = sorted({b.device for b in stack}) or ["cpu"]
    if len(devices) > 1:
        raise DeviceError(f"{verb}(): columns of one device only, got {', '.join(devices)}. "
                          f"Call {verb}() once for each device")
    return table_of(devices[0], stack, strict, fallback)


def _names(stack: tuple[Column, ...]) -> str:
    return " + ".join(b.name for b in stack) or "reference"
