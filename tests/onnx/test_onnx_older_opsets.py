"""Opsets that onnx's node tests no longer speak: what was an attribute then, or meant something
else, beside onnxruntime.
"""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")
pytest.importorskip("onnxruntime", reason="NOT RUN: needs the package onnxruntime")

from exported import assert_same, computes, runs  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

import etude  # noqa: E402

DRAW = np.random.default_rng(0)


def floats(*shape):
    return DRAW.normal(size=shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int64)


X, IMAGE = floats(2, 3, 4), floats(2, 3, 6, 6)
#: (op, opsets, data, further inputs that are initialisers, attributes, how many results)
CASES = [
    ("Softmax", (7, 11, 12), X, (), {}, 1),
    ("Softmax", (7, 11, 12), X, (), {"axis": 2}, 1),
    ("Softmax", (11,), X, (), {"axis": -2}, 1),
    ("Softmax", (13, 17), X, (), {}, 1),
    ("LogSoftmax", (7, 11), X, (), {"axis": 0}, 1),
    ("Hardmax", (7, 11), X, (), {}, 1),
    ("Hardmax", (13,), X, (), {"axis": 1}, 1),
    ("Squeeze", (7, 11), X[:1], (), {"axes": [0]}, 1),
    ("Squeeze", (7, 11), X[:1], (), {}, 1),
    ("Unsqueeze", (7, 11), X, (), {"axes": [0, 3]}, 1),
    ("Unsqueeze", (11,), X, (), {"axes": [-1, 1]}, 1),
    ("ReduceSum", (7, 11, 12), X, (), {"axes": [1], "keepdims": 0}, 1),
    ("ReduceSum", (13,), X, (ints(1),), {}, 1),
    ("ReduceMean", (11, 17), X, (), {"axes": [0, 2]}, 1),
    ("ReduceMax", (7, 12, 17), X, (), {"axes": [2]}, 1),
    ("ReduceLogSumExp", (11, 17), X, (), {}, 1),
    ("ReduceL2", (11, 17), X, (), {"axes": [-1]}, 1),
    ("Slice", (7, 9), X, (), {"starts": [1, -3], "ends": [3, 100], "axes": [1, 2]}, 1),
    ("Slice", (10, 11), X, (ints(-1), ints(-100), ints(2), ints(-2)), {}, 1),
    ("Pad", (7, 10), X, (), {"pads": [0, 1, 0, 0, 0, 2], "value": 3.0}, 1),
    ("Pad", (7, 10), X, (), {"pads": [0, 1, 1, 0, 1, 2], "mode": "reflect"}, 1),
    ("Pad", (11, 13), X, (ints(0, -1, 0, 0, 1, -2), np.float32(7)), {}, 1),
    ("Split", (7, 11), X, (), {"axis": 2, "split": [1, 3]}, 2),
    ("Split", (7, 11, 13), X, (), {"axis": 2}, 2),
    ("Split", (13, 17), X, (ints(1, 2),), {"axis": 1}, 2),
    ("Clip", (7, 10), X, (), {"min": -0.5, "max": 0.25}, 1),
    ("Clip", (11, 12), X, (np.float32(-0.5),), {}, 1),
    ("TopK", (10,), X, (ints(2),), {"axis": 1}, 2),
    ("TopK", (11,), X, (ints(3),), {"largest": 0}, 2),
    ("Scatter", (9, 10), X, (np.array([[[1, 0, 0, 1]] * 2]), floats(1, 2, 4)), {}, 1),
    ("Dropout", (7, 10, 11), X, (), {"ratio": 0.25}, 1),
    ("Dropout", (12, 13), X, (np.float32(0.25),), {}, 1),
    ("BatchNormalization", (9, 13), IMAGE,
     (floats(3), floats(3), floats(3), np.abs(floats(3))), {"epsilon": 1e-3}, 1),
    ("Upsample", (9,), IMAGE, (np.array([1, 1, 2, 2], np.float32),), {"mode": "nearest"}, 1),
    ("Upsample", (9,), IMAGE, (np.array([1, 1, 2, 3], np.float32),), {"mode": "linear"}, 1),
    ("MaxPool", (7, 8), IMAGE, (), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, 1),
    ("MaxPool", (8, 10), IMAGE, (), {"kernel_shape": [2, 2], "strides": [2, 2]}, 2),
    ("MaxPool", (10, 12), IMAGE,
     (), {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 0, 1]}, 2),
    ("AveragePool", (7, 10), IMAGE, (), {"kernel_shape": [3, 3], "pads": [1, 1, 0, 0]}, 1),
    ("AveragePool", (10, 11, 19), IMAGE,
     (), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1, "count_include_pad": 1,
          "pads": [1, 1, 1, 1]}, 1),
    ("AveragePool", (7, 11), IMAGE, (), {"kernel_shape": [3, 3], "auto_pad": "SAME_LOWER",
                                         "strides": [2, 2]}, 1),
    ("LpPool", (7, 11), IMAGE, (), {"kernel_shape": [2, 2], "p": 3}, 1),
    ("Flatten", (7, 9), X, (), {"axis": 2}, 1),
    ("Flatten", (11,), X, (), {"axis": -1}, 1),
    ("Gemm", (7, 9), X[0], (floats(5, 4), floats(5)), {"transB": 1, "alpha": 0.5}, 1),
    ("Gemm", (11,), X[0], (floats(4, 5),), {}, 1),
    ("Gather", (7, 11), X, (np.array([[0, 1], [1, 1]]),), {"axis": 2}, 1),
    ("ArgMax", (7, 11), X, (), {"axis": 1}, 1),
    ("Cast", (7, 9), X, (), {"to": 7}, 1),
    ("OneHot", (9, 11), ints(1, 0, -1), (ints(3), floats(2)), {}, 1),
    ("Tile", (7,), X, (ints(1, 2, 3),), {}, 1),
    ("Expand", (8,), X, (ints(2, 1, 1, 4),), {}, 1),
    ("Mod", (10,), X, (floats(2, 3, 4),), {"fmod": 1}, 1),
    ("CumSum", (11,), X, (np.int64(1),), {"exclusive": 1, "reverse": 1}, 1),
    ("LRN", (7, 13), IMAGE, (), {"size": 3, "alpha": 0.5}, 1),
    ("InstanceNormalization", (7,), IMAGE, (floats(3), floats(3)), {}, 1),
    ("GatherND", (11,), X, (np.array([[0, 2], [1, 0]]),), {}, 1),
    ("ThresholdedRelu", (10,), X, (), {"alpha": 0.3}, 1),
    ("DepthToSpace", (7, 10), floats(1, 8, 2, 3), (), {"blocksize": 2}, 1),
    ("DepthToSpace", (11,), floats(1, 8, 2, 3), (), {"blocksize": 2, "mode": "CRD"}, 1),
    ("Einsum", (12,), X[0], (floats(4, 5),), {"equation": "ij, jk -> ki"}, 1),
    ("Resize", (11, 13), IMAGE, (np.array([], np.float32), np.array([1, 1, 2, 1.5], np.float32)),
     {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, 1),
]


