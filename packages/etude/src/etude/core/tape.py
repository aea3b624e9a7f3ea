"""The tape: what a call leaves behind for ``backward``, and the walk back over it.

Every op call that needs a gradient leaves a ``Node``: the op, the Tensors that went in and the
arrays that came out. Nodes are numbered as they are made, so the numbers in falling order are an
order in which every node comes after all that used its result. ``walk`` follows it, asks each
op's gradient rule what its inputs get, and adds up what meets in one place.

The file stands below ``Tensor`` and knows no op. What it computes with is handed in (``Mode``):
the array ops of a device, or, for a gradient that is to be differentiated again, the ops on
Tensors. ``autograd.py`` hands it in, and holds the functions that people call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from etude.core.shapes import sum_to
from etude.core.table import Op

#: Numbers nodes, and dates every write into a leaf: one clock for both, so that "was this Tensor
#: written after that node saved it?" is a comparison of two integers.
clock = itertools.count(1)

Key = Any  # where a gradient gathers: (node, output index), or the id of a leaf


class Node:
    """One recorded call. It keeps the input Tensors and the output arrays, never its own output
    Tensors: no cycle, so memory goes the moment the last user lets go. Backward drops both.
    """

    __slots__ = ("attrs", "inputs", "keepers", "needs", "op", "order", "outputs")

    def __init__(self, op: Op, inputs: Sequence[Any], outputs: tuple[Any, ...],
                 attrs: dict[str, Any], needs: tuple[bool, ...]) -> None:
        self.op = op
        self.inputs: Sequence[Any] | None = inputs  # Tensors, numbers or None, as passed
        self.outputs = outputs
        self.attrs = attrs
        self.needs = needs  # which of the inputs want a gradient
        self.order = next(clock)
        self.keepers: tuple[Any, ...] = ()  # weak references to outputs that keep their gradient

    def __repr__(self) -> str:
        return f"<Node {self.order}: {self.op.name}>"

    def parents(self) -> list[Any]:
        """The inputs that want a gradient. RuntimeError if backward has let go of them."""
        if self.inputs is None:
            raise RuntimeError(
                f"backward through {self.op.name!r} a second time, but its saved values were "
                f"freed by the first. Pass retain_graph=True to the first call, or compute the "
                f"loss again")
        return [t for t, need in zip(self.inputs, self.needs, strict=True) if need]

    def kept(self) -> list[Any]:
        """The output Tensors that asked to keep their gradient, and are still there."""
        return [t for ask in self.keepers if (t := ask()) is not None]

    def free(self) -> None:
        """Let go of all that was saved."""
        self.inputs, self.outputs = None, ()

    def unwritten(self, name: str, t: Any) -> None:
        """RuntimeError if the values of the input ``name`` are no longer those of the call."""
        if t.written() > self.order:
            raise RuntimeError(
                f"backward through {self.op.name!r}: its input {name!r} was written (by copy_ or "
                f"an optimiser) after it was saved. Call backward before the step, or clone() it")

    def saved(self, wrap: Callable[..., Any] | None) -> list[Any]:
        """What the gradient rule asked for: arrays or, with ``wrap``, Tensors."""
        assert self.inputs is not None
        op, values = self.op, []
        for name, field, is_input, position in op.saved_from:
            if not is_input:
                value: Any = self.outputs[position]
                if wrap is not None:  # only the first result can be differentiated again
                    value = wrap(value, self if position == 0 else None)
            elif op.variadic:
                value = [getattr(t, field) for t in self.inputs]
            else:
                value = self.inputs[position] if position < len(self.inputs) else None
                if field:
                    value = getattr(value, field)
                elif hasattr(value, "array"):  # a Tensor, and no number or None
                    self.unwritten(name, value)
                    value = value if wrap is not None else value.array
            values.append(value)
        return values


@dataclass(frozen=True)
class Mode:
    """What a walk computes with.

    ``F(g)`` is the namespace of ops for a gradient ``g``, that of its device. ``wrap`` makes a
    Tensor of a saved output, and is None where gradients are arrays. ``composite`` differentiates
    a fused op through its definition in primitives; it is there together with ``wrap``.
    """

    F: Callable[[Any], Any]
    wrap: Callable[..., Any] | None = None
    composite: Callable[[Node, Any, tuple[bool, ...]], Sequence[Any]] | None = None


def walk(starts: Sequence[tuple[Any, Any]], mode: Mode, keep: bool,
         targets: set[Key] | None = None,
         complete: Callable[[Any, Any], None] | None = None) -> dict[Key, Any]:
    """Follow gradients back from ``starts``, pairs (Tensor, its gradient).

    Without ``targets`` every leaf that requires a gradient gets one: ``complete(leaf, gradient)``
    is called as soon as nothing more can be added to it, while the walk goes on; so it is for
    results that asked to keep theirs. With targets the
    gradients of these alone are worked out, and returned by key. Nodes keep what they saved only
    if ``keep``.
    """
    nodes, coming = reachable(starts, targets)
    useful = None if targets is None else leading_to(targets, nodes)
    gathered: dict[Key, Any] = {}
    for t, g in starts:
        if targets is None or key_of(t) in targets or t.node in (useful or ()):
            _gather(gathered, t, g, mode)
        if complete is not None and t.node is None and id(t) not in coming:
            _settle(gathered, t, complete)
    for node in nodes:
        inputs, needs = node.inputs, node.needs
        assert inputs is not None
        if useful is None or node in useful:
            if complete is not None and node.keepers:
                _keep(node, gathered, complete)
            _through(node, gathered, targets, useful, mode)
        if complete is not None:
            for t, need in zip(inputs, needs, strict=True):
                if need and t.node is None:
                    coming[id(t)] -= 1
                    if not coming[id(t)]:
                        _settle(gathered, t, complete)
        if not keep:
            node.free()
    return gathered


def key_of(t: Any) -> Key:
    """Where the gradient of ``t`` gathers."""
    return id(t) if t.node is None else (t.node, t.index)


def reachable(starts: Iterable[tuple[Any, Any]], targets: set[Key] | None = None
              ) -> tuple[list[Node], dict[int, int]]:
    """Every node behind ``starts``, the newest first; and how often each leaf went in (by id).

    What was recorded before all of the targets is left out: no path to them leads through it.
    """
    oldest = 0
    if targets and all(isinstance(key, tuple) for key in targets):
        oldest = min(node.order for node, _ in targets)
    found: set[Node] = set()
    uses: dict[int, int] = {}
    todo = [t for t, _ in starts]
    while todo:
        node = todo.pop().node
        if node is None or node.order <= oldest or node in found:
            continue
        found.add(node)
        for parent in node.parents():
            if parent.node is None:
                uses[id(parent)] = uses.get(id(parent), 0) + 1
            else:
                todo.append(parent)
    return sorted(found, key=attrgetter("order"), reverse=True), uses


def leading_to(targets: set[Key], nodes: list[Node]) -> set[Node]:
    """The nodes through which a gradient reaches one of the targets."""
    useful: set[Node] = set()
    for node in reversed(nodes):
        if any(key_of(t) in targets or t.node in useful for t in node.parents()):
            useful.add(node)
    return useful


def _gather(gathered: dict[Key, Any], t: Any, g: Any, mode: Mode) -> None:
    """Add ``g`` to what has arrived for ``t``."""
    key = id(t) if t.node is None else (t.node, t.index)
    gathered[key] = mode.F(g).add(gathered[key], g) if key in gathered else g


def _settle(gathered: dict[Key, Any], leaf: Any, complete: Callable[[Any, Any], None]) -> None:
    """Everything that goes to this leaf has arrived, if there was anything."""
    g = gathered.pop(id(leaf), None)
    if g is not None:
        complete(leaf, g)


def _keep(node: Node, gathered: dict[Key, Any], complete: Callable[[Any, Any], None]) -> None:
    """Hand what has arrived for outputs of ``node`` to those that asked (``retain_grad``)."""
    for t in node.kept():
        if (node, t.index) in gathered:
            complete(t, gathered[node, t.index])


def _through(node: Node, gathered: dict[Key, Any], targets: set[Key] | None,
             useful: set[Node] | None, mode: Mode) -> None:
    """Take what has arrived for the outputs of ``node``, and gather what its inputs get."""
    arrived, anything = [], False
    for i in range(len(node.outputs) if node.op.outputs[0].startswith("*") else 1):
        key = node, i
        asked = targets is not None and key in targets
        arrived.append(gathered.get(key) if asked else gathered.pop(key, None))
        anything = anything or arrived[-1] is not None
    if not anything:
        return
    assert node.inputs is not None
    needs = node.needs
    if targets is not None:
        needs = tuple([need and (key_of(t) in targets or t.node in (useful or ()))
                       for t, need in zip(node.inputs, needs, strict=True)])
    grads = apply_rule(node, arrived, needs, mode)
    for t, g, need in zip(node.inputs, grads, needs, strict=False):
        if need and g is not None and (t.node is not None or t.requires_grad):
            _gather(gathered, t, g, mode)


def apply_rule(node: Node, arrived: list[Any], needs: tuple[bool, ...], mode: Mode
               ) -> Sequence[Any]:
    """The gradient of each input of ``node``, or None: the op's rule, applied."""
    op, inputs = node.op, node.inputs
    assert inputs is not None
    known = arrived[0] if len(arrived) == 1 else next(g for g in arrived if g is not None)
    if mode.composite is not None and op.composite_rule is not None:
        return mode.composite(node, known, needs)
    F = mode.F(known)
    upstream = known
    if op.outputs[0].startswith("*"):
        upstream = [F.full(shape=y.shape, value=0, dtype=y.dtype) if g is None else g
                    for g, y in zip(arrived, node.outputs, strict=True)]
    if op.rule is None:
        raise RuntimeError(f"backward through {op.name!r}: this op has no gradient rule. State one "
                           f"below its definition, {op.name}.gradient(rule), and compute the loss "
                           f"again; or detach() what goes into it, if no gradient is wanted there")
    attrs = {**op.attrs, **node.attrs} if op.attrs or node.attrs else {}
    grads = op.rule(F, upstream, *node.saved(mode.wrap), needs=needs, **attrs)
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    shaped = list(grads)
    for i, (g, t) in enumerate(zip(grads, inputs, strict=False)):
        if g is not None and needs[i] and g.shape != t.array.shape:  # the op broadcast this input
            shaped[i] = sum_to(F, g, t.array.shape)
    return shaped
