"""``etude.onnx.export(model, example, path)``: a model as an ONNX file.

The model runs on the example under a recording (``record.py``), at three sizes of the batch that
are then one graph (``batch.py``). Each call becomes nodes by the "To ONNX" half of ``families/``,
which writes through ``build.py``. What results is checked by onnx and only then written.
"""

from __future__ import annotations

import errno
import inspect
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.given import integer, whole
from etude.core.table import TABLE
from etude.core.tensor import Tensor, tensor
from etude.data.files import uninterrupted, write_atomically
from etude.nn.module import Module
from etude.onnx import table
from etude.onnx.batch import Graph, Size, Value, merged, words
from etude.onnx.record import Recorded, Ref, record
from etude.onnx.table import Refused

OPSETS = 13  # the lowest that is written
IR = 10  # the highest version of the file format: runtimes lag behind it
LARGE = 2**31 - 2**20  # bytes of weights; protobuf ends at 2 GB, and the graph wants some of them
SMALL = 1024  # bytes; what is smaller stays in the model's own file


def export(model: Callable[..., Any], example: Any, path: str | os.PathLike[str], *,
           opset: int | None = None, dynamic: bool | Mapping[str, int] = True,
           input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
           finite: bool = False, unrolled: bool = False, external_above: int = LARGE) -> None:
    """Write what ``model`` computes in eval mode as an ONNX file.

    model: a Module, or a function of Tensors. example: what it is called with, a Tensor or a NumPy
    array, or a tuple of them; the values do not matter, shapes and dtypes do. Parameters and
    buffers keep their names, and inputs have those of ``forward``.

    opset: the version of ONNX, 13 or above; without it the lowest that the model needs. dynamic:
    the first axis of every input is the batch and may have any size later; a dict of input and
    axis says otherwise; False keeps the shapes of the example. finite: no NaN or infinity will
    come, so what keeps them as Etude has them (as in max_pool2d) is left out, for small runtimes
    and speed. unrolled: recurrent layers are written step by step, for runtimes that do not read
    ONNX's LSTM and GRU. external_above: with more bytes of weights than that, these lie in
    ``path`` + ".data" beside it.

    Raises ``Refused`` (ValueError), naming the op and the line, for what ONNX cannot say exactly;
    TypeError and ValueError for other examples and options; OSError as from ``open``. Then nothing
    is written. ImportError without the package onnx.
    """
    onnx = package("export")
    table.fill()
    most = min(onnx.defs.onnx_opset_version(), table.NEWEST)
    opset = _opset(opset, most)
    external_above = integer("export: external_above, in bytes,", external_above, 0)
    arguments = _arguments(example)
    names = _input_names(model, len(arguments), input_names)
    axes = _axes(dynamic, names, arguments)
    try:
        graph = _graph(model, arguments, names, axes, opset, unrolled)
        proto = _written(graph, model, axes, opset, most, output_names, finite)
    except Refused as why:
        raise Refused(f"export: {why}") from None
    _save(proto, path, external_above)


def package(what: str) -> Any:
    """The package onnx, or ImportError that says how to get it."""
    try:
        import onnx
    except ImportError:
        raise ImportError(f"etude.onnx.{what} needs the package onnx, which is not installed: "
                          f"pip install 'etude[onnx]'") from None
    return onnx


# ------------------------------------------------------------------ what goes in


def _opset(given: Any, most: int) -> int | None:
    found = None if given is None else whole(given)
    if given is not None and (found is None or not OPSETS <= found <= most):
        raise ValueError(f"export: opset must be {OPSETS} to {most}, got {given!r}")
    return found


def _arguments(example: Any) -> list[Tensor]:
    given = list(example) if isinstance(example, (tuple, list)) else [example]
    found = [tensor(x) if isinstance(x, np.ndarray) else x for x in given]
    for x in found:
        if not isinstance(x, Tensor):
            raise TypeError(f"export: the example is a Tensor or a NumPy array, or a tuple of "
                            f"them, got {type(x).__name__} in it")
    if not found:
        raise ValueError("export: the example is empty, and a graph needs an input")
    return [x.detach().clone() for x in found]  # memory of their own, so that no two are one value


