"""Speed as a grade: how many times as fast as a column beside it an answer is.

    ratio = seconds of the column / seconds of the answer, in turns, on inputs that are drawn anew

The clock is ours, in this process: it starts when a call is sent and ends when its reply is there,
so that no clock in the worker matters, and the way there and back counts for both alike. Inputs of
every call are drawn from the system's randomness and lie at another place, so nothing can be kept
from an earlier call. The outputs are copied the moment the reply comes, before anything else is
done, and held to the kit's error bounds when the clock stands still: every one of them. A time that
no program could need on this machine (its roofline, ``etude.measure``) is rejected.

A turn in which the column's worker had to wait for a core does not count, and when too few turns
are left, or they differ too much, the check is not judged but says that the machine was contended.
The median of the turns counts, of the slowest case: a single lucky turn, or a single case, wins
nothing. A wrong answer is not timed.
"""

from __future__ import annotations

import json
import math
import os
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

import etude
from etude.core.shapes import Spec
from etude.core.table import TABLE
from etude.measure import median_interval, peaks
from etude.measure.machine import cores
from etude.measure.timing import FEWEST, SPREAD
from etude_check.cases.case import Following
from etude_check.cases.spec import Call
from etude_check.engine import check as hold
from etude_check.errors import CheckError
from etude_check.judge.judge import compare
from etude_check.specs import specs
from etude_check.worker.answers import Outcome
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.walls import Walls
from etude_course.errors import CourseError
from etude_course.record import CONTENDED, UNTIMED, CheckResult, Status
from etude_course.run import ops
from etude_course.source.assignment import Check

BUDGET = 3.0  # seconds of turns for a check, all its cases together
MOST = 40  # turns of a case
SHORT = 5e-4  # seconds: a column that needs less is lost in the way there and back
PATIENCE = 3  # times its budget a case may take until enough turns are clean
QUEUE = 0.1  # of a turn, spent waiting for a core: beyond it others were in the way
BEST = 2.0  # times as fast as the measured peak nothing is
CACHED = 10.0  # times as much as from memory comes from a cache, at most
PLACES = ("end", "start", "apart")  # in the arena, in turns


@dataclass
class Turn:
    """One pair of calls on the same inputs. Seconds."""

    column: float
    answer: float
    queued: float  # that the column's worker waited for a core, as a share of its time

    @property
    def ratio(self) -> float:
        return self.column / self.answer


@dataclass
class Timing:
    """The turns of one case, or in ``wrong`` why there are no more."""

    case: str
    turns: list[Turn] = field(default_factory=list)
    wrong: str = ""

    @property
    def clean(self) -> list[Turn]:
        return [t for t in self.turns if not t.queued > QUEUE]

    @property
    def contended(self) -> str:
        """Why the turns say nothing, in a sentence; "" if they do."""
        if len(self.clean) < FEWEST:
            return (f"{CONTENDED}: in {len(self.turns) - len(self.clean)} of {len(self.turns)} "
                    f"turns others had the cores of this machine")
        found = median_interval([t.ratio for t in self.clean])
        if found.width > SPREAD:
            return (f"{CONTENDED}: the turns differ too much to tell; the median lies between "
                    f"{found.low:.2g} and {found.high:.2g}")
        return ""

    @property
    def ratio(self) -> float:
        return statistics.median(t.ratio for t in self.clean)


