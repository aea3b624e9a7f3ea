"""The runner: every case of one op after another against one candidate, in this process.

A case is drawn, the candidate answers in its sandbox, and only then is the oracle computed and the
judge asked. ``engine.py`` decides which ops are checked, in how many processes, and what becomes of
the records.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from etude import TABLE
from etude.core.shapes import Spec
from etude_check.cases.case import SOAK_SEEDS, Case, cases, plans_of, prepared
from etude_check.cases.spec import KINDS, Call, OpSpec
from etude_check.errors import CheckError
from etude_check.judge import judge, probes, waivers
from etude_check.judge.explain import explain, of_one
from etude_check.judge.names import Name, find
from etude_check.judge.property import random_cases
from etude_check.report.record import ALL, BIAS, DECLINED, Record, Screen, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import EARLIER, Description, Outcome, Sandbox
from etude_check.worker.walls import Walls
from etude_check.zoo.likely import suspects

TIMEOUT = 20.0  # seconds a call may take
START = 3  # times as long may loading the candidate take
GIVE_UP = 3  # time-outs of an op after which no more of it is asked
AGAIN = 4  # more calls of a case that failed, to see whether it always does
REPEATED = 3  # failures of an op that are tried again

Tell = Callable[[Record], None]


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
    give_up: int = GIVE_UP
    until: float = math.inf  # on the monotonic clock: what is not asked by then is not run
    walls: Walls | None = None  # around the workers


@dataclass
class Result:
    """What came of one op."""

    op: str
    records: list[Record] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    tampering: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # of the kit, on itself


@dataclass
class Draft(Record):
    """A record that is still being written. ``growth``: bytes of memory that the calls left
    behind. ``traceback``: of what was raised. ``impostor`` and ``suspects``: what a wrong result
    looks like.
    """

    growth: int = 0
    traceback: str = ""
    impostor: str = ""
    suspects: list[str] = field(default_factory=list)


@dataclass
class Task:
    """A case that is to be run, or the random cases of a dtype: ``records`` runs it."""

    case: str
    kind: str
    dtype: str
    records: Callable[[], Iterable[Record]]


class Runner:
    """Checks one op after another against one candidate, in this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._boxes: dict[int, Sandbox] = {}
        self.remarks: set[str] = set()  # what went wrong in the kit and changes no verdict
        self._timeouts = self._tried_again = 0  # of the op that is checked
        self._now: tuple[str, float] | None = None  # the case that is asked, and since when
        self.ops: set[str] = set(self.describe().ops)

    def describe(self) -> Description:
        return self.box(1).describe()

    def box(self, threads: int) -> Sandbox:
        if threads not in self._boxes:
            self._boxes[threads] = Sandbox(self.settings.candidate, threads=threads,
                                           timeout=self.settings.timeout,
                                           start_timeout=START * self.settings.timeout,
                                           walls=self.settings.walls)
        return self._boxes[threads]

    def at(self) -> str:
        """The call that a stopped run was in the middle of, if for a second or longer."""
        case, since = self._now or ("", time.monotonic())
        took = time.monotonic() - since
        return f"was in {case} for {took:.0f} s" if took >= 1 else ""

    def close(self) -> None:
        for box in self._boxes.values():
            box.close()
        self._boxes.clear()

    # ------------------------------------------------------------------ an op

    def check(self, name: str, tell: Tell = lambda r: None) -> Result:
        """Every case of one op that the settings want, in workers of its own; ``tell`` hears of
        each record as soon as there is one.
        """
        spec, result = specs()[name], Result(name)
        if name not in self.ops:
            result.records.append(Record(f"{name}/-/0@0", name, TABLE[name].family, "-", "",
                                         Verdict.UNSUPPORTED, "not implemented"))
            return result
        state, found = Screening(spec), list[Record]()
        try:
            for record in self._run(spec, state):
                found.append(record)
                tell(record)
        except CheckError:
            raise
        except Exception as error:
            if _interrupted(error):
                raise KeyboardInterrupt from error
            found.append(_of_the_kit(name, error))
            complete = False
        else:
            found += state.biased(self.settings.seed)
            complete = not self.given_up and not self.settings.stop_at_first and (
                set(self.settings.kinds) == set(KINDS))
        self._finish(found)
        drafts = [r for r in found if isinstance(r, Draft)]
        self._guess(name, partial(explain, found, {id(r): r.impostor for r in drafts},
                                  {id(r): r.suspects for r in drafts}))
        _not_written(found)
        result.records = [plain(r) for r in found]
        result.screens = state.screens() if complete else []
        if not any(r.verdict.failed and not waivers.holds(self.describe().waivers, r)
                   for r in result.records):  # else it is known to be wrong, and there is no doubt
            _mistrust(result)
        _only_refused(result)
        result.remarks = sorted(self.remarks)
        result.tampering = sorted({t for b in self._boxes.values() for t in b.tampering})
        return result

    def _run(self, spec: OpSpec, state: Screening) -> Iterator[Record]:
        """The records of an op, up to the first failure if no more was asked for."""
        self._timeouts = self._tried_again = 0
        many = SOAK_SEEDS if self.settings.level == "soak" else 1
        for seed in range(self.settings.seed, self.settings.seed + many):
            for task in self._tasks(spec, seed, state):
                if self.given_up:
                    yield self._not_run(spec, task)
                    continue
                for record in task.records():
                    self._try_again(record)
                    yield record
                    if self.settings.stop_at_first and record.verdict.failed and not (
                            waivers.holds(self.describe().waivers, record)):
                        return

    def _not_run(self, spec: OpSpec, task: Task) -> Record:
        late = self._timeouts >= self.settings.give_up
        why = f"{spec.op} was given up after {self.settings.give_up} time-outs" if late else \
            "the time for all calls was over"
        return Record(task.case, spec.op, TABLE[spec.op].family, task.kind, task.dtype,
                      Verdict.NOT_RUN, why)

    @property
    def given_up(self) -> bool:
        """Whether calls of the op hang, or the time is over, and no more of it is asked."""
        return self._timeouts >= self.settings.give_up or time.monotonic() > self.settings.until

    def _try_again(self, record: Record) -> None:
        """Say of a failure whether it repeats, for the first ones of an op. What was done to an
        earlier call, of other arrays, cannot be asked again.
        """
        if not record.verdict.failed or record.verdict is Verdict.TIMEOUT or (
                self._tried_again >= REPEATED or EARLIER in record.message):
            return
        self._tried_again += 1
        failures = 1
        for _ in range(AGAIN):
            failures += any(r.verdict.failed for r in self.one(record.case)
                            if r.asked == record.asked)
        if failures <= AGAIN:
            record.message = (f"failed in {failures} of {AGAIN + 1} calls, which were the same: "
                              f"{record.message or 'wrong values'}")

    def _finish(self, found: list[Record]) -> None:
        """End the op's workers. What its calls have left behind is a failure of the last one."""
        faults = [f"seen after the last call of the op: {f}" for box in self._boxes.values()
                  for f in box.finish()]
        if faults and found:
            last = found[-1]
            if last.verdict.failed:
                faults = [last.message or "wrong values", *faults]
            else:
                last.verdict = Verdict.CERTAIN
            last.message = "; ".join(faults)

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

    def _tasks(self, spec: OpSpec, seed: int, state: Screening) -> Iterator[Task]:
        level = self.settings.level
        for kind in self.settings.kinds:
            if kind == "random":
                for dtype in self._dtypes(spec) if spec.random is not None else ():
                    yield Task(f"{spec.op}/random/*@{seed}", kind, dtype,
                               partial(random_cases, self, spec, level, seed, dtype, state))
            elif kind == "errors":
                if seed == self.settings.seed:
                    for i in range(len(probes.refusals(spec))):
                        name = Name(spec.op, kind, str(i), 0)
                        yield Task(f"{spec.op}/errors/{i}@0", kind, "",
                                   partial(self._refused, name))
            elif kind != "threads" or spec.threads:
                found = cases(spec, kind, level, seed, self.settings.dtypes)
                if level == "smoke" and kind in ("large", "threads"):
                    found = (c for c in found if c.dtype == spec.dtypes[0])
                for number, case in enumerate(found):
                    yield Task(case.id, kind, case.dtype,
                               partial(self.of_case, case, state, number == 0))

    def _dtypes(self, spec: OpSpec) -> list[str]:
        wanted = self.settings.dtypes
        return [d for d in spec.dtypes if wanted is None or d in wanted]

    def of_case(self, case: Case, state: Screening, more: bool) -> Iterator[Record]:
        """The records of a numbered case. ``more``: also what is asked once for all of its kind."""
        if case.kind == "adjoint":
            yield from probes.adjoint(self, case)
            return
        if case.kind == "threads":
            record = probes.threads(self, case)
            yield record
            if more and not record.verdict.failed:
                yield from probes.at_once(self, case)
            return
        yield self.judge(case, state)
        if more and case.kind == "large":
            yield from probes.leak(self, case)
            if not case.spec.threads and not self.given_up:
                yield from probes.at_once(self, case)
        if more and case.kind == "repeat":
            yield from probes.interleaved(self, case)

    def _refused(self, name: Name) -> Iterator[Record]:
        refusals = probes.refusals(specs()[name.op])
        number = name.number(len(refusals))
        yield probes.refuse(self, specs()[name.op], number, refusals[number])

    def one(self, case: str) -> list[Record]:
        """The records of the case of this name."""
        name = Name.parse(case)
        if name.kind == "errors":
            return list(self._refused(name))
        if name.kind == BIAS:
            return self.bias(name.op, name.seed)
        found = find(case)
        more = found.number is not None and found.number % len(plans_of(found.spec, name.kind)) == 0
        return list(self.of_case(found, Screening(found.spec), more))

    def alone(self, case: str) -> list[Record]:
        """The same as the answer to a request: with what the worker was left in, and explained."""
        self._timeouts = self._tried_again = 0
        found = self.one(case)
        for record in found:
            self._try_again(record)
        self._finish(found)
        for r in found:
            if isinstance(r, Draft):
                self._guess(r.op, partial(of_one, r, r.impostor, r.suspects))
        return [plain(r) for r in found]

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
            name = _name(case, i)
            previous = state.previous.get((case.dtype, name))
            found = judge.compare(case, y, i, previous)
            state.note(case, name, found)
            record.blind += [f"{name}: {k}" for k, c in found.caught.items() if not c]
            told |= any(found.caught.values())
            if found.ratio >= (record.ratio or 0.0) and not record.verdict.failed:
                record.ratio = found.ratio
            if found.verdict.failed and not record.verdict.failed:
                note(record, name, found)
                self._guess(case.spec.op, partial(
                    _likened, record, case, outputs, i, previous, found.caught))
            state.previous[case.dtype, name] = case.question.oracle[i]
        if not told and any(y.size for y in outputs):
            record.blind = [ALL]
        self._invariants(case, outputs, record)
        if case.kind == "alias" and not record.verdict.failed:
            probes.in_turn(self, case, outputs, record)
        return record

    def _guess(self, op: str, guess: Callable[[], None]) -> None:
        """Look for the likely mistake. It decorates a report: should that fail, the verdicts stay
        as they are, and the report says so once.
        """
        try:
            guess()
        except Exception as error:
            self.remarks.add(f"likely mistakes of {op} may be missing: looking for them raised "
                             f"{type(error).__name__}: {error}")

    def hold(self, case: Case, outputs: list[Any] | None, record: Draft, when: str) -> bool:
        """Whether the outputs of one of several calls are right; if not, ``record`` says which."""
        if outputs is None:
            if record.verdict.failed:
                record.message = f"{when}: {record.message}"
            return False
        for i, y in enumerate(outputs):
            found = judge.compare(case, y, i)
            if found.verdict.failed:
                note(record, _name(case, i), found)
                record.message = f"{when}: {found.message or 'wrong values'}"
                return False
        return True

    def ask(self, case: Case, record: Draft) -> list[Any] | None:
        """The candidate's outputs for a case. The name of the case decides whether buffers are
        given, what they hold before, on which side of the arrays the guard page lies, and whether
        they lie alike in their cache lines: a share of the cases tries each, and a case is the same
        call every time.
        """
        alias = aliases(case) if case.kind == "alias" else None
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
        outcome = self.outcome(record, lambda: self.box(threads).run(
            op, call.arrays, {**entry.attrs, **attrs}, [(s.shape, s.dtype) for s in wanted],
            mode="return" if returning else "out", alias=alias, repeats=repeats,
            place=in_front if bits & 2 else "end",
            poison="garbage" if bits & 4 else "nan"))
        self.note_outcome(record, outcome)
        return None if outcome.status != "ok" or outcome.faults else outcome.outputs

    def outcome(self, record: Record, ask: Callable[[], Outcome]) -> Outcome:
        """What becomes of a call. Meanwhile ``at`` can say which it is; calls that hang count."""
        self._now = record.case, time.monotonic()
        outcome = ask()
        self._now = None
        self._timeouts += outcome.status == "timeout"
        record.seconds += outcome.seconds
        return outcome

    def note_outcome(self, record: Draft, outcome: Outcome) -> None:
        """Into the record what became of a call, as far as it can be said without its values."""
        record.growth, record.traceback = outcome.rss_growth, outcome.traceback
        _blame(record, outcome)

    def _invariants(self, case: Case, outputs: list[Any], record: Draft) -> None:
        if record.verdict.failed or case.declared is not None:
            return
        for name, invariant in case.spec.invariants.items():
            with np.errstate(all="ignore"):
                values, bounds = invariant(case.call, tuple(outputs))
            if not np.all(np.abs(values) <= bounds):
                record.verdict, record.message = Verdict.CERTAIN, f"does not hold: {name}"


