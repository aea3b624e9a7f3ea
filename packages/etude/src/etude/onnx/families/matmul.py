"""Products of matrices: MatMul, Gemm, Einsum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

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
