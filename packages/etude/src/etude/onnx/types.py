"""The dtype of every result in a graph, from ONNX's signatures: "T" in is "T" out.

Etude computes int8 to int32 in int64, so it must know which results ONNX would have in a smaller
type; and what would be float16 is refused before anything runs. Nothing else is inferred: shapes
show when the model runs.
"""

from __future__ import annotations

import re
from typing import Any

from onnx import TensorProto

from etude.core.errors import FileError
from etude.onnx.graph import Node
from etude.onnx.table import shown
from etude.onnx.tensors import dtype_name

#: Ops that state the dtype of their result in an attribute -> its name.
_STATED = {"Cast": "to", "EyeLike": "dtype", "RandomNormalLike": "dtype",
           "RandomUniformLike": "dtype", "Bernoulli": "dtype", "RandomNormal": "dtype",
           "RandomUniform": "dtype", "Multinomial": "dtype", "BlackmanWindow": "output_datatype",
           "HannWindow": "output_datatype", "HammingWindow": "output_datatype",
           "QuantizeLinear": "output_dtype"}
#: What they have otherwise; of the others it is the dtype of the input.
_OTHERWISE = {"RandomNormal": TensorProto.FLOAT, "RandomUniform": TensorProto.FLOAT,
              "Multinomial": TensorProto.INT32, "BlackmanWindow": TensorProto.FLOAT,
              "HannWindow": TensorProto.FLOAT, "HammingWindow": TensorProto.FLOAT}


def result_types(node: Node, schema: Any, given: list[int | None],
                 tensors: dict[str, int]) -> list[int | None]:
    """The dtype of each result, as ONNX numbers them; None where it cannot be known.
    tensors: the dtypes of attributes that are tensors.
    """
    if node.op in ("If", "Loop", "Scan"):
        return [None] * len(node.outputs)
    bound: dict[str, int] = {}
    first: dict[str, str] = {}  # type variable -> the input that bound it
    for i, (name, kind) in enumerate(zip(node.inputs, given, strict=True)):
        formal = _formal(schema.inputs, i)
        if kind is None or not (formal.is_homogeneous or formal.option != formal.option.Variadic):
            continue
        known = bound.setdefault(formal.type_str, kind)
        if known != kind:
            raise FileError(f"{shown(first[formal.type_str])} is {dtype_name(known)} and "
                            f"{shown(name)} is {dtype_name(kind)}, and must be the same")
        first.setdefault(formal.type_str, name)
    only = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    found = []
    for i in range(len(node.outputs)):
        text = _formal(schema.outputs, i).type_str
        allowed = only.get(text, [text])
        kind = _number(allowed[0]) if len(allowed) == 1 else bound.get(text)
        found.append(kind)
    stated = _stated(node, given, tensors)
    return found if stated is None else [stated, *found[1:]]


def _stated(node: Node, given: list[int | None], tensors: dict[str, int]) -> int | None:
    """What the node says of its result by itself."""
    attribute = _STATED.get(node.op, "")
    if node.attributes.get(attribute):
        return int(node.attributes[attribute])
    if node.op in ("Constant", "ConstantOfShape"):
        whole = "value_int" in node.attributes or "value_ints" in node.attributes
        return int(tensors.get("value", TensorProto.INT64 if whole else TensorProto.FLOAT))
    if node.op == "CastLike":
        return given[1]
    if node.op == "QuantizeLinear":
        return given[2] if len(given) > 2 and given[2] else TensorProto.UINT8
    if node.op == "DequantizeLinear":
        return given[1]
    return _OTHERWISE.get(node.op, given[0] if attribute else None)


def _formal(formals: Any, place: int) -> Any:
    """The parameter at a place; the last one may stand for any number."""
    return formals[min(place, len(formals) - 1)]


def _number(text: str) -> int | None:
    """tensor(int64) -> its number."""
    match = re.fullmatch(r"tensor\((\w+)\)", text)
    return None if match is None else int(TensorProto.DataType.Value(match[1].upper()))


