"""The engine: ``check(candidate)`` holds a candidate against the reference and returns a Report.

Work is divided by ops (``judge/pool.py``); each op has workers of its own, so that a report is the
same for any number of ``jobs``. The command line and the zoo come in through ``check``; the pytest
plugin goes op by op, through ``inspector.py``.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

import etude
from etude import TABLE
from etude_check.cases.case import LEVELS
from etude_check.cases.spec import KINDS
from etude_check.errors import CheckError
from etude_check.judge import waivers
from etude_check.judge.pool import results
from etude_check.judge.runner import GIVE_UP, TIMEOUT, Result, Runner, Settings
from etude_check.report.record import Record, Report, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Description
from etude_check.worker.state import LATE
from etude_check.worker.tamper import DURING
from etude_check.worker.walls import Walls
from etude_check.zoo import published


@dataclass
class Progress:
    """What ``check`` tells after each op, and meanwhile when something was found."""

    op: str
    done: int
    total: int
    failed: int  # cases so far
    executed: int
    hanging: int = 0  # ops that were given up


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a check. ``report`` is what was found until then."""

    def __init__(self, report: Report) -> None:
        super().__init__(*report.notes[-1:])
        self.report = report


def check(candidate: Candidate | str, *, ops: Sequence[str] | None = None,
          families: Sequence[str] | None = None, kinds: Sequence[str] | None = None,
          dtypes: Sequence[str] | None = None, level: str = "full", seed: int = 0, jobs: int = 1,
          case: str | None = None, stop_at_first: bool = False, timeout: float = TIMEOUT,
          give_up: int = GIVE_UP, total: float = math.inf, walls: Walls | None = None,
          progress: Callable[[Progress], None] | None = None) -> Report:
    """Hold a candidate against the reference; every case becomes a Record of the Report.

    ``candidate`` is the name of a backend, or what ``Candidate.parse`` made of a file.
    ``ops`` and ``families`` (the files of ops: "softmax", "conv2d") choose rows of the table,
    ``kinds`` chooses kinds of cases ("tail", "layout"), ``case`` one case by its name. An op whose
    calls took longer than ``timeout`` seconds ``give_up`` times is given up; what has not begun
    after ``total`` seconds is not run. ``walls`` are for the code of strangers. Raises
    CheckError for a request that cannot be carried out; never for what the candidate does. Ctrl-C
    raises Interrupted, a KeyboardInterrupt that has the report so far.
    """
    start = time.perf_counter()
    if level not in LEVELS:
        raise CheckError(f"there is no level {level!r}; known are {', '.join(LEVELS)}")
    for kind in kinds or ():
        if kind not in KINDS:
            raise CheckError(f"there is no kind of case {kind!r}; known are {', '.join(KINDS)}")
    candidate = prepare(Candidate.parse(candidate) if isinstance(candidate, str) else candidate,
                        ops or ())
    settings = Settings(candidate, level, seed, None if dtypes is None else tuple(dtypes),
                        KINDS if kinds is None else tuple(kinds), stop_at_first, timeout, give_up,
                        time.monotonic() + total, walls)
    runner, remarks = Runner(settings), set[str]()
    try:
        described = runner.describe()
        if walls is not None:
            described.waivers = []  # a stranger does not excuse itself
        report = Report(candidate.target, level, seed, [], environment=_environment(described),
                        mutation_score=published())
        if described.error:
            report.records.append(not_loaded(described))
        elif case is not None:
            report.records += runner.alone(case)
            remarks |= runner.remarks
        else:
            wanted = _wanted(runner.ops, ops, families)
            gathering = _Gathering(report, len(wanted), progress)
            try:
                with closing(results(runner, wanted, jobs, gathering.hear)) as found:
                    for result in found:
                        gathering.take(result)
                        if stop_at_first and gathering.fails(described.waivers):
                            break
            except KeyboardInterrupt:
                gathering.interrupted()
                report.seconds = time.perf_counter() - start
                raise Interrupted(report) from None
            gathering.end()
            remarks |= gathering.remarks
        report.notes = sorted({*described.tampering, *report.notes})
        report.records += conduct(report.notes)
        report.notes += sorted(remarks)
        if case is None and not described.error:
            report.records += waivers.apply(described.waivers, report.records, level != "smoke")
    finally:
        runner.close()
    report.seconds = time.perf_counter() - start
    return report


