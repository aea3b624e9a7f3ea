#!/usr/bin/env bash
# ONNX says auto_pad=SAME gives ceil(size / stride) outputs; three readers of it give three answers.
#
# Versions   onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6.
# Expected   The pages of MaxPool and AveragePool give, for SAME_UPPER and SAME_LOWER, the length of
#            the output, ceil(size / stride), and the padding that leads to it, dilation included.
#            The attribute is deprecated, but valid: the checker passes it, and exporters still
#            write it. The shape inference of the onnx package follows the pages.
# Seen       Dilated: ONNX Runtime pads as if there were no dilation, and of 8 numbers 6 come out,
#            with no more than a warning in the log. (Its Conv refuses the same case with an error.)
#            The reference evaluator of the onnx package, which is there to say what an operator
#            means, does so too for AveragePool, and fills up to 8 with zeros that no window gave.
#            Undilated: its MaxPool gives 4 numbers where SAME_LOWER asks for 5. With the same
#            padding written out as pads, both agree and are right.
# Matters    A stack of layers of another length runs to its end, or fails far from the cause. So an
#            exporter must write pads, never auto_pad; an importer must work the pads out itself and
#            compare with the inferred shape; and whoever takes either program as the oracle for
#            "same" padding must check lengths against the formula first. An undilated 3 x 3
#            kernel at stride 1, which is what one tests with, shows none of it.
# Source     The MaxPool and AveragePool pages of the ONNX operators. Pull request 3037 of
#            microsoft/onnxscript mends the same slip, for Conv, in an optimiser.
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

onnxruntime.set_default_logger_severity(3)  # without the warnings


def three(op, size, **attributes):
    """The inferred length, then the numbers of ONNX Runtime and of the reference evaluator."""
    x = np.arange(1, size + 1, dtype=np.float32).reshape(1, 1, size)
    told = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
    made = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, None])
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    model = helper.make_model(helper.make_graph([node], "one", [told], [made]), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 21)])
    onnx.checker.check_model(model, full_check=True)
    shape = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0]
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CPUExecutionProvider"])
    return (shape.type.tensor_type.shape.dim[2].dim_value,
            session.run(None, {"x": x})[0].ravel().tolist(),
            ReferenceEvaluator(model).run(None, {"x": x})[0].ravel().tolist())


dilated = {"kernel_shape": [3], "dilations": [2]}
found = {
    "MaxPool, dilated, SAME_UPPER": three("MaxPool", 8, auto_pad="SAME_UPPER", **dilated),
    "MaxPool, dilated, pads=[2, 2]": three("MaxPool", 8, pads=[2, 2], **dilated),
    "AveragePool, dilated, SAME_UPPER": three("AveragePool", 8, auto_pad="SAME_UPPER", **dilated),
    "AveragePool, dilated, pads=[2, 2]": three("AveragePool", 8, pads=[2, 2], **dilated),
    "MaxPool, stride 2, SAME_LOWER": three("MaxPool", 9, kernel_shape=[3], strides=[2],
                                           auto_pad="SAME_LOWER"),
    "MaxPool, stride 2, pads=[1, 1]": three("MaxPool", 9, kernel_shape=[3], strides=[2],
                                            pads=[1, 1]),
}
for name, (length, runtime, reference) in found.items():
    print(f"{name}: inferred length {length}\n  onnxruntime {runtime}\n  reference   {reference}")
right = [3, 4, 5, 6, 7, 8, 7, 8]
means = [2, 3, 3, 4, 5, 6, 6, 7]
strided = [2, 4, 6, 8, 9]
expected = {
    "MaxPool, dilated, SAME_UPPER": (8, right[1:7], right),
    "MaxPool, dilated, pads=[2, 2]": (8, right, right),
    "AveragePool, dilated, SAME_UPPER": (8, means[1:7], [*means[1:7], 0, 0]),
    "AveragePool, dilated, pads=[2, 2]": (8, means, means),
    "MaxPool, stride 2, SAME_LOWER": (5, strided, [3, 5, 7, 9]),
    "MaxPool, stride 2, pads=[1, 1]": (5, strided, strided),
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON
