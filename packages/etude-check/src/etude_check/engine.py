"""The engine: ``check(candidate)`` runs the cases of every op and returns a Report.

Ops are the unit of work. For each, cases are drawn here, the candidate answers in its sandbox, and
only then is the oracle computed and the judge asked. With ``jobs`` several ops are checked at a
time, each process with a sandbox of its own. The command line, the pytest plugin and the zoo all
come in through ``check``.
"""

from __future__ import annotations

import multiprocessing
import platform
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import etude
from etude import TABLE
from etude.shapes import Spec
from etude_check import judge, probes, waivers
from etude_check.candidate import Candidate, prepare
from etude_check.cases import LEVELS, SOAK_SEEDS, Case, cases, find, prepared
from etude_check.errors import CheckError
from etude_check.property import random_cases
from etude_check.record import Record, Report, Screen, Verdict
from etude_check.sandbox import Description, Outcome, Sandbox
from etude_check.spec import FAMILIES, Call, OpSpec, specs

TIMEOUT = 20.0  # seconds a call may take


@dataclass(frozen=True)
class Settings:
    """What a run was asked for; sent to every process."""

    candidate: Candidate
    level: str = "full"
    seed: int = 0
    dtypes: tuple[str, ...] | None = None
    families: tuple[str, ...] = FAMILIES
    stop_at_first: bool = False
    timeout: float = TIMEOUT


@dataclass
class Result:
    """What came of one op."""

    op: str
    records: list[Record] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    tampering: list[str] = field(default_factory=list)


@dataclass
class Progress:
    """Told after each op."""

    op: str
    done: int
    total: int
    failed: int  # cases so far
    executed: int
    records: list[Record]


@dataclass
class _Record(Record):
    """A record under way."""

    growth: int = 0


class FirstFailureError(Exception):
    """The first failure was found, and no more was asked for."""


class Runner:
    """Checks one op after another against one candidate, in this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._boxes: dict[int, Sandbox] = {}
        self.ops: set[str] = set(self.describe().ops)

    def describe(self) -> Description:
        return self.box(1).describe()

    def box(self, threads: int) -> Sandbox:
        if threads not in self._boxes:
            self._boxes[threads] = Sandbox(self.settings.candidate, threads=threads,
                                           timeout=self.settings.timeout)
        return self._boxes[threads]

    def close(self) -> None:
        for box in self._boxes.values():
            box.close()
        self._boxes.clear()

    # ------------------------------------------------------------------ an op

    def check(self, name: str) -> Result:
        """Every case of one op that the settings want."""
        spec, result = specs()[name], Result(name)
        if name not in self.ops:
            result.records.append(Record(f"{name}/-/0@0", name, TABLE[name].family, "-", "",
                                         Verdict.UNSUPPORTED, "not implemented"))
            return result
        state = _Screening(spec)
        seeds = range(self.settings.seed, self.settings.seed + (
            SOAK_SEEDS if self.settings.level == "soak" else 1))
        try:
            for seed in seeds:
                for record in self._records(spec, seed, state):
                    result.records.append(_plain(record))
                    if record.verdict.failed and self.settings.stop_at_first:
                        raise FirstFailureError
        except FirstFailureError:
            pass
        else:
            result.records += state.biased()
        whole = not self.settings.stop_at_first and set(self.settings.families) == set(FAMILIES)
        result.screens = state.screens() if whole else []
        _mistrust(result)
        result.tampering = sorted({t for b in self._boxes.values() for t in (*b.tampering,
                                                                             *b.late)})
        return result

    def _records(self, spec: OpSpec, seed: int, state: _Screening) -> Iterator[Record]:
        level = self.settings.level
        for family in self.settings.families:
            if family == "random":
                yield from random_cases(self, spec, level, seed, self.settings.dtypes, state)
                continue
            if family == "errors":
                if seed == self.settings.seed:
                    for i, refusal in enumerate(probes.refusals(spec)):
                        yield probes.refuse(self, spec, i, refusal)
                continue
            found = cases(spec, family, level, seed, self.settings.dtypes)
            if level == "smoke" and family in ("large", "threads"):
                found = (c for c in found if c.dtype == spec.dtypes[0])
            for number, case in enumerate(found):
                if family == "adjoint":
                    yield from probes.adjoint(self, case)
                elif family == "threads":
                    if spec.threads:
                        yield probes.threads(self, case)
                else:
                    yield self.judge(case, state)
                if family == "large" and number == 0:
                    yield from probes.leak(self, case)

    # ------------------------------------------------------------------ a case

    def blank(self, case: Case, suffix: str = "") -> _Record:
        return _Record(case.id, case.spec.op, case.op.family, case.family, case.dtype,
                       Verdict.PASS, asked=case.asked + suffix, size=case.size)

    def judge(self, case: Case, state: _Screening) -> _Record:
        """Ask the candidate, then the oracle."""
        try:
            return self._judge(case, state)
        except Exception as error:  # of the kit itself, or of a spec: say which case
            error.add_note(f"in the case {case.id}")
            raise

    def _judge(self, case: Case, state: _Screening) -> _Record:
        record = self.blank(case)
        alias = _aliases(case) if case.family == "alias" else None
        bits = zlib.crc32(case.id.encode())
        outputs = self.call(case.spec.op, case.call, record, alias=alias, bits=bits)
        if outputs is None:
            return record
        for i, y in enumerate(outputs):
            name = case.op.outputs[0 if case.op.outputs[0].startswith("*") else i]
            previous = state.previous.get((case.dtype, name))
            found = judge.compare(case, y, i, previous)
            state.note(case, name, found)
            record.blind += [f"{name}: {k}" for k, c in found.caught.items() if not c]
            if found.ratio >= (record.ratio or 0.0) and not record.verdict.failed:
                record.ratio = found.ratio
            if found.verdict.failed and not record.verdict.failed:
                record.verdict, record.message = found.verdict, found.message
                record.output, record.wrong = name, found.wrong
                record.index = None if found.index is None else list(found.index)
                record.expected, record.got = found.expected, found.got
                record.error, record.bound, record.ratio = found.error, found.bound, found.ratio
                record.likely = judge.looks_like(case.question, y, i, previous) or _from_zoo(
                    case, outputs)
            state.previous[case.dtype, name] = case.question.oracle[i]
        self._invariants(case, outputs, record)
        return record

    def call(self, op: str, call: Call, record: _Record, *, threads: int = 1, repeats: int = 1,
             alias: dict[int, int] | None = None, bits: int = 0) -> list[Any] | None:
        """The candidate's outputs; None, with the record saying why, if there are none."""
        entry = TABLE[op]
        attrs = prepared(entry, call.attrs)
        promised = entry.check(call.arrays, attrs)
        wanted = [promised] if isinstance(promised, Spec) else list(promised)
        returning = bits & 1 and alias is None
        outcome = self.box(threads).run(
            op, call.arrays, {**entry.attrs, **attrs}, [(s.shape, s.dtype) for s in wanted],
            mode="return" if returning else "out", alias=alias, repeats=repeats,
            place="start" if bits & 2 else "end", poison="garbage" if bits & 4 else "nan")
        record.seconds += outcome.seconds
        record.growth = outcome.rss_growth
        _blame(record, outcome)
        return None if outcome.status != "ok" or outcome.faults else outcome.outputs

    def _invariants(self, case: Case, outputs: list[Any], record: _Record) -> None:
        if record.verdict.failed:
            return
        for name, invariant in case.spec.invariants.items():
            with np.errstate(all="ignore"):
                values, bounds = invariant(case.call, tuple(outputs))
            if not np.all(np.abs(values) <= bounds):
                record.verdict, record.message = Verdict.CERTAIN, f"does not hold: {name}"