def timed(check: Check, blank: CheckResult, answer: Candidate, walls: Walls,
          timeout: float) -> CheckResult:
    """The check's result. CourseError for a check that nobody could pass."""
    blank = replace(blank, declared=len(cases_of(check)))
    column = column_of(check)
    if column is None:
        return replace(blank, message=f"{UNTIMED}: {check.against}, to time it against, cannot be "
                                      f"had here")
    gate = hold(answer, ops=[check.speed], kinds=["tail", "0d", "broadcast", "layout"],
                level="smoke", dtypes=["float32"], seed=_number(), timeout=timeout, walls=walls)
    if not gate.passed:
        failed = next(iter(gate.failures), None)
        return replace(blank, status=Status.FAILED, message="a wrong answer is not timed: " + (
            ops.message(failed) if failed else f"there is no {check.speed} in it"))
    threads, found = cores(), []
    with Sandbox(column, threads=threads, timeout=60) as ours, \
            Sandbox(answer, threads=threads, timeout=timeout, walls=walls) as theirs:
        if lacking := ours.describe().error:
            return replace(blank, message=f"{UNTIMED}: {check.against} cannot be had: {lacking}")
        for case in cases_of(check):
            timing = _turns(check, case, ours, theirs, BUDGET / len(cases_of(check)))
            found.append(timing)
            if timing.wrong:
                break
        late = theirs.finish()
    for timing in found:
        if not (timing.wrong or timing.contended):
            timing.wrong = _impossible(timing, _floor(check.speed, timing.case))
    return judged(check, blank, found, late)


def judged(check: Check, blank: CheckResult, found: Sequence[Timing], late: Sequence[str] = ()
           ) -> CheckResult:
    """Points for timings."""
    wrong = next((f"{t.case}: {t.wrong}" for t in found if t.wrong), "") or next(iter(late), "")
    if wrong:
        return replace(blank, status=Status.FAILED, message=wrong)
    if why := next((t.contended for t in found if t.contended), ""):
        return replace(blank, status=Status.NOT_RUN, message=why)
    slowest = min(found, key=lambda t: t.ratio)
    points = max((p for ratio, p in check.ladder if slowest.ratio >= ratio), default=0)
    said = f"{slowest.ratio:.2g} times as fast as {check.against} in {slowest.case}"
    following = next((rung for rung in check.ladder if rung[0] > slowest.ratio), None)
    if following is not None:
        said += f"; {following[0]:g} times as fast earns {following[1]} of {check.points}"
    return replace(blank, status=Status.FAILED if following else Status.PASSED, points=points,
                   executed=len(found), message=said, detail=_table(check, found))


def _table(check: Check, found: Sequence[Timing]) -> str:
    lines = [f"{'case':24} {check.against + ', ms':>14} {'answer, ms':>12} {'ratio':>7}  turns"]
    lines += [f"{t.case:24} {1e3 * statistics.median(u.column for u in t.clean):>14.3g} "
              f"{1e3 * statistics.median(u.answer for u in t.clean):>12.3g} {t.ratio:>7.3g}  "
              f"{len(t.clean)}" for t in found]
    return "\n".join(lines)


# ------------------------------------------------------------------ a case


def cases_of(check: Check) -> tuple[str, ...]:
    if not check.cases:
        raise CourseError(f"check {check.id} is timed and has no 'cases', such as "
                          f"[\"512x512 512x512\"]")
    return check.cases


def drawn(op: str, case: str, seed: int) -> Following:
    """A call of ``op`` on float32 arrays of the shapes in ``case``: "64x1000; dim=-1". CourseError
    for what is no call of it.
    """
    shapes, _, rest = case.partition(";")
    rng = np.random.default_rng(seed)
    try:
        arrays = tuple([rng.standard_normal([int(n) for n in s.split("x")], np.float32)
                        for s in shapes.split()])
        attrs = {k: json.loads(v) for k, v in (pair.split("=") for pair in rest.split())}
        attrs = TABLE[op].taken(attrs)
        TABLE[op].check(arrays, attrs)
    except (ValueError, TypeError) as error:
        raise CourseError(f"{case!r} is no case to time {op} in: {error}. One is written like "
                          f"\"64x1000; dim=-1\": float32 arrays, then attributes") from None
    return Following(specs()[op], "large", {}, "float32", seed, given=Call(arrays, attrs))


def _number() -> int:
    """A seed that nobody has seen."""
    return int.from_bytes(os.urandom(4), "little") >> 1


