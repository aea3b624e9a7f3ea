"""Lateness: days, the budget of free ones, extensions, and the points they cost.

The time of a hand-in is the collector's, never one from the hand-in's own files, which a student
can set. A day that has begun counts. Free days are used first. The penalty is a percentage of the
assignment's points for each day that is left, rounded down to whole points, so that every export
can show the same score.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from etude_course.errors import CourseError

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Policy:
    """What holds for all. ``due`` None: nothing is late."""

    due: datetime | None = None
    free_days: int = 0  # of a term, for each student
    percent: int = 10  # of the assignment's points, for a day
    grace: timedelta = timedelta()  # a clock that is wrong by minutes costs nobody a day


@dataclass(frozen=True)
class Lateness:
    """Of one hand-in."""

    days: int = 0
    free: int = 0  # of these days
    penalty: int = 0  # points


def moment(text: str) -> datetime:
    """A time, in UTC. CourseError for one that does not say its zone: a guess would cost a day."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise CourseError(f"{text!r} is no time: write it like 2026-11-28T23:59:00+01:00, or "
                          f"with a Z at the end for UTC.") from error
    if when.tzinfo is None:
        if not set("T: ") & set(text.strip()):  # a day alone
            when = when.replace(hour=23, minute=59)
        time = when.isoformat(timespec="auto" if when.second else "minutes")
        raise CourseError(f"{text!r} does not say in which time zone: write {time}Z for UTC, or "
                          f"{time}+01:00.")
    return when.astimezone(UTC)


def written(when: datetime) -> str:
    """As results have it: 2026-11-28T22:59:00Z."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lateness(policy: Policy, submitted: str, extra: timedelta, max_points: int,
             used: int = 0) -> Lateness:
    """Of a hand-in, with so many free days used before. Where no time is known, nothing is late:
    ``cohort.py`` says which hand-ins those are.
    """
    if policy.due is None or not submitted:
        return Lateness()
    over = moment(submitted) - (policy.due + extra)
    if over <= policy.grace:
        return Lateness()
    days = -(-over // DAY)
    free = min(days, max(0, policy.free_days - used))
    penalty = min(max_points, max_points * policy.percent * (days - free) // 100)
    return Lateness(days, free, penalty)