def _input_names(model: Any, count: int, given: Sequence[str] | None) -> list[str]:
    if given is None:
        function = model.forward if isinstance(model, Module) else model
        found = [p.name for p in inspect.signature(function).parameters.values()
                 if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
        found += [f"input_{i}" for i in range(len(found), count)]
        taken = {path for path, _ in _named(model)}
        return [f"{name}_input" if name in taken else name for name in found]
    names = _texts("input_names", given)
    if len(names) != count or len(set(names)) != count:
        raise ValueError(f"export: input_names needs {count} different names, one for each input, "
                         f"got {names}")
    if {path for path, _ in _named(model)} & set(names):
        raise ValueError(f"export: input_names {names} are names of parameters, too")
    return names


def _texts(what: str, given: Any) -> list[str]:
    """Names as a list. TypeError for one text alone, whose letters would pass for names."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(n, str) and n for n in given):
        raise TypeError(f"export: {what} is a list of names, none of them empty, got {given!r}")
    return list(given)


def _named(model: Any) -> list[tuple[str, Tensor]]:
    if not isinstance(model, Module):
        return []
    return [*model.named_parameters(), *model.named_buffers()]


def _axes(dynamic: bool | Mapping[str, int], names: Sequence[str], arguments: Sequence[Tensor]
          ) -> dict[str, int]:
    """Input -> its axis of the batch, for those that have one."""
    if not isinstance(dynamic, (bool, Mapping)):
        raise TypeError(f"export: dynamic is True, False, or a dict of input and axis such as "
                        f"{{{names[0]!r}: 0}}, got {dynamic!r}")
    if isinstance(dynamic, Mapping):
        axes = dict(dynamic)
        if not axes.keys() <= set(names):
            raise ValueError(f"export: dynamic names {sorted(axes.keys() - set(names))}, but the "
                             f"inputs are {list(names)}")
    else:
        axes = {name: 0 for name, x in zip(names, arguments, strict=True) if dynamic and x.ndim}
    sizes = {}
    for name, x in zip(names, arguments, strict=True):
        if name in axes:
            axis = whole(axes[name])
            if axis is None or not 0 <= axis < x.ndim:
                raise ValueError(f"export: dynamic has axis {axes[name]!r} of {name}, which is "
                                 f"{list(x.shape)}")
            axes[name], sizes[name] = axis, x.shape[axis]
    if len(set(sizes.values())) > 1:
        raise ValueError(f"export: the inputs have different batch sizes, {sizes}. Say which axis "
                         f"is the batch, dynamic={{{names[0]!r}: 0}}, or dynamic=False")
    if 0 in sizes.values():
        raise ValueError("export: the batch of the example is empty; give it a sample")
    return axes


# ------------------------------------------------------------------ the graph


def _graph(model: Any, arguments: Sequence[Tensor], names: Sequence[str], axes: Mapping[str, int],
           opset: int | None, unrolled: bool) -> Graph:
    if not axes:
        return merged([record(model, arguments, names, opset, unrolled)], [0], len(names))
    n = next(x.shape[axes[name]] for name, x in zip(names, arguments, strict=True) if name in axes)
    n = max(n, 2)  # of one sample much looks like no batch at all
    batches = [n, n + 1, n + 3]
    runs = [record(model, [_of_batch(x, axes.get(name), size)
                           for name, x in zip(names, arguments, strict=True)], names, opset,
                   unrolled)
            for size in batches]
    return merged(runs, batches, len(names))


def _of_batch(x: Tensor, axis: int | None, size: int) -> Tensor:
    """``x`` with ``size`` samples along its axis of the batch: its own, over and over."""
    if axis is None:
        return x.clone()
    again = np.arange(size) % x.shape[axis]
    return tensor(np.take(x.to("cpu").numpy(), again, axis)).to(x.device)


def _written(graph: Graph, model: Any, axes: Mapping[str, int], opset: int | None, most: int,
             output_names: Sequence[str] | None, finite: bool) -> Any:
    """The model as ONNX, at the opset asked for or at the lowest that does."""
    from etude.onnx.build import HigherOpset

    target = opset
    if target is None:
        target = max([OPSETS, *[table.lowest(call.op, OPSETS) for call in graph.calls
                                if call.op in table.WRITERS]])
    while True:
        try:
            return _at(graph, model, axes, target, output_names, finite)
        except HigherOpset as needed:
            if opset is not None or needed.opset > most:
                raise Refused(f"the model needs opset {needed.opset}, and this is opset {target}"
                              ) from None
            target = needed.opset


def _at(graph: Graph, model: Any, axes: Mapping[str, int], opset: int,
        output_names: Sequence[str] | None, finite: bool) -> Any:
    from onnx import helper

    from etude.onnx.build import KINDS, Build

    inputs = [graph.values[i] for i in graph.inputs]
    results = _result_names(graph, output_names)
    taken = {v.name for v in graph.values if v.name} | set(results)
    batch = next(((v.name, axes[v.name]) for v in inputs if v.name in axes), None)
    build = Build(opset, batch, taken, finite)
    names = {i: v.name for i, v in enumerate(graph.values) if v.name}
    wanted = {number for _, number in graph.results} | {
        x.number for call in graph.calls for x in call.inputs if isinstance(x, Ref)}
    for call in graph.calls:
        _write(call, graph, names, wanted, build)
    for (_, number), name in zip(graph.results, results, strict=True):
        source = names.get(number) or build.constant(graph.values[number].data,
                                                     graph.values[number].dtype)
        build.nodes.append(helper.make_node("Identity", [source], [name], name=name))
    _without_copies(build, set(results))
    used = {x for node in build.nodes for x in node.input}
    weights = {name: w for name, w in graph.weights.items() if name in used}
    weights.update({k: v for k, v in build.constants.items() if k in used})
    made = helper.make_graph(
        build.nodes, type(model).__name__ if isinstance(model, Module) else model.__name__,
        [helper.make_tensor_value_info(v.name, KINDS[v.dtype.name], _dims(v)) for v in inputs],
        [helper.make_tensor_value_info(name, KINDS[graph.values[i].dtype.name],
                                       _dims(graph.values[i]))
         for name, (_, i) in zip(results, graph.results, strict=True)])
    opset_id = helper.make_opsetid("", opset)
    proto = helper.make_model(
        made, producer_name="etude", producer_version=_version(), opset_imports=[opset_id],
        ir_version=min(helper.find_min_ir_version_for([opset_id]), IR))
    for name, array in weights.items():
        proto.graph.initializer.append(_initializer(name, array, KINDS))
    return proto


def _write(call: Recorded, graph: Graph, names: dict[int, str], wanted: set[int], build: Any
           ) -> None:
    """The nodes of one call, by its writer."""
    try:
        rule = _writer(call.op, build.opset)
        results = rule(_seen(call, graph, names, wanted, build), build)
    except Refused as why:
        raise Refused(f"{words(call, graph.values)}: {why}") from None
    results = [results] if isinstance(results, str) else list(results)
    for number, name in zip(call.outputs, results, strict=False):
        names[number] = name


def _writer(op: str, opset: int) -> Callable[..., Any]:
    row = TABLE.get(op)
    if op not in table.WRITERS and row is not None and row.internal:
        what = ("draws random numbers by a generator of Etude's" if op in (
            "rand", "randn", "dropout") else "belongs to training")
        raise Refused(f"the op {op!r} {what}, which ONNX has no op for. Export what the model "
                      f"computes in use, without it")
    return table.writer(op, opset).rule


def _seen(call: Recorded, graph: Graph, names: dict[int, str], wanted: set[int], build: Any) -> Any:
    """The call as its writer sees it."""
    from etude.onnx.build import Call

    values = [graph.values[x.number] if isinstance(x, Ref) else None for x in call.inputs]
    row = TABLE.get(call.op)
    fixed = [] if row is None or row.variadic else [a in row.fixed for a in row.arrays]
    like = next((v.dtype for i, v in enumerate(values)
                 if v is not None and not (i < len(fixed) and fixed[i])), np.dtype(np.float32))
    inputs: list[Any] = []
    for x, v in zip(call.inputs, values, strict=True):
        if v is None:
            inputs.append(None if x is None else build.constant(x, like))
        elif v.data is not None:
            inputs.append(build.constant(v.data, v.dtype))
        else:
            inputs.append(names[x.number])
    numbers = tuple([None if x is None or (v is not None and v.data is None)
                     else np.asarray(x, like) if v is None else v.data
                     for x, v in zip(call.inputs, values, strict=True)])
    return Call(
        call.op, tuple(inputs),
        tuple([(() if x is not None else None) if v is None else v.shape
               for x, v in zip(call.inputs, values, strict=True)]),
        tuple([(like if x is not None else None) if v is None else v.dtype
               for x, v in zip(call.inputs, values, strict=True)]),
        call.attrs, numbers, tuple([graph.values[y].shape for y in call.outputs]),
        tuple([y in wanted for y in call.outputs]))


def _without_copies(build: Any, results: set[str]) -> None:
    """A result takes the name of the node that makes it, where a copy would only rename it."""
    makers = {y: node for node in build.nodes for y in node.output}
    readers: dict[str, list[Any]] = {}
    for node in build.nodes:
        for x in node.input:
            readers.setdefault(x, []).append(node)
    for copy in [n for n in build.nodes if n.op_type == "Identity" and n.output[0] in results]:
        source, name = copy.input[0], copy.output[0]
        maker = makers.get(source)
        if maker is None or source in results:  # an input, a weight, or a result already
            continue
        maker.output[list(maker.output).index(source)] = name
        for node in readers[source]:
            for i, x in enumerate(node.input):
                if x == source:
                    node.input[i] = name
        build.nodes.remove(copy)
        results.add(source)


def _result_names(graph: Graph, given: Sequence[str] | None) -> list[str]:
    count = len(graph.results)
    taken = {v.name for v in graph.values if v.name}
    if given is None:
        found = ["output" if not name else name if not name.startswith("_") else f"output{name}"
                 for name, _ in graph.results]
        return [f"{name}_output" if name in taken else name for name in found]
    names = _texts("output_names", given)
    if len(names) != count or len(set(names)) != count or taken & set(names):
        raise ValueError(f"export: output_names needs {count} different names that no input or "
                         f"parameter has, got {names}")
    return names


def _dims(v: Value) -> list[int | str]:
    return [str(n) if isinstance(n, Size) else n for n in v.shape]


def _initializer(name: str, array: Any, kinds: Mapping[str, int]) -> Any:
    from onnx import TensorProto

    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    made = TensorProto(name=name, data_type=kinds[array.dtype.name], raw_data=little.tobytes())
    made.dims.extend(array.shape)
    return made


def _version() -> str:
    try:
        return version("etude")
    except PackageNotFoundError:  # run from a checkout
        return ""


# ------------------------------------------------------------------ the file


def _save(proto: Any, path: str | os.PathLike[str], external_above: int) -> None:
    """Check the model, and write it. A large one is checked where it was written, under another
    name: the check reads its weights from the disk. Its two files take their names one right after
    the other, when nothing more can be refused: an old model with new weights would be wrong.
    """
    import onnx

    target = Path(os.path.realpath(path))
    if sum(len(w.raw_data) for w in proto.graph.initializer) <= external_above:
        onnx.checker.check_model(proto, full_check=True)
        write_atomically(path, proto.SerializeToString())
        return
    data = target.with_name(target.name + ".data")
    if not target.parent.exists():
        write_atomically(path, b"")  # raises, naming the folder
    if data.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a folder, and the weights want this name",
                                str(data))
    with tempfile.TemporaryDirectory(prefix=f"{target.name}.", dir=target.parent) as folder:
        beside = Path(folder) / data.name
        _move_weights(proto, beside)
        checked = Path(folder) / target.name
        checked.write_bytes(proto.SerializeToString())
        onnx.checker.check_model(str(checked), full_check=True)
        with uninterrupted():
            write_atomically(path, proto.SerializeToString(),
                             lambda _: os.replace(beside, data))


def _move_weights(proto: Any, path: Path) -> None:
    """The numbers of large weights into a file of their own, each at a multiple of 64 bytes."""
    with open(path, "xb") as file:
        for weight in proto.graph.initializer:
            raw = weight.raw_data
            if len(raw) < SMALL:
                continue
            file.write(b"\0" * (-file.tell() % 64))
            weight.data_location = weight.EXTERNAL
            for key, value in (("location", path.name), ("offset", file.tell()),
                               ("length", len(raw))):
                entry = weight.external_data.add()
                entry.key, entry.value = key, str(value)
            file.write(raw)
            weight.ClearField("raw_data")
        file.flush()
        os.fsync(file.fileno())
