"""``run``: one hand-in through the checks of its assignment, for a student and for a grader alike.

A student has a Kit: visible cases, with what is expected of them. A grader has the Source as well,
from which hidden cases are drawn. First the answers are asked everything; when their workers have
ended, what is expected of hidden cases is computed in a worker with the solution, and judged here.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

import etude
from etude_check.errors import CheckError
from etude_check.worker.answers import Driven
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.walls import Walls
from etude_course.cases.case import Case
from etude_course.kit.kit import Kit, Visible
from etude_course.record import TIMED_LATER, CheckResult, Result, Status
from etude_course.run import calls, feedback, ops, provenance, speed
from etude_course.run.calls import Clock, Fault
from etude_course.run.handin import Answer, HandIn, candidate
from etude_course.run.oracle import Hidden, judge_of
from etude_course.run.pack import kit_of
from etude_course.source import parameters
from etude_course.source.assignment import Assignment, Check, Question
from etude_course.source.source import Source

START = 3  # times as long as a call may importing the answer take
Progress = Callable[[CheckResult], None]
Verdict = Callable[[], CheckResult]


def run(source: Source | Kit, folder: Path, *, kit: Kit | None = None, student: str = "",
        members: Sequence[str] = (), course: str = "", seed: str = "",
        hidden: bool | Hidden = True, timed: bool | Literal["only"] = True,
        only: Sequence[str] | None = None, values: dict[str, Any] | None = None,
        progress: Progress | None = None) -> Result:
    """The result of the hand-in in ``folder``. Hidden cases need a Source and a secret ``seed``.

    ``only`` names the checks to run. Speed wants a machine that does nothing else: with ``timed``
    False its checks are not run, and with "only" no others are. ``values`` are the parameters, if
    not those that are drawn for the student. ``hidden`` may be cases that are drawn already.
    CourseError for what the instructor has done wrong, and nothing for what the answer does.
    """
    start = time.monotonic()
    if isinstance(source, Kit):
        kit = source
    elif kit is None:
        kit = kit_of(source)
    a = kit.assignment
    for id_ in only or ():
        a.check(id_)
    values = parameters.drawn(a, course, student) if values is None else values
    starters = {n: parameters.render(t, values, n) for n, t in kit.starters.items()}
    with HandIn(a, Path(folder), starters) as hand_in, _Files(kit, values) as files, \
            _secret(source, hidden, values, seed, student) as secret:
        job = _Run(a, kit, secret, values, hand_in, files, timed, Clock(a.limits.total))
        found = []
        for result in job.results(only):
            found.append(result)
            if progress is not None:
                progress(result)
        return Result(a.id, a.version, student, found, title=a.title, members=list(members),
                      submission=hand_in.digest, notes=job.notes,
                      walls=[*Walls().missing(), *provenance.missing()], environment=environment(),
                      seconds=time.monotonic() - start)


def _secret(source: Source | Kit, hidden: bool | Hidden, values: dict[str, Any], seed: str,
            student: str) -> Any:
    """A context that gives the hidden cases, or None for a student."""
    if isinstance(hidden, Hidden):
        return nullcontext(hidden)
    if isinstance(source, Kit) or not hidden:
        return nullcontext(None)
    return Hidden(source, values, seed, student)


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
    hidden: Hidden | None
    values: dict[str, Any]
    hand_in: HandIn
    files: _Files
    timed: bool | Literal["only"]
    clock: Clock
    notes: list[str] = field(default_factory=list)  # which of several answers counts

    def results(self, only: Sequence[str] | None) -> Iterator[CheckResult]:
        """The result of each check. Where there are hidden cases, none before all are asked."""
        pending: list[Verdict] = []
        for question in self.assignment.questions:
            checks = [c for c in question.checks if (only is None or c.id in only)
                      and (self.timed != "only" or c.kind == "speed")]
            for verdict in self._question(question, checks):
                if self.hidden is None:
                    yield verdict()
                else:
                    pending.append(verdict)
        for verdict in pending:
            yield verdict()

    def _question(self, question: Question, checks: Sequence[Check]) -> Iterator[Verdict]:
        """Asks the checks of a question, and gives back for each who will say what came of it."""
        automatic = [c for c in checks if c.kind != "hand"]
        answer = self.hand_in.answer(question) if automatic else Answer(Path())
        if answer.judged:
            self.notes.append(f"{question.id}: {answer.judged}")
        refused = "" if answer.trouble else provenance.refused(question, answer.path)
        for check in checks:
            blank = CheckResult(check.id, question.id, check.title, 0, check.points,
                                Status.NOT_RUN, declared=self._declared(check))
            if check.kind == "hand" and self.hand_in.blank(question):
                yield partial(replace, blank, status=Status.NOT_WRITTEN,
                              message=f"nothing is written in {question.file}")
            elif check.kind == "hand":
                yield partial(replace, blank, status=Status.WAITING, message="graded by a person")
            elif answer.trouble:
                status = Status.FAILED if answer.written else Status.NOT_WRITTEN
                yield partial(replace, blank, status=status, message=answer.trouble)
            elif refused:
                yield partial(replace, blank, status=Status.REFUSED, message=refused)
            elif not self.clock.left:
                yield partial(replace, blank, message=f"not run: the hand-in has used up its "
                                                      f"{self.assignment.limits.total:g} s")
            else:
                yield self._check(question, check, blank, answer)

    def _declared(self, check: Check) -> int:
        if check.kind == "call":
            return check.visible + (check.hidden if self.hidden is not None else 0)
        return 1

    def _check(self, question: Question, check: Check, blank: CheckResult, answer: Answer
               ) -> Verdict:
        start = time.monotonic()
        try:
            under_test = candidate(answer.path, column=check.kind != "call")
            if foreign := provenance.foreign(under_test, answer.name):
                return partial(replace, blank, status=Status.REFUSED, message=foreign)
            do = {"call": self._call, "op": self._op, "speed": self._speed}[check.kind]
            verdict = do(question, check, blank, answer, under_test)
        except CheckError as error:  # of the compiler, or a file that is no column
            text = str(error)
            unable = text.startswith(("no compiler", "the compiler")) or "needs the CUDA" in text
            return partial(replace, blank, status=Status.NOT_RUN if unable else _of_file(text),
                           message=text.splitlines()[0], detail=text.partition("\n")[2].strip())
        return partial(_lasting, verdict, round(time.monotonic() - start, 3))

    # ------------------------------------------------------------------ calls

    def _call(self, question: Question, check: Check, blank: CheckResult, answer: Answer,
              under_test: Candidate) -> Verdict:
        cases: list[Case] = list(self.kit.visible(check, self.values).cases)
        if self.hidden is not None:
            cases += self.hidden.cases(check)
        call = self.assignment.limits.call
        with Sandbox(under_test, timeout=call, start_timeout=START * call,
                     walls=provenance.walls_for(question, under_test)) as box:
            driven = calls.ask(box, check, cases, call, self.clock, self.files.drivers)
        return partial(self._judged, check, blank, driven)

    def _judged(self, check: Check, blank: CheckResult, driven: list[Driven | None]
                ) -> CheckResult:
        shown = self.kit.visible(check, self.values)
        cases: list[Case] = list(shown.cases)
        if self.hidden is not None:
            cases += self.hidden.expected(check)
        judge = judge_of(check, self.kit.drivers, self.values)
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
        named = feedback.mistake(check, shown, answers, judge)
        return self._told(check, blank, faults, named)

    def _told(self, check: Check, blank: CheckResult, faults: list[Fault], named: str
              ) -> CheckResult:
        empty = [f for f in faults if f.status is Status.NOT_WRITTEN]
        worst = feedback.smallest(empty or faults)
        if worst.status is Status.NOT_WRITTEN:
            return replace(blank, status=worst.status, message=worst.message)
        late = [f for f in faults if f.status is Status.TIMEOUT]
        status = Status.TIMEOUT if late and late == faults else worst.status
        name = f"hidden: {worst.case.name}" if worst.case.hidden else worst.case.name
        return replace(blank, status=status, message=worst.message, mistake=named, case=name,
                       detail=feedback.drawn(check, worst))

    # ------------------------------------------------------------------ ops

    def _op(self, question: Question, check: Check, blank: CheckResult, answer: Answer,
            under_test: Candidate) -> Verdict:
        """Asked and judged at once: the kit computes what it expects of a case here, after the
        worker has answered it.
        """
        walls = provenance.walls_for(question, under_test)
        seed = ops.PUBLIC_SEED if self.hidden is None else self.hidden.op_seed(check)
        found = ops.report(under_test, check, seed, self.assignment.limits.call, self.clock.left,
                           walls)
        failed = ops.first(found)
        blank = replace(blank, executed=found.executed, declared=max(1, len(found.records)))
        lacking = ops.missing(found)
        if failed is None and not lacking and found.passed and blank.executed == blank.declared:
            return partial(replace, blank, status=Status.PASSED, points=check.points)
        status = ops.status(found, failed)
        if failed is None:
            said = f"there is no {lacking[0]} in {answer.name} yet" if lacking else \
                ops.unanswered(found, answer.name)
            return partial(replace, blank, status=status, message=said)
        if status is Status.NOT_WRITTEN:
            return partial(replace, blank, status=status, message=ops.message(failed))
        shown = self.kit.visible(check, self.values)
        return partial(replace, blank, status=status, message=ops.message(failed),
                       mistake=self._named(shown, under_test, walls) or failed.likely,
                       case=failed.case if self.hidden is None else f"hidden: {failed.case}",
                       detail=ops.detail(found, failed, "" if self.hidden else answer.name))

    def _named(self, shown: Visible, under_test: Candidate, walls: Walls) -> str:
        if not shown.fingerprints:
            return ""
        answers = ops.answers(under_test, shown.cases, self.assignment.limits.call, walls)
        return feedback.same_answers(shown.fingerprints, answers)

    # ------------------------------------------------------------------ speed

    def _speed(self, question: Question, check: Check, blank: CheckResult, answer: Answer,
               under_test: Candidate) -> Verdict:
        if not self.timed:
            return partial(replace, blank, message=TIMED_LATER)
        return partial(speed.timed, check, blank, under_test,
                       provenance.walls_for(question, under_test), self.assignment.limits.call)


def environment() -> dict[str, Any]:
    """Where it was run, as far as that may change a result."""
    return {"etude": etude.__version__, "numpy": np.__version__,
            "python": platform.python_version(), "machine": platform.machine(),
            "system": platform.system()}


def _lasting(verdict: Verdict, seconds: float) -> CheckResult:
    return replace(verdict(), seconds=seconds)


def _of_file(text: str) -> Status:
    return Status.NOT_WRITTEN if "has no function marked" in text or "exports no kernel" in text \
        else Status.FAILED