def _likened(record: Draft, case: Case, outputs: list[Any], i: int, previous: Any,
             caught: dict[str, bool]) -> None:
    """Write down what a wrong result, output ``i`` of a case, looks like."""
    q = case.question
    record.impostor = judge.looks_like(q, outputs[i], i, previous, caught)
    record.suspects = suspects(case.spec.op, q.arrays, q.attrs, outputs)


def _name(case: Case, i: int) -> str:
    return case.op.outputs[0 if case.op.outputs[0].startswith("*") else i]


def note(record: Record, output: str, found: judge.Finding) -> None:
    """Write down the worst element of an output."""
    record.verdict, record.message = found.verdict, found.message
    record.output, record.wrong = output, found.wrong
    record.index = None if found.index is None else list(found.index)
    record.expected, record.got = found.expected, found.got
    record.error, record.bound, record.ratio = found.error, found.bound, found.ratio


def _interrupted(error: BaseException) -> bool:
    """Whether an error came of Ctrl-C: hypothesis makes another of a KeyboardInterrupt that reaches
    it while it begins.
    """
    before: BaseException | None = error
    while before is not None and not isinstance(before, KeyboardInterrupt):
        before = before.__context__
    return before is not None


def _of_the_kit(op: str, error: Exception) -> Record:
    """A failure of the kit or of a spec, which is told beside what the other ops did."""
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    words = "; ".join([said, *getattr(error, "__notes__", ())])
    return Record(f"{op}/-/0@0", op, TABLE[op].family, "-", "", Verdict.MISTRUSTED,
                  f"the kit itself failed: {words}")


