"""The state of its process that a kernel must leave as it found it, and the results it gave away.

A kernel may round towards zero while it works, print less, or work in a folder of its own; what it
does not put back changes what others compute, far from here. ``State`` compares after each call,
names what is different and puts it back, so that each call is held against the same state. ``Kept``
holds on to results: one that changes after it was returned is a work space that somebody else uses
too. Both look from inside the worker, so they find mistakes, not malice.
"""

from __future__ import annotations

import ctypes
import gc
import locale
import os
import random
import signal
import sys
import threading
import warnings
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.core.array import DeviceArray
from etude.core.state import DEFAULT, STATE

WORDS = 60  # characters of a value that are shown
GRACE = 0.002  # seconds that a thread has to end which has nothing more to do
POOLS = ("concurrent.futures.thread", "multiprocessing.pool")  # whose threads wait for more to do
LATE = "a thread that it started was still running after it had returned"
KEPT = 8  # results that are kept alive
LARGEST = 1 << 20  # bytes of one of them

# Read from text: constants would be folded before anybody can change how they round.
_ONE, _HALF_STEP, _LEAST, _SMALL, _BIG = map(
    float.fromhex, ("0x1p0", "0x1p-53", "0x1p-1022", "0x1p-1074", "0x1p1000"))


def _rounding() -> str:
    """How floats round here and now, seen by adding: half a step to 1 and to -1, and a bit more."""
    up = _ONE + _HALF_STEP > _ONE  # a tie, which goes to the even one, unless all goes up
    down = -_ONE - _HALF_STEP < -_ONE
    truncated = _ONE + _HALF_STEP * 1.5 == _ONE
    return "upwards" if up else "downwards" if down else "towards zero" if truncated else \
        "to nearest"


def _small() -> str:
    """What becomes of subnormal numbers: results flushed (FTZ), operands read as zero (DAZ)."""
    if _SMALL * _BIG == 0:
        return "read as zero"
    return "flushed to zero" if _LEAST * (_ONE / 2) == 0 else "kept"


class _Float:
    """The floating-point environment of this thread, as the C library saves and restores it."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._set = getattr(library, "fesetenv", None)
        self._saved = ctypes.create_string_buffer(256)  # more than any platform's fenv_t
        if self._set is None or library.fegetenv(self._saved):
            self._set = None

    def put_back(self, _value: Any) -> None:
        if self._set is not None:
            self._set(self._saved)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGFPE, signal.SIGSEGV,
           signal.SIGPIPE, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2)


def _handlers() -> tuple[Any, ...]:
    return tuple([signal.getsignal(s) for s in SIGNALS])


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    for s, handler in zip(SIGNALS, handlers):
        if handler is not None and signal.getsignal(s) is not handler:
            signal.signal(s, handler)


def _set_environment(values: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _hooks() -> tuple[Any, ...]:
    return sys.excepthook, threading.excepthook, sys.stdout, sys.stderr, warnings.showwarning


def _set_hooks(hooks: tuple[Any, ...]) -> None:
    sys.excepthook, threading.excepthook, sys.stdout, sys.stderr, warnings.showwarning = hooks


def _random() -> tuple[Any, ...]:
    """The state of the global generators, in a form that can be compared."""
    drawn: Any = np.random.get_state()  # noqa: NPY002 - kernels may use what is old
    return drawn[1].tobytes(), drawn[2:], random.getstate()


def _etude() -> tuple[Any, ...]:
    return STATE.get(), DEFAULT.tables, DEFAULT.grad


def _set_etude(state: tuple[Any, ...]) -> None:
    STATE.set(state[0])
    DEFAULT.tables, DEFAULT.grad = state[1:]


def _processors() -> Any:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _set_print(options: Any) -> None:
    np.set_printoptions(**{k: v for k, v in options.items() if k != "override_repr"})


def _as_it_is(_value: Any) -> None:
    """Nothing is put back."""


@dataclass(frozen=True)
class Thing:
    """One part of the state. ``often``: cheap enough to look at after every call. ``loading``:
    not to be changed by loading a column either; many libraries set an environment variable then,
    or a filter of warnings.
    """

    name: str
    get: Callable[[], Any]
    put: Callable[[Any], Any]
    often: bool = True
    loading: bool = True


def things() -> list[Thing]:
    floats = _Float()
    return [
        Thing("the rounding mode", _rounding, floats.put_back),
        Thing("the treatment of subnormal numbers", _small, floats.put_back),
        Thing("np.seterr", np.geterr, lambda v: np.seterr(**v)),
        Thing("np.seterrcall", np.geterrcall, np.seterrcall),
        Thing("the working folder", os.getcwd, os.chdir),
        Thing("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Thing("the handler of a signal", _handlers, _set_handlers),
        Thing("the garbage collector's switch", gc.isenabled,
              lambda on: gc.enable() if on else gc.disable()),
        Thing("Etude's backends or gradient mode", _etude, _set_etude),
        Thing("the filters of warnings", lambda: list(warnings.filters), _set_filters,
              loading=False),
        Thing("a hook or a stream of sys", _hooks, _set_hooks, loading=False),
        Thing("the environment", lambda: dict(os.environ), _set_environment, False, False),
        Thing("np.set_printoptions", np.get_printoptions, _set_print, False),
        Thing("the locale", lambda: locale.setlocale(locale.LC_ALL), _as_it_is, False, False),
        Thing("the processors it may run on", _processors, _as_it_is, False, False),
        Thing("the state of the global random generators", _random, _as_it_is, False, False),
    ]


class State:
    """The state when it was made. ``look`` says what has changed since, and puts it back."""

    def __init__(self) -> None:
        self._things = things()
        self._before = [t.get() for t in self._things]

    def look(self, *, loading: bool = False, all_: bool = False) -> list[str]:
        """Sentences without a subject: "leaves the rounding mode changed: now towards zero".
        After a column was loaded, what loading may change is the state from which calls start.
        """
        found = []
        for i, thing in enumerate(self._things):
            if not (thing.often or all_ or loading):
                continue
            now, before = thing.get(), self._before[i]
            if now == before:
                continue
            if loading and not thing.loading:
                self._before[i] = now
                continue
            found.append(f"leaves {thing.name} changed{_difference(before, now)}")
            thing.put(before)
            self._before[i] = thing.get()
        return found


def _difference(before: Any, now: Any) -> str:
    """": now upwards", as far as it can be said in a few words."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        return ": " + ", ".join(f"{k} is {str(now.get(k, 'gone'))[:WORDS]}" for k in names[:3])
    if isinstance(now, (str, int)) and not isinstance(now, bool) and len(str(now)) < WORDS:
        return f": now {now}"
    return ""


