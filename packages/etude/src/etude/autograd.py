"""Reverse-mode differentiation: the tape, ``backward()``, ``grad()`` and ``no_grad``.

Every op call that needs a gradient leaves a ``Node`` behind: the op, the Tensors that went in
and the arrays that came out. Nodes are numbered as they are made, so the numbers in falling
order are an order in which every node comes after all that used its result: backward walks it,
asks each op's gradient rule what its inputs get, and adds up what meets in one place.

The rules (in ``ops/``) are written once, through a namespace ``F``. Normally F is the array ops
of the device and no Tensor is made; under ``create_graph`` F is the Tensor ops, so the walk is
itself recorded and can be differentiated again. Nothing here knows any particular op.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.array import is_contiguous, memory
from etude.backend import STATE, grad_mode
from etude.errors import ShapeError
from etude.ops.view import sum_to
from etude.table import Op

if TYPE_CHECKING:
    from etude.tensor import Tensor

#: Numbers nodes, and dates every write into a leaf: one clock for both, so that "was this Tensor
#: written after that node saved it?" is a comparison of two integers.
clock = itertools.count(1)

Key = Any  # where a gradient gathers: (node, output index), or the id of a leaf


@dataclass(slots=True, eq=False)
class Node:
    """One recorded call. It keeps the input Tensors and the output arrays, never its own output
    Tensors: no cycle, so memory goes the moment the last user lets go. Backward drops both.
    """

    op: Op
    inputs: Sequence[Any] | None  # Tensor, number or None, as passed
    outputs: tuple[Any, ...]
    attrs: dict[str, Any]
    needs: tuple[bool, ...]
    order: int = field(default_factory=clock.__next__)

    def __repr__(self) -> str:
        return f"<Node {self.order}: {self.op.name}>"

    def parents(self) -> Sequence[Tensor]:
        """The inputs that want a gradient. RuntimeError if backward has let go of them."""
        if self.inputs is None:
            raise RuntimeError(
                f"backward through {self.op.name!r} a second time, but its saved values were "
                f"freed by the first. Pass retain_graph=True to the first call, or compute the "
                f"loss again")
        return [t for t, need in zip(self.inputs, self.needs, strict=True) if need]

    def unwritten(self, name: str, t: Tensor) -> None:
        """RuntimeError if the values of the input ``name`` are no longer those of the call."""
        if t.written() > self.order:
            raise RuntimeError(
                f"backward through {self.op.name!r}: its input {name!r} was written (by copy_ or "
                f"an optimiser) after it was saved. Call backward before the step, or clone() it")

    def saved(self, tensors: bool) -> list[Any]:
        """What the gradient rule asked for, as arrays or, for ``create_graph``, as Tensors."""
        from etude.tensor import Tensor

        assert self.inputs is not None
        op, values = self.op, []
        for entry in op.saves:
            name, _, field = entry.partition(".")
            if name not in op.arrays:  # an output; only the first is differentiable
                position = op.outputs.index(name)
                value: Any = self.outputs[position]
                if tensors:
                    value = Tensor(value, node=self if position == 0 else None)
            elif op.variadic:
                values.append([getattr(t, field) for t in self.inputs])
                continue
            else:
                position = op.arrays.index(name)
                value = self.inputs[position] if position < len(self.inputs) else None
                if hasattr(value, "data"):
                    if not field:
                        self.unwritten(name, value)
                    value = value if tensors else value.data
            values.append(getattr(value, field) if field else value)
        return values


def backpropagate(outputs: Sequence[Tensor], grads: Sequence[Any], inputs: Sequence[Tensor] | None,
                  retain_graph: bool, create_graph: bool) -> dict[Key, tuple[Any, Any]]:
    """Walk back from ``outputs``. Returns key -> (Tensor, gradient) for the ``inputs``, or, when
    they are None, for every leaf that requires a gradient.

    Gradients are arrays, or Tensors under ``create_graph``.
    """
    targets = None if inputs is None else {_key(t) for t in inputs}
    nodes = _reachable(outputs, targets)
    useful: set[Node] = set()  # nodes through which a gradient reaches something asked for
    for node in reversed(nodes):
        if any(_asked(t, targets) or t.node in useful for t in node.parents()):
            useful.add(node)
    gathered: dict[Key, tuple[Any, Any]] = {}

    def add(t: Tensor, g: Any) -> None:
        key = _key(t)
        if key in gathered:
            g = _namespace(g, create_graph).add(gathered[key][1], g)
        gathered[key] = (t, g)

    for t, g in zip(outputs, grads, strict=True):
        if t.node is not None or _asked(t, targets):
            add(t, g)
    for node in nodes:
        keys = [(node, i) for i in range(_visible(node))]
        arrived = [gathered[k][1] if k in gathered else None for k in keys]
        if node in useful and any(g is not None for g in arrived):
            assert node.inputs is not None
            needs = tuple(need and (_asked(t, targets) or t.node in useful)
                          for t, need in zip(node.inputs, node.needs, strict=True))
            grads = _rule(node, arrived, needs, create_graph)
            for t, g, need in zip(node.inputs, grads, needs, strict=False):
                if need and g is not None:
                    add(t, g)
        for k in keys:
            if targets is None or k not in targets:
                gathered.pop(k, None)
        if not retain_graph:
            node.inputs, node.outputs = None, ()
    return gathered


def _key(t: Tensor) -> Key:
    return id(t) if t.node is None else (t.node, t.index)


def _asked(t: Tensor, targets: set[Key] | None) -> bool:
    if targets is None:
        return t.node is None and t.requires_grad
    return _key(t) in targets


def _visible(node: Node) -> int:
    return len(node.outputs) if node.op.outputs[0].startswith("*") else 1


def _reachable(outputs: Iterable[Tensor], targets: set[Key] | None) -> list[Node]:
    """Every node between ``outputs`` and ``targets``, the newest first."""
    oldest = 0  # no path to a target leads through what was recorded before all of them
    if targets and all(isinstance(key, tuple) for key in targets):
        oldest = min(node.order for node, _ in targets)
    found = {t.node for t in outputs if t.node is not None and t.node.order > oldest}
    todo = list(found)
    while todo:
        for t in todo.pop().parents():
            if t.node is not None and t.node.order > oldest and t.node not in found:
                found.add(t.node)
                todo.append(t.node)
    return sorted(found, key=lambda n: -n.order)


def _namespace(g: Any, create_graph: bool) -> Any:
    """F for a gradient: the array ops of its device, or the Tensor ops."""
    if create_graph:
        from etude.dispatch import TensorOps

        return TensorOps(g.device)
    return STATE.get().tables[g.device].F


def _rule(node: Node, arrived: list[Any], needs: tuple[bool, ...], create_graph: bool
          ) -> Sequence[Any]:
    """The gradient of each input of ``node``, or None: the op's rule, applied."""
    op, inputs = node.op, node.inputs
    assert inputs is not None
    known = next(g for g in arrived if g is not None)
    F = _namespace(known, create_graph)
    if create_graph and op.composite_rule is not None:
        return _through_composite(node, known, needs, F)
    if op.outputs[0].startswith("*"):
        upstream: Any = [F.full(shape=y.shape, value=0, dtype=y.dtype) if g is None else g
                         for g, y in zip(arrived, node.outputs, strict=True)]
    else:
        upstream = known
    assert op.rule is not None
    saved = node.saved(create_graph)
    grads = op.rule(F, upstream, *saved, needs=needs, **{**op.attrs, **node.attrs})
    if not isinstance(grads, (tuple, list)):
        grads = (grads,)
    return [sum_to(F, g, t.shape) if need and g is not None and g.shape != t.shape else g
            for g, t, need in zip(grads, inputs, needs, strict=False)]


