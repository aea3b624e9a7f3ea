"""Convolutions, and the backward of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etude.onnx.table import writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX


@writes("conv2d")
def conv2d(call: Call, build: Build) -> str:
    attrs = call.attrs
    return build.node("Conv", *call.inputs, kernel_shape=list(call.shapes[1][2:]),
                      strides=list(attrs["stride"]), pads=[*attrs["padding"], *attrs["padding"]],
                      dilations=list(attrs["dilation"]), group=attrs["groups"])
