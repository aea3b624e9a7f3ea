#!/usr/bin/env bash
# In float64, LogSoftmax turns a row with one NaN into numbers, and large positive ones.
#
# Versions   onnxruntime 1.32.0 on the CPU, onnx 1.23.2, numpy 2.4.6.
# Expected   The logarithm of a probability is at most 0, and in a row with a NaN the sum is NaN, so
#            all of the row is.
# Seen       LogSoftmax of [0, NaN, 0] is [NaN, NaN, NaN] in float32, and about [46, NaN, 46] in
#            float64. Softmax of the same row is NaN throughout in both.
# Matters    Who moves to float64 to look for the source of a NaN loses it there: a cross entropy of
#            a class beside the NaN comes out finite, and as more than certain (a loss of -46). So
#            test for NaN before a LogSoftmax, and do not take this runtime as the oracle of a
#            float64 test of it.
# Source     ONNX's page of LogSoftmax. No page or issue was found that says it.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


def run(op, values, dtype):
    x = np.array([values], dtype)
    x_info, y_info = (helper.make_tensor_value_info(n, KINDS[dtype], x.shape) for n in "xy")
    graph = helper.make_graph([helper.make_node(op, ["x"], ["y"])], "one", [x_info], [y_info])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0][0]


def kind(row):
    return "all NaN" if np.isnan(row).all() else (
        "above 0 beside the NaN" if np.nanmin(row) > 1 else "something else")


found = {}
for dtype in KINDS:
    rows = [run(op, [0.0, np.nan, 0.0], dtype) for op in ("LogSoftmax", "Softmax")]
    print(f"{dtype}: LogSoftmax {rows[0]}, Softmax {rows[1]}")
    found[dtype] = tuple(map(kind, rows))
expected = {"float32": ("all NaN", "all NaN"), "float64": ("above 0 beside the NaN", "all NaN")}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
