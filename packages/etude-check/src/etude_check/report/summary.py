"""What every form of a report shows: cells of the matrix, the failures of an op, numbers in words.

Plain functions of a Report. How they look is for ``terminal.py`` and ``html.py``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from etude_check.report.record import BIAS, DECLINED, Record, Report, Verdict
from etude_check.report.watch import words_of

#: Kinds of cases in the order they run -> their heading in a narrow matrix. KINDS in ``spec.py`` is
#: the authority, and a test compares; it is not imported, so that reading a report needs no NumPy.
HEADINGS = {"empty": "em", "0d": "0d", "tail": "ta", "broadcast": "br", "layout": "la",
            "special": "sp", "convention": "cv", "exact": "ex", "duplicate-index": "du",
            "cotangent": "co", "alias": "al", "repeat": "re", "adjoint": "ad", "large": "lg",
            "threads": "th", "random": "ra", "errors": "er"}

#: The worst first: what a cell of several verdicts is called.
WORST = (Verdict.CRASH, Verdict.TIMEOUT, Verdict.CERTAIN, Verdict.INACCURATE, Verdict.MISTRUSTED,
         Verdict.WAIVED, Verdict.PASS, Verdict.NOT_RUN, Verdict.UNSUPPORTED)

Cell = Counter[Verdict]


@dataclass
class Failing:
    """The failures of one op: the one to look at first, and how many there are."""

    op: str
    family: str
    first: Record
    verdicts: Cell  # of the failed cases
    total: int  # cases of the op that were executed
    left: int  # cases that were not run, because the op was given up
    others: list[tuple[str, Record, int]]  # other messages, their smallest case, how many
    likely: str  # the mistake that most of them look like
    alike: int  # how many do


def cells(report: Report) -> dict[tuple[str, str], Cell]:
    """(op, kind of case) -> how often each verdict."""
    found: dict[tuple[str, str], Cell] = defaultdict(Counter)
    for r in report.records:
        found[r.op, r.kind][r.verdict] += 1
    return dict(found)


def worst(cell: Cell) -> Verdict:
    return next(v for v in WORST if cell[v])


def kinds(report: Report) -> list[str]:
    """Kinds of cases of the matrix's columns: those that occur, in the order they run."""
    present = {r.kind for r in report.records if r.op != "-"} - {"-"}
    extra = sorted(present - set(HEADINGS))
    return [f for f in HEADINGS if f in present] + extra


def heading(kind: str) -> str:
    return HEADINGS.get(kind, kind[:2])


def families(report: Report) -> dict[str, list[str]]:
    """Family of ops -> its ops, both sorted by name."""
    found: dict[str, set[str]] = defaultdict(set)
    for r in report.records:
        if r.op != "-":
            found[r.family].add(r.op)
    return {g: sorted(found[g]) for g in sorted(found)}


def absent(report: Report) -> set[str]:
    """Ops of which no case was executed."""
    return {r.op for r in report.records} - {r.op for r in report.records if r.verdict.executed}


def largest(report: Report) -> dict[str, float]:
    """Op -> its largest error / bound among the cases that passed."""
    found: dict[str, float] = {}
    for r in report.records:
        if r.verdict is Verdict.PASS and r.ratio is not None:
            found[r.op] = max(found.get(r.op, 0.0), r.ratio)
    return found


