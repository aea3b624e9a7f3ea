"""``run``: one hand-in through the checks of its assignment, for a student and for a grader alike.

A student has a Kit: visible cases, with what is expected of them. A grader has the Source as well,
from which hidden cases are drawn. First the answer is asked everything a check has; its worker has
ended before the hidden cases' expected values are computed, in a worker with the solution.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from etude_check.errors import CheckError
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import Sandbox
from etude_course.cases.case import Case
from etude_course.kit.kit import Kit, Visible
from etude_course.record import CheckResult, Result, Status
from etude_course.run import calls, feedback, ops
from etude_course.run.calls import Clock, Fault
from etude_course.run.handin import Answer, HandIn, candidate
from etude_course.run.oracle import Oracle, module_of_drivers
from etude_course.source import parameters
from etude_course.source.assignment import Assignment, Check, Question
from etude_course.source.source import Source

START = 3  # times as long as a call may importing the answer take
TIMED_LATER = "timed afterwards, alone on the machine"
Progress = Callable[[CheckResult], None]


def run(source: Source | Kit, folder: Path, *, kit: Kit | None = None, student: str = "",
        members: Sequence[str] = (), course: str = "", seed: str = "", hidden: bool = True,
        timed: bool | Literal["only"] = True, only: Sequence[str] | None = None,
        values: dict[str, Any] | None = None, progress: Progress | None = None) -> Result:
    """The result of the hand-in in ``folder``. Hidden cases need a Source and a secret ``seed``.

    ``only`` names the checks to run. Speed wants a machine that does nothing else: with ``timed``
    False its checks are not run, and with "only" no others are. ``values`` are the parameters, if
    not those that are drawn for the student. CourseError for what the instructor has done wrong,
    and nothing for what the answer does.
    """
    start = time.monotonic()
    if isinstance(source, Kit):
        kit, hidden = source, False
    elif kit is None:
        from etude_course.run.pack import kit_of

        kit = kit_of(source)
    a = kit.assignment
    for id_ in only or ():
        a.check(id_)
    values = parameters.drawn(a, course, student) if values is None else values
    starters = {n: parameters.render(t, values, n) for n, t in kit.starters.items()}
    with HandIn(a, Path(folder), starters) as hand_in, _Files(kit, values) as files:
        job = _Run(a, kit, source if isinstance(source, Source) and hidden else None, values, seed,
                   student, hand_in, files, timed, Clock(a.limits.total))
        found = []
        for question in a.questions:
            checks = [c for c in question.checks if (only is None or c.id in only)
                      and (timed != "only" or c.kind == "speed")]
            for result in job.question(question, checks):
                found.append(result)
                if progress is not None:
                    progress(result)
        return Result(a.id, a.version, student, found, title=a.title, members=list(members),
                      submission=hand_in.digest, seconds=time.monotonic() - start)


class _Files:
    """drivers.py of the assignment, where a worker can read it."""

    def __init__(self, kit: Kit, values: dict[str, Any]) -> None:
        self.text = parameters.render(kit.drivers, values, "drivers.py")
        self._folder = tempfile.TemporaryDirectory(prefix="etude-course-drivers-")
        self.drivers: Path | None = None
        if self.text:
            self.drivers = Path(self._folder.name) / "drivers.py"
            self.drivers.write_text(self.text)

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


@dataclass
class _Run:
    """One hand-in on its way through the checks."""

    assignment: Assignment
    kit: Kit
    source: Source | None  # where hidden cases come from
    values: dict[str, Any]
    seed: str
    student: str
    hand_in: HandIn
    files: _Files
    timed: bool | Literal["only"]
    clock: Clock
    judges: Any = field(default=None, repr=False)

    def question(self, question: Question, checks: Sequence[Check]) -> list[CheckResult]:
        """The results of some checks of a question."""
        automatic = [c for c in checks if c.kind != "hand"]
        answer = self.hand_in.answer(question) if automatic else Answer(Path())
        found = []
        for check in checks:
            start = time.monotonic()
            blank = CheckResult(check.id, question.id, check.title, 0, check.points,
                                Status.NOT_RUN, declared=self._declared(check))
            if check.kind == "hand":
                blank = replace(blank, status=Status.WAITING, message="graded by a person")
            elif answer.trouble:
                status = Status.FAILED if answer.written else Status.NOT_WRITTEN
                blank = replace(blank, status=status, message=answer.trouble)
            elif not self.clock.left:
                blank = replace(blank, message=f"not run: the hand-in has used up its "
                                               f"{self.assignment.limits.total:g} s")
            else:
                blank = self._check(check, blank, answer)
            blank.seconds = round(time.monotonic() - start, 3)
            found.append(blank)
        return found

    def _declared(self, check: Check) -> int:
        if check.kind == "call":
            return check.visible + (check.hidden if self.source is not None else 0)
        return 1

    def _check(self, check: Check, blank: CheckResult, answer: Answer) -> CheckResult:
        do = {"call": self._call, "op": self._op, "speed": self._speed}[check.kind]
        try:
            return do(check, blank, answer)
        except CheckError as error:  # of the compiler, or a file that is no column
            text = str(error)
            unable = text.startswith(("no compiler", "the compiler")) or "needs the CUDA" in text
            return replace(blank, status=Status.NOT_RUN if unable else _of_file(text),
                           message=text.splitlines()[0], detail=text)

    # ------------------------------------------------------------------ calls

    def _call(self, check: Check, blank: CheckResult, answer: Answer) -> CheckResult:
        shown = self.kit.visible(check, self.values)
        cases: list[Case] = list(shown.cases)
        if self.source is not None:
            cases += self.source.hidden(check, self.values, self.seed, self.student)
        under_test = candidate(answer.path, column=False)
        with self._sandbox(under_test) as box:
            driven = calls.ask(box, check, cases, self.assignment.limits.call, self.clock,
                               self.files.drivers)
        cases = self._expecting(check, cases)
        judge = self._judge(check)
        faults = [fault for case, d in zip(cases, driven, strict=True) if d is not None
                  for fault in [calls.verdict(check, case, d, judge)] if fault is not None]
        executed = sum(d is not None and d.status not in ("missing", "unloadable") for d in driven)
        blank = replace(blank, executed=executed, declared=len(cases))
        if not faults and executed == len(cases):
            return replace(blank, status=Status.PASSED, points=check.points)
        if not faults:
            return replace(blank, status=Status.NOT_RUN,
                           message=f"only {executed} of {len(cases)} cases could be run in the "
                                   f"time of a hand-in")
        answers = [calls.answer_of(d) for d in driven[: len(shown.cases)]]
        named = feedback.mistake(shown.fingerprints, answers, check.tolerance)
        return self._told(check, blank, faults, named)

    def _told(self, check: Check, blank: CheckResult, faults: list[Fault], named: str
              ) -> CheckResult:
        empty = [f for f in faults if f.status is Status.NOT_WRITTEN]
        worst = feedback.smallest(empty or faults)
        hidden = worst.case.hidden
        if worst.status is Status.NOT_WRITTEN:
            return replace(blank, status=worst.status, message=worst.message)
        late = [f for f in faults if f.status is Status.TIMEOUT]
        status = Status.TIMEOUT if late and late == faults else worst.status
        return replace(blank, status=status, message=worst.message, mistake=named,
                       case=f"hidden: {worst.case.name}" if hidden else worst.case.name,
                       detail=feedback.drawn(check, worst))

    def _expecting(self, check: Check, cases: list[Case]) -> list[Case]:
        """The cases with what is expected of each; visible ones have it."""
        unknown = [c for c in cases if c.hidden]
        if not unknown or self.source is None:
            return cases
        with Oracle(self.source, self.values) as oracle:
            known = oracle.expect(check, unknown)
        return [c for c in cases if not c.hidden] + known

    def _judge(self, check: Check) -> calls.Judge | None:
        if not check.judge:
            return None
        if self.judges is None:
            self.judges = module_of_drivers(self.files.text)
        judge: calls.Judge = getattr(self.judges, check.judge.removeprefix("drivers:"))
        return judge

    def _sandbox(self, under_test: Candidate) -> Sandbox:
        call = self.assignment.limits.call
        return Sandbox(under_test, timeout=call, start_timeout=START * call)

    # ------------------------------------------------------------------ ops

    def _op(self, check: Check, blank: CheckResult, answer: Answer) -> CheckResult:
        under_test = candidate(answer.path, column=True)
        found = ops.report(under_test, check, self._op_seed(check), self.assignment.limits.call,
                           self.clock.left)
        failed = ops.first(found)
        blank = replace(blank, executed=found.executed, declared=max(1, len(found.records)))
        lacking = ops.missing(found)
        if failed is None and not lacking and found.passed and blank.executed == blank.declared:
            return replace(blank, status=Status.PASSED, points=check.points)
        status = ops.status(found, failed)
        if failed is None:
            said = f"there is no {lacking[0]} in {answer.name} yet" if lacking else \
                f"it was asked {blank.declared} times and answered {blank.executed} times"
            return replace(blank, status=status, message=said)
        if status is Status.NOT_WRITTEN:
            return replace(blank, status=status, message=ops.message(failed))
        shown = self.kit.visible(check, self.values)
        return replace(blank, status=status, message=ops.message(failed),
                       mistake=self._named(shown, under_test) or failed.likely,
                       case=failed.case if self.source is None else f"hidden: {failed.case}",
                       detail=ops.detail(found, failed))

    def _op_seed(self, check: Check) -> int:
        if self.source is None:
            return ops.PUBLIC_SEED
        return parameters.number(self.seed, self.assignment.id, check.id, self.student) % (1 << 31)

    def _named(self, shown: Visible, under_test: Candidate) -> str:
        if not shown.fingerprints:
            return ""
        answers = ops.answers(under_test, shown.cases, self.assignment.limits.call)
        return feedback.mistake(shown.fingerprints, answers)

    # ------------------------------------------------------------------ speed

    def _speed(self, check: Check, blank: CheckResult, answer: Answer) -> CheckResult:
        return replace(blank, message=TIMED_LATER)


def _of_file(text: str) -> Status:
    return Status.NOT_WRITTEN if "has no function marked" in text or "exports no kernel" in text \
        else Status.FAILED


