"""Maps: one number in, one out. Reference: etude/ops/map.py.

Each function is asked in four ways: on ordinary numbers, on magnitudes evenly by exponent ("wide"),
on random bits, over its whole range from underflow to overflow ("range"), and at the points where
formulas change or break ("kink"). k counts ulps. Measured in float32 over these inputs: NumPy's log
errs by 3.6 and its exp by 2.4, everything else there and in C by at most 3.3 (the sigmoid, whose
formula rounds four times); an approximation of 11 or 12 bits errs by 2000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Bounds, Elementary, Ensemble, Exact, Model
from etude_check.cases.draw import SPECIALS, Draw
from etude_check.cases.plans import alike, also, at, broadcasting, crossed, elementwise, equal
from etude_check.cases.spec import Refusal, call, spec

PI = np.pi
SERIES = 2**-51  # relative error of the reference's erf in float64
WAYS = ("kink", "wide", "bits", "range")
#: lengths that put the specials into the vector body alone, or where only a tail is left
SPECIAL = crossed([{"shapes": [[5]]}, {"shapes": [[64]]}], special=tuple(SPECIALS))
MAP = also(elementwise(1), special=[*at([257], *WAYS), *SPECIAL, *at([7], *WAYS)],
           large=at([70001], "range") + at([4099], "kink"))


def plans_of(attrs, *ways):
    """Plans like MAP, with every combination of the attributes where calls are small."""
    small = crossed([*at([257], *ways), *at([7], *ways)], **attrs)
    first = {k: v[:1] for k, v in attrs.items()}
    return also(elementwise(1, **attrs), special=[*small, *crossed(SPECIAL, **first)])


def slow(plans):
    """``plans`` without arrays of a million elements: erf's reference takes 220 steps for each."""
    def fewer(kind):
        found = plans(kind)
        return [p for p in found if np.prod(p["shapes"][0]) < 1e5] if kind == "large" else [
            {**p, "shapes": [[257, 1021]] * len(p["shapes"])} for p in found
        ] if kind == "threads" else found
    return fewer


def drawer(kinks=(0.0,), low=-5.0, high=5.0, ranges=None, wide=(-30, 6), positive=False, ints=None):
    """``make`` of a map. ``ranges`` are the ends of "range", for float32 and float64."""
    def make(d: Draw, shapes, at=None, **attrs):
        (shape,) = shapes
        if at == "kink":
            x = d.among(kinks, shape, ints)
        elif at == "wide":
            x = np.abs(d.wide(shape, *wide)) if positive else d.wide(shape, *wide)
        elif at == "bits":
            x = d.bits(shape) if d.dtype.kind == "f" else d.among(kinks, shape, ints)
        elif at == "range":
            x = d.floats(shape, *(ranges or ((low, high),) * 2)[d.dtype == np.float64])
        else:
            x = (d.positive if positive else d.floats)(shape, low, high)
        return call(x, **attrs)
    return make


def entry(op, model, plans=MAP, invariants=None, **drawing):
    """The spec of a map without attributes."""
    spec(op, plans=plans, make=drawer(**drawing), model=model, random=broadcasting(1),
         invariants=invariants or {})


def _within(low, high):
    """The function never leaves low .. high, not even by a rounding."""
    def holds(given, outputs):
        y = outputs[0].astype(np.float64)
        return np.where((y >= low) & (y <= high) | np.isnan(y), 0, 1), np.zeros(y.shape)
    return {f"from {low} to {high}": holds}


def zeros_kept(given, outputs):
    """1 where x is a zero and y is not the same zero: equality alone would let -0 pass for 0."""
    x, y = given.arrays[0], outputs[0]
    return np.where((x == 0) & (np.signbit(x) != np.signbit(y)), 1, 0), np.zeros(y.shape)


# ------------------------------------------------------------------ exact

BIG = (0, 1, -1, 2**31 + 3, -(2**31) - 3, 2**53 + 1, -(2**53) - 1, 2**62)

entry("neg", Exact(), ints=BIG)
entry("abs", Exact(), ints=BIG)
entry("sign", Exact(), ints=BIG,
      kinks=(0.0, -0.0, 1e-45, -1e-45, 5e-324, -5e-324))
entry("square", Exact(), wide=(-80, 70),
      ints=(0, -1, 46341, -46341, 2**31, -(2**31), 94906267))
