"""From the bytes of an ONNX file to a checked ``Graph``. Every refusal of a bad file is here.

onnx parses the protobuf and knows the ops' signatures (``onnx.defs``); all else is looked at here,
in Python, before anything is computed: the versions, every name, every tensor, every node. onnx's
own checker and shape inference are not called: they follow what a file says, in C++, before
anybody has looked at it.

Local functions are inlined. Subgraphs (If, Loop) are graphs of their own, which see the values
around them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message
from onnx import IR_VERSION as NEWEST_IR
from onnx import AttributeProto, ModelProto, NodeProto, defs
from onnx import __version__ as onnx_version

from etude.core.errors import FileError
from etude.data.files import naming
from etude.onnx.flow import FLOW
from etude.onnx.graph import Graph, Node, Sizes, Value
from etude.onnx.table import NEWEST, OLDEST, Refused, fill, reader, shown
from etude.onnx.tensors import NARROW, OURS, STORED, array_of, dtype_name
from etude.onnx.types import result_types

#: Nodes after inlining. Ten functions that each call the next ten times are 10^10 nodes.
MOST_NODES = 50_000
#: Functions in functions. Graphs in graphs end at about as many: protobuf sees to that.
DEEPEST = 32


def read(path: str | os.PathLike[str]) -> Graph:
    """The graph of a file. Raises FileError or Refused, naming the file, and OSError as open."""
    fill()
    with naming(path):
        data = Path(path).read_bytes()
    name = os.fspath(path)
    try:
        return _Reading(parsed(data), Path(path).absolute().parent).graph()
    except (FileError, Refused) as error:
        raise type(error)(f"{name}: {error}") from None


def parsed(data: bytes) -> Any:
    """The ModelProto in ``data``."""
    try:
        model = ModelProto.FromString(data)
    except DecodeError:
        raise FileError("this is no ONNX file, or it is damaged or cut short") from None
    _check_texts(model)
    if not model.HasField("graph"):
        raise FileError("this is no ONNX model: it holds no graph")
    if not 1 <= model.ir_version <= NEWEST_IR:
        raise FileError(f"it is written in version {model.ir_version} of ONNX's format, and onnx "
                        f"{onnx_version} knows 1 to {NEWEST_IR}. If the file is in order, a newer "
                        f"onnx may read it")
    return model


def _check_texts(message: Any) -> None:
    """FileError for a name that is no UTF-8. Protobuf hands it over as bytes."""
    for field, value in message.ListFields():
        many = [value] if isinstance(value, (str, bytes, Message)) else value
        if field.type == field.TYPE_MESSAGE:
            for part in many:
                _check_texts(part)
        elif field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in many):
            raise FileError(f"a text in its field {field.name!r} is no UTF-8; the file is damaged")


class _Scope:
    """What is known while a graph is read: names with their dtypes, here and around it."""

    def __init__(self, around: _Scope | None = None) -> None:
        self.around = around
        self.types: dict[str, int | None] = {}

    def type_of(self, name: str) -> int | None:
        return self.types[name] if name in self.types else (
            self.around.type_of(name) if self.around else None)

    def knows(self, name: str) -> bool:
        return name in self.types or (self.around is not None and self.around.knows(name))

    def add(self, name: str, kind: int | None) -> None:
        if self.knows(name):
            raise FileError(f"the name {shown(name)} is given to two values")
        self.types[name] = kind


class _Reading:
    """One file. Kept together because nodes need the model's opsets and functions."""

    def __init__(self, model: Any, folder: Path) -> None:
        self.model, self.folder = model, folder
        self.opsets = _opsets(model.opset_import)
        self.functions: dict[tuple[str, str, str], Any] = {}
        for f in model.functions:
            key = (_domain(f.domain), f.name, getattr(f, "overload", ""))
            if key in self.functions:
                raise FileError(f"two functions are called {shown(f.name)}")
            self.functions[key] = f
        self.count = 0
        self.missing: dict[str, str] = {}  # op -> what a Refused said of the first such node

    def graph(self) -> Graph:
        graph = self.read_graph(self.model.graph, _Scope(), self.opsets, 0)
        if self.missing:
            first, *others = self.missing.values()
            names = ", ".join(map(shown, list(self.missing)[1:11]))
            raise Refused(f"{first}. Nor are these read: {names}" if others else first)
        return graph

    # -------------------------------------------------------------- graphs

    def read_graph(self, proto: Any, scope: _Scope, opsets: dict[str, int], depth: int) -> Graph:
        if proto.sparse_initializer:
            raise Refused("the file has sparse initialisers, which Etude does not have; convert "
                          "them to dense ones")
        graph = Graph(proto.name, [], [], [], {}, {})
        for tensor in proto.initializer:
            if not tensor.name or tensor.name in graph.constants:
                raise FileError(f"two initialisers are called {shown(tensor.name)}" if tensor.name
                                else "an initialiser has no name")
            what = f"the initialiser {shown(tensor.name)}"
            graph.constants[tensor.name] = array_of(tensor, what, self.folder)
            scope.add(tensor.name, tensor.data_type)
        _each_once([v.name for v in proto.input], "inputs")
        for v in proto.input:  # before IR 4 initialisers are among the inputs too
            if v.name not in graph.constants:
                value, kind = _value(v, "input", inner=depth > 0)
                graph.inputs.append(value)
                scope.add(v.name, kind)
        made = {name for node in proto.node for name in node.output}
        for node in proto.node:
            self.read_node(_Call(node, opsets, depth, made), scope, graph)
        for v in proto.output:
            value, kind = _value(v, "output", inner=depth > 0)
            if not scope.knows(value.name):
                raise FileError(f"the output {shown(value.name)} is computed by no node")
            if not kind and scope.type_of(value.name):
                value.dtype = _numpy(scope.type_of(value.name))
            graph.outputs.append(value)
        if not graph.outputs and depth == 0:
            raise FileError("the graph has no outputs")
        graph.plan()
        return graph

    # -------------------------------------------------------------- nodes

    def read_node(self, call: _Call, scope: _Scope, graph: Graph) -> None:
        proto = call.proto
        self.count += 1
        if self.count > MOST_NODES:
            raise FileError(f"the graph has more than {MOST_NODES:,} nodes when its functions are "
                            f"written out")
        domain = _domain(proto.domain)
        function = self.functions.get((domain, proto.op_type, getattr(proto, "overload", "")))
        node = Node(proto.op_type, domain, proto.name, call.opsets.get(domain, 0),
                    tuple(proto.input), tuple(proto.output), {})
        try:
            _check_names(node, call, scope)
            if function is not None:
                self.inline(function, call, scope, graph)
                return
            self.fill_node(node, call, scope)
        except (FileError, Refused) as error:
            if hasattr(error, "placed"):  # of a node within a function or a subgraph
                raise
            if isinstance(error, Refused) and node.reader is None and node.op not in FLOW:
                self.missing.setdefault(node.op, f"{node.label}: {error}")
                for name in filter(None, node.outputs):
                    scope.add(name, None)
                return
            told = type(error)(f"{node.label}: {error}")
            told.placed = True  # type: ignore[union-attr]
            raise told from None
        if node.op == "Constant":
            graph.literals[node.outputs[0]] = node.reader.rule(node)  # type: ignore[union-attr]
        else:
            graph.nodes.append(node)

    def fill_node(self, node: Node, call: _Call, scope: _Scope) -> None:
        """Reader, attributes and dtypes of a node."""
        if node.domain not in call.opsets:
            raise FileError(f"the file states no opset of the domain {shown(node.domain)}")
        if node.op not in FLOW or node.domain:
            node.reader = reader(node.domain, node.op, node.opset)
        schema = _schema(node.op, node.opset, node.domain)
        _check_counts(node, schema)
        tensors = self.read_attributes(node, call, scope, schema)
        given = [scope.type_of(name) if name else None for name in node.inputs]
        for name, kind in zip(node.inputs, given, strict=True):
            if kind is not None and kind in STORED and node.op not in ("Cast", "CastLike"):
                raise Refused(f"{shown(name)} is {dtype_name(kind)}, in which Etude does not "
                              f"compute; convert the model to float32")
        kinds = result_types(node, schema, given, tensors)
        for name, kind in zip(node.outputs, kinds, strict=True):
            stored = node.op == "Constant" and kind in STORED
            if kind is not None and kind not in OURS and kind not in NARROW and not stored:
                raise Refused(f"its result {shown(name)} is {dtype_name(kind)}; Etude has float32, "
                              f"float64, int64 and bool. Convert the model to float32")
            if name:
                scope.add(name, kind)
        node.narrow = tuple([np.dtype(NARROW[k]) if k in NARROW else None for k in kinds])

    def read_attributes(self, node: Node, call: _Call, scope: _Scope, schema: Any
                        ) -> dict[str, int]:
        """Fill ``node.attributes``; returns the dtypes of those that are tensors."""
        tensors: dict[str, int] = {}
        for a in call.proto.attribute:
            if a.name in node.attributes:
                raise FileError(f"the attribute {shown(a.name)} is given twice")
            if a.name not in schema.attributes:
                raise FileError(f"{node.op} of opset {node.opset} has no attribute "
                                f"{shown(a.name)}")
            wanted = schema.attributes[a.name].type.value
            if a.type != wanted:
                raise FileError(f"the attribute {shown(a.name)} is of kind {a.type}, and must be "
                                f"of kind {wanted} (AttributeProto.AttributeType)")
            node.attributes[a.name] = self.attribute(a, call, scope)
            if a.type == AttributeProto.TENSOR:
                tensors[a.name] = a.t.data_type
        for name, a in schema.attributes.items():
            if a.required and name not in node.attributes:
                raise FileError(f"the attribute {name!r} is missing")
        return tensors

    def attribute(self, a: Any, call: _Call, scope: _Scope) -> Any:
        kinds = AttributeProto
        if a.type in _PLAIN:
            return getattr(a, _PLAIN[a.type])
        if a.type in _LISTS:
            return tuple(getattr(a, _LISTS[a.type]))
        if a.type == kinds.STRING:
            return a.s.decode("utf-8", "replace")
        if a.type == kinds.STRINGS:
            return tuple([s.decode("utf-8", "replace") for s in a.strings])
        if a.type == kinds.TENSOR:
            return array_of(a.t, f"the attribute {shown(a.name)}", None)
        if a.type == kinds.GRAPH:
            return self.read_graph(a.g, _Scope(scope), call.opsets, call.depth + 1)
        raise Refused(f"its attribute {shown(a.name)} is sparse, a type or a list of tensors, "
                      f"which no op has that Etude reads")

    def inline(self, function: Any, call: _Call, scope: _Scope, graph: Graph) -> None:
        """The nodes of a local function in place of the node that calls it."""
        if call.depth >= DEEPEST:
            raise FileError(f"functions call functions, more than {DEEPEST} deep; does "
                            f"{shown(function.name)} call itself?")
        proto, opsets = call.proto, _opsets(function.opset_import)
        if len(proto.input) > len(function.input) or len(proto.output) > len(function.output):
            raise FileError(f"the function {shown(function.name)} takes {len(function.input)} and "
                            f"gives {len(function.output)} values, and is called otherwise")
        given = [*proto.input, *[""] * (len(function.input) - len(proto.input))]
        names = dict(zip(function.input, given, strict=True))
        for formal, name in zip(function.output, proto.output, strict=False):
            if name and formal in names:  # an input handed on
                raise Refused(f"the function {shown(function.name)} returns an input as it is")
            names[formal] = name or f"{function.name}/{self.count}/{formal}"
        stated = {a.name: a for a in function.attribute_proto}
        stated |= {a.name: a for a in proto.attribute}
        where = f"{proto.name or function.name}/{self.count}/"
        made = {names.get(n, where + n) for inner in function.node for n in inner.output}
        for inner in function.node:
            copy = rewritten(inner, names, where, stated)
            self.read_node(_Call(copy, opsets, call.depth + 1, made), scope, graph)


