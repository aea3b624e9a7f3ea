"""The tape: what a call leaves behind for ``backward``, and the walk back over it.

Every op call that needs a gradient leaves a ``Node``: the op, the Tensors that went in and the
arrays that came out. Nodes are numbered as they are made, so the numbers in falling order are an
order in which every node comes after all that used its result. A walk follows it, asks each op's
gradient rule what its inputs get, and adds up what meets in one place.

There are two walks, and both take the same step, ``through`` a node. ``to_leaves`` is that of
``backward()``: every leaf gets its gradient. ``to_targets`` is that of ``grad()``: it goes only
where the Tensors lie that were asked for.

The file stands below ``Tensor`` and knows no op. What it computes with is handed in (``Mode``):
the array ops of each device, or, for a gradient that is to be differentiated again, the ops on
Tensors. ``autograd.py`` hands it in, and holds the functions that people call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from etude.core.shapes import STORED, sum_to
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
            raise self.freed()
        return [t for t, need in zip(self.inputs, self.needs) if need]

    def kept(self) -> list[Any]:
        """The output Tensors that asked to keep their gradient, and are still there."""
        return [t for ask in self.keepers if (t := ask()) is not None]

    def saved(self, wrap: Callable[..., Any] | None) -> list[Any]:
        """What the gradient rule asked for: arrays or, with ``wrap``, Tensors."""
        op, inputs, values = self.op, self.inputs, []
        assert inputs is not None
        for name, field, is_input, position in op.saved_from:
            if not is_input:
                value: Any = self.outputs[position]
                if wrap is not None:  # only the first result can be differentiated again
                    value = wrap(value, self if position == 0 else None)
            elif op.variadic:
                value = [getattr(t, field) for t in inputs]
            else:
                value = inputs[position] if position < len(inputs) else None
                if field:
                    value = getattr(value.array, field)
                elif hasattr(value, "array"):  # a Tensor, and no number or None
                    self.unwritten(name, value)
                    value = value if wrap is not None else value.array
            values.append(value)
        return values

    def unwritten(self, name: str, t: Any) -> None:
        """RuntimeError if the values of the input ``name`` are no longer those of the call."""
        owner = t if t.base is None else t.base
        if owner.written > self.order:
            raise RuntimeError(
                f"backward through {self.op.name!r}: its input {name!r} was written (by copy_ or "
                f"an optimiser) after it was saved. Call backward before the step, or clone() it")

    def freed(self) -> RuntimeError:
        """Of a second walk through a node that kept nothing."""
        return RuntimeError(
            f"backward through {self.op.name!r} a second time, but its saved values were freed by "
            f"the first. Pass retain_graph=True to the first call, or compute the loss again")

    def without_rule(self) -> RuntimeError:
        """Of an op that nobody said how to differentiate."""
        name = self.op.name
        if any(dtype in STORED for dtype in self.op.fixed.values()):
            return RuntimeError(f"backward through {name!r}: it is for inference, and its weight "
                                f"has no gradient. Train the float model, and quantise it after")
        return RuntimeError(
            f"backward through {name!r}: this op has no gradient rule. State one below its "
            f"definition, {name}.gradient(rule), and compute the loss again; or detach() what goes "
            f"into it, if no gradient is wanted there")


class Mode(NamedTuple):
    """What a walk computes with.

    ``tables[device].F`` is the namespace of ops for gradients on that device. ``wrap`` makes a
    Tensor of a saved output, and is None where gradients are arrays. ``composite`` differentiates
    a fused op through its definition in primitives; it is there together with ``wrap``.
    """

    tables: Mapping[str, Any]
    wrap: Callable[..., Any] | None = None
    composite: Callable[[Node, Any, tuple[bool, ...]], Sequence[Any]] | None = None


# ------------------------------------------------------------------ the two walks


def to_leaves(t: Any, g: Any, mode: Mode, keep: bool, complete: Callable[[Any, Any], None]
              ) -> None:
    """Follow the gradient ``g`` of ``t`` back to every leaf that requires one.

    ``complete(leaf, gradient)`` is called as soon as nothing more can be added to it, while the
    walk goes on; so it is for results that asked to keep theirs. Nodes keep what they saved only
    if ``keep``.
    """
    if t.node is None:
        complete(t, g)
        return
    nodes, coming = reachable([t])
    gathered: dict[Key, Any] = {(t.node, t.index): g}
    for node in nodes:
        inputs = node.inputs
        assert inputs is not None
        if node.keepers:
            for result in node.kept():
                if (node, result.index) in gathered:
                    complete(result, gathered[node, result.index])
        through(node, node.needs, gathered, mode)
        for x, need in zip(inputs, node.needs):
            if need and x.node is None:
                key = id(x)
                coming[key] -= 1
                if not coming[key] and key in gathered and x.requires_grad:
                    complete(x, gathered.pop(key))
        if not keep:
            node.inputs, node.outputs = None, ()


def to_targets(starts: Sequence[tuple[Any, Any]], targets: set[Key], mode: Mode, keep: bool
               ) -> dict[Key, Any]:
    """Follow gradients from ``starts``, pairs (Tensor, its gradient), as far as ``targets``, and
    return what arrives there, by key. Nodes keep what they saved only if ``keep``.
    """
    nodes, _ = reachable([t for t, _ in starts], targets)
    useful = leading_to(targets, nodes)
    gathered: dict[Key, Any] = {}
    for t, g in starts:
        if key_of(t) in targets or t.node in useful:
            gather(t, g, gathered, mode)
    results = {key[0] for key in targets if isinstance(key, tuple)}
    found: dict[Key, Any] = {}
    for node in nodes:
        if node in useful:
            if node in results:  # a target on the way to another one
                found |= {key: gathered[key] for key in targets if key in gathered}
            through(node, useful[node], gathered, mode)
        if not keep:
            node.inputs, node.outputs = None, ()
    return found | gathered


def key_of(t: Any) -> Key:
    """Where the gradient of ``t`` gathers."""
    return id(t) if t.node is None else (t.node, t.index)


def reachable(starts: Iterable[Any], targets: set[Key] | None = None
              ) -> tuple[list[Node], dict[int, int]]:
    """Every node behind ``starts``, the newest first; and how often each leaf went in (by id).

    What was recorded before all of the targets is left out: no path to them leads through it.
    """
    oldest = 0
    if targets and all(isinstance(key, tuple) for key in targets):
        oldest = min(node.order for node, _ in targets)
    found: set[Node] = set()
    uses: dict[int, int] = {}
    todo = [t.node for t in starts if t.node is not None]
    while todo:
        node = todo.pop()
        if node in found or node.order <= oldest:
            continue
        found.add(node)
        if node.inputs is None:
            raise node.freed()
        for x, need in zip(node.inputs, node.needs):
            if not need:
                continue
            if x.node is None:
                uses[id(x)] = uses.get(id(x), 0) + 1
            else:
                todo.append(x.node)
    return sorted(found, key=attrgetter("order"), reverse=True), uses


def leading_to(targets: set[Key], nodes: list[Node]) -> dict[Node, tuple[bool, ...]]:
    """The nodes through which a gradient reaches one of the targets, and by which inputs."""
    useful: dict[Node, tuple[bool, ...]] = {}
    for node in reversed(nodes):
        assert node.inputs is not None
        needs = tuple([need and (key_of(x) in targets or x.node in useful)
                       for x, need in zip(node.inputs, node.needs)])
        if True in needs:
            useful[node] = needs
    return useful


# ------------------------------------------------------------------ their step


def through(node: Node, needs: tuple[bool, ...], gathered: dict[Key, Any], mode: Mode) -> None:
    """Take what has arrived for the result of ``node`` out of ``gathered``, apply the op's
    gradient rule to it, and gather what the inputs get that are in ``needs``.
    """
    op, inputs = node.op, node.inputs
    assert inputs is not None
    arrived = pieces(node, gathered, mode) if op.many else gathered.pop((node, 0), None)
    if arrived is None:
        return
    F = mode.tables[(arrived[0] if op.many else arrived).device].F
    if mode.composite is not None and op.composite_rule is not None:
        grads = mode.composite(node, arrived, needs)
    elif op.rule is None:
        raise node.without_rule()
    elif op.attrs or node.attrs:
        attrs = {**op.attrs, **node.attrs}
        grads = op.rule(F, arrived, *node.saved(mode.wrap), needs=needs, **attrs)
    else:
        grads = op.rule(F, arrived, *node.saved(mode.wrap), needs=needs)
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    for x, g, need in zip(inputs, grads, needs):
        if need and g is not None:
            if g.shape != x.array.shape:  # the op broadcast this input
                g = sum_to(F, g, x.array.shape)
            gather(x, g, gathered, mode)


def gather(t: Any, g: Any, gathered: dict[Key, Any], mode: Mode) -> None:
    """Add ``g`` to what has arrived for ``t``."""
    key = id(t) if t.node is None else (t.node, t.index)
    gathered[key] = mode.tables[g.device].F.add(gathered[key], g) if key in gathered else g


def pieces(node: Node, gathered: dict[Key, Any], mode: Mode) -> Any:
    """What has arrived for the results of an op that has many, such as split: one for each, zeros
    where there is none; None if there is none at all.
    """
    arrived = [gathered.pop((node, i), None) for i in range(len(node.outputs))]
    known = next((g for g in arrived if g is not None), None)
    if known is None:
        return None
    F = mode.tables[known.device].F
    return [F.full(shape=y.shape, value=0, dtype=y.dtype) if g is None else g
            for g, y in zip(arrived, node.outputs)]