entry("reciprocal", Exact(),
      wide=(-126, 126), kinks=(0.0, -0.0, 1.0, -1.0, 3.0, 1e-39, 3e38, np.inf, -np.inf))
entry("sqrt", Exact(), low=-1.0,
      wide=(-148, 126), positive=True, kinks=(0.0, -0.0, 1.0, 4.0, 2.0, -1.0, 1e-40, np.inf))
entry("relu", Exact(), ints=BIG,
      invariants={"a zero of x keeps its sign": zeros_kept},
      kinks=(0.0, -0.0, 1e-45, -1e-45, -np.inf, np.inf))

# ------------------------------------------------------------------ elementary functions

entry("rsqrt", Elementary(2), low=-1.0, positive=True,
      wide=(-148, 126), kinks=(0.0, -0.0, 1.0, 4.0, -1.0, 1e-40, 3e38, np.inf))
entry("exp", Elementary(3),
      ranges=((-105, 90), (-747, 711)),
      kinks=(0.0, 88.722, 88.7228, 88.723, -87.33, -103.27, -103.97, -104.0, 709.78, -708.4, -745.1,
             np.inf, -np.inf))
entry("expm1", Elementary(3),
      ranges=((-40, 90), (-50, 711)), wide=(-60, 6),
      kinks=(0.0, -0.0, 1e-30, 1e-8, -1e-8, -17.0, -37.0, 88.72, 709.78, np.inf, -np.inf))
entry("log", Elementary(4), low=-0.5, positive=True, wide=(-148, 127),
      ranges=((0.9, 1.1),) * 2, kinks=(1.0, 0.0, -0.0, -1.0, 1e-40, 3e38, np.e, 0.5, 2.0, np.inf))
entry("log1p", Elementary(2), low=-0.99,
      wide=(-60, 127), ranges=((-1.0, 0.5),) * 2,
      kinks=(0.0, -0.0, -1.0, -0.5, -0.29, 0.41, 1.0, 1e-20, 1e-8, -1e-8, -2.0, 3e38, np.inf))
entry("sin", Elementary(2),
      invariants=_within(-1, 1), ranges=((-1e4, 1e4),) * 2, wide=(-40, 13),
      kinks=(0.0, -0.0, PI / 4, PI / 2, PI, 3 * PI / 2, 2 * PI, 100 * PI, 1000.5 * PI, 3000 * PI,
             -PI, 1e-30, np.inf))
entry("cos", Elementary(2),
      invariants=_within(-1, 1), ranges=((-1e4, 1e4),) * 2, wide=(-40, 13),
      kinks=(0.0, -0.0, PI / 4, PI / 2, PI, 3 * PI / 2, 5 * PI / 2, 99.5 * PI, 1000.5 * PI,
             3000.5 * PI, -PI / 2, 1e-30, np.inf))
entry("tanh", Elementary(3),
      invariants=_within(-1, 1), ranges=((-100, 100), (-800, 800)),
      kinks=(0.0, -0.0, 0.55, 0.625, 9.01, 19.0, 44.4, 88.8, 355.0, 710.0, -9.01, -88.8, 1e-30,
             np.inf, -np.inf))
entry("sigmoid", Elementary(4),
      invariants=_within(0, 1), ranges=((-104, 20), (-745, 40)),
      kinks=(0.0, -0.0, 1.0, -17.0, 17.0, 88.73, -88.73, -103.9, -709.8, 709.8, 1e-20, np.inf,
             -np.inf))


@dataclass(frozen=True)
class Erf(Elementary):
    """In float64 the oracle's own formulas are good to SERIES (measured: 1.3 units)."""

    def bound(self, q, i):
        more = SERIES * np.abs(q.oracle[i]) if q.dtype == np.float64 else 0.0
        return Bounds(*(b + more for b in super().bound(q, i)))


entry("erf", Erf(4),
      invariants=_within(-1, 1), ranges=((-4, 4), (-6, 6)), plans=slow(MAP),
      kinks=(0.0, -0.0, 0.84375, 1.0, 1.25, 2.857, 3.9, 4.0, 5.9, 6.0, -1.0, -3.0, 1e-30, 1e-9,
             np.inf, -np.inf))

# ------------------------------------------------------------------ gelu


