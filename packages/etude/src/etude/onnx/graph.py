"""A checked ONNX graph as plain Python: what ``read.py`` makes and ``model.py`` runs.

Nothing here knows protobuf. Whatever is in a ``Graph`` was looked at: every name that is used has
a value, every node has a reader, every dtype is one of Etude's or is held exactly in one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etude.onnx.table import Reader, shown

#: Sizes of a declared shape: a number, the name of a size that is the same wherever it stands, or
#: None where nothing is known.
Sizes = tuple[int | str | None, ...]


@dataclass
class Value:
    """An input or an output of a graph, as the file declares it."""

    name: str
    dtype: np.dtype[Any]  # as the file has it; int32 is held in int64, and so on
    shape: Sizes | None  # None: of any number of axes


@dataclass
class Node:
    """One node: which op, on which values, with which attributes."""

    op: str
    domain: str
    name: str
    opset: int
    inputs: tuple[str, ...]  # "" where an optional one is absent
    outputs: tuple[str, ...]  # "" where a result is not wanted
    attributes: dict[str, Any]
    reader: Reader | None = None  # None: control flow, which the model itself runs
    narrow: tuple[np.dtype[Any] | None, ...] = ()  # of each output: an integer type below int64
    training: bool = False  # whether the model is in training, when the node is run
    asked: set[str] = field(default_factory=set)  # attributes that a reader has asked for

    def get(self, attribute: str, default: Any = None) -> Any:
        """An attribute: a number, a text, a tuple, an array or a Graph."""
        self.asked.add(attribute)
        return self.attributes.get(attribute, default)

    def wants(self, output: int) -> bool:
        """Whether a result is used by anything."""
        return output < len(self.outputs) and self.outputs[output] != ""

    @property
    def unread(self) -> set[str]:
        """Attributes that the file states, and that no reader has asked for."""
        return self.attributes.keys() - self.asked

    @property
    def label(self) -> str:
        """For messages: which node this is."""
        title = f"node {shown(self.name)}" if self.name else "a node without a name"
        where = f"{self.domain}." if self.domain else ""
        return f"{title} ({where}{shown(self.op)[1:-1]})"


@dataclass
class Graph:
    """Nodes in the order in which they run, and what they begin with."""

    name: str
    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    constants: dict[str, np.ndarray[Any, Any]]  # initialisers, in Etude's dtypes
    literals: dict[str, np.ndarray[Any, Any]]  # what Constant nodes hold
    last_use: list[tuple[str, ...]] = field(default_factory=list)  # per node: values to let go

    def plan(self) -> None:
        """Work out after which node each value is no longer needed."""
        kept = {v.name for v in self.outputs} | self.constants.keys() | self.literals.keys()
        seen: set[str] = set(kept)
        found: list[tuple[str, ...]] = []
        for node in reversed(self.nodes):
            used = {*node.inputs, *node.outputs, *outer_names(node)} - seen - {""}
            seen |= used
            found.append(tuple(sorted(used)))
        self.last_use = found[::-1]

    def counts(self) -> Counter[str]:
        """How many nodes there are of each op."""
        return Counter(node.op for node in self.nodes)


def outer_names(node: Node) -> set[str]:
    """Names that the subgraphs of a node take from outside."""
    found: set[str] = set()
    for graph in node.attributes.values():
        if isinstance(graph, Graph):
            own = {v.name for v in graph.inputs} | graph.constants.keys() | graph.literals.keys()
            used = {v.name for v in graph.outputs}
            for inner in graph.nodes:
                own |= set(inner.outputs)
                used |= {*inner.inputs, *outer_names(inner)}
            found |= used - own
    return found
