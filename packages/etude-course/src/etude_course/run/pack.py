"""Makes the kit of an assignment from its source: what is expected of the visible cases, and how
each mistake answers them.
"""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import etude
from etude.data.files import user_cache, write_atomically
from etude_check.worker.answers import Driven
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import Sandbox
from etude_course.cases.case import Case
from etude_course.errors import CourseError
from etude_course.kit.kit import (
    RIGHT,
    SCHEMA,
    VARIES,
    Answer,
    Fingerprint,
    Kit,
    Visible,
    installed,
    key,
)
from etude_course.run import calls, ops, provenance
from etude_course.run.calls import Clock
from etude_course.run.handin import candidate
from etude_course.run.oracle import Oracle, judge_of, write
from etude_course.source.assignment import Check, Mutant, Question
from etude_course.source.source import Source

TOTAL = 600.0  # seconds that a mistake may take in all checks together
VAGUE = ("raised", "timeout", "crash", "missing", "unloadable", "not")  # ends of any answer
SHOWING = 2  # cases of the conformance kit that each mistake of an op chooses


def kit_of(source: Source) -> Kit:
    """The kit of a source: installed, or made before, if it is of this very source; else made now.
    """
    path = user_cache() / "course" / f"{source.digest}-{_made_by()}.json"
    for known in (p for p in installed() if p.stem == source.assignment.id.lower()):
        kit = Kit.load(known)
        if kit.source == source.digest:
            return kit
    if path.exists():
        with suppress(CourseError):
            return Kit.load(path)
    kit = pack(source)
    with suppress(OSError):  # a cache
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, kit.text.encode())
    return kit


@cache
def _made_by() -> str:
    """Stands for this Etude, and for every line of what packs: a kit that others made is not used.
    """
    found = hashlib.sha256(f"{etude.__version__} {SCHEMA}".encode())
    for package in ("etude_course", "etude_check"):
        for path in sorted(Path(str(resources.files(package))).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def pack(source: Source) -> Kit:
    """The kit, made now. Raises CourseError where the source is not in order."""
    a = source.assignment
    shown: dict[str, dict[str, Visible]] = {c.id: {} for c in a.checks if c.kind in ("call", "op")}
    named = _op_cases(source, [c for c in a.checks if c.kind == "op"], a.combinations[0])
    for values in a.combinations:
        with Oracle(source, values) as oracle:
            cases: dict[str, tuple[Any, ...]] = {
                c.id: tuple(oracle.expect(c, source.visible(c, values)))
                for c in a.checks if c.kind == "call"}
        cases |= named
        prints: dict[str, list[Fingerprint]] = {id_: [] for id_ in shown}
        for mutant in a.mutants:
            for id_, answers in _answers(source, mutant, cases, values).items():
                if _tells(answers):
                    prints[id_].append(Fingerprint(mutant.mistake, tuple(answers)))
        for id_ in shown:
            shown[id_][key(values)] = Visible(cases[id_], tuple(prints[id_]))
    return Kit(a, source.starters(), source.drivers, source.handout, shown, source.digest)


def _op_cases(source: Source, checks: list[Check], values: dict[str, Any]
              ) -> dict[str, tuple[str, ...]]:
    """Of each check of ops, the cases of the conformance kit that its mutants fail first."""
    found: dict[str, tuple[str, ...]] = {}
    for check in checks:
        names: dict[str, None] = {}
        for mutant in (m for m in source.assignment.mutants if check.id in m.loses):
            with _Mutated(source, mutant, values) as folder:
                report = ops.report(candidate(folder / _file(source, check, mutant), column=True),
                                    check, ops.PUBLIC_SEED, source.assignment.limits.call)
                names |= dict.fromkeys(ops.telling(report, SHOWING))
        found[check.id] = tuple(names)
    return found


def _answers(source: Source, mutant: Mutant, cases: dict[str, tuple[Any, ...]],
             values: dict[str, Any]) -> dict[str, list[Answer]]:
    """What the mistake answers in the checks that it loses."""
    a, found = source.assignment, {}
    with _Mutated(source, mutant, values) as folder:
        for check in (a.check(id_) for id_ in mutant.loses if id_ in cases):
            under_test = candidate(folder / _file(source, check, mutant), check.kind == "op")
            if check.kind == "op":
                found[check.id] = _steady(under_test, source.assignment.question(check),
                                          cases[check.id], a.limits.call)
                continue
            with Sandbox(under_test, timeout=a.limits.call) as box:
                driven = calls.ask(box, check, cases[check.id], a.limits.call, Clock(TOTAL),
                                   folder / "drivers.py")
            judge = judge_of(check, source.drivers, values)
            found[check.id] = [_shown(check, case, d, judge)
                               for case, d in zip(cases[check.id], driven, strict=True)]
    return found


def _steady(under_test: Candidate, question: Question, names: tuple[str, ...], timeout: float
            ) -> list[Answer]:
    """What a column answers twice, in two workers whose memory differs."""
    one = ops.answers(under_test, names, timeout)
    two = ops.answers(under_test, names, timeout, provenance.walls_for(question, under_test))
    return [a if calls.alike(a, b, "") else Answer(ended=VARIES)
            for a, b in zip(one, two, strict=True)]


def _shown(check: Check, case: Case, driven: Driven | None, judge: calls.Judge | None) -> Answer:
    """The answer as a fingerprint has it: nothing of it where the mistake does not show."""
    if driven is not None and calls.verdict(check, case, driven, judge) is None:
        return Answer(ended=RIGHT)
    return calls.answer_of(driven)


def _tells(answers: list[Answer]) -> bool:
    """Whether a fingerprint is one: a mistake that only ever raises looks like many others, and one
    that is right in all visible cases looks like the solution.
    """
    return any(a.ended.partition(" ")[0] not in (RIGHT, VARIES, *VAGUE) for a in answers)


def _file(source: Source, check: Check, mutant: Mutant) -> str:
    """The file in which a check finds the mistake: in another language, the mutant's own."""
    question = source.assignment.question(check)
    return mutant.file if mutant.file in (question.file, *question.also) else question.file


class _Mutated:
    """A folder with the solution that has a mistake."""

    def __init__(self, source: Source, mutant: Mutant, values: dict[str, Any]) -> None:
        self.texts, self.values = source.mutated(mutant), values
        if source.drivers:
            self.texts["drivers.py"] = source.drivers
        self._folder = tempfile.TemporaryDirectory(prefix="etude-course-mutant-")

    def __enter__(self) -> Path:
        folder = Path(self._folder.name)
        write(self.texts, self.values, folder)
        return folder

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
