"""Arithmetic: sums, products, powers, rounding, and functions of one number."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

from etude import functional as F
from etude.core.shapes import float32, int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads
from etude.onnx.values import number

# ------------------------------------------------------------------ From ONNX


reads("Add", since=7)(lambda node, x, y: F.add(x, y))
reads("Sub", since=7)(lambda node, x, y: F.sub(x, y))
reads("Mul", since=7)(lambda node, x, y: F.mul(x, y))

for _op, _fn in {"Neg": F.neg, "Abs": F.abs, "Sign": F.sign, "Reciprocal": F.reciprocal,
                 "Sqrt": F.sqrt, "Exp": F.exp, "Log": F.log, "Floor": F.floor, "Ceil": F.ceil,
                 "Sin": F.sin, "Cos": F.cos, "Erf": F.erf}.items():
    reads(_op)(lambda node, x, _fn=_fn: _fn(x))


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
