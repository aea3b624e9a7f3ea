"""Which backend is in force: ``use`` to choose it, ``tap`` to watch it, and where that is kept.

What a backend and its table are is in ``columns.py``; plugins are found in ``plugins.py``;
reports over a run are in ``receipt.py``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from etude.columns import Backend, Event, Table, Tap
from etude.errors import BackendError, DeviceError

__all__ = ["DEFAULT", "STATE", "Backend", "Event", "State", "Table", "Tables", "current",
           "grad_mode", "tap", "use"]


class Tables(dict[str, Table]):
    """Device -> Table. A device that nobody chose a backend for gets its first active one."""

    def __init__(self, tables: Mapping[str, Table] = {}, taps: tuple[Tap, ...] = ()) -> None:
        super().__init__(tables)
        self.taps = taps

    def __missing__(self, device: str) -> Table:
        from etude.plugins import default_stack

        self[device] = table = Table(device, default_stack(device), taps=self.taps)
        return table


@dataclass(slots=True, eq=False)
class State:
    """What dispatch depends on: the table of each device, and whether gradients are recorded."""

    tables: Tables
    grad: bool = True


#: The process default. It lives in a ContextVar so that ``with use(...)`` stays local to a thread
#: or task; the library's own threads run in a copy of their caller's context.
DEFAULT = State(Tables())
STATE: ContextVar[State] = ContextVar("etude.state", default=DEFAULT)


def current(device: str = "cpu") -> Table:
    """The table in force for ``device``, here and now."""
    return STATE.get().tables[device]


_LOCK = threading.Lock()
_WAITING: WeakSet[use] = WeakSet()  # made, and not (yet) entered as a block


class use:  # noqa: N801 - read as a verb: with use("cpu")
    """Choose the backend: ``use("cpu")`` for the process, ``with use("cpu"):`` for a block.

    Columns are tried in the order given, then the reference. A column is the name of a backend
    (see ``etude backends``), the path of a .py file with ``@etude.implements`` functions, of a
    shared library that exports kernels of etude.h, such a function itself, or a ``Backend``;
    ``"reference"`` is the reference alone. With ``strict`` nothing may fall back; ``fallback``
    lets a device without some op borrow the host's, at the price of copies.

    Raises BackendError if a column cannot be found or loaded, DeviceError if columns of
    different devices are mixed.
    """

    def __init__(self, *columns: Any, strict: bool = False, fallback: bool = False) -> None:
        from etude.plugins import resolve

        if not columns:
            raise BackendError("use() needs at least one column, such as use('reference')")
        stack = tuple(b for c in columns for b in resolve(c))
        devices = sorted({b.device for b in stack}) or ["cpu"]
        if len(devices) > 1:
            raise DeviceError(f"use(): columns of one device only, got {', '.join(devices)}. "
                              f"Call use() once for each device")
        self.device = devices[0]
        self._options = {"strict": strict, "fallback": fallback}
        self._stack = stack
        self._tokens: list[Token[State]] = []
        self._places: list[list[Any]] = []  # [tables, the one put there, the one before]
        with _LOCK:
            for tables in {id(s.tables): s.tables for s in (DEFAULT, STATE.get())}.values():
                self._places.append([tables, self._table(tables), tables.get(self.device)])
                tables[self.device] = self._places[-1][1]
            _WAITING.add(self)
        self.table = STATE.get().tables[self.device]

    def __repr__(self) -> str:
        return f"<use {' + '.join(b.name for b in self._stack) or 'reference'} on {self.device}>"

    def _table(self, tables: Tables) -> Table:
        return Table(self.device, self._stack, taps=tables.taps, **self._options)

    @property
    def fallbacks(self) -> Counter[tuple[str, str, str]]:
        """(op, dtype, reason) -> how often the reference stood in."""
        return self.table.fallbacks

    def __enter__(self) -> use:
        self._take_back()
        here = STATE.get()
        tables = Tables(here.tables, here.tables.taps)
        self.table = tables[self.device] = self._table(tables)
        self._tokens.append(STATE.set(State(tables, here.grad)))
        return self

    def _take_back(self) -> None:
        """It was for a block, not for the process: put back what was there before."""
        with _LOCK:
            _WAITING.discard(self)
            for tables, mine, before in self._places:
                if tables.get(self.device) is not mine:  # another thread has chosen since, and
                    for other in _WAITING:  # must not bring this choice back
                        for place in other._places:
                            place[2] = before if place[2] is mine else place[2]
                elif before is None:
                    del tables[self.device]
                else:
                    tables[self.device] = before
            self._places.clear()

    def __exit__(self, *exc: object) -> None:
        STATE.reset(self._tokens.pop())


@contextmanager
def tap(fn: Tap) -> Iterator[None]:
    """Report every op call inside the block to ``fn(event)``, after the call. See ``Event``.

    Closed, a tap costs nothing: the table without it is another table.
    """
    here = STATE.get()
    taps = (*here.tables.taps, fn)
    tables = Tables({d: t.with_taps(taps) for d, t in here.tables.items()}, taps)
    token = STATE.set(State(tables, here.grad))
    try:
        yield
    finally:
        STATE.reset(token)


@contextmanager
def grad_mode(on: bool) -> Iterator[None]:
    """Record gradients inside the block, or do not. Public as ``no_grad`` and ``enable_grad``."""
    here = STATE.get()
    token = STATE.set(State(here.tables, on))
    try:
        yield
    finally:
        STATE.reset(token)
