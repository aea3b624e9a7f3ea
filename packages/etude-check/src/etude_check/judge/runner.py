"""The runner: every case of one op after another against one candidate, in this process.

A case is drawn, the candidate answers in its sandbox, and only then is the oracle computed and the
judge asked. ``engine.py`` decides which ops are checked, in how many processes, and what becomes of
the records.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from etude import TABLE
from etude.core.shapes import Spec
from etude_check.cases.case import BIAS, SOAK_SEEDS, Case, cases, prepared
from etude_check.cases.spec import KINDS, Call, OpSpec
from etude_check.errors import CheckError
from etude_check.judge import judge, probes, waivers
from etude_check.judge.property import random_cases
from etude_check.report.record import ALL, Record, Screen, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import Description, Outcome, Sandbox
from etude_check.zoo.likely import likely

TIMEOUT = 20.0  # seconds a call may take


@dataclass(frozen=True)
class Settings:
    """What a run was asked for. Every process of the run gets a copy."""

    candidate: Candidate
    level: str = "full"
    seed: int = 0
    dtypes: tuple[str, ...] | None = None
    kinds: tuple[str, ...] = KINDS
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
class Draft(Record):
    """A record that is still being written. ``growth``: bytes of memory that the calls left
    behind.
    """

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
        state = Screening(spec)
        seeds = range(self.settings.seed, self.settings.seed + (
            SOAK_SEEDS if self.settings.level == "soak" else 1))
        try:
            for seed in seeds:
                for record in self._records(spec, seed, state):
                    result.records.append(plain(record))
                    if self.settings.stop_at_first and record.verdict.failed and not (
                            waivers.holds(self.describe().waivers, record)):
                        raise FirstFailureError
        except FirstFailureError:
            pass
        else:
            result.records += state.biased(self.settings.seed)
        whole = not self.settings.stop_at_first and set(self.settings.kinds) == set(KINDS)
        result.screens = state.screens() if whole else []
        _mistrust(result)
        result.tampering = sorted({t for b in self._boxes.values() for t in (*b.tampering,
                                                                             *b.late)})
        return result

    def bias(self, op: str, seed: int) -> list[Record]:
        """Whether the errors of an op lean to one side, which only all of its cases together can
        tell. Raises CheckError for an op whose results are no independent sums.
        """
        if not any(specs()[op].model_of(o).independent for o in TABLE[op].outputs):
            raise CheckError(f"{op} has no case of bias: its results are no sums of their own")
        self.settings = replace(self.settings, seed=seed)
        records = self.check(op).records
        if not any(r.verdict.executed for r in records):
            return records
        return [r for r in records if r.kind == BIAS] or [
            _bias(op, seed, Verdict.PASS, "they lean to no side")]

    def _records(self, spec: OpSpec, seed: int, state: Screening) -> Iterator[Record]:
        level = self.settings.level
        for kind in self.settings.kinds:
            if kind == "random":
                yield from random_cases(self, spec, level, seed, self.settings.dtypes, state)
                continue
            if kind == "errors":
                if seed == self.settings.seed:
                    for i, refusal in enumerate(probes.refusals(spec)):
                        yield probes.refuse(self, spec, i, refusal)
                continue
            found = cases(spec, kind, level, seed, self.settings.dtypes)
            if level == "smoke" and kind in ("large", "threads"):
                found = (c for c in found if c.dtype == spec.dtypes[0])
            for number, case in enumerate(found):
                if kind == "adjoint":
                    yield from probes.adjoint(self, case)
                elif kind == "threads":
                    if spec.threads:
                        yield probes.threads(self, case)
                else:
                    yield self.judge(case, state)
                if kind == "large" and number == 0:
                    yield from probes.leak(self, case)

    # ------------------------------------------------------------------ a case

    def blank(self, case: Case, suffix: str = "") -> Draft:
        return Draft(case.id, case.spec.op, case.op.family, case.kind, case.dtype,
                       Verdict.PASS, asked=case.asked + suffix, size=case.size)

    def judge(self, case: Case, state: Screening) -> Draft:
        """Ask the candidate, then the oracle."""
        try:
            return self._judge(case, state)
        except Exception as error:  # of the kit itself, or of a spec: say which case
            error.add_note(f"in the case {case.id}")
            raise

    def _judge(self, case: Case, state: Screening) -> Draft:
        record = self.blank(case)
        outputs = self.ask(case, record)
        if outputs is None:
            return record
        told = False
        for i, y in enumerate(outputs):
            name = case.op.outputs[0 if case.op.outputs[0].startswith("*") else i]
            previous = state.previous.get((case.dtype, name))
            found = judge.compare(case, y, i, previous)
            state.note(case, name, found)
            record.blind += [f"{name}: {k}" for k, c in found.caught.items() if not c]
            told |= any(found.caught.values())
            if found.ratio >= (record.ratio or 0.0) and not record.verdict.failed:
                record.ratio = found.ratio
            if found.verdict.failed and not record.verdict.failed:
                record.verdict, record.message = found.verdict, found.message
                record.output, record.wrong = name, found.wrong
                record.index = None if found.index is None else list(found.index)
                record.expected, record.got = found.expected, found.got
                record.error, record.bound, record.ratio = found.error, found.bound, found.ratio
                record.likely = judge.looks_like(case.question, y, i, previous) or likely(
                    case.spec.op, case.question.arrays, case.question.attrs, outputs)
            state.previous[case.dtype, name] = case.question.oracle[i]
        if not told and any(y.size for y in outputs):
            record.blind = [ALL]
        self._invariants(case, outputs, record)
        return record

    def ask(self, case: Case, record: Draft) -> list[Any] | None:
        """The candidate's outputs for a case. The name of the case decides whether buffers are
        given, what they hold before, on which side of the arrays the guard page lies, and whether
        they lie alike in their cache lines: a share of the cases tries each, and a case is the same
        call every time.
        """
        alias = _aliases(case) if case.kind == "alias" else None
        return self.call(case.spec.op, case.call, record, alias=alias,
                         bits=zlib.crc32(case.id.encode()))

    def call(self, op: str, call: Call, record: Draft, *, threads: int = 1, repeats: int = 1,
             alias: dict[int, int] | None = None, bits: int = 0) -> list[Any] | None:
        """The candidate's outputs; None, with the record saying why, if there are none."""
        entry = TABLE[op]
        attrs = prepared(entry, call.attrs)
        promised = entry.check(call.arrays, attrs)
        wanted = [promised] if isinstance(promised, Spec) else list(promised)
        returning = bits & 1 and alias is None
        in_front = "apart" if bits & 8 else "start"
        outcome = self.box(threads).run(
            op, call.arrays, {**entry.attrs, **attrs}, [(s.shape, s.dtype) for s in wanted],
            mode="return" if returning else "out", alias=alias, repeats=repeats,
            place=in_front if bits & 2 else "end",
            poison="garbage" if bits & 4 else "nan")
        record.seconds += outcome.seconds
        record.growth = outcome.rss_growth
        _blame(record, outcome)
        return None if outcome.status != "ok" or outcome.faults else outcome.outputs

    def _invariants(self, case: Case, outputs: list[Any], record: Draft) -> None:
        if record.verdict.failed:
            return
        for name, invariant in case.spec.invariants.items():
            with np.errstate(all="ignore"):
                values, bounds = invariant(case.call, tuple(outputs))
            if not np.all(np.abs(values) <= bounds):
                record.verdict, record.message = Verdict.CERTAIN, f"does not hold: {name}"