def _blame(record: Record, outcome: Outcome) -> None:
    """The verdict of a call that gave nothing to judge, or did what no kernel may do."""
    verdicts = {"unsupported": Verdict.UNSUPPORTED, "missing": Verdict.UNSUPPORTED,
                "timeout": Verdict.TIMEOUT, "crash": Verdict.CRASH, "protocol": Verdict.CRASH,
                "raised": Verdict.CRASH}
    if outcome.status != "ok":
        record.verdict, record.message = verdicts[outcome.status], outcome.message
        if outcome.status == "raised":
            record.message = f"raised {outcome.exception}: {outcome.message}"
    elif outcome.faults:
        record.verdict, record.message = Verdict.CERTAIN, "; ".join(outcome.faults)


def _aliases(case: Case) -> dict[int, int]:
    """Output -> the array it may be written over, by number, as the op declares."""
    op = case.op
    return {op.outputs.index(o): op.arrays.index(a) for o, a in op.alias.items()
            if isinstance(case.call.arrays[op.arrays.index(a)], np.ndarray)}


def _from_zoo(case: Case, outputs: list[Any]) -> str:
    try:
        from etude_check.zoo.likely import likely
    except ImportError:
        return ""
    return likely(case.spec.op, case.question.arrays, case.question.attrs, outputs)


def _plain(record: Record) -> Record:
    if type(record) is Record:
        return record
    given = {k: v for k, v in vars(record).items() if k != "growth"}
    return Record(**given)


class _Screening:
    """What is counted over the cases of one op: impostors caught, and the bias of sums."""

    def __init__(self, spec: OpSpec) -> None:
        self.spec = spec
        self.previous: dict[tuple[str, str], Any] = {}
        self._caught: dict[tuple[str, str], dict[str, int]] = {}
        self._bias: dict[tuple[str, str], tuple[int, float, float]] = {}

    def note(self, case: Case, output: str, found: judge.Finding) -> None:
        key = case.dtype, output
        counts = self._caught.setdefault(key, dict.fromkeys(judge.IMPOSTORS, 0))
        for impostor, caught in found.caught.items():
            counts[impostor] += caught
        old = self._bias.get(key, (0, 0.0, 0.0))
        self._bias[key] = tuple(a + b for a, b in zip(old, found.bias))  # type: ignore[assignment]

    def screens(self) -> list[Screen]:
        return [Screen(self.spec.op, dtype, output, counts, dict(self.spec.blind))
                for (dtype, output), counts in self._caught.items()]

    def biased(self) -> list[Record]:
        found = []
        for (dtype, output), bias in self._bias.items():
            message = judge.biased(*bias)
            if message:
                found.append(Record(f"{self.spec.op}/bias/0@0", self.spec.op,
                                    TABLE[self.spec.op].family, "bias", dtype,
                                    Verdict.INACCURATE, message, output=output))
        return found