@dataclass
class _Call:
    """A node where it stands."""

    proto: Any
    opsets: dict[str, int]
    depth: int
    made: set[str]  # what the nodes of the same graph compute, before it or after


def rewritten(node: Any, names: dict[str, str], where: str, stated: dict[str, Any]) -> Any:
    """A node of a function, with the caller's names and attributes."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = where + node.name
    copy.input[:] = [names.get(n, where + n) if n else "" for n in node.input]
    copy.output[:] = [names.get(n, where + n) if n else "" for n in node.output]
    del copy.attribute[:]
    for a in node.attribute:
        if a.ref_attr_name:
            if a.ref_attr_name in stated:
                copy.attribute.add().CopyFrom(stated[a.ref_attr_name])
                copy.attribute[-1].name = a.name
            continue  # optional in the function, and not given: as if it were not there
        copy.attribute.add().CopyFrom(a)
        if a.type == AttributeProto.GRAPH:
            _rewrite_graph(copy.attribute[-1].g, names, where, stated)
    return copy


def _rewrite_graph(graph: Any, names: dict[str, str], where: str, stated: dict[str, Any]) -> None:
    nodes = [rewritten(n, names, where, stated) for n in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for v in [*graph.input, *graph.output, *graph.initializer]:
        v.name = names.get(v.name, where + v.name)


# ------------------------------------------------------------------ what a file states

_PLAIN = {AttributeProto.FLOAT: "f", AttributeProto.INT: "i"}
_LISTS = {AttributeProto.FLOATS: "floats", AttributeProto.INTS: "ints"}


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _opsets(entries: Iterable[Any]) -> dict[str, int]:
    """Domain -> version. Of ONNX's own domain it must be one that the tables know."""
    found: dict[str, int] = {}
    for entry in entries:
        domain = _domain(entry.domain)
        if domain in found:
            raise FileError(f"the domain {shown(domain or 'ai.onnx')} has two opsets")
        found[domain] = entry.version
    if not found:
        raise FileError("the file states no opset, so it does not say what its ops mean")
    newest = min(NEWEST, defs.onnx_opset_version())
    if "" in found and not OLDEST <= found[""] <= newest:
        raise Refused(f"the model is of opset {found['']}; Etude with onnx {onnx_version} reads "
                      f"{OLDEST} to {newest}. Export it with another opset, or convert it with "
                      f"onnx.version_converter")
    return found