@pytest.mark.parametrize(("op", "opset", "case"), [
    pytest.param(op, opset, case, id=f"{op} {opset} {i}")
    for i, (op, opsets, *case) in enumerate(CASES) for opset in opsets])
def test_a_node_of_an_older_opset_is_what_onnxruntime_has(op, opset, case, tmp_path):
    x, others, attributes, results = case
    names = [f"w{i}" for i in range(len(others))]
    outputs = [f"y{i}" for i in range(results)]
    kinds = [helper.np_dtype_to_tensor_dtype(x.dtype)] + [0] * results
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], outputs, **attributes)], "g",
        [helper.make_tensor_value_info("x", kinds[0], x.shape)],
        [helper.make_tensor_value_info(y, kind_of(op, i, kinds[0], attributes, others), None)
         for i, y in enumerate(outputs)],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in zip(names, others)])
    path = tmp_path / "node.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=7, opset_imports=[
        helper.make_opsetid("", opset)]).SerializeToString())
    assert_same(computes(etude.onnx.load(path), x), runs(path, x))


def kind_of(op, i, own, attributes, others):
    """The dtype of a result, as ONNX numbers it."""
    if op == "ArgMax" or (i == 1 and op in ("TopK", "MaxPool")):
        return onnx.TensorProto.INT64
    if op == "OneHot":
        return helper.np_dtype_to_tensor_dtype(others[1].dtype)
    return attributes.get("to", own)