def _mistrust(result: Result) -> None:
    """A PASS of an op whose cases cannot tell it from an impostor is worth nothing."""
    blind = {s.dtype: s for s in result.screens if not s.trusted}
    for r in result.records:
        screen = blind.get(r.dtype)
        if screen is not None and r.verdict is Verdict.PASS and r.family != "errors":
            missed = [k for k, n in screen.caught.items()
                      if n < screen.least and k not in screen.exempt]
            r.verdict = Verdict.MISTRUSTED
            r.message = (f"output {screen.output}: fewer than {screen.least} cases tell it from "
                         f"{', '.join(missed)}")


# ------------------------------------------------------------------ the whole run

_runner: Runner | None = None  # of a worker process of the pool


def _begin(settings: Settings) -> None:
    global _runner
    _runner = Runner(settings)


def _one(op: str) -> Result:
    assert _runner is not None
    return _runner.check(op)


def check(candidate: Candidate, *, ops: Sequence[str] | None = None,
          groups: Sequence[str] | None = None, families: Sequence[str] | None = None,
          dtypes: Sequence[str] | None = None, level: str = "full", seed: int = 0, jobs: int = 1,
          case: str | None = None, stop_at_first: bool = False, timeout: float = TIMEOUT,
          progress: Callable[[Progress], None] | None = None) -> Report:
    """Hold a candidate against the reference; every case becomes a Record of the Report.

    ``ops`` and ``groups`` (families of ops: "softmax", "conv2d") choose rows of the table,
    ``families`` case families ("tail", "layout"), ``case`` one case by name. Raises CheckError for
    a request that cannot be carried out; never for what the candidate does.
    """
    start = time.perf_counter()
    if level not in LEVELS:
        raise CheckError(f"there is no level {level!r}; known are {', '.join(LEVELS)}")
    candidate = prepare(candidate)
    settings = Settings(candidate, level, seed, None if dtypes is None else tuple(dtypes),
                        FAMILIES if families is None else tuple(families), stop_at_first, timeout)
    runner = Runner(settings)
    try:
        described = runner.describe()
        report = Report(candidate.target, level, seed, [], environment=_environment(described))
        if described.error:
            report.records.append(Record("-/load/0@0", "-", "-", "load", "", Verdict.CRASH,
                                         f"it cannot be loaded: {described.error}"))
        elif case is not None:
            report.records += [_plain(r) for r in _single(runner, find(case))]
        else:
            wanted = _wanted(runner.ops, ops, groups)
            results = _pooled(settings, wanted, jobs) if jobs > 1 and len(wanted) > 1 else (
                runner.check(op) for op in wanted)
            _gather(report, results, len(wanted), progress, stop_at_first)
        report.notes += sorted({*described.tampering, *report.notes})
        report.records += [_conduct(n) for n in report.notes]
        if case is None and not described.error:
            report.records += waivers.apply(described.waivers, report.records, level != "smoke")
    finally:
        runner.close()
    report.seconds = time.perf_counter() - start
    return report


def _conduct(note: str) -> Record:
    return Record("-/conduct/0@0", "-", "-", "conduct", "", Verdict.CERTAIN,
                  f"a column computes, and does nothing else; this one {note}")


def _single(runner: Runner, case: Case) -> Iterator[Record]:
    if case.family == "adjoint":
        yield from probes.adjoint(runner, case)
    elif case.family == "threads":
        yield probes.threads(runner, case)
    else:
        yield runner.judge(case, _Screening(case.spec))


def _wanted(has: set[str], ops: Sequence[str] | None, groups: Sequence[str] | None) -> list[str]:
    """The ops to check. Views and creation belong to the array type, not to a column: they are
    checked only where the candidate has them.
    """
    known = specs()
    for name in ops or ():
        if name not in known:
            raise CheckError(f"there is no op called {name!r}")
    families = {TABLE[n].family for n in known}
    for group in groups or ():
        if group not in families:
            raise CheckError(f"there is no family {group!r}; known are "
                             f"{', '.join(sorted(families))}")
    return [n for n in sorted(known, key=lambda n: (TABLE[n].family, n))
            if (ops is None or n in ops) and (groups is None or TABLE[n].family in groups)
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
            progress: Callable[[Progress], None] | None, stop_at_first: bool) -> None:
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
        if stop_at_first and failed:
            break
    report.records.sort(key=lambda r: (r.group, r.op))
    report.notes += sorted(notes)


def _environment(described: Description) -> dict[str, Any]:
    return {"etude": etude.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
            "system": platform.system(), "backend": described.name, "isa": described.isa,
            "threads": described.threads, "device": described.device}