@cache
def _schema(op: str, opset: int, domain: str) -> Any:
    try:
        return defs.get_schema(op, opset, domain)
    except defs.SchemaError:
        raise FileError(f"ONNX has no op {shown(op)} in opset {opset}") from None


def _check_names(node: Node, call: _Call, scope: _Scope) -> None:
    """FileError for a node whose inputs are not there when it runs, or that gives a name twice."""
    for name in filter(None, node.inputs):
        if scope.knows(name):
            continue
        if name in call.made:
            raise FileError(f"it uses {shown(name)}, which is computed only later: the nodes are "
                            f"out of order, or run in a cycle")
        raise FileError(f"it uses {shown(name)}, which is no input, no initialiser and no result "
                        f"of a node before it")
    _each_once([n for n in node.outputs if n], "results")
    if not any(node.outputs):
        raise FileError("it has no results")


def _check_counts(node: Node, schema: Any) -> None:
    for what, names, least, most in (
            ("inputs", node.inputs, schema.min_input, schema.max_input),
            ("results", node.outputs, schema.min_output, schema.max_output)):
        if not least <= len(names) <= most:
            raise FileError(f"{node.op} of opset {node.opset} has {least} to {most} {what}, and "
                            f"here {len(names)}")
    for name, formal in zip(node.inputs, schema.inputs, strict=False):
        if not name and formal.option == formal.option.Single:
            raise FileError(f"its input {formal.name!r} is missing")


