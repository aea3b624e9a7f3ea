"""OnnxModel: a graph from an ONNX file as a module that runs, trains, prints and saves.

The nodes run one after another through ``etude.functional``, by the readers in ``families/``; so
gradients, captures, receipts and drawings are those of any other model. Integers that say how large
something is are Tensors as well, and are read where an op needs them, so a batch may be of any
size if the file allows it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.shapes import FLOATS, Spec
from etude.core.tensor import Tensor, tensor
from etude.nn.module import Module, Parameter
from etude.onnx.flow import FLOW
from etude.onnx.graph import Graph, Node, Value
from etude.onnx.table import Refused, shown
from etude.onnx.values import Known, host

#: Inputs of ops that are never trained, whatever their dtype: statistics, bounds, sizes, scales.
NOT_TRAINED = {
    "BatchNormalization": (3, 4), "Clip": (1, 2), "Pad": (2,), "Resize": (1, 2), "Upsample": (1,),
    "OneHot": (2,), "Dropout": (1,), "Range": (0, 1, 2), "QuantizeLinear": (1, 2),
    "DequantizeLinear": (1, 2), "Attention": (3,), "RotaryEmbedding": (1, 2), "Pow": (1,),
}


def load(path: str | os.PathLike[str]) -> OnnxModel:
    """See ``etude.onnx.load``."""
    try:
        from etude.onnx.read import read
    except ModuleNotFoundError as error:
        if error.name not in ("onnx", "google"):
            raise
        raise ImportError("etude.onnx needs the package onnx: pip install 'etude[onnx]'") from None
    return OnnxModel(read(path), Path(path).name).eval()


class Part(Module):
    """A level of the names of an ONNX file: "layers.0.weight" is ``model.layers.0.weight``."""


class OnnxModel(Module):
    """What ``etude.onnx.load`` returns. Call it with the inputs of the graph, in their order or by
    name; it returns its output, or a tuple of them.

    Initialisers of a float dtype are Parameters, under the names they have in the file, except
    those that no training changes: a single number, one with infinities, and the inputs of ops
    listed in ``NOT_TRAINED``, such as running statistics. Those are buffers, and so are integers
    and bools. ``paths`` leads from each name in the file to its path here.

    It begins in evaluation, where it computes what the file says. In training, after ``train()``,
    BatchNormalization normalises by the batch and moves its running statistics, as
    ``nn.BatchNorm2d`` does, and Dropout drops.
    """

    def __init__(self, graph: Graph, source: str = "") -> None:
        self.source = source
        self.graph = graph
        self.paths: dict[str, str] = {}
        fixed = _not_trained(graph)
        self.known: frozenset[str] = frozenset()  # names of constants that nothing changes
        for name, array in graph.constants.items():
            trained = array.dtype in FLOATS and array.ndim > 0 and array.size > 1
            trained = trained and name not in fixed and bool(np.isfinite(array).all())
            self._keep(name, tensor(array), trained)
            if not trained and name not in _statistics(graph):
                self.known |= {name}
        for name, array in graph.literals.items():
            self._keep(name, tensor(array), False, persistent=False)
            self.known |= {name}
        graph.constants = dict.fromkeys(graph.constants, np.empty(0))  # the module has them now
        graph.literals = dict.fromkeys(graph.literals, np.empty(0))

    def _keep(self, name: str, value: Tensor, trained: bool, persistent: bool = True) -> None:
        """Make ``value`` a Parameter or a buffer, under a path as like its name as may be."""
        owner, last, path = self._place(name)
        self.paths[name] = path
        if trained:
            owner.register_parameter(last, Parameter(value))
        else:
            owner.register_buffer(last, value, persistent)

    def _place(self, name: str) -> tuple[Module, str, str]:
        """(module, attribute, path) for a name: its parts between dots are modules in modules."""
        parts = [re.sub(r"\W", "_", part, flags=re.ASCII) or "_" for part in name.split(".")]
        if len(parts) > 32:  # no name that people gave
            parts = ["_".join(parts)]
        owner: Module = self
        for i, part in enumerate(parts[:-1]):
            while not isinstance(vars(owner).get(part), Part) and hasattr(owner, part):
                part += "_"
            if part not in vars(owner):
                owner.add_module(part, Part())
            owner, parts[i] = vars(owner)[part], part
        last = parts[-1]
        while hasattr(owner, last):
            last += "_"
        return owner, last, ".".join([*parts[:-1], last])

    # ------------------------------------------------------------------ running

    def forward(self, *inputs: Any, **named: Any) -> Any:
        values = {name: _at(self, path) for name, path in self.paths.items()}
        values |= {name: Known(values[name].array) for name in self.known}
        values |= self._inputs(inputs, named)
        found = self._run(self.graph, values)
        return found[0] if len(found) == 1 else tuple(found)

    def _inputs(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Tensor]:
        wanted = self.graph.inputs
        names = ", ".join(v.name for v in wanted)
        given = dict(zip([v.name for v in wanted], inputs, strict=False))
        for name, x in named.items():
            if name in given or name not in {v.name for v in wanted}:
                raise TypeError(f"the model has the inputs ({names}); {name!r} is none of them, or "
                                f"was given twice")
            given[name] = x
        if len(inputs) > len(wanted) or len(given) < len(wanted):
            raise TypeError(f"the model takes {len(wanted)} inputs ({names}), got "
                            f"{len(inputs) + len(named)}")
        sizes: dict[str, int] = {}
        return {v.name: _fitting(v, given[v.name], sizes) for v in wanted}

    def _run(self, graph: Graph, values: dict[str, Any]) -> list[Any]:
        """Run the nodes, letting each value go after its last use."""
        for node, done in zip(graph.nodes, graph.last_use, strict=True):
            given = [values[name] if name else None for name in node.inputs]
            try:
                results = self._results(node, given, values)
                if _is_known(node, given):
                    results = tuple([Known(y.array) for y in results])
                for name, y, narrow in zip(node.outputs, results, node.narrow, strict=False):
                    if name:
                        values[name] = y if narrow is None else _within(y, narrow)
                if missing := [n for n in node.outputs[len(results) :] if n]:
                    raise Refused(f"Etude does not compute its result {shown(missing[0])}")
            except Refused as error:
                if hasattr(error, "placed"):
                    raise
                told = Refused(f"{self.source}: {node.label}: {error}")
                told.placed = True  # type: ignore[attr-defined]
                raise told from None
            except Exception as error:  # of an op, such as shapes that do not go together
                if not hasattr(error, "__notes__"):
                    error.add_note(f"in {node.label} of {self.source}")
                raise
            for name in done:
                values.pop(name, None)
        return [values[v.name] for v in graph.outputs]

    def _results(self, node: Node, given: list[Any], values: dict[str, Any]) -> tuple[Any, ...]:
        if node.reader is None:
            return tuple(FLOW[node.op](self._branch, node, given, values))
        node.training = self.training
        found = node.reader.rule(node, *given)
        if node.unread:
            raise Refused(f"Etude does not read its attribute {min(node.unread)!r}")
        return found if isinstance(found, tuple) else (found,)

    def _branch(self, graph: Graph, values: dict[str, Any], *given: Any) -> list[Any]:
        """Run a subgraph, which sees the values around it."""
        inner = values | dict(zip([v.name for v in graph.inputs], given, strict=True))
        inner |= {n: Known(tensor(a).array) for n, a in (graph.constants | graph.literals).items()}
        return self._run(graph, inner)

    # ------------------------------------------------------------------ for people

    def extra_repr(self) -> str:
        counts = ", ".join(f"{op} {n}" for op, n in sorted(self.graph.counts().items()))
        ends = [", ".join(map(_declared, values))
                for values in (self.graph.inputs, self.graph.outputs)]
        return f"{self.source}: {ends[0]} -> {ends[1]}; {len(self.graph.nodes)} nodes: {counts}"


def _is_known(node: Node, given: list[Any]) -> bool:
    """Whether the results follow from shapes and constants alone."""
    drawn = node.reader is not None and node.reader.family == "random"
    from_known = given != [] and all(x is None or isinstance(x, Known) for x in given)
    return node.op in ("Shape", "Size") or (from_known and not drawn)


def _at(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = vars(module)[part]
    return module


def _not_trained(graph: Graph) -> set[str]:
    """Names of initialisers that a node takes for something that is not trained."""
    found = set()
    for node in graph.nodes:
        places = NOT_TRAINED.get(node.op, ())
        found |= {node.inputs[i] for i in places if i < len(node.inputs)}
    return found


def _statistics(graph: Graph) -> set[str]:
    """Names of the running statistics, which training moves."""
    return {name for node in graph.nodes if node.op == "BatchNormalization"
            for name in node.inputs[3:5]}


def _declared(value: Value) -> str:
    shape = "..." if value.shape is None else ", ".join("?" if n is None else str(n)
                                                        for n in value.shape)
    return f"{value.name} {value.dtype.name}[{shape}]"


# ------------------------------------------------------------------ inputs and integers


def _fitting(value: Value, x: Any, sizes: dict[str, int]) -> Tensor:
    """An input as a Tensor, held against what the file declares."""
    if not isinstance(x, Tensor):
        return _fitting(value, tensor(np.asarray(x)), sizes)
    wanted = value.dtype if value.dtype.kind in "fb" else np.dtype(np.int64)
    if x.dtype != wanted:
        raise DTypeError(f"the input {shown(value.name)} is {value.dtype.name} in the file, got "
                         f"{Spec(x.shape, x.dtype)}")
    if wanted != value.dtype:
        _within(x, value.dtype)
    if value.shape is None:
        return x
    fits = len(value.shape) == x.ndim
    for declared, n in zip(value.shape, x.shape, strict=False):
        known = sizes.setdefault(declared, n) if isinstance(declared, str) else declared
        fits = fits and known in (None, n)
    if not fits:
        said = ", ".join(f"{k} = {n}" for k, n in sizes.items() if k in value.shape)
        where = f", where {said}," if said else ""
        raise ShapeError(f"the input {_declared(value)}{where} got {Spec(x.shape, x.dtype)}")
    return x


def _within(y: Tensor, narrow: np.dtype[Any]) -> Tensor:
    """y, whose integers ONNX has in a smaller type; Refused where that would have wrapped."""
    if y.numel() and y.dtype == np.int64:
        low, high, numbers = np.iinfo(narrow).min, np.iinfo(narrow).max, host(y)
        if numbers.min() < low or numbers.max() > high:
            raise Refused(f"a number leaves the range of {narrow.name}, {low} to {high}; ONNX "
                          f"would wrap it round, and Etude computes in int64")
    return y