def _blame(record: Record, outcome: Outcome) -> None:
    """Sets the verdict of a call that returned nothing to judge, or did what no kernel may do."""
    verdicts = {"unsupported": Verdict.UNSUPPORTED, "missing": Verdict.UNSUPPORTED,
                "timeout": Verdict.TIMEOUT, "crash": Verdict.CRASH, "protocol": Verdict.CRASH,
                "raised": Verdict.CRASH}
    if outcome.faults and outcome.status in ("ok", "unsupported"):
        record.verdict, record.message = Verdict.CERTAIN, "; ".join(outcome.faults)
    elif outcome.status != "ok":
        record.verdict, record.message = verdicts[outcome.status], outcome.message
        if outcome.status == "unsupported":
            record.message = DECLINED + outcome.message
        if outcome.status == "raised":
            record.message = f"raised {outcome.exception}: {outcome.message}".rstrip(": ") + (
                f" ({outcome.where})" if outcome.where else "")


def _not_written(found: list[Record]) -> None:
    """Say of a function that only raises NotImplementedError what that means."""
    asked = [r for r in found if r.verdict.executed and r.kind != "errors"]
    raised = "raised NotImplementedError"
    if asked and all(r.verdict is Verdict.CRASH and r.message.startswith(raised) for r in asked):
        for r in asked:
            r.message = f"not written yet: every call {r.message}"


def aliases(case: Case) -> dict[int, int]:
    """Output -> the array it may be written over, by number, as the op declares."""
    op = case.op
    return {op.outputs.index(o): op.arrays.index(a) for o, a in op.alias.items()
            if isinstance(case.call.arrays[op.arrays.index(a)], np.ndarray)}


def plain(record: Record) -> Record:
    if type(record) is Record:
        return record
    own = ("growth", "traceback", "impostor", "suspects")
    given = {k: v for k, v in vars(record).items() if k not in own}
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


def _only_refused(result: Result) -> None:
    """An op whose calls were all declined has executed nothing, although the dispatcher refuses
    wrong calls for it.
    """
    if any(r.verdict.executed and r.kind != "errors" for r in result.records):
        return
    if not any(r.kind not in ("errors", "-") for r in result.records):
        return  # nothing else was asked for
    for r in result.records:
        if r.verdict is Verdict.PASS:
            r.verdict = Verdict.UNSUPPORTED
            r.message = "refused, as the dispatcher does for an op that declines every call"
