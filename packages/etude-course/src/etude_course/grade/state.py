"""What a grading's journal says: who handed in what, what came of it, what people decided.

The result of a hand-in is put together here from four events: what its checks found, what its speed
checks found later, how late it was, and the points that somebody gave by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from etude_course.grade.journal import Event
from etude_course.record import CheckResult, Override, Result, Status

#: A hand-in, and the hash of the assignment that it was graded with.
Key = tuple[str, str, str]


@dataclass
class State:
    """Of a journal, event by event."""

    assignment: Event = field(default_factory=dict)  # the last ``opened``
    handed: dict[str, Event] = field(default_factory=dict)  # by the first member of a group
    graded: dict[Key, Result] = field(default_factory=dict)
    timed: dict[Key, list[CheckResult]] = field(default_factory=dict)
    overrides: dict[str, list[Override]] = field(default_factory=dict)
    versions: list[Event] = field(default_factory=list)  # every ``opened``

    @classmethod
    def of(cls, events: Iterable[Event]) -> State:
        made = cls()
        for event in events:
            made.add(event)
        return made

    def add(self, event: Event) -> None:
        kind = event["event"]
        if kind == "opened":
            self.assignment = event
            self.versions.append(event)
        elif kind == "handed":
            self.handed[event["who"]] = event
        elif kind == "graded":
            self.graded[key(event)] = Result.from_json(event["result"])
        elif kind == "timed":
            self.timed[key(event)] = [CheckResult(**c) for c in event["checks"]]
        elif kind == "override":
            given = Override(event["check"], event["points"], event["reason"], event["by"])
            self.overrides.setdefault(event["who"], []).append(given)

    def who(self, student: str) -> str:
        """The name a student's hand-in has in the journal; "" if there is none."""
        return next((w for w, h in self.handed.items() if student in h["members"]), "")

    def key(self, who: str, digest: str = "") -> Key:
        return (who, self.handed[who]["submission"], digest or self.assignment["digest"])

    def untimed(self, who: str) -> list[str]:
        """The speed checks that wait for their turn."""
        mine = self.key(who)
        if mine not in self.graded or mine in self.timed:
            return []
        return [c.id for c in self.graded[mine].checks
                if c.id in self.assignment["speed"] and c.status is Status.NOT_RUN]

    def right(self, who: str, wanted: list[str]) -> list[str]:
        """Of some speed checks, those whose question has everything else right: correctness comes
        before speed.
        """
        checks = self.graded[self.key(who)].checks
        wrong = {c.question for c in checks if c.id not in self.assignment["speed"]
                 and c.status is not Status.WAITING and c.points < c.max_points}
        return [c.id for c in checks if c.id in wanted and c.question not in wrong]

    def refused(self, who: str, checks: list[str]) -> list[CheckResult]:
        """What speed checks say that are not run."""
        return [replace(c, message="not timed: the other checks of the question come first")
                for c in self.graded[self.key(who)].checks if c.id in checks]

    def result(self, who: str, digest: str = "") -> Result | None:
        """Of the hand-in, graded with the assignment as it is now; else with the last one before
        it that there is.
        """
        digests = [digest] if digest else [v["digest"] for v in reversed(self.versions)]
        for each in digests:
            found = self.graded.get(self.key(who, each))
            if found is not None:
                return self.whole(who, found, each)
        return None

    def ungraded(self) -> list[str]:
        """The students whose hand-in has no result."""
        return [m for who, h in self.handed.items() if self.result(who) is None
                for m in h["members"]]

    def results(self, digest: str = "") -> list[Result]:
        """Of everyone who was graded, by student; only with that assignment, if one is named."""
        found = [self.result(who, digest) for who in self.handed]
        return sorted((r for r in found if r is not None), key=lambda r: r.student)

    def whole(self, who: str, found: Result, digest: str = "") -> Result:
        """What was found, with what is known of the hand-in beside it: its time, its speed, points
        by hand.
        """
        handed = self.handed[who]
        later = {c.id: c for c in self.timed.get(self.key(who, digest), [])}
        known = {c.id: c for c in found.checks}
        given = [o for o in self.overrides.get(who, [])
                 if o.check in known and o.points <= known[o.check].max_points]
        return replace(
            found, student=handed["student"], members=handed["members"],
            submission=handed["submission"], submitted=handed["submitted"],
            late_days=handed["late_days"], late_free=handed["late_free"],
            penalty=handed["penalty"], overrides=given, notes=handed["notes"] + found.notes,
            remarks=handed.get("remarks", []),
            checks=[later.get(c.id, c) for c in found.checks])


def key(event: dict[str, Any]) -> Key:
    return (event["who"], event["submission"], event["digest"])
