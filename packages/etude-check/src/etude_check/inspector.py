"""Ops checked one at a time, each with a Report of its own: for test runners that go op by op."""

from __future__ import annotations

from etude_check.engine import conduct, not_loaded
from etude_check.judge import waivers
from etude_check.judge.runner import Runner, Settings
from etude_check.report.record import Report
from etude_check.worker.candidate import Candidate


class Inspector:
    """Holds one candidate's ops against the reference, in one sandbox. ``check`` in ``engine.py``
    does the same for a whole run.
    """

    def __init__(self, candidate: Candidate, level: str = "full", seed: int = 0) -> None:
        self.candidate, self.level, self.seed = candidate, level, seed
        self._runner = Runner(Settings(candidate, level, seed))
        self._described = self._runner.describe()
        self._seen = set(self._described.tampering)

    def close(self) -> None:
        self._runner.close()

    def check(self, op: str) -> Report:
        """The report of one op; a candidate that cannot be loaded fails in every one."""
        report = Report(self.candidate.target, self.level, self.seed, [])
        if self._described.error:
            report.records = [not_loaded(self._described)]
            return report
        result = self._runner.check(op)
        report.records, report.screens = result.records, result.screens
        # The runner remembers tampering from op to op; it is reported where it was first seen.
        report.notes = sorted({*self._described.tampering,
                               *(set(result.tampering) - self._seen)})
        self._seen |= set(result.tampering)
        report.records += conduct(report.notes)
        report.notes += result.remarks
        # Whether a waiver for "*" is stale cannot be told from one op.
        mine = [w for w in self._described.waivers
                if not isinstance(w, dict) or w.get("op") in (op, "*")]
        one = all(isinstance(w, dict) and w.get("op") == op for w in mine)
        report.records += waivers.apply(mine, report.records, one and self.level != "smoke")
        return report