class Threads:
    """Python threads that a call left running. One of a pool stays; one that ends by itself later
    still had something to do when the call returned. On a busy machine it may have been only its
    end: that makes a note in the report, and no failure.
    """

    def __init__(self) -> None:
        self._known = set(threading.enumerate())
        self._left: list[tuple[str, threading.Thread]] = []

    def after(self, op: str) -> None:
        """Note the threads that this call started and left; one that is only saying good-bye ends
        within ``GRACE``.
        """
        if threading.active_count() == len(self._known) and self._known == set(
                threading.enumerate()):
            return
        for thread in set(threading.enumerate()) - self._known:
            if getattr(getattr(thread, "_target", None), "__module__", "") in POOLS:
                continue
            thread.join(GRACE)
            if thread.is_alive():
                self._left.append((op, thread))
        self._known = set(threading.enumerate())

    def look(self) -> list[str]:
        """Sentences about those that have ended since."""
        ended = {op for op, thread in self._left if not thread.is_alive()}
        self._left = [(op, thread) for op, thread in self._left if thread.is_alive()]
        return [f"{op}: {LATE}" for op in sorted(ended)]


class Kept:
    """The latest results, alive, and what was in them when they were returned."""

    def __init__(self, read: Callable[[Any], Any] | None = None) -> None:
        """``read`` makes a NumPy array of a result, where results are none."""
        self._results: deque[tuple[str, Any, int]] = deque()
        self._read = read

    def keep(self, op: str, results: tuple[Any, ...]) -> list[str]:
        """Take the results of a call. Returns what ``look`` says of those before."""
        found = self.look()
        for r in results:
            known = isinstance(r, np.ndarray if self._read is None else DeviceArray)
            if known and 0 < r.nbytes <= LARGEST:
                self._results.append((op, r, self._content(r)))
        while len(self._results) > KEPT:
            self._results.popleft()
        return found

    def look(self) -> list[str]:
        """Whether each of them is as it was; one that is not is told once and forgotten."""
        for op, result, content in self._results:
            if self._content(result) != content:
                self._results.clear()
                return [f"changes the result of an earlier call of {op}, which its caller still "
                        f"holds"]
        return []


    def _content(self, result: Any) -> int:
        a = result if self._read is None else self._read(result)
        return zlib.crc32(a.data if a.flags.c_contiguous else a.tobytes())
