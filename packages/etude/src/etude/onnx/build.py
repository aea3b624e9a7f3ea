"""What the writers of ``families/`` are given: the call to be written, and what writes nodes.

A writer names what it makes by strings, as ONNX does. Constants are entered once, however often
they are used; shapes may hold a ``Size``, and become nodes that read the batch size where they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper

from etude.onnx.batch import Dims, Size
from etude.onnx.table import Refused

KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64,
         "bool": TensorProto.BOOL, "int8": TensorProto.INT8}
FIRST, LAST = -(2**63), 2**63 - 1  # of an axis, however long, read backwards and forwards


class HigherOpset(Exception):  # noqa: N818 - caught by export, which begins again
    """A call needs an opset above the one that is written."""

    def __init__(self, opset: int) -> None:
        super().__init__(opset)
        self.opset = opset


@dataclass
class Call:
    """One call of an Etude op. ``inputs``: names, None where an optional array is not given."""

    op: str
    inputs: tuple[Any, ...]
    shapes: tuple[Any, ...]  # of the inputs: tuples of int or Size; None where there is no input
    dtypes: tuple[Any, ...]
    attrs: dict[str, Any]
    constant: tuple[Any, ...]  # the numbers of inputs that are constants, else None
    out: tuple[Dims, ...]  # shapes of the results
    used: tuple[bool, ...]  # which results somebody wants

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the first input."""
        return self.dtypes[0]  # type: ignore[no-any-return]

    def axis(self, dim: int, i: int = 0) -> int:
        """An axis of input ``i`` counted from the front."""
        return dim % max(len(self.shapes[i]), 1)

    def axes(self, dim: Any) -> tuple[int, ...]:
        """The axes of the first input that ``dim`` means: None all, an int, or a tuple."""
        n = len(self.shapes[0])
        if dim is None:
            return tuple(range(n))
        return tuple([d % max(n, 1) for d in ((dim,) if isinstance(dim, int) else dim)][:n])


def numbers(dims: Any, what: str) -> tuple[int, ...]:
    """``dims``, which must not depend on the batch."""
    if any(isinstance(n, Size) for n in dims):
        raise Refused(f"{what} depends on the batch size. dynamic=False exports the model for that "
                      f"of the example alone")
    return tuple(dims)


class Build:
    """The nodes and constants of a graph at ``opset``.

    batch: the input and the axis that tell the size of the batch. finite: what only NaN, or an
    infinity, would ask for is left out.
    """

    def __init__(self, opset: int, batch: tuple[str, int] | None, taken: set[str],
                 finite: bool) -> None:
        self.opset, self.finite = opset, finite
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self._batch, self._taken = batch, taken
        self._known: dict[Any, str] = {}
        self._counts: dict[str, int] = {}

    def name(self, stem: str) -> str:
        """A name that nothing has yet."""
        while True:
            n = self._counts[stem] = self._counts.get(stem, -1) + 1
            name = f"{stem}_{n}" if n else stem
            if name not in self._taken:
                self._taken.add(name)
                return name

    def needs(self, opset: int) -> None:
        """What is written next exists from this opset on."""
        if self.opset < opset:
            raise HigherOpset(opset)

    # ------------------------------------------------------------------ nodes

    def node(self, kind: str, *inputs: str | None, **attrs: Any) -> str:
        """A node of ONNX with one result; its name."""
        return self.several(kind, *inputs, outputs=1, **attrs)[0]

    def several(self, kind: str, *inputs: str | None, outputs: int, **attrs: Any) -> list[str]:
        """A node with so many results; their names."""
        made = [self.name(kind) for _ in range(outputs)]
        given = ["" if x is None else x for x in inputs]
        while given and not given[-1]:
            given.pop()
        self.nodes.append(helper.make_node(kind, given, made, name=made[0], **attrs))
        return made

    def constant(self, value: Any, dtype: Any) -> str:
        """Numbers of the graph, such as the 2 of x / 2."""
        array = np.array(value, dtype, order="C")
        key = array.dtype, array.shape, array.tobytes()
        if key not in self._known:
            self._known[key] = name = self.name("constant")
            self.constants[name] = array
        return self._known[key]

    def ints(self, *values: int) -> str:
        """A vector of whole numbers."""
        return self.constant(values, np.int64)

    def cast(self, x: str, dtype: Any) -> str:
        return self.node("Cast", x, to=KINDS[np.dtype(dtype).name])

    # ------------------------------------------------------------------ shapes

    def shape(self, dims: Sequence[int | Size]) -> str:
        """``dims`` as a vector, which reads the batch size where one depends on it."""
        if not any(isinstance(n, Size) for n in dims):
            return self.ints(*[int(n) for n in dims])  # type: ignore[arg-type]
        parts = [self._size(n) if isinstance(n, Size) else self.ints(n) for n in dims]
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def _size(self, size: Size) -> str:
        """A vector of one number."""
        if ("size", size) in self._known:
            return self._known["size", size]
        if size == Size(1):
            assert self._batch is not None
            name, axis = self._batch
            found = self.node("Gather", self.node("Shape", name), self.ints(axis), axis=0)
        else:
            found = self._size(Size(1))
            if size.per != 1:
                found = self.node("Mul", found, self.ints(size.per))
            if size.plus:
                found = self.node("Add", found, self.ints(size.plus))
        self._known["size", size] = found
        return found

    def reshape(self, x: str, dims: Sequence[int | Size]) -> str:
        """``x`` in another shape. One size that depends on the batch is the rest, -1."""
        moving = [isinstance(n, Size) for n in dims]
        fixed: list[int] = [n for n in dims if not isinstance(n, Size)]
        if sum(moving) == 1 and 0 not in fixed:
            dims = [-1 if isinstance(n, Size) else n for n in dims]
        elif not any(moving) and 0 in fixed:  # a 0 would mean the size that x has there
            self.needs(14)
            return self.node("Reshape", x, self.shape(dims), allowzero=1)
        return self.node("Reshape", x, self.shape(dims))

    def unsqueeze(self, x: str, *axes: int) -> str:
        return self.node("Unsqueeze", x, self.ints(*axes))

    def squeeze(self, x: str, *axes: int) -> str:
        return self.node("Squeeze", x, self.ints(*axes))

    def reduce(self, kind: str, x: str, axes: Sequence[int], keepdims: bool = False) -> str:
        """A reduction over axes. Only that of ReduceSum were an input before opset 18."""
        if not axes:  # over no axis at all; ONNX would take that for every one
            return x
        if kind == "ReduceSum" or self.opset >= 18:
            return self.node(kind, x, self.ints(*axes), keepdims=int(keepdims))
        return self.node(kind, x, axes=list(axes), keepdims=int(keepdims))

    def count(self, dims: Sequence[int | Size], dtype: Any) -> str:
        """The product of ``dims`` as one number."""
        if not any(isinstance(n, Size) for n in dims):
            return self.constant(np.prod(dims, dtype=np.int64), dtype)  # type: ignore[arg-type]
        product = self.reduce("ReduceProd", self.shape(dims), [0])
        return self.cast(product, dtype)