def declined(report: Report) -> list[tuple[str, str, int]]:
    """(op, reason, how many calls of it the column declined for that), the most first. Reasons that
    differ in their numbers alone are one.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for r in report.records:
        if r.verdict is Verdict.UNSUPPORTED and r.message.startswith(DECLINED):
            reason = r.message.removeprefix(DECLINED)
            found[r.op, _words(reason)].append(reason)
    return sorted([(op, reasons[0], len(reasons)) for (op, _), reasons in found.items()],
                  key=lambda d: -d[2])


def first(records: list[Record]) -> Record:
    """The failure that teaches most: a call with wrong values before a wrong error message, before
    what only all cases together show, a call with arrays before a line of the op's record; then the
    smallest.
    """
    return min(records, key=lambda r: (r.verdict is Verdict.MISTRUSTED, r.kind == BIAS,
                                       r.kind == "errors", r.kind == "convention", r.size))


def failing(report: Report) -> list[Failing]:
    """The ops that failed, in the matrix's order; first what belongs to no op (loading, conduct).
    """
    by_op: dict[tuple[str, str], list[Record]] = defaultdict(list)
    totals = Counter(r.op for r in report.records if r.verdict.executed)
    left = Counter(r.op for r in report.records if r.verdict is Verdict.NOT_RUN)
    for r in report.failures:
        by_op[r.family, r.op].append(r)
    found = []
    for (family, op), records in by_op.items():
        head = first(records)
        messages: dict[str, list[Record]] = defaultdict(list)
        for r in records:
            # Messages that differ in their numbers alone, or in shapes, say the same.
            messages[_words(r.message or r.likely or "wrong values")].append(r)
        others = [(rs[0].message or rs[0].likely or "wrong values", first(rs), len(rs))
                  for rs in messages.values() if not any(r is head for r in rs)]
        (likely, alike), = Counter(r.likely for r in records if r.likely).most_common(1) or [
            ("", 0)]
        found.append(Failing(op, family, head, Counter(r.verdict for r in records), totals[op],
                             left[op], sorted(others, key=lambda o: -o[2]), likely, alike))
    return found


def _words(message: str) -> str:
    return "".join(c for c in message if not (c.isdigit() or c in " -+.,[]()"))


def reproduction(report: Report, r: Record) -> str:
    """The command that shows this failure again; "" for what belongs to no case."""
    if r.op == "-":
        return ""
    if r.kind == "-":
        return f"etude check {report.target} --op {r.op}"
    return r.reproduce(report.target)


def place(r: Record) -> str:
    """Where the worst element is: "y[0, 3]", or "" where nothing says."""
    if r.index is None:
        return r.output
    return f"{r.output or 'output'}{r.index}"


def excess(r: Record) -> str:
    """Error over bound in words: "0.25, 3.1e+04 times its bound of 8e-06"."""
    if r.error is None:
        return ""
    if not r.bound:
        return f"{r.error:.3g}, where none is allowed"
    times = r.error / r.bound
    if not math.isfinite(times):  # got NaN, or an infinity that nobody expected
        return f"{r.error:.3g}, which is within no bound"
    return f"{r.error:.3g}, {times:.3g} times its bound of {r.bound:.3g}"


def interrupted(report: Report) -> bool:
    """Whether somebody stopped the run: what is missing from it might have failed."""
    return any(note.startswith("interrupted") for note in report.notes)


def passed(report: Report) -> bool:
    return report.passed and not interrupted(report)


def verdict_line(report: Report) -> str:
    """The whole run in a sentence."""
    bad = len(report.failures) + len(report.seen)
    if interrupted(report) and not bad and not report.scored:
        return "INTERRUPTED before a case was done. This is not a pass."
    if not bad and not report.scored:
        return "NOTHING WAS EXECUTED that could have failed. A run without a case is not a pass."
    done = [r for r in report.records if r.verdict.executed and r.op != "-"]
    saw = words_of(report.watches)
    cases = f"{len(done):,} case{'s' * (len(done) != 1)} of {_many(len({r.op for r in done}))}"
    if bad:
        stopped = " and INTERRUPTED" * interrupted(report)
        if not report.failures:
            return f"FAILED{stopped}: none of {cases} is wrong, but {saw}."
        return f"FAILED{stopped}: {_failed(report, cases)}{saw and f', and {saw}'}."
    if interrupted(report):
        return f"INTERRUPTED: no failure so far, in {cases}. This is not a pass."
    waived = report.count(Verdict.WAIVED)
    return f"PASSED: {cases}" + (f", {waived:,} of them waived." if waived else ".")


#: Kind of a failure that belongs to no op -> what failed.
BESIDES = {"load": "it does not load", "conduct": "its conduct", "waiver": "its waivers"}


def _failed(report: Report, cases: str) -> str:
    """How many of the ``cases`` failed, and what else did."""
    ops = [r.op for r in report.failures if r.op != "-"]
    more = " and ".join(sorted({BESIDES[r.kind] for r in report.failures if r.op == "-"}))
    if ops:
        return f"{len(ops):,} of {cases}, in {_many(len(set(ops)))}" + (
            f", and besides {more}" if more else "")
    return more + (f"; none of {cases} failed" if report.scored else "")


def _many(ops: int) -> str:
    return f"{ops} op{'s' * (ops != 1)}"


def printable(text: str) -> str:
    """Without what could move the cursor of a terminal: messages quote what candidates printed."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
