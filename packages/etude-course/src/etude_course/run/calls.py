"""Checks that call: the answer is asked, case by case, and only then is anything expected of it.

``ask`` has the answer's worker; ``verdict`` never sees it. What the worker says is a plain value
that the answer may have forged, so it is compared here and nothing of it is run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude_check.worker.answers import Driven
from etude_check.worker.sandbox import Sandbox
from etude_course.cases.case import Case, Raises
from etude_course.cases.compare import Difference, describe, difference
from etude_course.errors import CourseError
from etude_course.kit.kit import Answer
from etude_course.record import Status
from etude_course.source.assignment import Check

GIVE_UP = 2  # time-outs after which no more of a check is asked
EMPTY = "NotImplementedError"
DECLINED = "Unsupported"  # what a kernel that returns ETUDE_UNSUPPORTED comes to
Judge = Callable[[Case, Any], str]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one case."""

    case: Case
    status: Status
    message: str
    difference: Difference | None = None
    driven: Driven | None = None


class Clock:
    """The seconds that are left of a hand-in."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self.end - time.monotonic())


def ask(box: Sandbox, check: Check, cases: Sequence[Case], timeout: float, clock: Clock,
        drivers: Path | None = None) -> list[Driven | None]:
    """What came of each case; None for those that were not asked any more."""
    found: list[Driven | None] = []
    late = 0
    for case in cases:
        if late >= GIVE_UP or not clock.left:
            found.append(None)
            continue
        try:
            driven = box.drive(check.call, case.args, timeout=min(timeout, clock.left + 0.1),
                               drivers=drivers)
        except ValueError as error:  # of the arguments
            raise CourseError(f"checks.py: case {case.name!r} of {check.id!r}: {error}") from None
        late += driven.status == "timeout"
        found.append(driven)
    box.finish()  # the next check gets another worker: nothing is carried over
    return found


def verdict(check: Check, case: Case, driven: Driven, judge: Judge | None) -> Fault | None:
    """What is wrong with the answer to a case; None if nothing is."""
    if driven.status == "ok":
        return _valued(check, case, driven, judge)
    if driven.status == "raised" and isinstance(case.expected, Raises) and (
            case.expected.exception in driven.exceptions and EMPTY not in driven.exceptions):
        return None
    return Fault(case, *_ended(check, case, driven), driven=driven)


def _valued(check: Check, case: Case, driven: Driven, judge: Judge | None) -> Fault | None:
    if isinstance(case.expected, Raises):
        said = f"{describe(driven.value)} was returned, expected is {case.expected.exception}"
        return Fault(case, Status.FAILED, said, Difference(said, "", case.expected, driven.value),
                     driven)
    if judge is not None:
        try:
            said = judge(case, driven.value)
        except Exception as error:  # it met what it was not made for
            said = (f"{describe(driven.value)} was returned, which cannot be judged "
                    f"({type(error).__name__}: {error})")
        return Fault(case, Status.FAILED, said, Difference(said, "", None, driven.value),
                     driven) if said else None
    found = difference(case.expected, driven.value, check.tolerance)
    return None if found is None else Fault(case, Status.FAILED, found.message, found, driven)


def _ended(check: Check, case: Case, driven: Driven) -> tuple[Status, str]:
    name = check.call.removeprefix("drivers:")
    if driven.status == "missing":
        return Status.NOT_WRITTEN, f"there is no function {name} yet"
    if driven.status == "raised" and driven.exception == EMPTY:
        return Status.NOT_WRITTEN, f"not written yet: {driven.where or name} raises {EMPTY}"
    if driven.status == "raised" and driven.exception == DECLINED:
        return Status.NOT_WRITTEN, f"not written yet: the {name} of this file declines the call"
    if driven.status == "unloadable":
        if driven.message.startswith(EMPTY):
            return Status.NOT_WRITTEN, f"not written yet: the file raises {EMPTY} when imported"
        return Status.CRASHED, f"it cannot be imported: {driven.message}"
    if driven.status == "timeout":
        return Status.TIMEOUT, f"the call takes longer than {check_limit(driven)}"
    if driven.status == "raised":
        what = f"raised {driven.exception}: {driven.message}".rstrip(": ")
        at = f" ({driven.where})" if driven.where else ""
        wanted = f"; expected is {case.expected.exception}" if isinstance(case.expected,
                                                                         Raises) else ""
        return Status.CRASHED, what + at + wanted
    return Status.CRASHED, driven.message


def check_limit(driven: Driven) -> str:
    return f"{driven.seconds:.2g} s"


def answer_of(driven: Driven | None) -> Answer:
    """The outcome of a call as a fingerprint has it."""
    if driven is None:
        return Answer(ended="not run")
    if driven.status == "ok":
        return Answer(driven.value)
    return Answer(ended=f"raised {driven.exception}" if driven.status == "raised"
                  else driven.status)


def driven_of(answer: Answer) -> Driven:
    """The same the other way round, as far as a verdict needs it."""
    if not answer.ended:
        return Driven("ok", answer.value)
    status, _, exception = answer.ended.partition(" ")
    return Driven(status, exception=exception, exceptions=[exception])


def alike(one: Answer, two: Answer, tolerance: str | float) -> bool:
    """Whether two calls came to the same."""
    if one.ended or two.ended:
        return one.ended == two.ended
    return difference(two.value, one.value, tolerance) is None