@dataclass(frozen=True)
class Gelu(Model):
    """The error of x Phi(x), and of grad (Phi(x) + x Phi'(x)).

    Far below 0 they contain 1 + erf or 1 + tanh, a difference of nearly equal numbers. There an
    honest kernel errs by some u times |x| or |grad|, which is not small beside the result. From
    |x| = 9 on the first is exactly 0 or x, or the little that erfc gives, and no such error is
    allowed: a kernel whose erf stops short of -1 returns 50 for -1e10.
    """

    backward: bool = False

    def bound(self, q, i):
        r, x = np.abs(q.oracle[i]), np.abs(np.asarray(q.arrays[-1], np.float64))
        x = np.where(np.isfinite(x), x, 0)
        near, density = np.minimum(x, 9), np.exp(-np.minimum(x, 60) ** 2 / 2)
        if self.backward:
            scale = np.abs(np.asarray(q.arrays[0], np.float64))
            tanh = {**q.op.attrs, **q.attrs}["approximate"] == "tanh"
            # x (1 - t^2) inner' of the tanh form; x density, with the error of e^(-x^2/2).
            slope = 2 * near * (1 + 0.14 * near**2) if tanh else 2 * near**3 * density
            few = 4 + np.where(x < 9, slope, 0)
        else:
            scale, few = x, np.where(x < 9, 3.0, 0)
        scale = np.where(np.isfinite(scale), scale, 0)
        known = SERIES if q.dtype == np.float64 else 0.0
        allowed = (q.u * few + np.where(x < 9, known, 0)) * scale + 4 * q.tiny
        allowed = allowed + 4 * q.u * np.where(np.isfinite(r), r, 0)
        tail = np.where(x < 8, 0, scale * density * (2 + x))  # which 1 + erf rounds away
        return Bounds(allowed + tail, 64 * (allowed + tail))


FORMS = ("none", "tanh")
GELU = (0.0, -0.0, 1.0, -1.0, 0.7518, -0.7518, -3.0, 3.0, -5.0, 5.5, -9.0, 9.0, -15.0, 1e-20, 100.0)
forms = st.sampled_from(FORMS)
unknown = Refusal("an unknown form", lambda: call(np.ones(3), approximate="fast"), "ValueError",
                  "approximate")
unknown_too = Refusal("an unknown form", lambda: call(np.ones(3), np.ones(3), approximate="fast"),
                      "ValueError", "approximate")

spec("gelu", plans=slow(plans_of({"approximate": FORMS}, "kink", "wide", "range")), model=Gelu(),
     make=drawer(kinks=GELU, ranges=((-12, 12),) * 2, wide=(-30, 5)),
     random=broadcasting(1, approximate=forms), refusals=(unknown,))


# ------------------------------------------------------------------ backward ops of maps


def backward(values):
    """``make`` of (grad, y): y by ``values(d, shape, at)``."""
    def make(d: Draw, shapes, at=None, **attrs):
        return call(d.grad(shapes[0]), values(d, shapes[1], at), **attrs)
    return make


def _of_tanh(d, shape, at):
    if at == "kink":
        return d.among((0.0, 1.0, -1.0, 0.5, -0.999, 0.9999999), shape)
    return d.floats(shape, -1, 1)


def _of_sigmoid(d, shape, at):
    if at == "kink":
        return d.among((0.0, 1.0, 0.5, 1e-30, 0.999999), shape)
    return d.floats(shape, 0, 1)


def _of_relu(d, shape, at):
    if at == "kink":
        return d.among((0.0, -0.0, 1.0, -1.0, 1e-45, 5e-324, np.inf, np.nan), shape)
    return np.maximum(d.floats(shape), 0) if at == "saved" else d.floats(shape)


def _of_gelu(d, shape, at):
    return d.among(GELU, shape) if at == "kink" else d.floats(shape, *(
        (-12, 12) if at == "range" else (-3, 3)))


def back(op, values, model, *where, **fields):
    plans = equal(2, **fields.pop("attrs", {}))
    spec(op, plans=also(plans, special=at([257], *where, arity=2) + at([7], *where, arity=2)),
         make=backward(values), model=model, **{"random": alike(2), **fields})


back("tanh_backward", _of_tanh, Ensemble(), "kink")
back("sigmoid_backward", _of_sigmoid, Ensemble(), "kink")
back("relu_backward", _of_relu, Exact(), "kink", "saved")
spec("gelu_backward", model=Gelu(backward=True), make=backward(_of_gelu),
     plans=slow(also(equal(2, approximate=FORMS), special=crossed(
         at([257], "kink", "range", arity=2), approximate=FORMS))),
     random=alike(2, approximate=forms), refusals=(unknown_too,))