def _blame(record: Record, outcome: Outcome) -> None:
    """Sets the verdict of a call that returned nothing to judge, or did what no kernel may do."""
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


def plain(record: Record) -> Record:
    if type(record) is Record:
        return record
    given = {k: v for k, v in vars(record).items() if k != "growth"}
    return Record(**given)


class Screening:
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

    def biased(self, seed: int) -> list[Record]:
        found = []
        for (dtype, output), bias in self._bias.items():
            message = judge.biased(*bias)
            if message:
                found.append(_bias(self.spec.op, seed, Verdict.INACCURATE, message, dtype, output))
        return found


def _bias(op: str, seed: int, verdict: Verdict, message: str, dtype: str = "",
          output: str = "") -> Record:
    return Record(f"{op}/{BIAS}/0@{seed}", op, TABLE[op].family, BIAS, dtype, verdict, message,
                  asked=f"the errors of every case of {op}, taken together", output=output)


def _mistrust(result: Result) -> None:
    """Turns PASS into MISTRUSTED where the cases of an op cannot tell it from an impostor."""
    blind = {s.dtype: s for s in result.screens if not s.trusted}
    for r in result.records:
        screen = blind.get(r.dtype)
        if screen is not None and r.verdict is Verdict.PASS and r.kind != "errors":
            missed = [k for k, n in screen.caught.items()
                      if n < screen.least and k not in screen.exempt]
            r.verdict = Verdict.MISTRUSTED
            r.message = (f"output {screen.output}: fewer than {screen.least} cases tell it from "
                         f"{', '.join(missed)}")
