"""Two reports of one source, from the lab and from a card: the cases that only one of them passes.

Where they disagree, one of three is wrong: a kernel whose result hangs on the order of threads, the
lab, or the card's arithmetic as the bounds see it. Each line names the case, for ``--case``.
"""

from __future__ import annotations

from etude_check.report.record import Record, Report, Verdict


def disagreements(first: Report, second: Report) -> list[str]:
    """A line for each case that failed on one device and passed on the other, or was declined
    there.
    """
    mine, theirs = ({r.case: r for r in report.records} for report in (first, second))
    names = [str(report.environment.get("device", report.target)) for report in (first, second)]
    return [f"{case}: {names[0]} {_said(mine[case])}; {names[1]} {_said(theirs[case])}"
            for case in mine if case in theirs and _sort(mine[case]) != _sort(theirs[case])]


def _sort(record: Record) -> str:
    """Failed, passed or declined: two kinds of failure are no disagreement."""
    return "failed" if record.verdict.failed else record.verdict.value


def _said(record: Record) -> str:
    return (record.verdict.value if record.verdict is Verdict.PASS or not record.message
            else f"{record.verdict.value} ({record.message})")
