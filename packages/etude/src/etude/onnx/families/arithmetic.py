"""Arithmetic: sums, products, powers, rounding, and functions of one number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import Refused, differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

#: Ops that ONNX has under another name, with the same meaning.
SAME = {"neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "sin": "Sin",
        "cos": "Cos", "tanh": "Tanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil",
        "round": "Round", "reciprocal": "Reciprocal", "add": "Add", "sub": "Sub", "mul": "Mul",
        "div": "Div", "maximum": "Max", "minimum": "Min"}

differs("sign", "says nothing of Sign(NaN)", "NaN", "handled: written with a Where over IsNaN")
differs("expm1", "has no such op", "e^x - 1 without the cancellation near 0",
        "handled: written as tanh(x / 2) (e^x + 1)")
differs("log1p", "has no such op", "ln(1 + x), exact near 0",
        "handled: written as ln(u) x / (u - 1), where u = 1 + x as it is rounded")
differs("pow", "Pow of int64 is computed in floats by runtimes", "exact, modulo 2^64",
        "handled: a constant exponent is written as products; another one is refused")
differs("floor_divide", "Div of integers rounds towards 0; floats have no such op",
        "rounds down, from the remainder: 1 // 0.1 is 9",
        "handled: written with Mod and the correction for signs")
differs("remainder", "Mod of floats is C's fmod, with the sign of x", "with the sign of y",
        "handled: written with Mod(fmod=1) and the correction for signs")
differs("lerp", "has no such op", "in halves where y - x overflows",
        "handled: written out, with a Where over the two forms")


def _same(op: str, kind: str) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        return build.node(kind, *call.inputs)


for _op, _kind in SAME.items():
    _same(_op, _kind)


@writes("pow")
def pow_(call: Call, build: Build) -> str:
    if call.dtype.kind == "f":
        return build.node("Pow", *call.inputs)
    power = call.constant[1]
    if power is None or np.ptp(power):
        raise Refused("powers of int64 are computed in floats by runtimes, which is wrong beyond "
                      "2^53. An exponent that is one number is written as products")
    y, square = build.constant(1, call.dtype), call.inputs[0]
    for bit in reversed(f"{int(power.flat[0]):b}"):
        if bit == "1":
            y = build.node("Mul", y, square)
        square = build.node("Mul", square, square)
    return y


@writes("rsqrt")
def rsqrt(call: Call, build: Build) -> str:
    return build.node("Reciprocal", build.node("Sqrt", call.inputs[0]))


@writes("square")
def square(call: Call, build: Build) -> str:
    return build.node("Mul", call.inputs[0], call.inputs[0])


@writes("sign")
def sign(call: Call, build: Build) -> str:
    (x,) = call.inputs
    y = build.node("Sign", x)
    if build.finite or call.dtype.kind != "f":
        return y
    return build.node("Where", build.node("IsNaN", x), x, y)


@writes("expm1")
def expm1(call: Call, build: Build) -> str:
    """tanh(x / 2) (e^x + 1): neither factor is a difference of what is nearly equal."""
    (x,) = call.inputs
    half = build.node("Mul", x, build.constant(0.5, call.dtype))
    more = build.node("Add", build.node("Exp", x), build.constant(1, call.dtype))
    return build.node("Mul", build.node("Tanh", half), more)


@writes("log1p")
def log1p(call: Call, build: Build) -> str:
    """What u = 1 + x loses of x in rounding, x / (u - 1) puts right. Source: Goldberg 1991, What
    Every Computer Scientist Should Know About Floating-Point Arithmetic, theorem 4.
    """
    return log_of_more(call.inputs[0], call.dtype, build)


def log_of_more(x: str, dtype: object, build: Build) -> str:
    """ln(1 + x)."""
    one = build.constant(1, dtype)
    u = build.node("Add", x, one)
    ratio = build.node("Div", x, build.node("Sub", u, one))
    y = build.node("Mul", build.node("Log", u), ratio)
    y = build.node("Where", build.node("Equal", u, one), x, y)
    if build.finite:
        return y
    return build.node("Where", build.node("Equal", u, build.constant(float("inf"), dtype)), u, y)


def _remainder(call: Call, build: Build) -> tuple[str, str]:
    """(x mod y with the sign of y, whether fmod had to be corrected), of floats."""
    x, y = call.inputs
    zero = build.constant(0, call.dtype)
    rest = build.node("Mod", x, y, fmod=1)
    other = build.node("Xor", build.node("Less", y, zero), build.node("Less", rest, zero))
    is_zero = build.node("Equal", rest, zero)
    wrong = build.node("And", other, build.node("Not", is_zero))
    return build.node("Where", wrong, build.node("Add", rest, y), rest), wrong


@writes("remainder")
def remainder(call: Call, build: Build) -> str:
    if call.dtype.kind == "i":
        return build.node("Mod", *call.inputs)
    return _remainder(call, build)[0]


@writes("floor_divide")
def floor_divide(call: Call, build: Build) -> str:
    x, y = call.inputs
    one, zero = build.constant(1, call.dtype), build.constant(0, call.dtype)
    if call.dtype.kind == "i":
        quotient = build.node("Div", x, y)  # towards 0: one too much where the signs differ
        below = build.node("Xor", build.node("Less", x, zero), build.node("Less", y, zero))
        rest = build.node("Not", build.node("Equal", build.node("Mod", x, y), zero))
        return build.node("Where", build.node("And", below, rest),
                          build.node("Sub", quotient, one), quotient)
    rest, _ = _remainder(call, build)
    whole = build.node("Div", build.node("Sub", x, rest), y)  # but for rounding
    low = build.node("Floor", whole)
    up = build.node("Greater", build.node("Sub", whole, low), build.constant(0.5, call.dtype))
    z = build.node("Where", up, build.node("Add", low, one), low)
    if build.finite:
        return z
    # x // inf is 0 or -1, but x - (x mod inf) is infinite where the signs differ; and x / 0.
    endless = build.node("Equal", build.node("Abs", y), build.constant(float("inf"), call.dtype))
    plain = build.node("Div", x, y)
    z = build.node("Where", endless, build.node("Floor", plain), z)
    below = build.node("Xor", build.node("Less", x, zero), build.node("Less", y, zero))
    tiny = build.node("And", endless, build.node("And", below, build.node(
        "Not", build.node("Equal", x, zero))))
    tiny = build.node("And", tiny, build.node("Less", build.node("Abs", x), build.constant(
        float("inf"), call.dtype)))
    z = build.node("Where", tiny, build.constant(-1, call.dtype), z)
    return build.node("Where", build.node("Equal", y, zero), plain, z)


@writes("lerp")
def lerp(call: Call, build: Build) -> str:
    x, y, weight = call.inputs
    z = build.node("Add", x, build.node("Mul", weight, build.node("Sub", y, x)))
    if build.finite:
        return z
    half, two = build.constant(0.5, call.dtype), build.constant(2, call.dtype)
    small_x, small_y = build.node("Mul", x, half), build.node("Mul", y, half)
    step = build.node("Mul", weight, build.node("Sub", small_y, small_x))
    other = build.node("Mul", build.node("Add", small_x, step), two)
    least = build.constant(float("inf"), call.dtype)
    good = build.node("Less", build.node("Abs", z), least)
    far = build.node("Equal", build.node("Abs", weight), least)
    return build.node("Where", build.node("Or", good, far), z, other)
