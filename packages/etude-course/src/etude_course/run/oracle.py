"""What is expected: computed with the solution, in a worker of its own, when the answer is gone."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from etude_check.worker.sandbox import Sandbox
from etude_course.cases.case import Case, expected_to_json
from etude_course.errors import CourseError
from etude_course.run.calls import Judge
from etude_course.run.handin import candidate
from etude_course.source import parameters
from etude_course.source.assignment import Check
from etude_course.source.source import Source

TIMEOUT = 20.0  # seconds a call of the solution may take


def judge_of(check: Check, drivers: str, values: dict[str, Any]) -> Judge | None:
    """The function of drivers.py that judges a check, run in this process: it is ours. None for a
    check with expected values.
    """
    if not check.judge:
        return None
    module = ModuleType("etude_course_drivers")
    text = parameters.render(drivers, values, "drivers.py")
    exec(compile(text, "drivers.py", "exec"), module.__dict__)
    judge: Judge = getattr(module, check.judge.removeprefix("drivers:"))
    return judge


def write(texts: dict[str, str], values: dict[str, Any], folder: Path) -> None:
    """The files of an answer, with a student's parameters in place."""
    for name, text in texts.items():
        (folder / name).write_text(parameters.render(text, values, name))


class Oracle:
    """The solution of an assignment, ready to be called."""

    def __init__(self, source: Source, values: dict[str, Any]) -> None:
        self.source, self.values = source, values
        self._open = ExitStack()
        self._boxes: dict[str, Sandbox] = {}

    def __enter__(self) -> Oracle:
        self.folder = Path(self._open.enter_context(
            tempfile.TemporaryDirectory(prefix="etude-course-oracle-")))
        write(self.source.solutions(), self.values, self.folder)
        if self.source.drivers:
            write({"drivers.py": self.source.drivers}, self.values, self.folder)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._open.close()

    def expect(self, check: Check, cases: Sequence[Case]) -> list[Case]:
        """The cases with what is expected. CourseError where the solution itself fails."""
        return [replace(c, expected=self._expected(check, c)) for c in cases]

    def _expected(self, check: Check, case: Case) -> Any:
        known = self.source.checks.oracles.get(check.id)
        if known is not None:
            try:
                value = known(*case.args, parameters=dict(self.values))
                expected_to_json(value)  # must be plain
            except Exception as error:
                raise CourseError(f"checks.py cannot say what is expected of {check.id}, case "
                                  f"{case.name!r}: {type(error).__name__}: {error}") from error
            return value
        if check.judge:
            return None
        driven = self._box(check).drive(check.call, case.args, timeout=TIMEOUT,
                                        drivers=self.folder / "drivers.py")
        if driven.status == "ok":
            return driven.value
        raise CourseError(f"the solution fails in {check.id}, case {case.name!r}: {driven.status} "
                          f"{driven.exception} {driven.message}\n{driven.traceback}".rstrip()
                          + ("\nIf that is what is expected, say so in checks.py with @expected "
                             "and Raises" if driven.status == "raised" else ""))

    def _box(self, check: Check) -> Sandbox:
        file = self.source.assignment.question(check).file
        if file not in self._boxes:
            self._boxes[file] = self._open.enter_context(
                Sandbox(candidate(self.folder / file, column=False), timeout=TIMEOUT))
        return self._boxes[file]


class Hidden:
    """The hidden cases of one student, drawn when they are asked for, and afterwards what is
    expected of them. Both are remembered, for whoever asks the same of several hand-ins.
    """

    def __init__(self, source: Source, values: dict[str, Any], seed: str, student: str) -> None:
        self.source, self.values, self.seed, self.student = source, values, seed, student
        self._drawn: dict[str, list[Case]] = {}
        self._known: dict[str, list[Case]] = {}
        self._open = ExitStack()
        self._oracle: Oracle | None = None

    def __enter__(self) -> Hidden:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._open.close()

    def cases(self, check: Check) -> list[Case]:
        if check.id not in self._drawn:
            self._drawn[check.id] = self.source.hidden(check, self.values, self.seed, self.student)
        return self._drawn[check.id]

    def expected(self, check: Check) -> list[Case]:
        """The same cases with what is expected. Call it when the answer's worker has ended."""
        if check.id not in self._known:
            if self._oracle is None:
                self._oracle = self._open.enter_context(Oracle(self.source, self.values))
            self._known[check.id] = self._oracle.expect(check, self.cases(check))
        return self._known[check.id]

    def op_seed(self, check: Check) -> int:
        """From which the conformance kit draws the cases of an op."""
        return parameters.number(self.seed, self.source.assignment.id, check.id,
                                 self.student) % (1 << 31)
