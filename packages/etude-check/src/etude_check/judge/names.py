"""Names of cases, read: ``softmax/tail/17@0`` gives the Case that it names.

How a case makes its name stands in ``cases/case.py``. Reading one needs the spec of its op, and so
the floor of the specs.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from etude import TABLE
from etude_check.cases import conventions
from etude_check.cases.case import Case, plans_of
from etude_check.cases.spec import KINDS
from etude_check.errors import CheckError
from etude_check.report.record import BIAS
from etude_check.specs import specs


class Name(NamedTuple):
    """The parts of a case's name. ``which`` is a number or a plan."""

    op: str
    kind: str
    which: str
    seed: int

    @classmethod
    def parse(cls, case_id: str) -> Name:
        """Raises CheckError for a name that nothing can have."""
        body, at, seed = case_id.rpartition("@")
        parts = body.split("/", 2)
        if not at or len(parts) != 3 or not seed.isdigit():
            raise CheckError(f"a case is named like softmax/tail/17@0 (op, kind of case, number, "
                             f"seed); got {case_id!r}")
        op, kind, which = parts
        if op not in specs():
            raise CheckError(f"case {case_id!r}: there is no op called {op!r}")
        if kind not in (*KINDS, BIAS):
            raise CheckError(f"case {case_id!r}: there is no kind of case {kind!r}; known are "
                             f"{', '.join(KINDS)}")
        return cls(op, kind, which, int(seed))

    def number(self, count: int) -> int:
        """``which`` as a number below ``count``."""
        if not self.which.isdigit() or int(self.which) >= count:
            raise CheckError(f"case {self.op}/{self.kind}/{self.which}: {self.op}/{self.kind} "
                             f"has {count} cases, numbered from 0")
        return int(self.which)


def find(case_id: str) -> Case:
    """The case of a name, unless it is one of "errors" or "bias", which have no arrays to judge.
    Raises CheckError for one that cannot be.
    """
    name = Name.parse(case_id)
    spec, kind, which = specs()[name.op], name.kind, name.which
    if which.startswith("{"):
        try:
            plan = json.loads(which)
            return Case(spec, kind, {k: v for k, v in plan.items() if k != "dtype"},
                        plan["dtype"], name.seed)
        except (ValueError, KeyError) as error:
            raise CheckError(f"case {case_id!r}: the plan is not JSON with a dtype") from error
    plans = plans_of(spec, kind)
    number = name.number(len(plans) * len(spec.dtypes))
    d, i = divmod(number, len(plans))
    if kind == "convention" and not conventions.has(TABLE[name.op], plans[i], spec.dtypes[d]):
        raise CheckError(f"case {case_id!r}: {spec.dtypes[d]} cannot hold the numbers of "
                         f"{TABLE[name.op].conventions[plans[i]['line']]}")
    return Case(spec, kind, plans[i], spec.dtypes[d], name.seed, number)
