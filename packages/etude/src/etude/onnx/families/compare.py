"""Comparisons, logic and bits, and the choice between two arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from etude.onnx.table import writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












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
