"""Constants, conversions, and integers that stand for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.onnx.table import differs, writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

differs("embedding, index_select, gather, scatter_add, one_hot",
        "an index below 0 counts from the end", "IndexError",
        "handled: written for indices that Etude takes; what it raises an error for, a runtime "
        "may take")


@writes("cast")
def cast(call: Call, build: Build) -> str:
    return build.cast(call.inputs[0], call.attrs["dtype"])
