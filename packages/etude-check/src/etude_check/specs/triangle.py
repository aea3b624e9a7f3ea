"""Triangles of matrices. Reference: etude/ops/triangle.py."""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Exact
from etude_check.cases.plans import common, crossed, layouts, shapes
from etude_check.cases.spec import Adjoint, Refusal, call, spec

BASE = [{"shape": [7, 7], "diagonal": 0}, {"shape": [5, 9], "diagonal": 2},
        {"shape": [9, 5], "diagonal": -1}, {"shape": [2, 3, 4, 5], "diagonal": 1}]
#: squares, flat and tall ones; diagonals inside, on the edges and outside
TAIL = [{"shape": [m, n], "diagonal": k} for m, n in (
    (1, 1), (1, 9), (9, 1), (8, 8), (17, 16), (16, 33), (3, 65)) for k in (0, -1, 1, -9, 9)] + [
    {"shape": [3, 5, 5], "diagonal": k} for k in (-6, -5, -4, 4, 5, 6, 1000, -1000)] + [
    {"shape": [128, 128], "diagonal": k} for k in (0, -128, 127)] + [
    {"shape": s, "diagonal": 1} for s in ([3, 128], [128, 3], [256, 128])]
SIZED = {"empty": [{"shape": s, "diagonal": 0} for s in ([0, 3], [3, 0], [2, 0, 4])],
         "0d": [{"shape": [1, 1], "diagonal": k} for k in (-1, 0, 1)],
         "large": [{"shape": [1031, 1021], "diagonal": -3}, {"shape": [261, 259], "diagonal": 5},
                   {"shape": [259, 261], "diagonal": -70}, {"shape": [259, 261], "diagonal": 70},
                   {"shape": [70, 31, 33], "diagonal": 4}],
         "threads": [{"shape": [1031, 1021], "diagonal": -3}]}


def _plans(kind):
    found = common(kind, TAIL, BASE)
    if found is not None:
        return found
    return crossed(BASE, values=("exact",)) if kind == "adjoint" else SIZED.get(kind, [])


def _make(d, shape, diagonal):
    return call(d.floats(shape), diagonal=diagonal)


for _op in ("tril", "triu"):
    spec(_op, plans=_plans, make=_make, model=Exact(),
         random=st.fixed_dictionaries({"shape": shapes(2, 4), "diagonal": st.integers(-9, 9),
                                       "layout": layouts}),
         adjoint=(Adjoint(0, _op, lambda given, c: call(c, **given.attrs)),),
         refusals=(Refusal("a vector", lambda: call(np.ones(3)), "ShapeError", _op),))
