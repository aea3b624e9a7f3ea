"""One run of a model, written down: its op calls in order, and which arrays they read and made.

``etude.capture`` watches a call in the same two ways, by a tap and as a ``Watcher``, but its
programs are about memory: views are no calls there. A graph of ONNX is about values, so here every
view is a call like any other, and two arrays are one value where they are the same elements.

What ONNX has no op for, and Etude defines by simpler ops, is recorded as those (``expands``). A
layer that ONNX has as a whole is recorded as one call of its own (``whole``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude.core.columns import Event, Table
from etude.core.live import WATCHER, Effect
from etude.core.state import no_grad, tap
from etude.core.table import TABLE
from etude.core.tensor import Tensor
from etude.inspect.receipt import caller
from etude.nn.module import Module
from etude.onnx.table import Refused
from etude.replay.guards import TRACING
from etude.replay.memory import address, element_strides, owner_of

#: op -> whether a call of it (arrays, attributes, the opset asked for or None) is recorded as what
#: its composite rule calls.
EXPANDED: dict[str, Callable[..., bool]] = {}

#: class of a layer -> (whether one of them is recorded whole, its tensors and settings)
WHOLE: dict[type[Module], tuple[Callable[[Any], bool], Callable[..., Any]]] = {}


def expands(op: str, when: Callable[..., bool] = lambda arrays, attrs, opset: True) -> None:
    """Record calls of ``op`` as its definition in other ops: all, or those ``when`` holds of."""
    EXPANDED[op] = when


def whole(layer: type[Module], when: Callable[[Any], bool], says: Callable[..., Any]) -> None:
    """Record layers of this class as one call ``nn.Name``, where ``when(layer)`` holds.

    ``says(layer, *inputs)`` returns the Tensors that the call reads, and its settings.
    """
    WHOLE[layer] = when, says


@dataclass
class Recorded:
    """One call. Arrays are the numbers of their values; other operands stand as they were."""

    op: str
    inputs: tuple[Any, ...]  # ``Ref``, a number, or None
    attrs: dict[str, Any]
    outputs: tuple[int, ...]
    place: str  # the line that called it


@dataclass(frozen=True)
class Ref:
    """The value of this number."""

    number: int


class Run:
    """A run of a function. ``given``: what is named before it begins: inputs and parameters."""

    def __init__(self, given: Sequence[tuple[str, Any]], opset: int | None) -> None:
        self.opset = opset
        self.calls: list[Recorded] = []
        self.arrays: list[Any] = []  # by number; kept, so that no address is used twice
        self.names: dict[int, str] = {}  # of what was given
        self.made: set[int] = set()  # by calls
        self.hidden: dict[int, str] = {}  # outputs of ops that were expanded, which nothing gives
        self.results: list[tuple[str, int]] = []
        self._numbers: dict[Any, int] = {}
        self._silent = False
        for name, array in given:
            if _key(array) not in self._numbers:  # a tied weight is one, under its first name
                self.names[self._new(array)] = name

    def _new(self, array: Any) -> int:
        self.arrays.append(array)
        self._numbers[_key(array)] = len(self.arrays) - 1
        return len(self.arrays) - 1

    def number(self, array: Any) -> int:
        """The number of the value that ``array`` is."""
        found = self._numbers.get(_key(array))
        found = self._new(array) if found is None else found
        if found in self.hidden:
            raise Refused(f"{self.hidden[found]} is written by simpler ops, which give its first "
                          f"result alone, and here another one is used, at {caller()}")
        return found

    # ------------------------------------------------------------------ what the tap reports

    def __call__(self, event: Event) -> None:
        if self._silent:
            return
        op, attrs = TABLE[event.op], {**TABLE[event.op].attrs, **event.attrs}
        if event.out is not None:
            raise Refused(f"the model writes into a tensor ({event.op} at {caller()}), and a "
                          f"graph has values alone. Return a new tensor instead")
        expanded = EXPANDED.get(event.op)
        if expanded and op.composite_rule and expanded(event.arrays, attrs, self.opset):
            assert event.table is not None
            y = op.composite_rule(event.table.F, *event.arrays, **attrs)
            self._numbers[_key(event.outputs[0])] = self.number(y)
            self.arrays.append(event.outputs[0])
            for other in event.outputs[1:]:
                self.hidden[self._new(other)] = event.op
            return
        self._enter(event.op, event.arrays, attrs, event.outputs)

    def _enter(self, op: str, operands: Sequence[Any], attrs: dict[str, Any],
               outputs: Sequence[Any]) -> None:
        inputs = tuple([Ref(self.number(a)) if hasattr(a, "dtype") else a for a in operands])
        made = tuple([self._new(y) for y in outputs])
        self.made.update(made)
        self.calls.append(Recorded(op, inputs, attrs, made, caller()))

    def layer(self, layer: Module, says: Callable[..., Any], given: Sequence[Any],
              run: Callable[[], Any]) -> Any:
        """The call of a layer, as one call. What goes on inside is not seen."""
        if self._silent:
            return run()
        self._silent = True
        try:
            y = run()
        finally:
            self._silent = False
        operands, settings = says(layer, *given)
        found: list[tuple[str, Tensor]] = []
        _leaves(y, "", found)
        self._enter(f"nn.{type(layer).__name__}",
                    [getattr(x, "array", x) for x in operands], settings,
                    [t.array for _, t in found])
        return y

    # ------------------------------------------------------------------ what else it is told

    def lives(self, array: Any, numbers: Callable[[], Sequence[float]], table: Table,
              undo: Callable[[], Any]) -> None:
        raise Refused(f"the model makes new numbers at every call, at {caller()}, such as the key "
                      f"of a dropout, and a graph would have the same ones for ever")

    def acts(self, effect: Effect) -> None:
        raise Refused(f"the model counts or moves something at every call, at {caller()}, which a "
                      f"graph cannot do")

    def holds(self, test: Callable[[], bool], what: str) -> None:
        """Nothing: a graph is of one state of the model."""

    def begins(self, array: Any) -> None:
        """Nothing: what is written into it later is refused."""

    def clears(self, leaf: Tensor) -> None:
        """Nothing: a graph has no gradients."""

    def copies(self, source: Any, array: Any) -> None:
        """Nothing: what Python makes is a constant of the graph."""

    def reads(self, array: Any) -> None:
        raise Refused(f"the model reads the values of a tensor {array.dtype.name}"
                      f"{list(array.shape)} in Python, at {caller()}, and would do so at other "
                      f"values otherwise. Choose with etude.where, which is an op")

    def looks(self, array: Any) -> None:
        """Nothing: the values are there, and a graph makes no check."""

    def refuses(self, what: str) -> None:
        raise Refused(f"{what}, at {caller()}. Do it outside the model")


def _key(x: Any) -> Any:
    """What two arrays share that are the same elements."""
    if x.size == 0:
        return id(x)
    return id(owner_of(x)), address(x), tuple(x.shape), element_strides(x), x.dtype


def record(model: Callable[..., Any], arguments: Sequence[Tensor], names: Sequence[str],
           opset: int | None, unrolled: bool = False) -> Run:
    """Run ``model`` in eval mode without gradients, and write down what it does. ``unrolled``: no
    layer is one call.
    """
    given: list[tuple[str, Any]] = [(name, x.array)
                                    for name, x in zip(names, arguments, strict=True)]
    if isinstance(model, Module):
        given += [(path, p.array) for path, p in model.named_parameters()]
        given += [(path, b.array) for path, b in model.named_buffers()]
    run = Run(given, opset)
    layers = model.modules() if isinstance(model, Module) and not unrolled else ()
    with TRACING, _in_use(model), no_grad(), tap(run), _layers_whole(layers, run):
        token = WATCHER.set(run)
        try:
            result = model(*arguments)
        finally:
            WATCHER.reset(token)
    found: list[tuple[str, Tensor]] = []
    _leaves(result, "", found)
    if not found:
        raise Refused(f"the model returns an empty {type(result).__name__}, and a graph has a "
                      f"result")
    run.results = [(name, run.number(t.array)) for name, t in found]
    return run


@contextmanager
def _in_use(model: Any) -> Iterator[None]:
    """The model in eval mode; afterwards as it was."""
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, Module) else []
    for m, _ in modes:
        m.training = False
    try:
        yield
    finally:
        for m, mode in modes:
            m.training = mode


@contextmanager
def _layers_whole(layers: Iterable[Module], run: Run) -> Iterator[None]:
    """Those ``layers`` that are in ``WHOLE`` tell ``run`` of their calls, by a ``forward`` of their
    own.
    """
    told: list[Module] = []
    for layer in layers:
        when, says = WHOLE.get(type(layer), (None, None))
        if when is not None and says is not None and when(layer):
            vars(layer)["forward"] = _telling(layer, says, run)
            told.append(layer)
    try:
        yield
    finally:
        for layer in told:
            del vars(layer)["forward"]


def _telling(layer: Module, says: Callable[..., Any], run: Run) -> Callable[..., Any]:
    forward = layer.forward

    def told(*args: Any, **kwargs: Any) -> Any:
        return run.layer(layer, says, [*args, *kwargs.values()], lambda: forward(*args, **kwargs))

    return told


def _leaves(x: Any, name: str, found: list[tuple[str, Tensor]]) -> None:
    """(name, Tensor) of every Tensor of a result: one alone, or in tuples, lists and dicts."""
    if isinstance(x, Tensor):
        found.append((name, x))
        return
    if not isinstance(x, (tuple, list, dict)):
        raise Refused(f"the model returns {type(x).__name__}, and the results of a graph are "
                      f"tensors: one, or a tuple, list or dict of them")
    for key, part in x.items() if isinstance(x, dict) else enumerate(x):
        _leaves(part, f"{name}_{key}" if name or not isinstance(key, str) else key, found)


def as_numpy(run: Run, number: int) -> np.ndarray[Any, Any]:
    """A value as a NumPy array, wherever it lies."""
    x = run.arrays[number]
    return x if isinstance(x, np.ndarray) else Tensor(x).detach().to("cpu").numpy()
