"""Property-based cases: hypothesis draws plans of a spec, and shrinks the one that fails.

A plan is JSON. The smallest failing case is named by its plan, and so it runs again without
hypothesis. What is drawn depends on op, dtype and seed alone: no database of examples is kept.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from etude_check.cases.case import RANDOM, Case
from etude_check.cases.spec import RESERVED, OpSpec, Plan

if TYPE_CHECKING:
    from etude_check.judge.runner import Draft, Runner, Screening


RUN = 9  # examples of one run; many short runs see more, as hypothesis varies what it has drawn


class CaseFailedError(Exception):
    """A case failed; the record is kept beside."""


def random_cases(runner: Runner, spec: OpSpec, level: str, number: int, dtype: str,
                 state: Screening) -> list[Draft]:
    """A record for each plan that was drawn. Of plans that fail, only the smallest is recorded."""
    passed: list[Draft] = []
    failed: dict[str, Draft] = {}
    last: list[Draft] = []  # failures in the order in which hypothesis met them
    known: set[str] = set()

    def hold(plan: Plan) -> None:
        plan = {k: v for k, v in plan.items() if v is not None or k not in RESERVED}
        case = Case(spec, "random", plan, dtype, number)
        # A plan is asked once: a failure that does not repeat would have no smallest case.
        if case.id not in known and not runner.given_up:
            known.add(case.id)
            record = runner.judge(case, state)
            if record.verdict.failed:
                failed[case.id] = record
            else:
                passed.append(record)
        if case.id in failed:
            last.append(failed[case.id])
            raise CaseFailedError

    # hypothesis has no types for decorators that are called by hand
    untyped: Any = (given, settings, seed)
    drawn, bounded, seeded = untyped
    parts = -(-RANDOM[level] // RUN)
    for part in range(parts):
        run = seeded(zlib.crc32(f"{spec.op} {dtype} {number} {part}".encode()))(bounded(
            max_examples=RANDOM[level] // parts, database=None, deadline=None, print_blob=False,
            report_multiple_bugs=False, phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck))(drawn(spec.random)(hold)))
        try:
            run()
        except CaseFailedError:
            return [*passed[: RANDOM[level]], last[-1]]  # hypothesis ends on the smallest
    return passed
