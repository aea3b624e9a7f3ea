"""matmul and linear. Reference: etude/ops/matmul.py."""
from etude_check.bounds import Accumulate
from etude_check.spec import call, spec
from etude_check.draw import Draw
from etude_check.plans import common, crossed

SIZES = [(1, 1, 1), (1, 5, 1), (7, 1, 9), (8, 8, 8), (5, 3, 7), (17, 16, 15), (6, 33, 4), (65, 64, 63)]


def _plans(family):
    base = [{"x": [5, 7], "y": [7, 3]}, {"x": [2, 6, 9], "y": [9, 4]}]
    tail = [{"x": [m, k], "y": [k, n]} for m, k, n in SIZES]
    found = common(family, tail, base)
    if found is not None:
        return found
    if family == "exact":
        return crossed([*base, *tail], values=("exact",))
    return []


def _make(d: Draw, x, y):
    return call(d.floats(x), d.floats(y))


spec("matmul", plans=_plans, make=_make, model=Accumulate())
