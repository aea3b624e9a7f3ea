#!/usr/bin/env bash
# In ONNX Runtime the greatest of three numbers depends on where a NaN stands, and on the operator.
#
# Versions   onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
# Expected   The maximum of some numbers does not depend on their order. The ONNX pages of these
#            operators say nothing of NaN. NumPy and PyTorch give NaN whenever there is one, and so
#            does the reference evaluator of the onnx package, but for MaxPool.
# Seen       On [nan 1 3], [1 nan 3], [1 3 nan]: Max and TopK give NaN each time. ReduceMax gives
#            NaN for the first and 3 for the others. ArgMax gives 0, 2, 1: the place of the NaN, of
#            the 3, and of the 3. So in one session ReduceMax, Max and TopK disagree on the same
#            three numbers. MaxPool gave 3 each time, as in the reference evaluator (shown, not
#            checked: in the runtime a vector instruction may decide it).
# Matters    Exported models are checked by running them here. A NaN that training would show can be
#            gone from the output, and come back when the batch is shuffled or an axis is moved. So
#            test for NaN before the maximum, not after; do not take this runtime as an oracle for
#            NaN; and when an op is defined, write its rule for NaN down and check it with the NaN
#            in first, middle and last place. A kernel that keeps "acc < x ? x : acc" has this very
#            bug.
# Source     Issue 10514 of microsoft/onnxruntime (ReduceMax, open); pull request 21492 mended Max
#            and Min alone.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def both(op, inputs, outputs=("y",), **attributes):
    """The first number of the first output: by ONNX Runtime and by the reference evaluator."""
    told = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for name, a in inputs.items()]
    kinds = [TensorProto.INT64 if op == "ArgMax" else TensorProto.FLOAT, TensorProto.INT64]
    rank = 3 if op == "MaxPool" else 1
    made = [helper.make_tensor_value_info(name, kind, [None] * rank)
            for name, kind in zip(outputs, kinds)]
    node = helper.make_node(op, list(inputs), list(outputs), **attributes)
    model = helper.make_model(helper.make_graph([node], "one", told, made), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return (float(session.run(None, inputs)[0].reshape(-1)[0]),
            float(ReferenceEvaluator(model).run(None, inputs)[0].reshape(-1)[0]))


found = {}
for order in ([np.nan, 1, 3], [1, np.nan, 3], [1, 3, np.nan]):
    x = np.array(order, np.float32)
    three = {"a": x[:1], "b": x[1:2], "c": x[2:]}
    row = {
        "Max": both("Max", three),
        "TopK": both("TopK", {"x": x, "k": np.array([1])}, ("y", "at")),
        "ReduceMax": both("ReduceMax", {"x": x, "axes": np.array([0])}),
        "ArgMax": both("ArgMax", {"x": x}, axis=0, keepdims=1),
        "MaxPool": both("MaxPool", {"x": x.reshape(1, 1, 3)}, kernel_shape=[3]),
    }
    print(f"{x}  " + "  ".join(f"{op} {runtime:g} (reference {reference:g})"
                               for op, (runtime, reference) in row.items()))
    for op in ("Max", "TopK", "ReduceMax", "ArgMax"):
        found.setdefault(op, []).append(f"{row[op][0]:g}")
    if not np.isnan(row["ReduceMax"][1]):
        sys.exit("CHANGED: the reference evaluator's ReduceMax was to give NaN each time")
expected = {"Max": ["nan"] * 3, "TopK": ["nan"] * 3, "ReduceMax": ["nan", "3", "3"],
            "ArgMax": ["0", "2", "1"]}
if found != expected:
    sys.exit(f"CHANGED: {found}, and this finding says {expected}")
print("as found")
PYTHON
