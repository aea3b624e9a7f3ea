"""Attention and what stands beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("scaled_dot_product_attention",
        "Softmax of a row of -inf is NaN; Attention (23) gives 0", "a query that sees no key: 0",
        "handled: such rows are set to 0 after the Softmax")


@writes("scaled_dot_product_attention")
def scaled_dot_product_attention(call: Call, build: Build) -> list[str]:
    from etude.onnx.build import numbers

    query, key, value, mask = (*call.inputs, None)[:4]
    L, S = call.shapes[0][-2], call.shapes[1][-2]
    n, dtype, scale = len(call.shapes[1]), call.dtype, call.attrs["scale"]
    if scale is None:
        scale = 1 / math.sqrt(numbers(call.shapes[0][-1:], "the width of a query")[0])
    turned = build.node("Transpose", key, perm=[*range(n - 2), n - 1, n - 2])
    scores = build.node("Mul", build.node("MatMul", query, turned), build.constant(scale, dtype))
    never = build.constant(-np.inf, dtype)
    if call.attrs["is_causal"]:
        seen = build.constant(np.tri(*numbers((L, S), "how many see how many"), dtype=bool), bool)
        scores = build.node("Where", seen, scores, never)
    elif mask is not None and call.dtypes[3].kind == "b":
        scores = build.node("Where", mask, scores, never)
    elif mask is not None:
        scores = build.node("Add", scores, mask)
    shares = build.node("Softmax", scores, axis=-1)
    if mask is not None or not build.finite:
        top = build.reduce("ReduceMax", scores, [len(call.out[0]) - 1], True)
        blind = build.node("Equal", top, never)
        shares = build.node("Where", blind, build.constant(0, dtype), shares)
    return [build.node("MatMul", shares, value)]
