"""Arithmetic: sums, products, powers, rounding, and functions of one number."""

from __future__ import annotations

import math
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import float32, int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import number

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


reads("Add", since=7)(lambda node, x, y: F.add(x, y))
reads("Sub", since=7)(lambda node, x, y: F.sub(x, y))
reads("Mul", since=7)(lambda node, x, y: F.mul(x, y))

for _op, _fn in {"Neg": F.neg, "Abs": F.abs, "Sign": F.sign, "Reciprocal": F.reciprocal,
                 "Sqrt": F.sqrt, "Exp": F.exp, "Log": F.log, "Floor": F.floor, "Ceil": F.ceil,
                 "Sin": F.sin, "Cos": F.cos, "Erf": F.erf}.items():
    reads(_op, since=9 if _op in ("Sign", "Erf") else 1)(lambda node, x, _fn=_fn: _fn(x))


@reads("Round", since=11)
def _round(node: Node, x: Tensor) -> Any:
    return F.round(x)


differs("Round", "halves go to the even number", "halves go to the even number",
        "handled: they agree")


@reads("Div", since=7)
def _div(node: Node, x: Tensor, y: Tensor) -> Any:
    return F.div(x, y, rounding_mode="trunc" if x.dtype == int64 else None)


differs("Div of integers", "towards zero", "`div` gives floats, `floor_divide` rounds down",
        "handled: `div(x, y, rounding_mode='trunc')`; division by 0 raises ZeroDivisionError")


@reads("Mod", since=10)
def _mod(node: Node, x: Tensor, y: Tensor) -> Any:
    if node.get("fmod", 0):  # the sign of x, as in C
        rest = F.remainder(F.abs(x), F.abs(y))
        return F.where(x < 0, F.neg(rest), rest)
    if x.dtype != int64 and node.opset < 28:
        raise Refused("fmod = 0 for floats, which ONNX defines from opset 28 on")
    return F.remainder(x, y)


differs("Mod", "the sign of y where fmod = 0, that of x where it is 1", "the sign of y",
        "handled: with fmod = 1 the remainder of the absolute values takes the sign of x")


@reads("Pow", since=7)
def _pow(node: Node, x: Tensor, y: Tensor) -> Any:
    """x to the y, in the dtype of x, whatever that of y."""
    if x.dtype == int64 and y.dtype != int64:
        return F.pow(x.double(), y.double()).to(int64)
    if x.dtype == int64:
        if node.narrow[0] is not None and float(F.pow(x.double(), y.double()).abs().amax()) > 2**62:
            raise Refused("a power beyond int64")
        return F.pow(x, y)
    return F.pow(x, y.to(x.dtype))


differs("Pow", "the exponent may be of another dtype; the result has that of the base",
        "operands are promoted", "handled: the exponent is converted")


def _variadic(fold: Any) -> Any:
    return lambda node, *xs: reduce(fold, xs)


reads("Sum", since=8)(_variadic(F.add))
reads("Max", since=8)(_variadic(F.maximum))
reads("Min", since=8)(_variadic(F.minimum))
reads("Mean", since=8)(lambda node, *xs: F.div(reduce(F.add, xs), float(len(xs))))


@reads("Clip", since=11)
def _clip(node: Node, x: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Any:
    if least is None and most is None:
        return x
    return F.clamp(x, number(least), number(most))


@reads("Clip", since=6, to=10)
def _clip_by_attributes(node: Node, x: Tensor) -> Any:
    return F.clamp(x, node.get("min"), node.get("max")) if node.attributes else x


# Functions that the table does not have, of float32 through float64: there nothing overflows and
# nothing cancels that float32 would show.


def _wide(node: Node, x: Tensor) -> Tensor:
    if x.dtype != float32:
        raise Refused(f"{node.op} of {x.dtype.name}; Etude composes it for float32 alone")
    return x.double()


@reads("Tan", since=7)
def _tan(node: Node, x: Tensor) -> Any:
    z = _wide(node, x)
    return F.div(F.sin(z), F.cos(z)).float()


@reads("Sinh", since=9)
def _sinh(node: Node, x: Tensor) -> Any:
    e = F.expm1(F.clamp(F.abs(_wide(node, x)), max=100.0))
    return (F.sign(x.double()) * (e + e / (e + 1.0)) * 0.5).float()


@reads("Cosh", since=9)
def _cosh(node: Node, x: Tensor) -> Any:
    z = _wide(node, x)
    return ((F.exp(z) + F.exp(F.neg(z))) * 0.5).float()


@reads("Asinh", since=9)
def _asinh(node: Node, x: Tensor) -> Any:
    z = F.abs(_wide(node, x))
    y = F.log1p(z + z * z / (F.sqrt(z * z + 1.0) + 1.0))
    return (F.sign(x.double()) * F.where(z == math.inf, math.inf, y)).float()


@reads("Acosh", since=9)
def _acosh(node: Node, x: Tensor) -> Any:
    z = _wide(node, x) - 1.0
    return F.log1p(z + F.sqrt(z * (z + 2.0))).float()


@reads("Atanh", since=9)
def _atanh(node: Node, x: Tensor) -> Any:
    z = _wide(node, x)
    return (F.log1p(2.0 * z / (1.0 - z)) * 0.5).float()


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
