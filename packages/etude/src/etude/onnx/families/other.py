"""Constants, conversions, and integers that stand for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.shapes import axis
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import dtype_numbered, host, like

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


@reads("Constant")
def _constant(node: Node) -> np.ndarray[Any, Any]:
    """What it holds, as an array: the reader of the file asks, once, and the model keeps it."""
    dtypes = {"value": None, "value_float": np.float32, "value_floats": np.float32,
              "value_int": np.int64, "value_ints": np.int64}
    found = [name for name in node.attributes if name in dtypes]
    if len(found) != 1 or len(node.attributes) != 1:
        raise Refused(f"it holds {', '.join(node.attributes) or 'nothing'}; Etude reads one of "
                      f"{', '.join(dtypes)}")
    return np.asarray(node.get(found[0]), dtypes[found[0]])


def _converted(x: Tensor, kind: int) -> Any:
    dtype = dtype_numbered(kind)
    if dtype.kind == "i" and x.dtype.kind == "f":
        values = host(x)
        if values.size and not (np.abs(values) < 2.0**63).all():
            raise Refused("a float that is no integer of 64 bits becomes one: ONNX does not say "
                          "which")
    return x.to(dtype)


@reads("Cast", since=6)
def _cast(node: Node, x: Tensor) -> Any:
    node.get("saturate"), node.get("round_mode")  # of float8, which is refused
    return _converted(x, node.get("to"))


@reads("CastLike", since=15)
def _cast_like(node: Node, x: Tensor, target: Tensor) -> Any:
    node.get("saturate"), node.get("round_mode")
    if x.dtype.kind == "f" and target.dtype == np.int64:
        return _converted(x, 7)
    return x.to(target.dtype)


differs("Cast of NaN, infinities and numbers beyond the range to integers", "not said",
        "not defined, as in C", "refused: such a number, when it comes up")
differs("Integers of 8 to 32 bits", "wrap round at the end of their range", "are computed in int64",
        "refused: a result beyond the range, when it comes up; in range all is the same")


# ---- integers that stand for numbers: y = (x - zero) scale


def _spread(node: Node, x: Tensor, part: Tensor) -> Any:
    """Scales or zeros, one in all, one for each place along an axis, or one for each block."""
    if part.numel() == 1 and part.ndim < 2:
        return part.reshape(())
    d, block = axis(node.op, node.get("axis", 1), x.ndim), node.get("block_size", 0)
    if block:
        places = like(x, np.arange(x.shape[d]) // block, np.int64)
        return F.index_select(part, d, places)
    return part.reshape([-1 if i == d else 1 for i in range(x.ndim)])


@reads("DequantizeLinear", since=10)
def _dequantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Any:
    node.get("axis"), node.get("block_size"), node.get("output_dtype")
    if zero is not None:
        x = x - _spread(node, x, zero)
    return x.to(scale.dtype) * _spread(node, x, scale)


@reads("QuantizeLinear", since=10)
def _quantize(node: Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Any:
    """round(x / scale) + zero, halves to the even number, held in the range of the result."""
    node.get("axis"), node.get("block_size"), node.get("saturate"), node.get("output_dtype")
    if node.get("precision"):
        raise Refused("a precision of its own for the division")
    kept = node.narrow[0]
    if kept is None:
        raise Refused("numbers of another type than int8 to int32")
    y = F.round(x.to(scale.dtype) / _spread(node, x, scale))
    if zero is not None:
        y = y + _spread(node, x, zero).to(y.dtype)
    return _converted(F.clamp(y, float(np.iinfo(kept).min), float(np.iinfo(kept).max)), 7)


# ------------------------------------------------------------------ To ONNX

differs("embedding, index_select, gather, scatter_add, one_hot",
        "an index below 0 counts from the end", "IndexError",
        "handled: written for indices that Etude takes; what it raises an error for, a runtime "
        "may take")


@writes("cast")
def cast(call: Call, build: Build) -> str:
    return build.cast(call.inputs[0], call.attrs["dtype"])
