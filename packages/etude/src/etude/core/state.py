"""What dispatch depends on, here and now: the tables in force, and whether gradients are recorded.

Both sit in one context variable, so that ``with use(...)`` and ``no_grad()`` are local to a thread
or task; the library's own threads run in a copy of their caller's context. What a table is, is in
``columns.py``; backends are chosen in ``backends/use.py``, which this file does not know.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import wraps
from typing import Any

from etude.core.array import DeviceArray
from etude.core.columns import Column, Table, Tap, table_of
from etude.core.live import WATCHER


class Tables(dict[str, Table]):
    """Device -> Table. A device that nobody chose a backend for gets the default stack."""

    #: device -> its columns where nobody chose any: none, so the reference alone. The package
    #: hands in ``backends.resolve.default_stack``, which also asks ETUDE_BACKEND and plugins.
    default_stack: Callable[[str], tuple[Column, ...]] = staticmethod(lambda device: ())

    def __init__(self, tables: Mapping[str, Table] = {}, taps: tuple[Tap, ...] = ()) -> None:
        dict.__init__(self, tables)
        self.taps = taps

    def __missing__(self, device: str) -> Table:
        table = table_of(device, Tables.default_stack(device))
        self[device] = table = table.with_taps(self.taps) if self.taps else table
        return table


@dataclass(slots=True, eq=False)
class State:
    """The table of each device, and whether gradients are recorded."""

    tables: Tables
    grad: bool = True


#: The state of the process, which holds wherever no block says otherwise.
DEFAULT = State(Tables())
STATE: ContextVar[State] = ContextVar("etude.state", default=DEFAULT)


def current(device: str = "cpu") -> Table:
    """The table in force for ``device``, here and now."""
    return STATE.get().tables[device]


class grad_mode(ContextDecorator):  # noqa: N801 - read as a phrase: with grad_mode(False)
    """Record gradients inside the block, or do not. Public as ``no_grad`` and ``enable_grad``.

    As a decorator it holds while the function runs; of a generator function, in each of its steps,
    while whoever asks for them keeps a mode of their own. TypeError for an async function.
    """

    def __init__(self, on: bool) -> None:
        self.on = on
        self._tokens: list[Token[State]] = []

    def __call__(self, func: Callable[..., Any]) -> Any:
        if inspect.isgeneratorfunction(func):
            return _in_each_step(func, self.on)
        if inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError(f"no_grad and enable_grad cannot decorate the async function "
                            f"{func.__name__}: its steps run later. Use a with block inside it")
        return super().__call__(func)

    def _recreate_cm(self) -> grad_mode:
        return grad_mode(self.on)  # as a decorator: every call has tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(STATE.set(State(STATE.get().tables, self.on)))

    def __exit__(self, *exc: object) -> None:
        STATE.reset(self._tokens.pop())


def _in_each_step(func: Callable[..., Any], on: bool) -> Callable[..., Any]:
    """The generator function ``func`` with ``grad_mode(on)`` around each of its steps, since a
    block around the call would be over before the first one.
    """
    @wraps(func)
    def steps(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        inner = func(*args, **kwargs)
        try:
            with grad_mode(on):
                given = next(inner)
            while True:
                try:
                    answer = yield given
                except GeneratorExit:
                    with grad_mode(on):
                        inner.close()
                    raise
                except BaseException as error:
                    with grad_mode(on):
                        given = inner.throw(error)
                else:
                    with grad_mode(on):
                        given = inner.send(answer)
        except StopIteration as end:
            return end.value

    return steps


def no_grad() -> grad_mode:
    """Context manager and decorator: record nothing inside."""
    return grad_mode(False)


def enable_grad() -> grad_mode:
    """Context manager and decorator: record again, inside a ``no_grad``."""
    return grad_mode(True)


def is_grad_enabled() -> bool:
    """Whether a call made here and now is recorded for ``backward``."""
    return STATE.get().grad


@contextmanager
def tap(fn: Tap) -> Iterator[None]:
    """Report every op call inside the block to ``fn(event)``, after the call. See ``Event``.

    Closed, a tap costs nothing: the table without it is another table. A default backend that is
    set while the block is open holds when it is over.
    """
    watcher = WATCHER.get()
    if watcher is not None:
        watcher.refuses("a tap is opened inside (tap, receipt, check_nan, profile and recording "
                        "are such), which a replay would tell nothing. Around a call of a captured "
                        "function it sees every op call")
    here = STATE.get()
    taps = (*here.tables.taps, fn)
    tables = Tables({d: t.with_taps(taps) for d, t in here.tables.items()}, taps)
    token = STATE.set(State(tables, here.grad))
    try:
        yield
    finally:
        STATE.reset(token)


@contextmanager
def tap_everywhere(fn: Tap) -> Iterator[None]:
    """``tap`` for all of the process: every thread, wherever no block of ``use`` or ``tap`` that
    is older says otherwise. A default backend that is set meanwhile is tapped as well, and stays.
    """
    _retap((*DEFAULT.tables.taps, fn))
    try:
        yield
    finally:
        _retap(tuple([t for t in DEFAULT.tables.taps if t is not fn]))


def _retap(taps: tuple[Tap, ...]) -> None:
    """Give the state of the process these taps."""
    DEFAULT.tables = Tables({d: t.with_taps(taps) for d, t in DEFAULT.tables.items()}, taps)


def waited(start: float, end: float, arrays: tuple[Any, ...]) -> None:
    """Tell the taps that care that the program waited for data, by ``time.perf_counter``, and for
    which arrays.
    """
    for fn in STATE.get().tables.taps:
        if hasattr(fn, "waited"):
            fn.waited(start, end, arrays)


def _copy(x: Any) -> Any:
    """A contiguous copy of an array, made by the device that holds it."""
    return current(x.device)["contiguous"](x)


DeviceArray.copy = staticmethod(_copy)
