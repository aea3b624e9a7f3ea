"""One case in detail, for ``etude check --case``: the arrays given, expected and got."""

from __future__ import annotations

from typing import Any

import numpy as np

from etude_check.candidate import Candidate, prepare
from etude_check.cases import Case, find
from etude_check.runner import Runner, Settings

SHOWN = 60  # elements of an array that are printed; of larger ones, the corners


def arrays(case_id: str, candidate: Candidate) -> list[tuple[str, str]]:
    """(label, text) of every array of the case. The candidate is asked once more, in a worker."""
    case = find(case_id)
    names = list(case.op.arrays)
    if case.op.variadic:
        names = [f"{names[0]}[{i}]" for i in range(len(case.call.arrays))]
    found = [(name, in_full(a)) for name, a in zip(names, case.call.arrays)]
    outputs = got(case, candidate)
    for i, wanted in enumerate(case.question.oracle):
        name = case.op.outputs[0].lstrip("*") + f"[{i}]" if case.op.outputs[0].startswith("*") \
            else case.op.outputs[i]
        found.append((f"{name} expected", in_full(wanted)))
        found.append((f"{name} got", "nothing" if outputs is None else in_full(outputs[i])))
    return found


def got(case: Case, candidate: Candidate) -> list[Any] | None:
    """What the candidate returns for the call; None if it returns nothing that can be shown."""
    runner = Runner(Settings(prepare(candidate)))
    try:
        return runner.ask(case, runner.blank(case))
    finally:
        runner.close()


def in_full(a: Any) -> str:
    if not isinstance(a, np.ndarray):
        return repr(a)
    with np.printoptions(threshold=SHOWN, edgeitems=3, linewidth=78, precision=9):
        return f"{a.dtype.name}{list(a.shape)}\n{a}"