def _through_composite(node: Node, g: Tensor, needs: tuple[bool, ...], F: Any) -> list[Any]:
    """Differentiate a fused op through its definition in primitives: any number of times."""
    op, inputs = node.op, node.inputs
    assert op.composite_rule is not None and inputs is not None
    for name, t in zip(op.arrays, inputs, strict=False):
        if hasattr(t, "data"):
            node.unwritten(name, t)
    # One input may have been computed from another: views of them keep their shares apart.
    own = [F.reshape(t, shape=t.shape) if need else t
           for t, need in zip(inputs, needs, strict=True)]
    y = op.composite_rule(F, *own, **{**op.attrs, **node.attrs})
    wanted = [t for t, need in zip(own, needs, strict=True) if need]
    answers = iter(grad(y, wanted, g, create_graph=True, allow_unused=True))
    return [next(answers) if need else None for need in needs]


def _seed(t: Tensor, given: Any, create_graph: bool) -> Any:
    """The gradient that starts at ``t``: given, or 1 for a single number."""
    from etude.tensor import Tensor

    if not t.requires_grad:
        raise RuntimeError("this tensor does not require a gradient: nothing that led to it was "
                           "made with requires_grad=True, or it was computed under no_grad()")
    if given is None:
        if t.data.size != 1:
            raise ShapeError(f"backward from a tensor of shape {list(t.shape)} needs a gradient of "
                             f"that shape; only a single number starts at 1. Sum it first?")
        one = np.ones(t.shape, t.dtype)
        given = Tensor(STATE.get().tables[t.device].upload(one))
    if not isinstance(given, Tensor) or given.shape != t.shape or given.dtype != t.dtype:
        raise ShapeError(f"the gradient given must be a Tensor {t.dtype.name}{list(t.shape)} like "
                         f"the output it belongs to, got {given!r}")
    return given if create_graph else given.data


