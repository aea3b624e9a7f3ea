"""Activations: Relu and what came after it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import int64
from etude.core.tensor import Tensor
from etude.onnx.families.arithmetic import log_of_more
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads, writes
from etude.onnx.values import one_of
from etude.ops import activation
from etude.ops.map import GELU_CUBE, SQRT_2_OVER_PI

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


for _op, _fn in {"Sigmoid": F.sigmoid, "Tanh": F.tanh}.items():
    reads(_op)(lambda node, x, _fn=_fn: _fn(x))


@reads("Relu")
def _relu(node: Node, x: Tensor) -> Any:
    return F.clamp(x, min=0) if x.dtype == int64 else F.relu(x)


@reads("LeakyRelu")
def _leaky_relu(node: Node, x: Tensor) -> Any:
    return F.leaky_relu(x, node.get("alpha", 0.01))


@reads("PRelu", since=7)
def _prelu(node: Node, x: Tensor, slope: Tensor) -> Any:
    return F.where(x < 0, x * slope, x)


@reads("Elu")
def _elu(node: Node, x: Tensor) -> Any:
    return F.elu(x, node.get("alpha", 1.0))


@reads("Celu", since=12)
def _celu(node: Node, x: Tensor) -> Any:
    alpha = node.get("alpha", 1.0)
    return F.elu(x / alpha) * alpha


@reads("Selu")
def _selu(node: Node, x: Tensor) -> Any:
    alpha = node.get("alpha", 1.6732632423543772)
    return F.elu(x, alpha) * node.get("gamma", 1.0507009873554805)


@reads("HardSigmoid")
def _hard_sigmoid(node: Node, x: Tensor) -> Any:
    return F.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0.0, 1.0)


@reads("HardSwish", since=14)
def _hard_swish(node: Node, x: Tensor) -> Any:
    return x * F.clamp(x / 6.0 + 0.5, 0.0, 1.0)


@reads("Softplus")
def _softplus(node: Node, x: Tensor) -> Any:
    return F.softplus(x, threshold=math.inf)


differs("Softplus", "ln(1 + e^x) everywhere", "x itself above a threshold of 20",
        "handled: threshold = inf")


@reads("Softsign")
def _softsign(node: Node, x: Tensor) -> Any:
    return x / (F.abs(x) + 1.0)


@reads("Mish", since=18)
def _mish(node: Node, x: Tensor) -> Any:
    return x * F.tanh(F.softplus(x, threshold=math.inf))


@reads("Gelu", since=20)
def _gelu(node: Node, x: Tensor) -> Any:
    return F.gelu(x, approximate=one_of(node, "approximate", "none", "none", "tanh"))


@reads("Swish", since=24)
def _swish(node: Node, x: Tensor) -> Any:
    alpha = node.get("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * F.sigmoid(x * alpha)


@reads("SwiGLU", since=28)
def _swiglu(node: Node, gate: Tensor, x: Tensor) -> Any:
    return _swish(node, gate) * x


@reads("ThresholdedRelu", since=10)
def _thresholded_relu(node: Node, x: Tensor) -> Any:
    return F.where(x > node.get("alpha", 1.0), x, 0.0)


@reads("Shrink", since=9)
def _shrink(node: Node, x: Tensor) -> Any:
    bias, lambd = node.get("bias", 0.0), node.get("lambd", 0.5)
    zero = F.where(F.isnan(x), x, 0.0)
    return F.where(x < -lambd, x + bias, F.where(x > lambd, x - bias, zero))


# ------------------------------------------------------------------ To ONNX

differs("clamp", "Clip: says nothing of a least above the most, in opset 13, nor of a NaN bound",
        "the most wins, and a NaN bound is none", "handled: written with Where in these cases")
differs("gelu", "Gelu: from opset 20 on", "from opset 13 on",
        "handled: below 20 written with Erf, or with Sigmoid for the tanh form")
differs("softplus", "Softplus has neither beta nor threshold", "has both",
        "handled: written with Mul, Div and a Where")


def exact(value: float, dtype: np.dtype[Any]) -> bool:
    """Whether an attribute of ONNX, which is a float32, can be ``value`` for data of ``dtype``."""
    return dtype == np.float32 or float(np.float32(value)) == value


@writes("relu")
def relu(call: Call, build: Build) -> str:
    (x,) = call.inputs
    if call.dtype.kind == "f":
        return build.node("Relu", x)
    return build.node("Max", x, build.constant(0, call.dtype))  # runtimes have no Relu of int64


@writes("sigmoid")
def sigmoid(call: Call, build: Build) -> str:
    return build.node("Sigmoid", *call.inputs)


@writes("silu")
def silu(call: Call, build: Build) -> str:
    (x,) = call.inputs
    return build.node("Mul", x, build.node("Sigmoid", x))


@writes("leaky_relu")
def leaky_relu(call: Call, build: Build) -> str:
    (x,), slope = call.inputs, call.attrs["negative_slope"]
    if exact(slope, call.dtype):
        return build.node("LeakyRelu", x, alpha=float(slope))
    below = build.node("Mul", x, build.constant(slope, call.dtype))
    above = build.node("Greater", x, build.constant(0, call.dtype))
    return build.node("Where", above, x, below)


@writes("elu")
def elu(call: Call, build: Build) -> str:
    (x,), alpha = call.inputs, call.attrs["alpha"]
    if exact(alpha, call.dtype):
        return build.node("Elu", x, alpha=float(alpha))
    zero = build.constant(0, call.dtype)
    unit = build.node("Mul", build.node("Elu", x, alpha=1.0), build.constant(alpha, call.dtype))
    return build.node("Where", build.node("Greater", x, zero), x, unit)


@writes("softplus")
def softplus(call: Call, build: Build) -> str:
    (x,), beta, threshold = call.inputs, call.attrs["beta"], call.attrs["threshold"]
    z, by = x, build.constant(beta, call.dtype)
    if beta != 1:
        z = build.node("Mul", x, by)
    size = build.node("Neg", build.node("Abs", z))
    y = build.node("Add", build.node("Relu", z),
                   log_of_more(build.node("Exp", size), call.dtype, build))
    if beta != 1:
        y = build.node("Div", y, by)
    above = build.node("Greater", z, build.constant(threshold, call.dtype))
    return build.node("Where", above, x, y)


@writes("clamp")
def clamp(call: Call, build: Build) -> str:
    x: str = call.inputs[0]
    least, most = call.attrs["min"], call.attrs["max"]
    if call.dtype.kind == "i":
        whole: Any = activation
        least, most = whole._whole(least, math.ceil), whole._whole(most, math.floor)
    bounds = [b for b in (least, most) if b is not None]
    low, high = [None if b is None else build.constant(b, call.dtype) for b in (least, most)]
    if all(b == b for b in bounds) and not (len(bounds) == 2 and bounds[0] > bounds[1]):
        return build.node("Clip", x, low, high)
    if low is not None:
        x = build.node("Where", build.node("Less", x, low), low, x)
    if high is not None:
        x = build.node("Where", build.node("Greater", x, high), high, x)
    return x


@writes("gelu", to=19)
def gelu(call: Call, build: Build) -> str:
    (x,), dtype = call.inputs, call.dtype
    if call.attrs["approximate"] == "tanh":
        near = build.node("Clip", x, build.constant(-60, dtype), build.constant(60, dtype))
        square = build.node("Mul", near, near)
        cube = build.node("Mul", build.node("Mul", square, near), build.constant(GELU_CUBE, dtype))
        z = build.node("Mul", build.node("Add", near, cube),
                       build.constant(2 * SQRT_2_OVER_PI, dtype))
        return build.node("Mul", x, build.node("Sigmoid", z))
    erf = build.node("Erf", build.node("Mul", x, build.constant(np.sqrt(0.5), dtype)))
    half = build.node("Mul", x, build.constant(0.5, dtype))
    return build.node("Mul", half, build.node("Add", erf, build.constant(1, dtype)))


@writes("gelu", since=20)
def gelu_whole(call: Call, build: Build) -> str:
    return build.node("Gelu", *call.inputs, approximate=call.attrs["approximate"])
