"""How ``fit`` shows where it is: a live bar with rich (an extra), plain lines, or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REFRESH = 0.1  # seconds between two updates of the bar


class Report:
    """The report that shows nothing, and the base of the others."""

    def step(self, epoch: int, loss: float) -> None:
        """A training step is done."""

    def epoch(self, text: str) -> None:
        """An epoch is done, or the run: a line to keep."""


class Lines(Report):
    """A line for each epoch."""

    def epoch(self, text: str) -> None:
        print(text, flush=True)


class Bar(Report):
    """A live bar over all steps, and the lines of the finished epochs above it."""

    def __init__(self, bar: Any, epochs: int, steps: int | None, done: int) -> None:
        self._bar = bar
        self._epochs = epochs
        total = None if steps is None else steps * epochs
        self._task = bar.add_task("starting", total=total, completed=done)
        self._done = done
        self._shown = 0.0

    def step(self, epoch: int, loss: float) -> None:
        self._done += 1
        now = time.perf_counter()
        if now - self._shown >= REFRESH:
            self._shown = now
            self._bar.update(self._task, completed=self._done, refresh=True,
                             description=f"epoch {epoch}/{self._epochs}  loss {loss:.4f}")

    def epoch(self, text: str) -> None:
        self._bar.console.print(text, highlight=False)


@contextmanager
def show(epochs: int, steps: int | None, progress: bool, done: int = 0, live: bool = True
         ) -> Iterator[Report]:
    """The report for a run of ``epochs`` of ``steps`` each (None: not known). A run that is resumed
    has ``done`` steps behind it. Without ``live`` there is no bar: mpirun gives its processes a
    terminal, also where what they print goes into a file.
    """
    if not progress:
        yield Report()
        return
    if not live:
        yield Lines()
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield Lines()
        return
    console = Console()
    if not console.is_terminal:
        yield Lines()
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        yield Bar(bar, epochs, steps, done)
