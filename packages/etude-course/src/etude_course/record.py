"""The result of a hand-in: one CheckResult for each check, one Result for all. Plain data.

Every export is made from a Result, and shows the same score: points are whole numbers everywhere,
and a penalty is rounded down to whole points before it is written here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

SCHEMA = 1  # of the JSON; a new number when a field changes its meaning
CONTENDED = "contended"  # how the message of a check begins that the machine was too busy to time
TIMED_LATER = "timed afterwards, alone on the machine"
UNTIMED = "not timed"  # ... that lacks what it is timed against


class Status(StrEnum):
    """What became of a check. Points are earned by PASSED, by a rung of a ladder, or by hand."""

    PASSED = "passed"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMEOUT = "timed out"
    NOT_WRITTEN = "not written"  # the starter's NotImplementedError, or no such function
    NOT_RUN = "not run"  # given up before, or no compiler; the message says why
    REFUSED = "refused"  # it uses what an answer may not use
    WAITING = "waiting"  # for a person to grade it


@dataclass
class CheckResult:
    """What came of one check. ``executed`` and ``declared`` count its cases."""

    id: str
    question: str
    title: str
    points: int  # earned
    max_points: int
    status: Status
    message: str = ""  # a sentence: what is wrong, or why it did not run
    mistake: str = ""  # the sentence of the named mistake that the answer behaves like
    case: str = ""  # the smallest failing case, by name
    detail: str = ""  # text: what was asked, expected, got, drawn where that helps
    visible: bool = True  # to the student, before the marks are published
    executed: int = 0
    declared: int = 0
    seconds: float = 0.0

    @property
    def untimed(self) -> bool:
        """Whether nobody has timed it yet, so that it says nothing of the answer."""
        return self.status is Status.NOT_RUN and self.message.startswith(
            (CONTENDED, TIMED_LATER, UNTIMED))

    def __post_init__(self) -> None:
        self.status = Status(self.status)
        if not 0 <= self.points <= self.max_points:
            raise ValueError(f"check {self.id}: {self.points} of {self.max_points} points")
        if self.status is Status.PASSED and not 0 < self.declared <= self.executed:
            raise ValueError(f"check {self.id} cannot have passed: it executed {self.executed} "
                             f"of {self.declared} cases")


@dataclass
class Override:
    """Points that a person gave to a check instead of what was found."""

    check: str
    points: int
    reason: str
    by: str = ""


@dataclass
class Result:
    """One hand-in. ``members`` are the students of a group, of whom ``student`` handed in."""

    assignment: str
    version: int
    student: str
    checks: list[CheckResult]
    title: str = ""
    members: list[str] = field(default_factory=list)
    submission: str = ""  # sha256 of the files
    submitted: str = ""  # UTC, 2026-11-28T12:00:00Z
    late_days: int = 0
    late_free: int = 0  # of these, days of the free budget
    penalty: int = 0  # points
    overrides: list[Override] = field(default_factory=list)
    walls: list[str] = field(default_factory=list)  # that the sandbox could not have
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)  # for those who teach: in no export
    environment: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def points(self, check: CheckResult) -> int:
        """What a check earns, after a person has had a look."""
        given = [o.points for o in self.overrides if o.check == check.id]
        return given[-1] if given else check.points

    @property
    def score(self) -> int:
        return max(0, sum(self.points(c) for c in self.checks) - self.penalty)

    @property
    def max_score(self) -> int:
        return sum(c.max_points for c in self.checks)

    @property
    def waiting(self) -> list[CheckResult]:
        """Checks that a person still has to grade."""
        done = {o.check for o in self.overrides}
        return [c for c in self.checks if c.status is Status.WAITING and c.id not in done]

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "score": self.score, "max_score": self.max_score, **asdict(self)}

    def text(self) -> str:
        """The JSON as written to files: the same bytes for the same result."""
        return json.dumps(self.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Result:
        """Raises ValueError for a document of another schema."""
        if document.get("schema") != SCHEMA:
            raise ValueError(f"a result of schema {SCHEMA} is wanted, got "
                             f"{document.get('schema')!r}")
        given = {k: v for k, v in document.items() if k not in ("schema", "score", "max_score")}
        given["checks"] = [CheckResult(**c) for c in given["checks"]]
        given["overrides"] = [Override(**o) for o in given["overrides"]]
        return cls(**given)