def backward(t: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None,
             create_graph: bool = False) -> None:
    """Add d t / d leaf to ``leaf.grad`` for every leaf that requires a gradient.

    ``gradient`` weights the elements of ``t``; it may be left out for a single number. The saved
    values are freed unless ``retain_graph`` (by default: unless ``create_graph``).
    """
    from etude.tensor import Tensor

    keep = create_graph if retain_graph is None else retain_graph
    seed = _seed(t, gradient, create_graph)
    with grad_mode(create_graph):
        found = backpropagate([t], [seed], None, keep, create_graph)
        taken = {memory(seed)}
        for leaf, g in found.values():
            if leaf.grad is not None:
                F = _namespace(g, create_graph)
                g = F.add(leaf.grad if create_graph else leaf.grad.data, g)
            elif not create_graph:
                g = _owned(g, taken)
            leaf.grad = g if create_graph else Tensor(g)


def _owned(g: Any, taken: set[int]) -> Any:
    """``g`` in C order, and in memory that no other gradient shares: somebody may write there."""
    if memory(g) in taken or not is_contiguous(g):
        g = _namespace(g, False).contiguous(g)
    taken.add(memory(g))
    return g


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor],
         grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Any, ...]:
    """The gradients of ``outputs`` (summed, weighted by ``grad_outputs``) in each of ``inputs``.

    A tuple of Tensors, one per input; with ``create_graph`` they can be differentiated again.
    An input that the outputs do not depend on is an error, or None with ``allow_unused``.
    """
    from etude.tensor import Tensor

    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [None] * len(outs) if grad_outputs is None else grad_outputs
    given = [given] if isinstance(given, Tensor) else list(given)
    keep = create_graph if retain_graph is None else retain_graph
    seeds = [_seed(t, g, create_graph) for t, g in zip(outs, given, strict=True)]
    with grad_mode(create_graph):
        found = backpropagate(outs, seeds, ins, keep, create_graph)
    taken = {memory(seed) for seed in seeds}
    results: list[Tensor | None] = []
    for i, t in enumerate(ins):
        if _key(t) not in found:
            if not allow_unused:
                raise RuntimeError(f"inputs[{i}] was not used to compute the outputs, or does not "
                                   f"require a gradient; pass allow_unused=True to get None")
            results.append(None)
            continue
        g = found[_key(t)][1]
        results.append(g if create_graph else Tensor(_owned(g, taken)))
    return tuple(results)


def no_grad() -> Any:
    """Context manager and decorator: record nothing inside."""
    return grad_mode(False)


def enable_grad() -> Any:
    """Context manager and decorator: record again, inside a ``no_grad``."""
    return grad_mode(True)


def is_grad_enabled() -> bool:
    return STATE.get().grad


