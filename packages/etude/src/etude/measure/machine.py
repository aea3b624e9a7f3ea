"""What a stretch of time was spent on: by this process, by others, and by waiting for a core.

A thread that could run and has no core is the mark of a busy machine. CPU time alone does not show
it: threads of BLAS and of our kernels wait for one another in a loop, and so count as working while
the one that all wait for stands in a queue. Linux counts the time in that queue for each thread
(/proc/self/task/*/schedstat). Elsewhere we compare CPU time with wall time, which is coarser.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

WAITED = 0.05  # of the wall time, all threads together: beyond it, others were in the way
STOLEN = 0.05  # cores that the host gave to other virtual machines; it is counted in steps of 10 ms
AWAKE = 0.8  # where the queue is unknown: the least CPU time for each second of work
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Moment:
    """Clocks at one moment, in seconds. NaN where this system does not tell."""

    wall: float
    cpu: float  # of all threads of this process
    queues: dict[int, float]  # thread -> the time it has stood in the queue; empty where unknown
    machine: float  # CPU time of every process of this machine
    stolen: float


def now() -> Moment:
    """The clocks. ``Span.between(a, b)`` says what the time between two moments was spent on."""
    machine, stolen = _machine()
    return Moment(time.perf_counter(), time.process_time(), _queues(), machine, stolen)


@dataclass(frozen=True)
class Span:
    """What the time between two moments was spent on. Seconds; NaN where the system does not say.
    """

    wall: float
    cpu: float  # of all threads of this process
    waited: float  # that threads of this process were ready and had no core, all together
    others: float  # CPU time of everything else on this machine
    stolen: float  # that the host gave to other virtual machines

    @classmethod
    def between(cls, start: Moment, end: Moment) -> Span:
        cpu = end.cpu - start.cpu
        there = end.queues.keys()
        waited = sum(end.queues[t] - start.queues.get(t, 0.0) for t in there)
        return cls(end.wall - start.wall, cpu, waited if there else math.nan,
                   max(end.machine - start.machine - cpu, 0.0),  # NaN stays in this order
                   end.stolen - start.stolen)

    @classmethod
    def total(cls, spans: list[Span]) -> Span:
        """Several stretches as one."""
        return cls(sum(s.wall for s in spans), sum(s.cpu for s in spans),
                   sum(s.waited for s in spans), sum(s.others for s in spans),
                   sum(s.stolen for s in spans))

    @property
    def busy(self) -> str:
        """Why times of this stretch say more about the other work of this machine, in words that
        go on after "this machine was busy: "; "" if they do not. It is meant for work that
        computes all the time: what sleeps or waits for a disk looks busy where queues are unknown.
        """
        if not self.wall > 0:
            return ""
        if self.stolen > max(0.025, STOLEN * self.wall):
            return f"its host kept {self.stolen / self.wall:.1f} of its cores for others"
        if math.isnan(self.waited):
            if self.cpu < AWAKE * self.wall:
                return f"this process got {self.cpu / self.wall:.0%} of a core"
        elif self.waited > WAITED * self.wall:
            return (f"threads of this process waited for a core {self.waited / self.wall:.0%} of "
                    f"the time{self._company()}")
        return ""

    def _company(self) -> str:
        """Who had the cores meanwhile, as far as that is known."""
        if math.isnan(self.others) or self.others < 0.05 * self.wall:
            return ", each for the others of them"
        return (f", and other processes used {self.others / self.wall:.1f} of the "
                f"{os.cpu_count()} cores of this machine")


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _queues() -> dict[int, float]:
    """Thread -> seconds in the run queue (Linux, Documentation/scheduler/sched-stats.rst)."""
    found = {}
    try:
        for task in Path("/proc/self/task").iterdir():
            try:
                found[int(task.name)] = int((task / "schedstat").read_text().split()[1]) * 1e-9
            except (ProcessLookupError, FileNotFoundError):  # a thread that has just ended
                continue
    except (OSError, ValueError, IndexError):  # no Linux, or one that does not count
        return {}
    return found


def _machine() -> tuple[float, float]:
    """(CPU time of all processes, stolen time) since this machine was started, in steps of 10 ms:
    user, nice, system, irq, softirq; the 8th number of /proc/stat is stolen (proc_stat(5)).
    """
    try:
        with open("/proc/stat") as file:
            ticks = [int(n) / TICK for n in file.readline().split()[1:9]]
        return sum(ticks[:3]) + ticks[5] + ticks[6], ticks[7]
    except (OSError, ValueError, IndexError):
        return math.nan, math.nan
