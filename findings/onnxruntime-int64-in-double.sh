#!/usr/bin/env bash
# Sums and powers of int64 go through a double: above 2^53 the answer is another integer.
#
# Versions   onnxruntime 1.32.0 on the CPU, onnx 1.23.2, numpy 2.4.6.
# Expected   ONNX's pages of ReduceSum and Pow list int64 among their types and name no rounding;
#            ReduceSum of integers is a sum of integers, exact as long as it fits.
# Seen       ReduceSum of [2^53 + 1, 2] is off by one, and Pow of 9 and 18 by fifteen: both are what
#            a double gives. Add of the same two numbers is exact, and so is Mul. onnx's own
#            reference evaluator is exact in all four. No error, no warning.
# Matters    int64 in a graph is mostly shapes and indices, where nobody comes near 2^53; but ids,
#            hashes, timestamps in nanoseconds and counters of random numbers do. A model that sums
#            or folds them gives other keys than the framework it was exported from. So an exporter
#            writes a chain of Add or refuses, and a test of int64 ops needs numbers above 2^53.
# Source     The operators' pages; pull request 28681 of microsoft/onnxruntime says the same of sums
#            on CUDA. No page or issue was found that says it of the CPU.
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


def answers(op, **inputs):
    """What onnxruntime and the reference evaluator make of one node, int64 in and out."""
    given = {name: np.array(value, np.int64) for name, value in inputs.items()}
    node = helper.make_node(op, list(given), ["y"])
    row = [helper.make_tensor_value_info(n, TensorProto.INT64, v.shape) for n, v in given.items()]
    y = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    model = helper.make_model(helper.make_graph([node], "one", row, [y]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return (int(session.run(None, given)[0].ravel()[0]),
            int(ReferenceEvaluator(model).run(None, given)[0].ravel()[0]))


big = 2**53 + 1
found = {
    "ReduceSum": (answers("ReduceSum", x=[big, 2], axes=[0]), big + 2),
    "Add": (answers("Add", x=[big], y0=[2]), big + 2),
    "Pow": (answers("Pow", x=[9], y0=[18]), 9**18),
    "Mul": (answers("Mul", x=[9**9], y0=[9**9]), 9**18),
}
for op, ((runtime, evaluator), exact) in found.items():
    print(f"{op:9} onnxruntime off by {runtime - exact:3}, reference evaluator by {evaluator - exact}")
off = {op: (runtime - exact, evaluator - exact)
       for op, ((runtime, evaluator), exact) in found.items()}
expected = {"ReduceSum": (-1, 0), "Add": (0, 0), "Pow": (15, 0), "Mul": (0, 0)}
if off != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