def not_loaded(described: Description) -> Record:
    return Record("-/load/0@0", "-", "-", "load", "", Verdict.CRASH,
                  f"it cannot be loaded: {described.error}")


def conduct(notes: Sequence[str]) -> list[Record]:
    """A failure for everything that a column has replaced. Where it looked is a note, no
    failure; and so is a thread that it left.
    """
    return [Record("-/conduct/0@0", "-", "-", "conduct", "", Verdict.CERTAIN,
                   f"a column computes, and does nothing else; this one {note}")
            for note in notes if not note.endswith((DURING, LATE))]


def _wanted(has: set[str], ops: Sequence[str] | None, families: Sequence[str] | None) -> list[str]:
    """The ops to check. Views and creation belong to the array type, not to a column: they are
    checked only where the candidate has them.
    """
    known = specs()
    for name in ops or ():
        if name not in known:
            raise CheckError(f"there is no op called {name!r}")
    there = {TABLE[n].family for n in known}
    for family in families or ():
        if family not in there:
            raise CheckError(f"there is no family {family!r}; known are "
                             f"{', '.join(sorted(there))}")
    return [n for n in sorted(known, key=lambda n: (TABLE[n].family, n))
            if (ops is None or n in ops) and (families is None or TABLE[n].family in families)
            and (n in has or TABLE[n].cls not in ("view", "create") or ops is not None)]


_Sums = tuple[int, int, int]


def _counted(records: Sequence[Record]) -> _Sums:
    """How many failed, how many were executed, and whether an op was given up (1 or 0)."""
    return (sum(r.verdict.failed for r in records), sum(r.verdict.executed for r in records),
            int(any(r.verdict is Verdict.NOT_RUN for r in records)))


def _added(a: _Sums, b: _Sums) -> _Sums:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


class _Gathering:
    """Puts results into the report as they come, and tells how far the run is."""

    def __init__(self, report: Report, total: int,
                 progress: Callable[[Progress], None] | None) -> None:
        self.report, self.progress = report, progress
        self.total, self.done = total, 0
        self.notes: set[str] = set()
        self.remarks: set[str] = set()
        self.begun: dict[str, list[Record]] = {}  # of ops that are not done
        self.sums = (0, 0, 0)  # of ops that are: failed, executed, given up
        self.last: list[Record] = []
        self.stopped: list[str] = []  # calls in the middle of which the run was ended

    def hear(self, op: str, records: list[Record] | str) -> None:
        """Records of an op that is being checked, or the call that it was stopped in."""
        if isinstance(records, str):
            self.stopped += [records] if records else []
            return
        self.begun.setdefault(op, []).extend(records)
        self._tell(op)

    def take(self, result: Result) -> None:
        self.begun.pop(result.op, None)
        self.done += 1
        self.last = result.records
        self.report.records += result.records
        self.sums = _added(self.sums, _counted(result.records))
        self.report.screens += result.screens
        self.notes |= set(result.tampering)
        self.remarks |= set(result.remarks)
        self._tell(result.op)

    def fails(self, waived: Sequence[Any]) -> bool:
        """Whether the op that was taken last has a failure that these waivers do not declare."""
        return any(r.verdict.failed and not waivers.holds(waived, r) for r in self.last)

    def _tell(self, op: str) -> None:
        if self.progress is None:
            return
        sums = self.sums
        for records in self.begun.values():
            sums = _added(sums, _counted(records))
        self.progress(Progress(op, self.done, self.total, *sums))

    def interrupted(self) -> None:
        """Ends with what was found, also of the ops that were not done."""
        for records in self.begun.values():
            self.report.records += records
        self.end()
        self.report.notes += sorted(self.stopped)
        self.report.notes.append(f"interrupted after {self.done} of {self.total} ops")

    def end(self) -> None:
        self.report.records.sort(key=lambda r: (r.family, r.op))
        self.report.screens.sort(key=lambda s: (TABLE[s.op].family, s.op))
        self.report.notes += sorted(self.notes)


def _environment(described: Description) -> dict[str, Any]:
    return {"etude": etude.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
            "system": platform.system(), "backend": described.name, "isa": described.isa,
            "threads": described.threads, "device": described.device}
