"""Grades a class: collects hand-ins, has each graded, writes the journal and the results.

First the correctness of everyone, so many at a time as asked; then the speed checks, one after the
other with nothing beside them. A crash or a time-out costs a check. A grader that fails costs
nobody anything: the hand-in stays ungraded, the sentence says so, and the next run takes it up.

    journal.jsonl           what was done; see ``journal.py``
    assignment/HASH/        the assignment as it was graded with
    hand-ins/STUDENT/HASH/  the files that were graded
    results/STUDENT.json    what came of them
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, Future, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etude.data.files import write_atomically
from etude_check.worker.candidate import COMPILERS
from etude_course.errors import CourseError
from etude_course.grade import handins, late, one, pinned, remarks
from etude_course.grade import journal as journals
from etude_course.grade.executors import executor
from etude_course.grade.journal import Journal
from etude_course.grade.roster import Roster
from etude_course.grade.state import State
from etude_course.record import CONTENDED, Result
from etude_course.source.assignment import Assignment, read
from etude_course.source.source import Source

TRIES = 2


@dataclass
class Settings:
    """What is asked for."""

    assignment: Path
    folder: Path
    into: Path
    roster: Roster = field(default_factory=Roster)
    policy: late.Policy = field(default_factory=late.Policy)
    times: dict[str, str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)  # free days, in assignments before this
    course: str = ""
    secret: Path | None = None
    executor: str = "local"
    jobs: int = 1
    scheduler: str = ""


@dataclass
class Progress:
    """Said whenever a hand-in is done."""

    phase: str  # "checked" or "timed"
    done: int
    total: int
    student: str = ""
    score: str = ""


@dataclass
class Outcome:
    """What came of a run."""

    results: list[Result]
    graded: int = 0  # now; the rest was graded before
    timed: int = 0
    cut: int = 0  # bytes of a line that was never finished
    missing: list[str] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    pinned: str = ""  # a sentence, where the assignment has changed and its copy was graded with


def ignore(progress: Progress) -> None:
    """For callers that want no progress."""


class Cohort:
    """One run over a class. ``regrade``: take over an assignment that has changed."""

    def __init__(self, settings: Settings, progress: Callable[[Progress], None] = ignore,
                 regrade: bool = False) -> None:
        self.settings, self.progress, self.regrade = settings, progress, regrade
        self.assignment: Assignment = read(settings.assignment)
        self.source = settings.assignment  # its folder, or that of the copy that was begun with
        self.pinned = ""
        self.state = State()

    def run(self) -> Outcome:
        """Raises CourseError before anything was done, or when the journal cannot be used."""
        try:
            return self._run()
        except OSError as error:
            raise CourseError(f"Grading stopped: {error.filename or self.settings.into} cannot be "
                              f"written ({error.strerror}). What was graded is kept; the same "
                              f"command goes on.") from error

    def _run(self) -> Outcome:
        s = self.settings
        self._choose()
        found = handins.collect(s.folder, s.roster, self.assignment.sources, s.times,
                                self.assignment.id)
        with Journal(s.into) as journal:
            self.journal = journal
            self.state = State.of(journal.events)
            self.seed = _seed(s)
            self._open()
            outcome = Outcome([], cut=journal.cut, missing=found.missing,
                              unclaimed=found.unclaimed, pinned=self.pinned)
            self._compilers(found.handins)
            for handin in found.handins:
                self._hand(handin)
            with executor(s.executor, s.jobs, s.scheduler) as pool, one.at_work():
                self._check(pool, outcome)
                self._time(pool, outcome)
            for result in self.state.results():
                self._write(result)
            outcome.results = self.state.results()
        return outcome

    # -------------------------------------------------------------- before

    def _add(self, event: str, **fields: Any) -> None:
        self.journal.add(event, **fields)
        self.state.add(self.journal.events[-1])

    def _choose(self) -> None:
        """Go on with the copy that was begun with, where the assignment has changed since."""
        s = self.settings
        if self.regrade or not (s.into / journals.NAME).exists():
            return
        begun = State.of(journals.read(s.into)).assignment
        if not begun or begun["assignment"] != self.assignment.id \
                or begun["digest"] == pinned.digest(s.assignment):
            return
        self.source = s.into / "assignment" / begun["digest"][:16]
        self.assignment = read(self.source)
        self.pinned = (f"The assignment in {s.assignment} has changed since {s.into} was begun. "
                       f"Version {begun['version']} was graded, as before: 'etude course regrade' "
                       f"says what changed and who is concerned.")

    def _open(self) -> None:
        """Pin the assignment, or find that it is the one of the journal."""
        s, before = self.settings, self.state.assignment
        seed = hashlib.sha256(self.seed.encode()).hexdigest()
        if before and before["seed"] != seed:
            raise CourseError(f"{s.into} was graded with another secret. Hidden cases depend on "
                              f"it: give the file that was used then with --secret.")
        if before and before["course"] != s.course:
            raise CourseError(f"{s.into} was graded for the course {before['course']!r}, and "
                              f"--course says {s.course!r}. Parameters depend on it.")
        if before and before["assignment"] != self.assignment.id:
            raise CourseError(f"{s.into} holds {before['assignment']}, and the assignment is "
                              f"{self.assignment.id}: give another folder with --into.")
        digest, self.copy = pinned.pin(self.source, s.into)
        self.kit = pinned.kit(self.copy)
        if not before or before["digest"] != digest:
            speed = [c.id for c in self.assignment.checks if c.kind == "speed"]
            self._add("opened", assignment=self.assignment.id, version=self.assignment.version,
                      digest=digest, seed=seed, course=s.course, speed=speed)

    def _compilers(self, found: list[handins.HandIn]) -> None:
        """CourseError where answers in C came in and nothing here compiles C: without it they
        would earn nothing, and be graded. A file as it was handed out is no answer.
        """
        starters = {n: t.strip().encode() for n, t in Source.read(self.copy).starters().items()}
        for suffix, (variable, names) in COMPILERS.items():
            whose = [h.student for h in found if any(
                f.endswith(suffix) and data.strip() != starters.get(f)
                for f, data in h.files.items())]
            if whose and not os.environ.get(variable) and not any(map(shutil.which, names)):
                raise CourseError(f"{len(whose)} hand-ins have answers in {suffix} files "
                                  f"({whose[0]} is one), and no compiler was found (tried "
                                  f"{', '.join(names)}). Nobody was graded. Install one, or name "
                                  f"it in ${variable}.")

    def _hand(self, handin: handins.HandIn) -> None:
        """Store the files, and note who handed them in and how late."""
        s = self.settings
        notes = [*handin.notes, *remarks.notes(handin, self.assignment, s.course)]
        used = max(s.used.get(m, 0) for m in handin.members)
        lateness = late.lateness(s.policy, handin.submitted, s.roster.extra(handin.student),
                                 self.assignment.points, used)
        handin.store(s.into / "hand-ins")
        who = min(handin.members)
        fields = {"who": who, "student": handin.student, "members": handin.members,
                  "submission": handin.submission, "submitted": handin.submitted,
                  "notes": notes, "remarks": remarks.remarks(
                      handin, self.assignment, s.course, s.policy.due is not None),
                  "late_days": lateness.days, "late_free": lateness.free,
                  "penalty": lateness.penalty}
        if self.state.handed.get(who) != {"event": "handed", **fields}:
            self._add("handed", **fields)

    # -------------------------------------------------------------- grading

    def _job(self, who: str, timed: list[str] | None = None) -> one.Job:
        s, handed = self.settings, self.state.handed[who]
        folder = s.into / "hand-ins" / handed["student"] / handed["submission"][:16]
        return one.Job(str(self.copy.absolute()), str(folder.absolute()), handed["student"],
                       handed["members"], s.course, self.seed, str(self.kit.absolute()),
                       timed or [], self.assignment.limits.total)

    def _key(self, who: str) -> dict[str, str]:
        return dict(zip(("who", "submission", "digest"), self.state.key(who)))

    def _check(self, pool: Executor, outcome: Outcome) -> None:
        """Everyone whose hand-in has not been graded with this assignment."""
        everyone = list(self.state.handed)
        left = [w for w in everyone if self.state.key(w) not in self.state.graded]
        done = len(everyone) - len(left)
        self.progress(Progress("checked", done, len(everyone)))
        for attempt in range(TRIES):
            futures: dict[Future[dict[str, Any]], str] = {
                pool.submit(one.grade, self._job(who)): who for who in left}
            left = []
            for future in as_completed(futures):
                who = futures[future]
                result, trouble = _answer(future)
                if result is None:
                    left.append(who)
                    if attempt == TRIES - 1:
                        outcome.trouble.append(f"{who} was not graded: {trouble}")
                    continue
                self._add("graded", **self._key(who), result=result.to_json())
                done += 1
                outcome.graded += 1
                self._tell("checked", done, len(everyone), who)

    def _time(self, pool: Executor, outcome: Outcome) -> None:
        """The speed checks, alone, of those whose answers are right."""
        waiting = [w for w in self.state.handed if self.state.untimed(w)]
        for number, who in enumerate(waiting, 1):
            wanted = self.state.untimed(who)
            right = self.state.right(who, wanted)
            checks = self.state.refused(who, [i for i in wanted if i not in right])
            result, trouble = None, ""
            if right:
                result, trouble = _answer(pool.submit(one.grade, self._job(who, right)))
                checks += [c for c in (result.checks if result else []) if c.id in right]
            busy = [c for c in checks if c.message.startswith(CONTENDED)]
            if busy or len(checks) < len(wanted):
                why = trouble or (busy[0].message if busy else "a check is missing")
                outcome.trouble.append(f"{who} was not timed: {why}. Run the same command again.")
                continue
            self._add("timed", **self._key(who), checks=[asdict(c) for c in checks])
            outcome.timed += 1
            self._tell("timed", number, len(waiting), who)

    def _tell(self, phase: str, done: int, total: int, who: str) -> None:
        result = self.state.result(who)
        if result is not None:
            self._write(result)
            self.progress(Progress(phase, done, total, result.student,
                                   f"{result.score}/{result.max_score}"))

    def _write(self, result: Result) -> None:
        write_result(self.settings.into, result)


def write_result(into: Path, result: Result) -> None:
    """One file for a hand-in: the old one, or the whole new one."""
    folder = into / "results"
    folder.mkdir(exist_ok=True)
    for member in result.members:  # one hand-in for a group: the file is named by who handed in
        if member != result.student:
            (folder / f"{member}.json").unlink(missing_ok=True)
    write_atomically(folder / f"{result.student}.json", result.text().encode())


def _answer(future: Future[dict[str, Any]]) -> tuple[Result | None, str]:
    """The result, or why there is none."""
    try:
        answer = future.result()
    except Exception as error:
        return None, f"the executor failed ({type(error).__name__}: {error})"
    if "trouble" in answer:
        return None, answer["trouble"]
    try:
        return Result.from_json(answer), ""
    except (ValueError, TypeError, KeyError) as error:
        return None, f"the grader's answer is no result: {error}"


def _seed(settings: Settings) -> str:
    """The secret that hidden cases are drawn from: a file, made when there is none."""
    path = settings.secret or settings.into / "secret"
    if not path.exists() and settings.secret is None:
        write_atomically(path, (secrets.token_hex(16) + "\n").encode())
        path.chmod(0o600)
    return text_of(path)


def text_of(path: Path) -> str:
    """The text of a secret."""
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CourseError(f"The secret {path} cannot be read: {error}.") from error
    if not text:
        raise CourseError(f"The secret {path} is empty.")
    return text
