"""Comparisons. Reference: etude/ops/compare.py.

Ordinary operands are drawn from nine values, so that a third of the pairs are equal or nearly so.
"""

import numpy as np

from etude_check.bounds.models import Exact
from etude_check.cases.plans import also, at, broadcasting, elementwise
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.binary import EDGES, apart, two, with_number

TIES = (-0.7, -2.0, -1.0, -0.5, 0.0, -0.0, 0.5, 1.0, 2.0, 3.0)
INTS = (-2, -1, 0, 1, 3, 2**31, -(2**31), 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))
PLANS = also(two(elementwise(2)), special=[*at([257], "near", arity=2), *at([7], "near", arity=2)])


def _make(d, shapes, at=None, number=None, value=None):
    if at == "edges":  # neighbours too: equal to six digits, and not equal
        arrays = [d.among(EDGES, s, INTS) for s in shapes]
    elif at == "near":
        arrays = [d.among((1.0, -1.0), s, INTS[7:10]) for s in shapes]
    elif at == "wide":
        arrays = [d.bits(s) for s in shapes]
    else:
        arrays = [d.among(TIES, s, INTS[:5], near=False) for s in shapes]
    if number is not None:
        arrays = with_number(arrays, number, value, d.dtype)
        if d.dtype.kind == "b":
            arrays[number] = value > 0
        elif d.dtype.kind == "f":
            arrays[number] = float(value)
    return call(*arrays)


for _op in ("eq", "ne", "lt", "le", "gt", "ge"):
    spec(_op, plans=PLANS, make=_make, model=Exact(), random=broadcasting(2),
         refusals=(*apart(_op), Refusal("bools and numbers", lambda: call(
             np.ones(2, bool), np.ones(2)), "DTypeError", _op),))
