"""Binary arithmetic with broadcasting. Reference: etude/ops/binary.py.

An operand may be a Python number, which takes the dtype of the other. Plans with "number" ask for
one.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Bounds, Elementary, Exact, Model
from etude_check.cases.draw import Draw
from etude_check.cases.plans import also, at, broadcasting, crossed, elementwise
from etude_check.cases.spec import Refusal, call, spec

EDGES = (0.0, -0.0, 1.0, -1.0, 3.0, 1e-40, -1e-40, 3e38, -3e38, 1e-310, 1e308, np.inf, -np.inf,
         np.nan)
#: int64 values that neither float64 nor int32 can hold, while a sum or product of two still fits
SUMS = (0, 1, -1, 2**31 + 3, -(2**31) - 3, 2**53 + 1, -(2**53) - 1, 2**61 + 1, -(2**61))
PRODUCTS = (0, 1, -1, 3, 46341, -65537, 2**31 - 1, -(2**31) - 1)
NUMBERS = [{"shapes": [[17], []], "number": 1, "value": v} for v in (
    3, -1, 0, -0.7, -(2**53) - 1)] + [
    {"shapes": [[], [5, 3]], "number": 0, "value": v} for v in (3, -2, -0.7)] + [
    {"shapes": [[257, 301], []], "number": 1, "value": 3}]
#: the smaller operand in the tail, along rows, and with a stride of 0 beside a long row
WIDTHS = [{"shapes": [[3, n], [n]]} for n in (1, 7, 8, 9, 33, 65)] + [
    {"shapes": [[n, 3], [n, 1]]} for n in (7, 8, 9)] + [
    {"shapes": [[3, 1], [3, n]]} for n in (7, 33)] + [{"shapes": [[129], [1]]},
                                                    {"shapes": [[1], [129]]}]
LATTICE = {"shapes": [[31, 1], [1, 29]], "at": "edges"}  # every pair of edges, nearly


def two(plans, *more):
    return also(plans, broadcast=[*WIDTHS, *NUMBERS], special=[
        LATTICE, *at([257], *more, "edges", "wide", arity=2), *at([7], "edges", arity=2),
        *crossed([{"shapes": [[9], []], "number": 1, "value": 2}], special=("nan", "inf", "zero"))])


def with_number(arrays, number, value, dtype):
    """``arrays`` with a Python number for one of them, not a whole one where the dtype is a
    float.
    """
    if number is not None:
        value = value + 0.5 if dtype.kind == "f" and value > 0 else value
        fits = dtype.kind == "f" or (np.isfinite(value) and value == int(value))
        arrays[number] = value if fits else -(2**40) - 1
    return arrays


def make(ints, points=EDGES, wide=(-60, 60), right="floats"):
    def made(d: Draw, shapes, at=None, number=None, value=None):
        if at == "edges":
            arrays = [d.among(points, s, ints) for s in shapes]
        elif at == "ties":
            arrays = [d.among((-1.5, 0.0, 0.5, 2.0), s, (-1, 0, 2), near=False) for s in shapes]
        elif at == "wide":
            arrays = [d.wide(s, *wide) for s in shapes]
        else:
            arrays = [d.floats(shapes[0]), getattr(d, right)(shapes[1])]
        return call(*with_number(arrays, number, value, d.dtype))
    return made


def apart(op):
    """Calls that every binary op refuses."""
    return (Refusal("shapes that do not broadcast", lambda: call(np.ones((2, 3)), np.ones(2)),
                    "ShapeError", op),
            Refusal("two dtypes", lambda: call(np.ones(3), np.ones(3, np.float32)), "DTypeError",
                    op),
            Refusal("a fraction with whole numbers", lambda: call(np.arange(3), 0.5), "DTypeError",
                    op),
            Refusal("numbers alone", lambda: call(1.0, 2.0), "DTypeError", op))


for _op, _ints in (("add", SUMS), ("sub", SUMS), ("mul", PRODUCTS)):
    spec(_op, plans=two(elementwise(2)), make=make(_ints), model=Exact(), random=broadcasting(2),
         refusals=apart(_op))
for _op in ("maximum", "minimum"):
    spec(_op, plans=two(elementwise(2), "ties"), make=make((*SUMS, 2**63 - 1, -(2**63))),
         model=Exact(), random=broadcasting(2), refusals=apart(_op))
spec("div", plans=two(elementwise(2)), make=make(SUMS), model=Exact(), random=broadcasting(2),
     refusals=apart("div"))

# ------------------------------------------------------------------ division with a rest

#: Quotients that are whole, or that x / y rounds to a whole number (1 / 0.1 is below 10, and is 10
#: rounded); a rest that x - y floor(x / y) loses; rests that a sign turns; 0, and infinities
RESTS = (0.0, -0.0, 1.0, -1.0, 0.1, -0.1, 0.3, 0.7, 3.0, -3.0, 6.0, 7.5, -7.5, 1e-40, 1e-310, 1e7,
         -1e10, 3e38, np.inf, -np.inf, np.nan)
WHOLE = (1, -1, 2, 3, -3, 7, -7, 10, 2**31 + 3, -(2**31) - 3, 2**53 + 1, -(2**53) - 1, 2**61 + 1,
         -(2**61), 2**63 - 1, -(2**63))


def _divided(d: Draw, shapes, at=None, number=None, value=None):
    """int64 is not divided by 0, which is refused. Numbers are such as float32 can hold: a rest
    would show their rounding.
    """
    value = 3 if d.dtype.kind == "i" and number == 1 and value == 0 else value
    arrays = [float(np.float32(a)) if isinstance(a, float) else a
              for a in _quotient(d, shapes, at, number, value).arrays]
    if d.dtype.kind == "i" and isinstance(arrays[1], np.ndarray):
        arrays[1] = d.given(np.where(arrays[1] == 0, 5, arrays[1]))
    return call(*arrays)


@dataclass(frozen=True)
class FloorDivide(Model):
    """No error, up to quotients of 1/4u; above them (x - rest) / y is rounded twice."""

    def bound(self, q, i):
        r = np.abs(q.oracle[i])
        allowed = np.where((r < 0.25 / q.u) | ~np.isfinite(r), 0, 4 * q.u * r)
        return Bounds(allowed, allowed)


def _by_zero(op):
    return tuple(Refusal(f"int64 by {what}", lambda y=y: call(np.array([7, -7, 0]), y),
                         "ZeroDivisionError", "divided by 0") for what, y in (
        ("0 at one place", np.array([2, 0, 3])), ("the number 0", 0)))


_quotient = make(WHOLE, points=RESTS, wide=(-20, 20))
_divisions = also(two(elementwise(2)), special=[
    *at([257], "edges", arity=2), {"shapes": [[1031, 1], [1, 29]], "at": "edges"},
    *crossed([{"shapes": [[65], []], "number": 1, "at": "edges"},
              {"shapes": [[], [65]], "number": 0, "at": "edges"}], value=(3, -3, 0.1, -0.7, 10))])
spec("floor_divide", plans=_divisions, make=_divided, model=FloorDivide(), random=broadcasting(2),
     refusals=(*apart("floor_divide"), *_by_zero("floor_divide")))
spec("remainder", plans=_divisions, make=_divided, model=Elementary(1), random=broadcasting(2),
     refusals=(*apart("remainder"), *_by_zero("remainder")))

# ------------------------------------------------------------------ pow

BASES = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 10.0, -3.0, 1.0000001, 0.9999999, np.inf,
         -np.inf, np.nan, 1e-40, 1e30)
POWERS = (0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1 / 3, 4.0, 10.0, 127.0, 100.5,
          1e7, 2.0**31 + 1, np.inf, -np.inf, np.nan)


def _pow(d: Draw, shapes, at=None, number=None, value=None):
    if d.dtype.kind == "i":  # 0^0 is 1; nothing overflows; a power below 0 is an error
        x = d.given(d.rng.integers(-9, 10, shapes[0]))
        return call(*with_number([x, d.given(d.rng.integers(0, 19, shapes[1]))], number,
                                 None if value is None else int(abs(value)) % 19, d.dtype))
    if number == 0 and at is not None:
        return call(value, d.floats(shapes[1], -24, 24))
    near = at != "exactly"  # (-2)^3, but not (-2)^3.0000002
    if at in ("edges", "exactly"):
        arrays = [d.among(BASES, shapes[0], near=near), d.among(POWERS, shapes[1], near=False)]
    elif at == "wide":  # its results reach from the smallest number to the largest
        arrays = [d.positive(shapes[0], 0.0, 60.0), d.floats(shapes[1], -24, 24)]
    elif at == "one":  # where ln x is small, and an error in it is multiplied by y
        arrays = [1 + d.floats(shapes[0]) / 2000, d.floats(shapes[1], -4e4, 4e4)]
        arrays[0] = arrays[0].astype(d.dtype)
    else:
        arrays = [d.positive(shapes[0]), d.floats(shapes[1], -3, 3)]
    if number == 1 and at is not None:  # exactly this power: it may have a loop of its own
        return call(arrays[0], value)
    return call(*with_number(arrays, number, value if number != 1 else abs(value), d.dtype))


def _powers(kind):
    """Kernels often have a short road for squares and cubes: exponents as a number and as an
    array.
    """
    if kind != "special":
        return []
    return [{"shapes": [[33, 1], [1, 37]], "at": "exactly"}, *at([257], "one", arity=2)] + [
        {"shapes": [[19], []], "number": 1, "value": v, "at": a}
        for v in (0, 1, 2, 3, 4, -1, -2, 0.5, -0.5)
        for a in ("exactly", "wide")] + [
        {"shapes": [[257], []], "number": 1, "value": v, "at": "one"} for v in (60, -3, -2.5)] + [
        {"shapes": [[], [65]], "number": 0, "value": v, "at": "wide"} for v in (2, 10, 0.5)]


_two = two(elementwise(2))
spec("pow", plans=lambda kind: [*_two(kind), *_powers(kind)], make=_pow, model=Elementary(2),
     random=broadcasting(2, at=st.sampled_from([None, "wide", "exactly"])),
     refusals=(*apart("pow"), Refusal("int64 to a power below 0", lambda: call(
         np.array([2, 3]), np.array([-1, 2])), "ValueError")))
