"""Comparisons, logic and bits, and the choice between two arrays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import like, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


reads("Equal", since=7)(lambda node, x, y: F.eq(x, y))
reads("Greater", since=7)(lambda node, x, y: F.gt(x, y))
reads("Less", since=7)(lambda node, x, y: F.lt(x, y))
reads("GreaterOrEqual", since=12)(lambda node, x, y: F.ge(x, y))
reads("LessOrEqual", since=12)(lambda node, x, y: F.le(x, y))
reads("And", since=7)(lambda node, x, y: F.logical_and(x, y))
reads("Or", since=7)(lambda node, x, y: F.logical_or(x, y))
reads("Xor", since=7)(lambda node, x, y: F.ne(x, y))
reads("Not")(lambda node, x: F.logical_not(x))
reads("Where", since=9)(lambda node, condition, x, y: F.where(condition, x, y))
reads("IsNaN", since=9)(lambda node, x: F.isnan(x))


@reads("IsInf", since=10)
def _is_inf(node: Node, x: Tensor) -> Any:
    above, below = node.get("detect_positive", 1), node.get("detect_negative", 1)
    found = F.ne(x, x) & False
    if above:
        found = found | F.eq(x, math.inf)
    return found | F.eq(x, -math.inf) if below else found


# ---- bits: an integer is a sum of powers of two, and in two's complement the last one is negative


def _width(node: Node, x: Tensor) -> tuple[int, bool]:
    """(bits, whether one is the sign) of the type that ONNX has the numbers in."""
    dtype = node.narrow[0] or x.dtype
    return dtype.itemsize * 8, dtype.kind == "i"


def _bits(x: Tensor, width: int) -> Any:
    """(..., width) of 0 and 1. The division rounds down, so those of -1 are all 1."""
    powers = like(x, [1 << i for i in range(min(width, 63))])
    found = F.remainder(F.floor_divide(x.unsqueeze(-1), powers), 2)
    top = (x < 0).long().unsqueeze(-1)
    return found if width < 64 else F.cat([found, top], dim=-1)


def _whole(bits: Any, width: int, signed: bool) -> Any:
    powers = [1 << i for i in range(width)]
    if signed:
        powers[-1] = -powers[-1]
    return F.sum(bits * like(bits, powers), dim=-1)


def _bitwise(join: Any) -> Any:
    def rule(node: Node, x: Tensor, y: Tensor) -> Any:
        width, signed = _width(node, x)
        return _whole(join(_bits(x, width), _bits(y, width)), width, signed)

    return rule


reads("BitwiseAnd", since=18)(_bitwise(F.mul))
reads("BitwiseOr", since=18)(_bitwise(F.maximum))
reads("BitwiseXor", since=18)(_bitwise(lambda x, y: F.ne(x, y).long()))


@reads("BitwiseNot", since=18)
def _bitwise_not(node: Node, x: Tensor) -> Any:
    width, signed = _width(node, x)
    return F.neg(x) - 1 if signed else F.neg(x) + ((1 << width) - 1)


@reads("BitShift", since=11)
def _bit_shift(node: Node, x: Tensor, y: Tensor) -> Any:
    """By a power of two: the division rounds down, so the sign is what fills up from the left.
    A shift by less than no bits, or by all of them, leaves the sign alone, or 0.
    """
    direction = one_of(node, "direction", "", "LEFT", "RIGHT")
    width, signed = _width(node, x)
    beyond = (y < 0) | (y >= width)
    power = F.pow(like(y, 2), F.clamp(y, 0, min(width - 1, 62)))
    if direction == "RIGHT":
        half = F.where(F.eq(y, 63), 2, 1)  # 2^63 is no int64
        by = F.floor_divide(F.floor_divide(x, power), half)
        return F.where(beyond, F.neg((x < 0).long()), by)
    if width == 64:
        return F.where(beyond, 0, _doubled(x, y, power))
    z = F.remainder(x * power, 1 << width)
    z = F.where(z >= 1 << (width - 1), z - (1 << width), z) if signed else z
    return F.where(beyond, 0, z)


def _doubled(x: Tensor, y: Tensor, power: Any) -> Any:
    if bool(F.any((F.abs(x.double()) * power.double() >= 2.0**63) | F.eq(y, 63))):
        raise Refused("a shift that pushes bits out of 64")
    return x * power


differs("Equal, Less, ... of NaN", "false, and true for not equal", "the same",
        "handled: they agree")


# ------------------------------------------------------------------ To ONNX

ORDERS = {"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}


def _order(op: str, kind: str) -> None:
    @writes(op)
    def rule(call: Call, build: Build) -> str:
        x, y = call.inputs
        if call.dtype.kind == "b":  # ONNX orders numbers alone
            x, y = build.cast(x, np.int64), build.cast(y, np.int64)
        return build.node(kind, x, y)


for _op, _kind in ORDERS.items():
    _order(_op, _kind)


@writes("eq")
def eq(call: Call, build: Build) -> str:
    return build.node("Equal", *call.inputs)


@writes("ne")
def ne(call: Call, build: Build) -> str:
    return build.node("Not", build.node("Equal", *call.inputs))


@writes("isnan")
def isnan(call: Call, build: Build) -> str:
    return build.node("IsNaN", *call.inputs)


@writes("logical_and")
def logical_and(call: Call, build: Build) -> str:
    return build.node("And", *call.inputs)


@writes("logical_or")
def logical_or(call: Call, build: Build) -> str:
    return build.node("Or", *call.inputs)


@writes("logical_not")
def logical_not(call: Call, build: Build) -> str:
    return build.node("Not", *call.inputs)


@writes("where")
def where(call: Call, build: Build) -> str:
    condition, x, y = call.inputs
    if call.dtypes[1].kind != "b":
        return build.node("Where", condition, x, y)
    yes = build.node("And", condition, x)  # runtimes have no Where of bools
    return build.node("Or", yes, build.node("And", build.node("Not", condition), y))
