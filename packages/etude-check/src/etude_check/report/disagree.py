"""Where the lab, a card and compute-sanitizer say different things of one source.

Cases: one that only the lab or only the card passes. Then one of three is wrong: a kernel whose
result hangs on the order of threads, the lab, or the card's arithmetic as the bounds see it.
Findings: one that only the lab or only compute-sanitizer reports at a line. Each tool has places
where it does not look, and a disagreement that such a place explains is told with it.
"""

from __future__ import annotations

from collections.abc import Callable

from etude_check.report.record import Record, Report, Verdict
from etude_check.report.watch import Finding, Watch

#: Kind of finding -> the tool of compute-sanitizer that looks for it.
LOOKS = {"race": "racecheck", "uninitialized": "initcheck", "barrier-divergence": "synccheck",
         "deadlock": "synccheck", "shuffle-mask": "synccheck", "shuffle-inactive": "synccheck",
         "out-of-bounds": "memcheck", "use-after-free": "memcheck", "misaligned": "memcheck",
         "null-pointer": "memcheck", "host-pointer": "memcheck", "launch-failed": "memcheck"}
#: Kinds that two tools may call by either name.
ALIKE = ({"out-of-bounds", "use-after-free", "null-pointer", "host-pointer", "misaligned"},
         {"barrier-divergence", "deadlock", "never-ends", "shuffle-mask", "shuffle-inactive"})

#: Where compute-sanitizer does not look, the last three measured on an H100 (driver 580, CUDA 13).
BLIND: tuple[tuple[Callable[[Finding], bool], str], ...] = (
    (lambda f: f.kind == "race" and f.space not in ("", "shared"),
     "racecheck looks at shared memory only"),
    (lambda f: f.kind == "race" and f.atomic,
     "racecheck says nothing of an atomic access followed by a plain one of the same cell"),
    (lambda f: f.kind == "uninitialized" and f.space not in ("", "global"),
     "initcheck looks at global memory only"),
    (lambda f: f.kind in ("shuffle-mask", "shuffle-inactive"),
     "synccheck says nothing of a shuffle or ballot whose mask leaves out some of its callers"))
LABS = ("the lab knows this order of threads alone (--seed of etude lab run gives others), and "
        "waits at a barrier only for threads that have not returned")


def disagreements(first: Report, second: Report) -> list[str]:
    """A line for each case that failed on one device and passed on the other, or was declined
    there.
    """
    mine, theirs = ({r.case: r for r in report.records} for report in (first, second))
    names = [str(report.environment.get("device", report.target)) for report in (first, second)]
    return [f"{case}: {names[0]} {_said(mine[case])}; {names[1]} {_said(theirs[case])}"
            for case in mine if case in theirs and _sort(mine[case]) != _sort(theirs[case])]


def unlike(lab: Watch, card: Watch) -> list[str]:
    """A line for each finding that the lab has and compute-sanitizer not, and the other way round;
    of tools that did not run nothing is said.
    """
    found = [f"{_place(f)}: the lab reports {_a(f.kind)}, and {tool} does not{_because(f)}"
             for f in lab.errors if (tool := LOOKS.get(f.kind)) in card.tools
             and not any(same(f, other) for other in card.findings)]
    return found + [f"{_place(f)}: {f.tool} reports {_a(f.kind)}, and the lab does not; {LABS}"
                    for f in card.errors if not any(same(f, other) for other in lab.findings)]


def same(one: Finding, other: Finding) -> bool:
    """Whether two tools speak of one mistake: its kind, or one that is alike, at a common line."""
    kinds = one.kind == other.kind or any({one.kind, other.kind} <= alike for alike in ALIKE)
    return kinds and bool({*one.lines} & {*other.lines} or not (one.lines and other.lines))


def _because(found: Finding) -> str:
    why = next((words for blind, words in BLIND if blind(found)), "")
    return f"; {why}" if why else ""


def _place(found: Finding) -> str:
    return f"{found.file}:{found.line}" if found.line else "no line"


def _a(kind: str) -> str:
    words = {"out-of-bounds": "an access out of bounds", "uninitialized": "an uninitialised read",
             "barrier-divergence": "a barrier that not all reach", "misaligned":
             "a misaligned access", "use-after-free": "a use after free"}
    return words.get(kind, f"a {kind.replace('-', ' ')}")


def _sort(record: Record) -> str:
    """Failed, passed or declined: two kinds of failure are no disagreement."""
    return "failed" if record.verdict.failed else record.verdict.value


def _said(record: Record) -> str:
    return (record.verdict.value if record.verdict is Verdict.PASS or not record.message
            else f"{record.verdict.value} ({record.message})")
