#!/usr/bin/env bash
# In ONNX's own evaluator a dilated Conv multiplies the gaps of its kernel too: inf there makes NaN.
#
# Versions   onnx 1.23.2 (onnx.reference), onnxruntime 1.32.0 on the CPU, numpy 2.4.6.
# Expected   A kernel with dilation d reads every d-th number of its window. What lies between takes
#            no part in the sum.
# Seen       x = [0, inf, 0, 0, 0], a kernel of two ones, dilation 2. By hand y[i] = x[i] + x[i + 2]:
#            [0, inf, 0]. ONNX Runtime says so. ReferenceEvaluator gives [NaN, inf, 0]: it spreads
#            the kernel out with zeros, and 0 times inf is NaN. With finite numbers all agree.
# Matters    Float32 activations overflow in badly scaled networks, and masks are written as -inf.
#            With the evaluator as the oracle, a right kernel then seems wrong, one that spreads its
#            kernel out seems right, and NaN appears a dilation away from where it was made.
# Source     The Conv page of the ONNX operators, attribute dilations.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

row = np.array([[[[0, np.inf, 0, 0, 0]]]], np.float32)
ones = np.ones((1, 1, 1, 2), np.float32)
infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
         for n, s in (("x", row.shape), ("w", ones.shape), ("y", None))]
node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[1, 2], dilations=[1, 2])
graph = helper.make_graph([node], "conv", infos[:2], infos[2:])
model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
given = {"x": row, "w": ones}

x = row.ravel()
found = {
    "by hand": x[:3] + x[2:],
    "onnxruntime": onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, given)[0],
    "ReferenceEvaluator": ReferenceEvaluator(model).run(None, given)[0],
}
found = {name: [str(float(v)) for v in np.ravel(y)] for name, y in found.items()}
for name, y in found.items():
    print(f"{name}: {', '.join(y)}")
right = ["0.0", "inf", "0.0"]
expected = {"by hand": right, "onnxruntime": right, "ReferenceEvaluator": ["nan", "inf", "0.0"]}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
