"""The engine: ``check(candidate)`` holds a candidate against the reference and returns a Report.

Work is divided by ops: with ``jobs`` several are checked at a time, and each process has a runner
(``judge/runner.py``) and a sandbox of its own. The command line and the zoo come in through
``check``; the pytest plugin goes op by op, through ``inspector.py``.
"""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np

import etude
from etude import TABLE
from etude_check.cases.case import BIAS, LEVELS
from etude_check.cases.spec import KINDS
from etude_check.errors import CheckError
from etude_check.judge import probes, waivers
from etude_check.judge.names import Name, find
from etude_check.judge.runner import TIMEOUT, Result, Runner, Screening, Settings, plain
from etude_check.report.record import Record, Report, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.parent import end_with_parent
from etude_check.worker.sandbox import Description
from etude_check.worker.tamper import DURING
from etude_check.zoo import published


@dataclass
class Progress:
    """What ``check`` tells after each op."""

    op: str
    done: int
    total: int
    failed: int  # cases so far
    executed: int
    records: list[Record]


_runner: Runner | None = None  # of a worker process of the pool


def _begin(settings: Settings) -> None:
    global _runner
    end_with_parent()
    _runner = Runner(settings)


def _one(op: str) -> Result:
    assert _runner is not None
    return _runner.check(op)


def check(candidate: Candidate | str, *, ops: Sequence[str] | None = None,
          families: Sequence[str] | None = None, kinds: Sequence[str] | None = None,
          dtypes: Sequence[str] | None = None, level: str = "full", seed: int = 0, jobs: int = 1,
          case: str | None = None, stop_at_first: bool = False, timeout: float = TIMEOUT,
          progress: Callable[[Progress], None] | None = None) -> Report:
    """Hold a candidate against the reference; every case becomes a Record of the Report.

    ``candidate`` is the name of a backend, or what ``Candidate.parse`` made of a file.
    ``ops`` and ``families`` (the files of ops: "softmax", "conv2d") choose rows of the table,
    ``kinds`` chooses kinds of cases ("tail", "layout"), ``case`` one case by its name. Raises
    CheckError for a request that cannot be carried out; never for what the candidate does.
    """
    start = time.perf_counter()
    if level not in LEVELS:
        raise CheckError(f"there is no level {level!r}; known are {', '.join(LEVELS)}")
    for kind in kinds or ():
        if kind not in KINDS:
            raise CheckError(f"there is no kind of case {kind!r}; known are {', '.join(KINDS)}")
    candidate = prepare(Candidate.parse(candidate) if isinstance(candidate, str) else candidate)
    settings = Settings(candidate, level, seed, None if dtypes is None else tuple(dtypes),
                        KINDS if kinds is None else tuple(kinds), stop_at_first, timeout)
    runner = Runner(settings)
    try:
        described = runner.describe()
        report = Report(candidate.target, level, seed, [], environment=_environment(described),
                        mutation_score=published())
        if described.error:
            report.records.append(not_loaded(described))
        elif case is not None:
            report.records += [plain(r) for r in _single(runner, Name.parse(case), case)]
        else:
            wanted = _wanted(runner.ops, ops, families)
            results = _pooled(settings, wanted, jobs) if jobs > 1 and len(wanted) > 1 else (
                runner.check(op) for op in wanted)
            _gather(report, results, len(wanted), progress,
                    described.waivers if stop_at_first else None)
        report.notes = sorted({*described.tampering, *report.notes})
        report.records += conduct(report.notes)
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
    failure.
    """
    return [Record("-/conduct/0@0", "-", "-", "conduct", "", Verdict.CERTAIN,
                   f"a column computes, and does nothing else; this one {note}")
            for note in notes if not note.endswith(DURING)]


def _single(runner: Runner, name: Name, case_id: str) -> Iterator[Record]:
    if name.kind == "errors":
        refusals = probes.refusals(specs()[name.op])
        number = name.number(len(refusals))
        yield probes.refuse(runner, specs()[name.op], number, refusals[number])
        return
    if name.kind == BIAS:
        yield from runner.bias(name.op, name.seed)
        return
    case = find(case_id)
    if case.kind == "adjoint":
        yield from probes.adjoint(runner, case)
    elif case.kind == "threads":
        yield probes.threads(runner, case)
    else:
        yield runner.judge(case, Screening(case.spec))


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


def _pooled(settings: Settings, wanted: list[str], jobs: int) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")  # fork would copy threads half alive
    pool = ProcessPoolExecutor(min(jobs, len(wanted)), context, _begin, (settings,))
    try:
        for future in as_completed([pool.submit(_one, op) for op in wanted]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _gather(report: Report, results: Iterator[Result], total: int,
            progress: Callable[[Progress], None] | None, waived: list[Any] | None) -> None:
    """Put results into the report as they come. ``waived``: stop at the first failure that these
    waivers do not declare; None: do not stop.
    """
    notes: set[str] = set()
    failed = executed = 0
    for done, result in enumerate(results, 1):
        report.records += result.records
        report.screens += result.screens
        notes |= set(result.tampering)
        failed += sum(r.verdict.failed for r in result.records)
        executed += sum(r.verdict.executed for r in result.records)
        if progress is not None:
            progress(Progress(result.op, done, total, failed, executed, result.records))
        if waived is not None and any(r.verdict.failed and not waivers.holds(waived, r)
                                      for r in result.records):
            break
    report.records.sort(key=lambda r: (r.family, r.op))
    report.notes += sorted(notes)


def _environment(described: Description) -> dict[str, Any]:
    return {"etude": etude.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
            "system": platform.system(), "backend": described.name, "isa": described.isa,
            "threads": described.threads, "device": described.device}
