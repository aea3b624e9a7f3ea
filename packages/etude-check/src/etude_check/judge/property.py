"""Property-based cases: hypothesis draws plans of a spec, and shrinks the one that fails.

A plan is JSON. The smallest failing case is named by its plan, and so it runs again without
hypothesis. What is drawn depends on op, dtype and seed alone: no database of examples is kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from etude_check.cases.case import RANDOM, Case
from etude_check.cases.spec import RESERVED, OpSpec, Plan

if TYPE_CHECKING:
    from etude_check.judge.runner import Draft, Runner, Screening


RUN = 9  # examples of one run; many short runs see more, as hypothesis varies what it has drawn


class CaseFailedError(Exception):
    """A case failed; the record is kept beside."""


def random_cases(runner: Runner, spec: OpSpec, level: str, number: int,
                 dtypes: Sequence[str] | None, state: Screening) -> Iterator[Draft]:
    """A record for each plan that was drawn, dtype by dtype. Of plans that fail, only the smallest
    is recorded.
    """
    if spec.random is None:
        return
    for dtype in spec.dtypes:
        if dtypes is None or dtype in dtypes:
            yield from _of_dtype(runner, spec, level, number, dtype, state)


def _of_dtype(runner: Runner, spec: OpSpec, level: str, number: int, dtype: str,
              state: Screening) -> list[Draft]:
    passed: list[Draft] = []
    failed: list[Draft] = []

    def hold(plan: Plan) -> None:
        plan = {k: v for k, v in plan.items() if v is not None or k not in RESERVED}
        record = runner.judge(Case(spec, "random", plan, dtype, number), state)
        (failed if record.verdict.failed else passed).append(record)
        if record.verdict.failed:
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
            return [*passed[: RANDOM[level]], failed[-1]]  # hypothesis ends on the smallest
    return passed
