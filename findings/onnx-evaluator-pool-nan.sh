#!/usr/bin/env bash
# ONNX's own evaluator leaves a NaN out of a pooling window: of 1, 1, 1 and NaN the average is 1.
#
# Versions   onnx 1.23.2 (onnx.reference), onnxruntime 1.32.0 on the CPU, numpy 2.4.6.
# Expected   The page of AveragePool speaks of the average of the window, and that of MaxPool of its
#            maximum; neither says that some numbers do not count. An average of NaN is NaN.
# Seen       2 x 2 windows without padding, one NaN in the first. ReferenceEvaluator gives 1 there,
#            for AveragePool and for MaxPool. ONNX Runtime gives NaN for both, and the evaluator
#            itself gives NaN for GlobalAveragePool of the same image. The likely reason: padding is
#            filled with NaN, which then must not count, and no padding is told from data.
# Matters    The evaluator is what a backend is tested against, and what many load a model into to
#            find where its numbers go wrong. A NaN that a layer made is gone behind the next
#            pooling, in the tool that was to show it. And a kernel which skips NaN passes there.
# Source     The AveragePool and MaxPool pages of the ONNX operators.
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
from onnx.reference import ReferenceEvaluator

image = np.ones((1, 1, 4, 4), np.float32)
image[0, 0, 1, 1] = np.nan
WINDOW = {"kernel_shape": [2, 2], "strides": [2, 2]}


def both(op, **attributes):
    """The first number of the result, of the evaluator and of the runtime."""
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
             for n, s in (("x", image.shape), ("y", None))]
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    graph = helper.make_graph([node], "pool", infos[:1], infos[1:])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    results = ReferenceEvaluator(model).run(None, {"x": image}), session.run(None, {"x": image})
    return tuple(str(float(r[0].ravel()[0])) for r in results)


found = {op: both(op, **attributes) for op, attributes in (
    ("AveragePool", WINDOW), ("MaxPool", WINDOW), ("GlobalAveragePool", {}))}
for op, (evaluator, runtime) in found.items():
    print(f"{op}: ReferenceEvaluator {evaluator}, onnxruntime {runtime}")
expected = {"AveragePool": ("1.0", "nan"), "MaxPool": ("1.0", "nan"),
            "GlobalAveragePool": ("nan", "nan")}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
