"""Products of matrices: MatMul, Gemm, Einsum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etude import functional as F
from etude.core.shapes import float64, int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


def _product(x: Tensor, y: Tensor) -> Any:
    """A matrix product; of integers as a sum of products, because the op is for floats."""
    if x.dtype != int64:
        return F.matmul(x, y)
    row, column = x.ndim == 1, y.ndim == 1
    a, b = x.unsqueeze(0) if row else x, y.unsqueeze(1) if column else y
    z = F.sum(a.unsqueeze(-1) * b.unsqueeze(-3), -2)
    z = z.squeeze(-1) if column else z
    return z.squeeze(-1 if column else -2) if row else z


reads("MatMul")(lambda node, x, y: _product(x, y))


@reads("Gemm", since=7)
def _gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Any:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    across, down = node.get("transA", 0), node.get("transB", 0)
    a = a.transpose(0, 1) if across else a
    if down and alpha == 1 and beta == 1 and c is not None and c.ndim == 1 and (
            c.shape[0] == b.shape[0] and a.dtype != int64):
        return F.linear(a, b, c)
    y = _product(a, b.transpose(0, 1) if down else b)
    y = y if alpha == 1 else y * alpha
    if c is None:
        return y
    return y + (c if beta == 1 else c * beta)


@reads("Einsum", since=12)
def _einsum(node: Node, *xs: Tensor) -> Any:
    return F.einsum(node.get("equation"), *xs)


@reads("MatMulInteger", since=10)
def _matmul_integer(node: Node, a: Tensor, b: Tensor, a_zero: Tensor | None = None,
                    b_zero: Tensor | None = None) -> Any:
    """(a - its zero) (b - its zero), in whole numbers. A vector of zeros has one for each row of
    a, or each column of b.
    """
    if a_zero is not None:
        a = a - (a_zero.unsqueeze(-1) if a_zero.ndim == 1 and a_zero.numel() > 1 else a_zero)
    return _product(a, b if b_zero is None else b - b_zero)


# ------------------------------------------------------------------ To ONNX

differs("linear_int8", "scales each weight (DequantizeLinear)", "scales each sum",
        "handled: within the bound of float32, which counts one rounding more for each weight")
differs("matmul, linear, conv2d", "says nothing of the order of a sum",
        "float32 in blocks that are added up in float64", "handled: within the bound of float32")


@writes("matmul")
def matmul(call: Call, build: Build) -> str:
    return build.node("MatMul", *call.inputs)


@writes("linear")
def linear(call: Call, build: Build) -> str:
    x, weight, bias = (*call.inputs, None)[:3]
    if len(call.shapes[0]) == 2:
        return build.node("Gemm", x, weight, bias, transB=1)
    y = build.node("MatMul", x, build.node("Transpose", weight, perm=[1, 0]))
    return y if bias is None else build.node("Add", y, bias)


@writes("linear_int8")
def linear_int8(call: Call, build: Build) -> str:
    """The weight stays in int8, and a runtime makes numbers of it by DequantizeLinear, axis 0; from
    there on it is ``linear``. Scaled are the weights and not the sum, which rounds otherwise.
    """
    x, weight, scale, bias = (*call.inputs, None)[:4]
    if call.dtype == float64:
        raise Refused("DequantizeLinear has scales of float32, and this model is float64. Convert "
                      "it first: model.float()")
    w = build.node("DequantizeLinear", weight, scale, axis=0)
    if len(call.shapes[0]) == 2:
        return build.node("Gemm", x, w, bias, transB=1)
    y = build.node("MatMul", x, build.node("Transpose", w, perm=[1, 0]))
    return y if bias is None else build.node("Add", y, bias)
