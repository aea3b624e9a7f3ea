"""One case in detail, for ``etude check --case``: the arrays given, expected and got."""

from __future__ import annotations

from typing import Any

import numpy as np

from etude.core.table import TABLE, Op
from etude_check.cases.case import Case
from etude_check.cases.spec import Call
from etude_check.judge import probes
from etude_check.judge.names import Name, find
from etude_check.judge.runner import TIMEOUT, Runner, Settings
from etude_check.report.record import BIAS
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate, prepare

SHOWN = 60  # elements of an array that are printed; of larger ones, the corners


def arrays(case_id: str, candidate: Candidate, timeout: float = TIMEOUT) -> list[tuple[str, str]]:
    """(label, text) of every array of the case. The candidate is asked once more, in a worker."""
    name = Name.parse(case_id)
    if name.kind == BIAS:
        return []
    if name.kind == "errors":
        return refused(name)
    case = find(case_id)
    found = given(case.op, case.call)
    outputs, traceback = got(case, candidate, timeout)
    if traceback:
        found.append(("raised", traceback))
    for i, wanted in enumerate(case.question.oracle):
        output = case.op.outputs[0].lstrip("*") + f"[{i}]" if case.op.outputs[0].startswith("*") \
            else case.op.outputs[i]
        found.append((f"{output} expected", in_full(wanted)))
        found.append((f"{output} got", "nothing" if outputs is None else in_full(outputs[i])))
    return found


def given(op: Op, call: Call) -> list[tuple[str, str]]:
    names = [op.arrays[min(i, len(op.arrays) - 1)] + (f"[{i}]" if op.variadic else "")
             for i in range(len(call.arrays))]
    return [(name, in_full(a)) for name, a in zip(names, call.arrays)]


def refused(name: Name) -> list[tuple[str, str]]:
    """A call that must raise: all that it was given, and what is wanted."""
    refusals = probes.refusals(specs()[name.op])
    refusal = refusals[name.number(len(refusals))]
    call = refusal.make()
    says = f", saying something like {refusal.match!r}" if refusal.match else ""
    return [*given(TABLE[name.op], call), *((k, repr(v)) for k, v in call.attrs.items()),
            ("expected", f"raises {refusal.error}{says}")]


def got(case: Case, candidate: Candidate, timeout: float) -> tuple[list[Any] | None, str]:
    """What the candidate returns for the call, None if it returns nothing that can be shown; and
    the traceback if it raises.
    """
    runner = Runner(Settings(prepare(candidate), timeout=timeout))
    try:
        record = runner.blank(case)
        return runner.ask(case, record), record.traceback
    finally:
        runner.close()


def in_full(a: Any) -> str:
    if not isinstance(a, np.ndarray):
        return repr(a)
    with np.printoptions(threshold=SHOWN, edgeitems=3, linewidth=78, precision=9):
        return f"{a.dtype.name}{list(a.shape)}\n{a}"
