"""where and lerp. Reference: etude/ops/select.py."""

import numpy as np

from etude_check.bounds.models import Ensemble, Exact
from etude_check.cases.plans import TAILS, also, at, broadcasting, crossed, elementwise
from etude_check.cases.spec import Refusal, call, spec
from etude_check.specs.binary import EDGES, WIDTHS, with_number

#: each operand in turn is the one that is stretched, and then a Python number
THREE = [{"shapes": s} for s in (
    [[5, 7], [7], [5, 1]], [[7], [5, 7], [1]], [[5, 1], [1, 7], [5, 7]], [[], [6], [6]],
    [[6], [], []], [[3, 1, 5], [4, 1], [5]], [[2, 33], [33], []], [[0, 3], [3], [1]])] + [
    {"shapes": [*p["shapes"], p["shapes"][1]]} for p in WIDTHS]
NUMBERS = [{"shapes": [[9]] * 3, "number": k, "value": v} for k in (1, 2) for v in (
    3, 0, -1, -0.7, 2**53 + 1)]
INFINITE = [{"shapes": [[9]] * 3, "number": k, "value": v} for k in (1, 2) for v in (
    -np.inf, np.inf)]


def _where(d, shapes, at=None, number=None, value=None):
    condition = d.bools(shapes[0])
    x, y = (d.among(EDGES, s) if at else d.floats(s) for s in shapes[1:])
    arrays = with_number([condition, x, y], number, value, d.dtype)
    if number is not None and d.dtype.kind == "b":
        arrays[number] = value > 0
    return call(*arrays)


def _apart(op, first):
    return Refusal("shapes that do not broadcast", lambda: call(first, np.ones(3), np.ones(3)),
                   "ShapeError", op)


spec("where", plans=also(elementwise(3), broadcast=[*THREE, *NUMBERS, *INFINITE],
                         special=at([257], "edges", arity=3) + at([7], "edges", arity=3)),
     make=_where, model=Exact(), random=broadcasting(3),
     refusals=(_apart("where", np.ones(2, bool)), Refusal(
         "a condition of numbers", lambda: call(np.ones(2), np.ones(2), np.ones(2)), "DTypeError",
         "condition"), Refusal("two dtypes", lambda: call(
             np.ones(2, bool), np.ones(2), np.ones(2, int)), "DTypeError", "where")))


def _lerp(d, shapes, at=None, number=None, value=None):
    """Weights inside and outside of 0 .. 1. With "far", x and y differ in size and not in sign;
    with "top", y - x overflows.
    """
    if at == "far":
        arrays = [d.wide(shapes[0], -20, 20), d.wide(shapes[1], -20, 20), d.floats(shapes[2], 0, 1)]
    elif at == "ends":
        weight = d.rng.choice([0.0, 1.0, 0.5, -1.0, 2.0], shapes[2]).astype(d.dtype)
        arrays = [d.floats(shapes[0]), d.floats(shapes[1]), d.given(weight)]
    elif at == "top":
        top = float(np.finfo(d.dtype).max)
        arrays = [d.among((top, -top, top / 2, 1.0), s, near=False) for s in shapes[:2]]
        arrays.append(d.among((0.0, 1.0, 0.5, 0.25, 1.25), shapes[2], near=False))
    else:
        arrays = [d.floats(shapes[0]), d.floats(shapes[1]), d.floats(shapes[2], -0.5, 1.5)]
    return call(*with_number(arrays, number, value, d.dtype))


def _difference(q, i):
    """The rounding of y - x, also where the noise of the ensemble overflows."""
    x, y, weight = (np.abs(np.asarray(a, np.float64)) for a in q.arrays)
    return 2 * q.u * weight * x + 2 * q.u * weight * y


ALIAS = [{"shapes": [[n]] * 3} for n in TAILS[4::4]] + [
    {"shapes": [[5, 7], [7], []]}, {"shapes": [[5, 7], [5, 1], [5, 7]]},
    {"shapes": [[65]] * 3, "number": 2, "value": 2}]
spec("lerp", plans=also(elementwise(3), broadcast=[*THREE, *NUMBERS], alias=ALIAS, special=[
         *at([257], "far", "ends", arity=3), *at([7], "ends", arity=3), *crossed(
             at([65], "far", arity=3), number=(2,), value=(0, 1, 2)), *at([65], "top", arity=3),
         *crossed(at([65], "ends", arity=3), special=("inf", "nan"), which=(1,))]),
     make=_lerp, model=Ensemble(more=_difference), random=broadcasting(3),
     refusals=(_apart("lerp", np.ones(2)),))
