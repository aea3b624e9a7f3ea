"""Runs a program of the lab in a process of its own, with a limit, and leaves nothing running.

What the lab has to say is in a file of JSON lines (``events.py`` reads it); what the program
prints goes where it always went, or is kept. At the limit, and on Ctrl-C, the program is asked to
end and to write down what was found so far; a program that does not is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

GRACE = 5.0  # seconds to write down what was found
TICK = 0.25
ENDLESS = 0.7  # of the limit: a kernel of which no block has ended for so long is told as endless
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Ran:
    """How a program ended. ``stopped`` is "", "time limit" or "interrupted"."""

    status: int  # of exit, or minus the signal that ended it
    stopped: str
    seconds: float
    output: str  # of stdout, where it was kept

    @property
    def crash(self) -> str:
        """What ended it, in words, if it did not end by itself."""
        if self.status >= 0 or self.stopped:
            return ""
        with suppress(ValueError):
            name = signal.Signals(-self.status)
            return {signal.SIGSEGV: "a memory access outside of all its memory (SIGSEGV)",
                    signal.SIGABRT: "abort(), as a failed assert calls it (SIGABRT)",
                    signal.SIGFPE: "an integer division by zero (SIGFPE)",
                    signal.SIGBUS: "a bus error (SIGBUS)"}.get(name, name.name)
        return f"signal {-self.status}"


@dataclass(frozen=True)
class Settings:
    """What the lab is told about a run, through the environment."""

    seed: int = 1  # 0 is the order of the numbers, which hides mistakes
    card: str = "A100"
    timeout: float | None = None
    only: str = ""  # LAB_ONLY: one launch with another grid and block

    def environment(self, events: Path) -> dict[str, str]:
        """The variables that c_src/lab reads."""
        told = {"LAB_EVENTS": str(events), "LAB_SEED": str(self.seed), "LAB_CARD": self.card,
                "LAB_SILENT": "1"}
        if self.only:
            told["LAB_ONLY"] = self.only
        if self.timeout is not None and "LAB_TIMEOUT" not in os.environ:
            told["LAB_TIMEOUT"] = f"{ENDLESS * self.timeout:g}"
        return told


def run_program(executable: Path, arguments: Sequence[str], events: Path, settings: Settings, *,
                keep: bool = False, tick: Callable[[float], None] = lambda seconds: None) -> Ran:
    """Run until it ends, the limit comes or somebody presses Ctrl-C. Never raises for these.

    ``keep`` keeps stdout instead of showing it; ``tick`` is called a few times a second.
    """
    start = time.monotonic()
    alone = not sys.stdin.isatty()  # a group of its own could not read from the terminal
    # Into a file: a pipe would stay open as long as anything that the program has started.
    with tempfile.TemporaryFile() if keep else nullcontext() as kept:
        process = subprocess.Popen(
            [str(executable), *arguments], env=os.environ | settings.environment(events),
            stdout=kept, start_new_session=alone, preexec_fn=_with_parent)
        try:
            stopped = _wait(process, start, settings.timeout, tick)
        finally:
            _kill(process, alone)
        seconds, output = time.monotonic() - start, ""
        if kept:
            kept.seek(0)
            output = kept.read().decode(errors="replace")
    return Ran(process.returncode, stopped, seconds, output)


def _wait(process: subprocess.Popen[bytes], start: float, limit: float | None,
          tick: Callable[[float], None]) -> str:
    """Until it has ended; why, if somebody had to end it."""
    while True:
        passed = time.monotonic() - start
        left = TICK if limit is None else min(TICK, limit - passed)
        try:
            process.wait(max(left, 0.01))
            return ""
        except subprocess.TimeoutExpired:
            if limit is not None and time.monotonic() - start >= limit:
                _end(process, signal.SIGTERM)
                return "time limit"
            tick(passed)
        except KeyboardInterrupt:
            _end(process, signal.SIGINT)
            return "interrupted"


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """Ask the program to end, and give it a while to write down what was found."""
    process.send_signal(how)
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(GRACE)


def _kill(process: subprocess.Popen[bytes], alone: bool) -> None:
    if alone:
        with suppress(ProcessLookupError, PermissionError):  # what it started goes with it
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _with_parent() -> None:
    """In the new process: end when the parent does, and hear Ctrl-C even if it does not."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
