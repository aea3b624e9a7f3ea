"""Waivers: failures that a plugin declares, with a reason and a day on which the excuse ends.

A plugin's Backend has them as ``waivers``, a module as ``ETUDE_WAIVERS``: dicts with op, kind,
dtype ("*" for any), reason, expires ("2027-01-31"). A waiver is a strict expected failure: past
its day, or with nothing left that fails, it is a failure itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from etude import TABLE
from etude_check.report.record import Record, Verdict

FIELDS = ("op", "kind", "dtype", "reason", "expires")


@dataclass(frozen=True)
class Waiver:
    """One declared failure; ``op``, ``kind`` and ``dtype`` may be "*"."""

    op: str
    kind: str
    dtype: str
    reason: str
    expires: datetime.date

    def covers(self, r: Record) -> bool:
        """Whether it is about this record. What a column does besides computing has the op "-", and
        is never waived.
        """
        pairs = ((r.op, self.op), (r.kind, self.kind), (r.dtype, self.dtype))
        return r.op != "-" and all(fnmatchcase(a, b) for a, b in pairs)

    def __str__(self) -> str:
        return f"{self.op}/{self.kind} {self.dtype} ({self.reason}; until {self.expires})"


def read(declared: Sequence[Any]) -> tuple[list[Waiver], list[str]]:
    """The waivers that can be understood, and a sentence on each that cannot."""
    found, wrong = [], []
    for item in declared:
        try:
            text = {k: str(item[k]) for k in FIELDS}
            waiver = Waiver(text["op"], text["kind"], text["dtype"], text["reason"].strip(),
                            datetime.date.fromisoformat(text["expires"]))
        except (KeyError, TypeError, ValueError) as error:
            wrong.append(f"a waiver needs {', '.join(FIELDS)} (a date as 2027-01-31): {item!r} "
                         f"({type(error).__name__}: {error})")
            continue
        if waiver.op != "*" and waiver.op not in TABLE:
            wrong.append(f"a waiver for {waiver.op!r}, which is no op")
        elif waiver.op == waiver.kind == "*":
            wrong.append(f"a waiver for every op and every kind of case: {waiver}")
        elif not waiver.reason:
            wrong.append(f"a waiver without a reason: {waiver}")
        else:
            found.append(waiver)
    return found, wrong


def holds(declared: Sequence[Any], r: Record) -> bool:
    """Whether a failure is one of those declared."""
    return any(w.covers(r) and w.expires >= datetime.date.today() for w in read(declared)[0])


def apply(declared: Sequence[Any], records: list[Record], complete: bool,
          today: datetime.date | None = None) -> list[Record]:
    """Mark waived failures in ``records``; return a failure for each waiver that does not hold.

    ``complete``: every case ran, so that a waiver with nothing to waive is known to be stale.
    """
    waivers, wrong = read(declared)
    extra = [_failure("waiver", text) for text in wrong]
    today = today or datetime.date.today()
    for waiver in waivers:
        covered = [r for r in records if waiver.covers(r) and r.verdict.executed]
        failed = [r for r in covered if r.verdict.failed]
        if waiver.expires < today:
            extra.append(_failure("waiver", f"expired: {waiver}"))
        elif not failed and covered and complete:
            extra.append(_failure("waiver", f"nothing fails any more that this waives, remove it: "
                                            f"{waiver}"))
        else:
            for r in failed:
                r.verdict = Verdict.WAIVED
                r.message = f"waived until {waiver.expires}: {waiver.reason}. {r.message}"
    return extra


def _failure(kind: str, message: str) -> Record:
    return Record(f"-/{kind}/0@0", "-", "-", kind, "", Verdict.CERTAIN, message)
