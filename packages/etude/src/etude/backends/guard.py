"""Runs code of a plugin: within a time limit, and with what it must leave alone put back.

``attempt`` is the one door through which a plugin's module is imported, its hooks asked and its
``load()`` called; ``plugins.py`` decides what becomes of a plugin by what comes back. This is a
guard against accidents, not a sandbox: a process that ends itself, crashes, or waits inside C code
cannot be held from here. Of the last it says at least the name.
"""

from __future__ import annotations

import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from etude.core.errors import BackendError

SECONDS = 20.0  # what a plugin has for its import and hooks, and each backend for its load()
AGAIN = 1.0  # how long until a plugin that swallowed the end of its time is told again
STREAMS = ("stdin", "stdout", "stderr")


class TimeLimit(BaseException):
    """The time of a plugin is up. No Exception, lest ``except Exception`` of the plugin take it."""


@dataclass
class Outcome:
    """What a plugin's code returned or raised, and a sentence about what it changed around it."""

    value: Any = None
    error: BaseException | None = None
    changed: str = ""


def attempt(name: str, fn: Callable[[], Any]) -> Outcome:
    """Run ``fn``, code of the plugin ``name``; whatever it raises is part of the outcome.

    Only a real Ctrl-C comes through. In the main thread ``fn`` runs right here, so that signals,
    context variables and what belongs to a thread are its own, and is interrupted when its time is
    up. Elsewhere it runs in a thread, which is left behind then and whose result nobody awaits.
    """
    before = Surroundings()
    outcome = Outcome()
    pressed: list[int] | None = None
    try:
        limit = seconds()
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGALRM) is not None:
            with _ctrl_c() as pressed:
                outcome.value = _interrupted(name, limit, fn)
        else:
            outcome = _in_thread(name, limit, fn)
    except KeyboardInterrupt as error:
        if pressed is None or pressed:
            raise
        outcome.error = error
    except BaseException as error:
        outcome.error = error
    finally:
        outcome.changed = before.put_back()
    return outcome


def seconds() -> float:
    """The time limit: ETUDE_PLUGIN_SECONDS, or SECONDS."""
    text = os.environ.get("ETUDE_PLUGIN_SECONDS", "").strip()
    try:
        limit = float(text or SECONDS)
    except ValueError:
        limit = 0.0
    if not 0 < limit <= threading.TIMEOUT_MAX:
        raise BackendError(f"ETUDE_PLUGIN_SECONDS={text} is no time limit: give a number of "
                           f"seconds above 0, or leave it away for {SECONDS:g}")
    return limit


def _up(limit: float) -> TimeLimit:
    return TimeLimit(f"it was stopped when {limit:g} s were over. If it needs longer, set "
                     f"ETUDE_PLUGIN_SECONDS to more; if not, look where it waits")


# ------------------------------------------------------------------ the two ways to keep time


def _interrupted(name: str, limit: float, fn: Callable[[], Any]) -> Any:
    """In the main thread: ``fn()``, with TimeLimit raised inside it after ``limit`` seconds.

    A thread keeps the time and sends SIGALRM, which also ends a sleep or a wait for a lock.
    Somebody else's alarm that comes meanwhile goes to the handler it was meant for.
    """
    main, done = threading.get_ident(), threading.Event()
    theirs = signal.getsignal(signal.SIGALRM)
    up = running = False

    def ring(number: int, frame: Any) -> None:
        if up and running:
            raise _up(limit)
        if not up and callable(theirs):
            theirs(number, frame)

    def watch() -> None:
        nonlocal up
        if done.wait(limit):
            return
        up = True
        times = 0
        while not done.is_set():
            signal.pthread_kill(main, signal.SIGALRM)
            done.wait(AGAIN)
            times += 1
            if times == 3 and not done.is_set():
                _say(f"etude: the plugin {name!r} has been loading for more than {limit:g} s and "
                     f"cannot be interrupted. ETUDE_PLUGINS=, with the names of others, leaves it "
                     f"out")

    watcher = threading.Thread(target=watch, name=f"time limit of {name}", daemon=True)
    signal.signal(signal.SIGALRM, ring)
    try:
        watcher.start()
        running = True
        try:
            return fn()
        finally:
            running = False  # Python runs a handler at a call, and here is none: nothing is missed
    finally:
        done.set()
        if watcher.ident is not None:
            watcher.join()
        if signal.getsignal(signal.SIGALRM) is ring:
            signal.signal(signal.SIGALRM, theirs)