def _each_once(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise FileError(f"the name {shown(name)} is given to two {what}")


def _value(proto: Any, what: str, inner: bool) -> tuple[Value, int | None]:
    """An input or output as it is declared. In a subgraph the dtype and shape may be left out."""
    title = f"the {what} {shown(proto.name)}"
    if not proto.name:
        raise FileError(f"an {what} has no name")
    kind = proto.type.WhichOneof("value")
    if kind is None and inner:
        return Value(proto.name, np.dtype(np.float32), None), None
    if kind != "tensor_type":
        raise Refused(f"{title} is a {str(kind).removesuffix('_type')}; Etude has tensors only")
    tensor = proto.type.tensor_type
    if tensor.elem_type not in OURS and tensor.elem_type not in NARROW and not inner:
        raise Refused(f"{title} is {dtype_name(tensor.elem_type)}; Etude has float32, float64, "
                      f"int64 and bool. Convert the model to float32")
    shape: Sizes | None = None
    if tensor.HasField("shape"):
        shape = tuple([_size(d, title) for d in tensor.shape.dim])
    return Value(proto.name, _numpy(tensor.elem_type), shape), tensor.elem_type


def _numpy(kind: int | None) -> np.dtype[Any]:
    return np.dtype(np.float32 if kind is None else {**OURS, **NARROW}.get(kind, np.float32))


def _size(dim: Any, title: str) -> int | str | None:
    if dim.WhichOneof("value") == "dim_value":
        if dim.dim_value < 0:
            raise FileError(f"{title} has the negative size {dim.dim_value}")
        return int(dim.dim_value)
    return dim.dim_param or None
