"""How much memory training steps take at most: each side in a process of its own.

The figure is the most memory that the process has during its first steps, the first one included,
less what it had when the model was there: so gradients, moments and activations, work space, and
what a library loads when it is first called. Linux alone says the most that a process had
(``VmHWM`` in /proc/self/status, which a write to /proc/self/clear_refs sets back).

Run as a file, it is that process: ``memory.py SIDE WORK`` prints one ``Found`` as JSON.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etude.bench import peers, works
from etude.bench.race import CAPTURED, EAGER, TORCH
from etude.bench.works import Work
from etude.measure.machine import cores

SIDES = (CAPTURED, EAGER, TORCH)
STATUS = Path("/proc/self/status")
STEPS, PROCESSES = 4, 3  # of each side
MEGABYTE = 2**20


@dataclass(frozen=True)
class Found:
    """What one process says, in bytes. ``arena`` is where the temporaries of a captured step are,
    ``live`` the least that any arena must have for them; 0 where nothing is captured.
    """

    peak: int
    arena: int = 0
    live: int = 0


@dataclass
class Peaks:
    """The peaks of one work, a process each, in bytes."""

    work: str
    peaks: dict[str, list[int]] = field(default_factory=dict)
    arena: int = 0
    live: int = 0
    left_out: dict[str, str] = field(default_factory=dict)  # side -> why

    def peak(self, side: str) -> float:
        """The median of a side."""
        return statistics.median(self.peaks[side])

    @property
    def share(self) -> float | None:
        """What the captured step takes, as a share of PyTorch; None without it."""
        if not {CAPTURED, TORCH} <= self.peaks.keys():
            return None
        return self.peak(CAPTURED) / self.peak(TORCH)


def measure(work: Work, processes: int, say: Callable[[str], None]) -> Peaks:
    """The peaks of every side that is installed. RuntimeError where a process fails."""
    row = Peaks(work.name)
    for side in SIDES:
        needed = peers.missing(side)
        if needed:
            row.left_out[side] = f"{needed} is not installed"
            continue
        say(f"{work.name}: {side}")
        found = [_in_process(side, work) for _ in range(processes)]
        row.peaks[side] = [f.peak for f in found]
        row.arena, row.live = max(row.arena, found[0].arena), max(row.live, found[0].live)
    return row


def _in_process(side: str, work: Work) -> Found:
    done = subprocess.run([sys.executable, "-m", __name__, side, work.name], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} at {work.name}: the process ended with {done.returncode}:\n"
                           f"{done.stderr}")
    return Found(**json.loads(done.stdout.splitlines()[-1]))


# ------------------------------------------------------------------ in the process of a side


def run(side: str, work: Work) -> Found:
    """Take the first steps of a side, here, and say what they took."""
    taken: Any = peers.torch_step(work) if side == TORCH else (
        works.training(work, "cpu", captured=side == CAPTURED))
    steps = taken.group(STEPS)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    steps()
    return Found(_status("VmHWM") - before, *(_plan(taken) if side == CAPTURED else ()))


def _status(name: str) -> int:
    """A number of bytes from what Linux says of this process."""
    line = next(x for x in STATUS.read_text().splitlines() if x.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def _plan(taken: Any) -> tuple[int, int]:
    """(arena, live bound) of the program of a captured step."""
    from etude.replay.passes import optimised
    from etude.replay.passes.memory import memory_plan

    plan = memory_plan(optimised(taken.side.captured.program))
    return plan.size, plan.live_bound


# ------------------------------------------------------------------ in words


def megabytes(nbytes: float) -> str:
    """Three digits of 2^20 bytes: "56.4 MB"."""
    return f"{nbytes / MEGABYTE:.3g} MB"


def markdown(rows: list[Peaks]) -> str:
    """A table for a page: works down, sides across."""
    sides = [side for side in SIDES if any(side in row.peaks for row in rows)]
    heads = ["work", *sides, "captured / PyTorch", "arena of the captured step", "live bound"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for row in rows:
        cells = [megabytes(row.peak(side)) if side in row.peaks else "" for side in sides]
        share = "" if row.share is None else f"{row.share:.2f}"
        cells += [share, megabytes(row.arena), megabytes(row.live)]
        lines.append(f"| {row.work} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    peers.set_threads(cores())
    named = {work.name: work for work in works.STEPS}
    print(json.dumps(asdict(run(sys.argv[1], named[sys.argv[2]]))))
