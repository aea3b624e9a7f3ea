"""A CUDA source under watch: a handful of its cases, small ones and edges, while tools look on.

The kit's cases say whether results are right. A race that came out well this time, or a read just
past the end of an array, leaves results right: so the same kernels run once more, on a few of the
same cases, in the lab's inspect mode and under compute-sanitizer where there is a card. The tools
are those of the plugin etude-cuda; a column of another kind has nothing to be watched by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.errors import BackendError
from etude.core.table import TABLE
from etude_check.cases.case import Case, cases, prepared
from etude_check.cases.spec import ORDER
from etude_check.errors import CheckError
from etude_check.judge.names import Name, find
from etude_check.judge.runner import aliases
from etude_check.report.record import BIAS
from etude_check.report.watch import Finding, Watch
from etude_check.specs import specs
from etude_check.worker.candidate import CARD, Candidate
from etude_check.worker.prototypes import conflict

#: Kinds of cases that are watched; of each the smallest and the largest that is small enough.
WATCHED = ("empty", "0d", "tail", "broadcast", "layout", "exact", "duplicate-index", "cotangent",
           "alias")
ELEMENTS = 5000  # of all arrays of a case: each access is looked at
SUFFIXES = dict(zip(("f32", "f64", "i64", "b8"), ORDER, strict=True))


def watched(candidate: Candidate, ops: Sequence[str] | None = None,
            families: Sequence[str] | None = None, kinds: Sequence[str] | None = None,
            dtypes: Sequence[str] | None = None, seed: int = 0,
            case: str | None = None) -> Watch:
    """What the tools of the candidate's device see: the lab's inspect mode, or compute-sanitizer
    for one that is to run on a card. CheckError for a source that cannot be built for it.
    """
    from etude_cuda.lab.build import compile_source
    from etude_cuda.watch import in_lab, sanitizer
    from etude_cuda.watch.calls import Notes, exported

    source = Path(candidate.value).absolute()
    on_card = candidate.device == CARD
    if on_card and (why := sanitizer.lacking()):
        return Watch("compute-sanitizer", not_run="; ".join(why))
    tool = sanitizer.watch if on_card else in_lab.watch
    by = "compute-sanitizer" if on_card else "lab"
    try:
        there = exported(Path(compile_source(source, candidate.device)))
        notes = {op: Notes(op, there[op]) for op in there}
        chosen = _chosen(there, ops, families, kinds, dtypes, seed) if case is None else \
            _one(case, there)
        calls = {c.id: made for c in sorted(chosen, key=lambda c: c.size)
                 if (made := _calls(c, notes[c.spec.op].of)) is not None}
        if not calls:
            return Watch(by, not_run="none of the cases that were asked for can be watched: they "
                                     f"are declined, refused, or have more than {ELEMENTS:,} "
                                     "elements")
        found = tool(source, calls)
    except BackendError as error:
        raise conflict(source, str(error)) or CheckError(str(error)) from None
    document = asdict(found)
    return Watch(**{**document, "findings": [Finding(**f) for f in document["findings"]]})


def _chosen(there: dict[str, list[str]], ops: Sequence[str] | None, families: Sequence[str] | None,
            kinds: Sequence[str] | None, dtypes: Sequence[str] | None, seed: int
            ) -> Iterator[Case]:
    """The cases to be watched of every op and dtype that the source has and that is asked for."""
    for op, suffixes in there.items():
        if (ops is not None and op not in ops) or (families is not None
                                                   and TABLE[op].family not in families):
            continue
        for dtype in [SUFFIXES[s] for s in suffixes]:
            if dtypes is None or dtype in dtypes:
                for kind in [k for k in WATCHED if kinds is None or k in kinds]:
                    yield from _ends(list(cases(specs()[op], kind, "smoke", seed, [dtype])))


def _ends(drawn: list[Case]) -> list[Case]:
    """The smallest case, and the largest of those that are small enough to be watched."""
    small = sorted([c for c in drawn if c.size <= ELEMENTS], key=lambda c: c.size)
    return small[:1] + small[1:][-1:]


def _one(case: str, there: dict[str, list[str]]) -> list[Case]:
    """The case of a name, if it can be watched."""
    name = Name.parse(case)
    if name.kind in (BIAS, "errors") or name.op not in there:
        return []
    found = find(case)
    return [found] if found.size <= ELEMENTS else []


def _calls(case: Case, of: Callable[..., Any]) -> Any:
    """The calls in C that a case leads to."""
    op, call = case.op, case.call
    attrs = {**op.attrs, **prepared(op, call.attrs)}
    out: Any = None
    if case.kind == "alias":
        over = aliases(case)
        if len(over) != len(op.outputs):  # some of the results have memory of their own
            return None
        outs = tuple(call.arrays[over[i]] for i in sorted(over))
        out = outs if len(outs) > 1 else outs[0]
    with np.errstate(all="ignore"):
        return of(call.arrays, attrs, out)
