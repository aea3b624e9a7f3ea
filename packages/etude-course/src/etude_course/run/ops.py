"""Checks that are the conformance kit: a homework is held to what a shipped kernel is held to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from etude.core.table import TABLE
from etude_check.engine import check as hold
from etude_check.judge.judge import compare
from etude_check.judge.names import Name, find
from etude_check.judge.probes import ALONE
from etude_check.report import summary
from etude_check.report.record import DECLINED, Record, Report, Verdict
from etude_check.report.terminal import facts
from etude_check.worker.candidate import Candidate
from etude_check.worker.sandbox import Sandbox
from etude_check.worker.walls import Walls
from etude_course.kit.kit import RIGHT, Answer
from etude_course.record import Status
from etude_course.run.calls import GIVE_UP
from etude_course.source.assignment import Check

Array = np.ndarray[Any, Any]

PUBLIC_SEED = 0  # the seed of ``etude check`` itself
#: kinds of cases that are no single call of a column, so no fingerprint is taken of them
OTHERS = ("alias", "errors", "adjoint", "threads", "repeat", "bias", "load", "conduct")
LARGEST = 4096  # elements of a case that a fingerprint is taken of
SAMPLE = 64  # elements of an output that a fingerprint keeps
ELEMENTWISE = ("map", "binary")  # function types
STATUSES = {Verdict.CRASH: Status.CRASHED, Verdict.TIMEOUT: Status.TIMEOUT}


def report(candidate: Candidate, check: Check, seed: int, timeout: float,
           total: float = math.inf, walls: Walls | None = None) -> Report:
    """The kit's own report on a check. What has not begun after ``total`` seconds is not run."""
    return hold(candidate, ops=check.ops, kinds=check.kinds, dtypes=check.dtypes,
                level=check.level, seed=seed, timeout=timeout, give_up=GIVE_UP, total=total,
                walls=walls)


def missing(found: Report) -> list[str]:
    """Ops that the answer does not have at all."""
    return sorted({r.op for r in found.records if r.verdict is Verdict.UNSUPPORTED
                   and r.message == "not implemented"})


def first(found: Report) -> Record | None:
    """The failure to show: the smallest."""
    return next(iter(found.failures), None)


def status(found: Report, failed: Record | None) -> Status:
    """What became of the check."""
    if failed is None:
        empty = missing(found) or _declines(found)
        return Status.NOT_WRITTEN if empty else Status.NOT_RUN
    if "NotImplementedError" in failed.message:
        return Status.NOT_WRITTEN
    return STATUSES.get(failed.verdict, Status.FAILED)


def _declines(found: Report) -> bool:
    """Whether it declines every call, as a starter in C does."""
    return bool(found.records) and all(
        r.verdict is Verdict.UNSUPPORTED and r.message.startswith(DECLINED)
        and r.message != ALONE for r in found.records)


def unanswered(found: Report, file: str) -> str:
    """Which calls an answer that makes no mistake has left to others, in a sentence."""
    if _declines(found):
        return f"not written yet: {file} declines every call"
    said = f"it was asked {len(found.records)} times and answered {found.executed} times"
    reasons = [reason for _, reason, _ in summary.declined(found)]
    return f"{said}: {reasons[0]}" if reasons else said


def detail(found: Report, failed: Record, file: str = "") -> str:
    """What is known of a failed case, in lines; with a ``file``, the command that runs it alone."""
    shown = [(label, text) for label, text in facts(found, failed)
             if label not in ("case", "wrong", "looks like", "run again")]
    at = next((i for i, (label, _) in enumerate(shown) if label == "expected"), len(shown))
    shown[at:at] = _given(failed)
    if file and failed.asked:
        shown.append(("run again", failed.reproduce(file)))
    return "\n".join(f"{label:10} {text}" for label, text in shown)


def _given(failed: Record) -> list[tuple[str, str]]:
    """Of an elementwise op, which numbers the wrong element was computed from."""
    if failed.index is None or TABLE[failed.op].cls not in ELEMENTWISE:
        return []
    case = find(failed.case)
    arrays = np.broadcast_arrays(*case.question.arrays)
    return [(name, f"{a[tuple(failed.index)].item()!r}")
            for name, a in zip(case.op.arrays, arrays, strict=False)]


def message(failed: Record) -> str:
    return summary.printable(failed.message) or f"{failed.wrong or 'some'} values are wrong"


def telling(found: Report, most: int) -> list[str]:
    """Names of cases that show a mistake: failed, small, and a single call. Of a mistake that shows
    only on several threads, such a case.
    """
    shown = [r.case for r in found.failures
             if r.kind not in OTHERS and r.size <= LARGEST and "{" not in r.case]
    return (shown or [r.case for r in found.failures if r.kind == "threads"][:1])[:most]


def answers(candidate: Candidate, names: Sequence[str], timeout: float,
            walls: Walls | None = None) -> list[Answer]:
    """What a column returns for cases of the kit, where it is wrong."""
    with Sandbox(candidate, timeout=timeout, walls=walls) as box:
        if box.describe().error:
            return [Answer(ended="unloadable") for _ in names]
        return [_answer(box, name) if Name.parse(name).kind != "threads" else
                _bits(candidate, name, timeout, walls) for name in names]


def _bits(candidate: Candidate, name: str, timeout: float, walls: Walls | None) -> Answer:
    """Whether the bits hang on the number of threads. Which ones come out differs each time."""
    found = hold(candidate, case=name, timeout=timeout, walls=walls)
    return Answer(ended="other bits" if found.failures else RIGHT)


def _answer(box: Sandbox, name: str) -> Answer:
    case = find(name)
    q = case.question
    outcome = box.run(case.spec.op, q.arrays, {**q.op.attrs, **q.attrs},
                      [(w.shape, w.dtype) for w in q.same_dtype])
    if outcome.status == "raised":
        return Answer(ended=f"raised {outcome.exception}")
    if outcome.status != "ok" or outcome.faults:
        return Answer(ended="; ".join(outcome.faults) or outcome.status)
    if not any(compare(case, y, i).verdict.failed for i, y in enumerate(outcome.outputs)):
        return Answer(ended=RIGHT)
    return Answer([_sample(y) for y in outcome.outputs])


def _sample(y: Array) -> Array:
    """An output, or of a large one elements from all over."""
    flat = np.ascontiguousarray(y).reshape(-1)
    if flat.size <= 4 * SAMPLE:
        return flat
    places = np.linspace(0, flat.size - 1, SAMPLE).astype(int)
    return np.asarray(flat[places])
