"""What a check and a result say in words: the same in every export."""

from __future__ import annotations

from etude_course.record import CheckResult, Result, Status

HIDDEN = "one that students do not have"


def output(result: Result, check: CheckResult) -> str:
    """What a student reads about a check. A case that is hidden shows nothing but that it failed.
    """
    parts = [given(result, check)] if given(result, check) else []
    if settled(result, check):
        return parts[0]
    parts.append(check.message or f"{check.status.capitalize()}.")
    if check.mistake:
        parts.append(f"It behaves like this mistake: {check.mistake}.")
    if check.case and not hidden(check):
        parts.append(f"Smallest failing case: {check.case}")
    if check.detail and not hidden(check):
        parts.append(check.detail)
    return "\n".join(parts)


def given(result: Result, check: CheckResult) -> str:
    """The points that a person gave a check, and why; "" where nobody did. The last count."""
    mine = [o for o in result.overrides if o.check == check.id]
    if not mine:
        return ""
    by = f" by {mine[-1].by}" if mine[-1].by else ""
    return f"{mine[-1].points} of {check.max_points} points were given{by}: {mine[-1].reason}"


def settled(result: Result, check: CheckResult) -> bool:
    """Whether what a person gave is all there is to say: nothing else was found, or it is made up
    for.
    """
    return bool(given(result, check)) and (check.status is Status.WAITING
                                           or passed(result, check))


def hidden(check: CheckResult) -> bool:
    """Whether the failing case is one that students do not have."""
    return check.case.startswith("hidden:") or not check.visible


def passed(result: Result, check: CheckResult) -> bool:
    """Whether all its points were earned."""
    return result.points(check) == check.max_points


def summary(result: Result) -> str:
    """What a student reads about all of it."""
    lines = [f"{result.score} of {result.max_score} points.", *lateness(result)]
    if result.waiting:
        lines.append(f"{sum(c.max_points for c in result.waiting)} points are still to be graded "
                     f"by hand.")
    lines += [f"Note: {n}." for n in result.notes]
    return "\n".join(lines)


def lateness(result: Result) -> list[str]:
    """What late days cost."""
    if result.penalty:
        days = result.late_days - result.late_free
        return [f"{result.penalty} points were taken off for {days} late day"
                f"{'s' * (days != 1)}."]
    if result.late_free:
        return [f"{result.late_free} late day{'s' * (result.late_free != 1)}, covered by the free "
                f"ones."]
    return []


def number(result: Result, check: CheckResult) -> str:
    """Its place: 2.1 is the first check of the second question."""
    questions = list(dict.fromkeys(c.question for c in result.checks))
    mine = [c.id for c in result.checks if c.question == check.question]
    return f"{questions.index(check.question) + 1}.{mine.index(check.id) + 1}"


def some(result: Result) -> None:
    """Raises ValueError for a result with no checks: other systems would call it a pass."""
    if not result.checks or not result.max_score:
        raise ValueError(f"the result of {result.student} has no checks in it")
