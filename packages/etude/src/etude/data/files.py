"""Files that are never half written, and a bar for work that takes a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that, whatever happens, ``path`` is the old file or the whole new one.

    The data goes to a temporary file in the same folder, is forced to the disk, and takes the
    name in one step. OSError as from ``open``; then nothing is left behind.
    """
    target = Path(path)
    temporary = target.with_name(f"{target.name}.{os.getpid()}-{get_ident()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
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