def _turns(check: Check, case: str, ours: Sandbox, theirs: Sandbox, budget: float) -> Timing:
    found, start = Timing(case), time.monotonic()
    for i in range(MOST):
        one = drawn(check.speed, case, _number())
        place = PLACES[i % len(PLACES)]
        waited = ours.queued
        pair = [_asked(box, one, place) for box in ((ours, theirs) if i % 2 else (theirs, ours))]
        column, answer = pair if i % 2 else pair[::-1]
        waited = (ours.queued - waited) / column.took if column.took else math.nan
        if column.status != "ok" or column.faults:
            raise CourseError(f"{check.against} itself fails in {case!r}: {column.message}"
                              f"{'; '.join(column.faults)}")
        found.wrong = _wrong(one, answer)
        if found.wrong:
            return found
        if i >= 2:  # before that, pages are touched and caches filled for the first time
            found.turns.append(Turn(column.took, answer.took, waited))
        if len(found.turns) >= FEWEST and column.took < SHORT:
            raise CourseError(f"{case!r} takes {check.against} {column.took:.1e} s, too little to "
                              f"be timed; choose larger arrays")
        if len(found.turns) < FEWEST:
            continue
        enough = len(found.clean) >= 2 * FEWEST and not found.contended
        patience = 1 if len(found.clean) >= FEWEST else PATIENCE
        if enough or time.monotonic() > start + patience * budget:
            break
    return found


def _asked(box: Sandbox, case: Following, place: str) -> Outcome:
    q = case.question
    answer = TABLE[q.op.name].check(q.arrays, q.attrs)
    wanted = [answer] if isinstance(answer, Spec) else answer
    return box.run(q.op.name, q.arrays, {**q.op.attrs, **q.attrs},
                   [(w.shape, w.dtype) for w in wanted], place=place)


def _wrong(case: Following, outcome: Outcome) -> str:
    """What is wrong with an answer, in a sentence; "" if nothing is."""
    if outcome.status != "ok":
        return outcome.message or f"it is {outcome.status}"
    if outcome.faults:
        return outcome.faults[0]
    for i, y in enumerate(outcome.outputs):
        found = compare(case, y, i)
        if found.verdict.failed:
            return f"the values of a timed call are wrong: {found.message or found.verdict.value}"
    return ""


def _impossible(timing: Timing, floor: float) -> str:
    least = min(t.answer for t in timing.clean)
    if least >= floor:
        return ""
    return (f"it took {least:.1e} s, and no program can do this on this machine in less than "
            f"{floor:.1e} s: this time is rejected")


# ------------------------------------------------------------------ beside it


def _floor(op: str, case: str) -> float:
    """Seconds that any program takes: the roofline, generously; 0 where it could not be measured.
    """
    roof = _roof()
    if roof is None:
        return 0.0
    q = drawn(op, case, 0).question
    return max(q.op.flops(*q.arrays, **q.attrs) / (BEST * roof[0]),
               q.op.bytes(*q.arrays, **q.attrs) / (CACHED * roof[1]))


@cache
def _roof() -> tuple[float, float] | None:
    """FLOP and bytes a second of the whole machine; None of one that was too busy to tell."""
    found = peaks()
    best = found.of(cores())
    return None if found.busy else (best.float32, best.bandwidth)


def column_of(check: Check) -> Candidate | None:
    """What an answer is timed against; None where it is not there."""
    if check.against != "plain":
        return Candidate("backend", check.against)
    path = plain(check.speed)
    try:
        return None if path is None else prepare(Candidate("source", str(path)))
    except CheckError:
        return None


def plain(op: str) -> Path | None:
    """The source of the plain kernel of an op, in a checkout of Etude."""
    for folder in Path(etude.__file__).parents:
        for path in sorted((folder / "c_src/cpu/plain").glob("*.c")):
            if re.search(rf"ETUDE_KERNEL\(\w+, {op}\)", path.read_text()):
                return path
    return None
