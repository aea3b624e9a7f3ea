"""Files that are never half written, where they go, and a bar for work that takes a while."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO


def user_cache() -> Path:
    """The folder for files that can be made or fetched again: $XDG_CACHE_HOME or ~/.cache, and in
    it etude.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etude"


def write_atomically(path: str | os.PathLike[str], data: bytes,
                     verify: Callable[[Path], None] | None = None) -> None:
    """Write a file so that, whatever happens, ``path`` is the old file or the whole new one.

    The data goes to a temporary file in the same folder, is forced to the disk, and takes the
    name in one step. ``verify`` may read the temporary file and raise to refuse it. Whatever is
    raised, the old file is as it was and nothing is left behind; what a writer that was killed
    left behind is removed by the next. A link is followed, permissions stay. OSError as from
    ``open``, and for what is no regular file: a device or a pipe is not replaced.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.exists():
        raise FileNotFoundError(errno.ENOENT, "There is no such folder; make it first",
                                os.fspath(target.parent))
    mode = _permissions(path)
    sweep(target.parent, re.escape(target.name))
    with naming(path):
        file = _temporary(target)
    temporary = Path(file.name)
    try:
        with naming(path), file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            if verify is not None:
                verify(temporary)
            os.replace(temporary, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # else a power cut may forget the new name
        finally:
            os.close(folder)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """An OSError of the block names the file that was to be written. By itself it names a temporary
    file, or, when the disk is full, none.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def sweep(folder: Path, names: str) -> None:
    """Remove the temporary files of writers that were killed, of targets whose name matches the
    pattern ``names``. A writer that lives holds a lock on its own, and keeps it.
    """
    for left in folder.iterdir() if folder.is_dir() else ():
        if re.fullmatch(rf"(?:{names})\.[0-9a-f]{{16}}\.part", left.name):
            with suppress(OSError), open(left, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def _temporary(target: Path) -> BinaryIO:
    """A new file beside ``target``, locked until it is closed."""
    while True:
        name = f"{target.name}.{os.urandom(8).hex()}.part"
        file = open(target.with_name(name), "xb")  # noqa: SIM115 - the caller closes it
        with suppress(OSError):  # a file system without locks: then sweep removes nothing either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):
            return file
        file.close()  # another writer's sweep came before the lock


def _permissions(path: str | os.PathLike[str]) -> int | None:
    """Those of the regular file at ``path``; None if nothing is there."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a folder; give the name of a file",
                                os.fspath(path))
    if not stat.S_ISREG(mode):
        raise FileExistsError(errno.EEXIST, "Is a device, a pipe or a socket, and is not "
                              "replaced by a file; give another name", os.fspath(path))
    return stat.S_IMODE(mode)


@contextmanager
def uninterrupted() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Ctrl-C waits until the end of the block, and then does what it does elsewhere: it raises
    KeyboardInterrupt, unless somebody has set another handler. For work that must not end halfway.

    It gives ``at_once``: in a block ``with at_once():`` inside, Ctrl-C acts as it does elsewhere,
    and one that has waited acts at its beginning.
    """
    main = threading.current_thread() is threading.main_thread()  # signals come nowhere else
    if not main or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield nullcontext
        return
    came: list[int] = []

    def wait(number: int, frame: Any) -> None:
        came.append(number)

    found = signal.signal(signal.SIGINT, wait)
    before = signal.SIG_DFL if found is None else found  # None: not set by Python

    @contextmanager
    def at_once() -> Iterator[None]:
        signal.signal(signal.SIGINT, before)
        try:
            if came:
                came.clear()
                signal.raise_signal(signal.SIGINT)
            yield
        finally:
            signal.signal(signal.SIGINT, wait)

    try:
        yield at_once
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


@contextmanager
def bar(text: str, total: float | None, show: bool = True,
        of_bytes: bool = False) -> Iterator[Callable[[float], None]]:
    """``with bar("reading", 100) as advance: advance(1)`` draws a live bar.

    It needs rich (the extra ``etude[cli]``) and a terminal; elsewhere nothing is shown.
    """
    try:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining
        console = Console(stderr=True)
    except ImportError:
        show = False
    if not show or not console.is_terminal:
        yield lambda steps: None
        return
    columns = [TextColumn("{task.description}"), BarColumn(), Remaining()]
    if of_bytes:
        columns.insert(2, DownloadColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(text, total=total)
        yield lambda steps: progress.update(task, advance=steps)
