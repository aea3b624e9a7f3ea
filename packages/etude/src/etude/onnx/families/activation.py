"""Activations: Relu and what came after it."""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.shapes import int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import differs, reads
from etude.onnx.values import one_of

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
