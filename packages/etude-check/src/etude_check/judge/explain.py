"""The likely mistake: which sentence explains the failures of an op, and none of what passed.

A failed case has its suspects: impostors (``judge.py``) and mutants of the zoo (``zoo/likely.py``)
that answer as the candidate did. In one case many mistakes look alike, since everything that
overflows gives NaN. A mutant that is wrong where the candidate was right is not what the candidate
does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from etude_check.judge import judge
from etude_check.judge.names import find
from etude_check.report.record import ALL, Record, Verdict
from etude_check.zoo import animals
from etude_check.zoo.likely import LARGEST, answers

ASKED = 60  # passed cases that a suspected mutant must be right in, spread over the kinds
UNASKED = ("errors", "adjoint", "threads", "bias")  # kinds that no single call decides


def explain(records: Sequence[Record], impostors: dict[int, str],
            suspects: dict[int, list[str]]) -> None:
    """Write ``likely`` into the failed records of an op. What each looks like is given by ``id`` of
    the record: the impostor, and the mutants. Only what half of the wrong results look like is
    named: a single case may look like anything.
    """
    passed = [r for r in records if r.verdict is Verdict.PASS and r.kind not in UNASKED
              and r.size <= LARGEST]
    wrong = sum(r.verdict.failed and r.index is not None for r in records)
    telling = [r for r in records if r.index is not None and r.wrong > judge.FEW]
    looks = Counter(impostors.get(id(r), "") for r in telling)
    votes = Counter(name for names in suspects.values() for name in names)
    fitting = [name for name, n in votes.most_common()
               if 2 * n >= wrong and _right_in(name, passed)]
    for r in records:
        mine = impostors.get(id(r), "")
        if mine and looks[mine] and 2 * looks[mine] >= len(telling):
            r.likely = judge.SAID[mine] + ("" if _never(mine, r.output, passed) else
                                           " in this case")
        else:
            named = next((n for n in fitting if n in suspects.get(id(r), ())), "")
            r.likely = animals()[named].mistake if named else ""


def of_one(r: Record, impostor: str, suspects: Sequence[str]) -> None:
    """The same for a case that is looked at alone: of several suspects none can be told apart."""
    if impostor and r.wrong > judge.FEW:
        r.likely = f"{judge.SAID[impostor]} in this case"
    elif len(suspects) == 1:
        r.likely = animals()[suspects[0]].mistake


def _never(impostor: str, output: str, passed: Sequence[Record]) -> bool:
    """Whether no case that passed would have caught this impostor."""
    return all(r.blind == [ALL] or f"{output}: {impostor}" in r.blind for r in passed)


def _right_in(name: str, passed: Sequence[Record]) -> bool:
    """Whether a mutant is right where the candidate was, as far as ``ASKED`` cases tell."""
    animal = animals()[name]
    kind = animal.kills.rpartition("/")[2]
    telling = [r for r in passed if r.kind == kind]
    others = [r for r in passed if r.kind != kind]
    chosen = telling[:: max(1, 2 * len(telling) // ASKED)] + others[
        :: max(1, 2 * len(others) // ASKED)]
    return all(_right(animal.fn, r) for r in chosen)


def _right(fn: object, r: Record) -> bool:
    case = find(r.case)
    q = case.question
    outputs = answers(fn, q.arrays, {**q.op.attrs, **q.attrs})
    if outputs is None:  # it may break on a call that it was not made for
        return True
    if len(outputs) != len(q.oracle):
        return False
    for i, y in enumerate(outputs):
        want = q.same_dtype[i]
        y = np.asarray(y)
        if y.shape != want.shape:
            return False
        if judge.compare(case, y.astype(want.dtype), i).verdict.failed:
            return False
    return True