def _in_thread(name: str, limit: float, fn: Callable[[], Any]) -> Outcome:
    """In another thread than the main one, which no signal reaches."""
    found: list[Outcome] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            found.append(Outcome(context.run(fn)))
        except BaseException as error:
            found.append(Outcome(error=error))

    worker = threading.Thread(target=work, name=f"plugin {name}", daemon=True)
    worker.start()
    worker.join(limit)
    return found[0] if found else Outcome(error=_up(limit))


@contextmanager
def _ctrl_c() -> Iterator[list[int] | None]:
    """Which KeyboardInterrupt is a real one: those that leave a mark in the list.

    None where somebody handles SIGINT in a way of his own: any may be one then.
    """
    pressed: list[int] = []
    theirs = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: Any) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    if theirs is signal.SIG_IGN:  # as in a shell's background: no Ctrl-C will come
        yield pressed
        return
    if theirs is not signal.default_int_handler:
        yield None
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, theirs)


def _say(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # there may be no stderr left
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


# ------------------------------------------------------------------ what is put back

#: Streams that plugins put in the place of ours. One that wraps ours would close it when it dies.
_replacements: list[Any] = []


@dataclass
class Surroundings:
    """The working directory and the standard streams, as objects and as file descriptors."""

    folder: str = field(default_factory=lambda: _folder())
    streams: dict[str, Any] = field(
        default_factory=lambda: {name: getattr(sys, name) for name in STREAMS})
    files: dict[int, int] = field(default_factory=dict)  # descriptor -> a copy of it

    def __post_init__(self) -> None:
        self.numbers = {name: _number(stream) for name, stream in self.streams.items()}
        for number in {0, 1, 2, *self.numbers.values()} - {-1}:
            with suppress(OSError):
                self.files[number] = os.dup(number)

    def put_back(self) -> str:
        """Make everything as it was; a sentence about what was not, or "" if all was."""
        changed = []
        if self.folder and _folder() != self.folder:
            changed.append("changed the working directory")
            with suppress(OSError):
                os.chdir(self.folder)
        closed = {n for n, stream in self.streams.items() if getattr(stream, "closed", False)}
        lost = {number for number, copy in self.files.items() if not _same(number, copy)}
        for name, stream in self.streams.items():
            if getattr(sys, name) is not stream:
                changed.append(f"replaced sys.{name}")
                _replacements.append(getattr(sys, name))
                _flush(getattr(sys, name))
                setattr(sys, name, stream)
            elif name in closed:
                changed.append(f"closed sys.{name}")
            elif self.numbers[name] in lost:
                changed.append(f"closed or replaced the file descriptor of sys.{name}")
        for number, copy in self.files.items():
            with suppress(OSError):
                if number in lost:
                    os.dup2(copy, number)
                os.close(copy)
        for name in closed:
            self._reopen(name)
        if not changed:
            return ""
        return f"it {', '.join(changed)} while it was loaded; this was put back"

    def _reopen(self, name: str) -> None:
        """A new stream in place of a closed one, over the same file or else over Python's own."""
        old, number = self.streams[name], self.numbers[name]
        if number not in self.files:
            setattr(sys, name, getattr(sys, f"__{name}__"))
            return
        new = open(number, "r" if name == "stdin" else "w", closefd=False,  # noqa: SIM115
                   buffering=1 if getattr(old, "line_buffering", False) else -1,
                   encoding=getattr(old, "encoding", None), errors=getattr(old, "errors", None))
        if getattr(sys, f"__{name}__") is old:
            setattr(sys, f"__{name}__", new)
        setattr(sys, name, new)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return ""


def _number(stream: Any) -> int:
    """The file descriptor of a stream, or -1 if it has none."""
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError, TypeError):
        return -1


def _same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:
        return False


def _flush(stream: Any) -> None:
    with suppress(Exception):
        stream.flush()
