"""Reverse-mode differentiation as people call it: ``backward()`` and ``grad()``.

The recording and the walk are in ``tape.py``. This file says where a walk starts, what it computes
with and what becomes of the gradients. The rules (in ``ops/``) are written once, through a
namespace ``F``: normally F is the array ops of the device and no Tensor is made; under
``create_graph`` F is the ops on Tensors, so the walk is itself recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from etude.core.array import is_contiguous, memory
from etude.core.dispatch import OPS, TENSOR_TABLES, TensorOps
from etude.core.errors import ShapeError
from etude.core.live import WATCHER
from etude.core.state import STATE, State, Tables, grad_mode
from etude.core.tape import Mode, Node, key_of, to_leaves, to_targets
from etude.core.tensor import Tensor


def backward(t: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None,
             create_graph: bool = False) -> None:
    """Add d t / d leaf to ``leaf.grad`` for every leaf that requires a gradient.

    ``gradient`` weights the elements of ``t``; it may be left out for a single number. The saved
    values are freed unless ``retain_graph`` (by default: unless ``create_graph``). A leaf has its
    gradient as soon as it is complete, and its hooks run then
    (``Tensor.register_post_accumulate_grad_hook``). If a rule or a hook raises, every ``grad`` is
    put back as it was. Threads may walk to one leaf at once: what each adds is kept, also where
    another one fails.
    """
    keep = create_graph if retain_graph is None else retain_graph
    tables = STATE.get().tables
    mode = TENSORS if create_graph else Mode(tables)
    seed = _seed(t, gradient, create_graph)
    taken = {memory(seed)}
    added: list[_Added] = []

    def accumulate(leaf: Tensor, g: Any) -> None:
        while True:
            before = leaf.grad
            if create_graph:
                after = g if before is None else mode.tables[g.device].F.add(before, g)
            elif before is None:
                after = Tensor(_owned(g, taken, tables))
            else:
                after = Tensor(tables[g.device].F.add(before.array, g))
            with _EXCHANGE:
                if leaf.grad is before:  # else a thread was faster
                    leaf.grad = after
                    break
        if not leaf.hooks:
            added.append((leaf, g, before, after))
            return
        watcher = WATCHER.get()
        if watcher is not None:
            watcher.refuses("a hook of a gradient is called, which a replay would not call")
        try:
            for hook in list(leaf.hooks.values()):
                hook(leaf)
        finally:
            added.append((leaf, g, before, leaf.grad))

    token = STATE.set(State(tables, create_graph))
    try:
        to_leaves(t, seed, mode, keep, accumulate)
    except BaseException:
        for entry in added:
            _take_back(*entry)
        raise
    finally:
        STATE.reset(token)


# ------------------------------------------------------------------ into grad, from any thread

#: Held while the ``grad`` of a leaf is exchanged, and never while an op or a hook runs: those are
#: a user's code, which may wait for another thread.
_EXCHANGE = threading.Lock()


#: What a walk added to a leaf: leaf, gradient, leaf.grad before it, and when hooks were done too.
_Added = tuple[Tensor, Any, Tensor | None, Tensor | None]


def _take_back(leaf: Tensor, g: Any, before: Tensor | None, left: Tensor | None) -> None:
    """Make ``leaf.grad`` what it would be without this walk, which left it as ``left``."""
    while True:
        now = leaf.grad
        without = before
        if now is not None and now is not left:  # another thread has added to it since
            without = OPS["sub"](now, g if isinstance(g, Tensor) else Tensor(g))
        with _EXCHANGE:
            if leaf.grad is now:
                leaf.grad = without
                return


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor],
         grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Any, ...]:
    """The gradients of ``outputs`` (summed, weighted by ``grad_outputs``) in each of ``inputs``.

    A tuple of Tensors, one per input; with ``create_graph`` they can be differentiated again.
    An input that the outputs do not depend on is an error, or None with ``allow_unused``.
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    given = [None] * len(outs) if grad_outputs is None else grad_outputs
    given = [given] if isinstance(given, Tensor) else list(given)
    keep = create_graph if retain_graph is None else retain_graph
    tables = STATE.get().tables
    seeds = [_seed(t, g, create_graph) for t, g in zip(outs, given, strict=True)]
    with grad_mode(create_graph):
        found = to_targets(list(zip(outs, seeds, strict=True)),
                           {key_of(t) for t in ins if t.requires_grad},
                           TENSORS if create_graph else Mode(tables), keep)
    taken = {memory(seed) for seed in seeds}
    results: list[Tensor | None] = []
    for i, t in enumerate(ins):
        g = found.get(key_of(t))
        if g is None and not allow_unused:
            raise RuntimeError(f"inputs[{i}] was not used to compute the outputs, or does not "
                               f"require a gradient; pass allow_unused=True to get None")
        results.append(g if g is None or create_graph else Tensor(_owned(g, taken, tables)))
    return tuple(results)


def _seed(t: Tensor, given: Any, create_graph: bool) -> Any:
    """The gradient that starts at ``t``: given, or 1 for a single number."""
    array = t.array
    if not t.requires_grad:
        raise RuntimeError("this tensor does not require a gradient: nothing that led to it was "
                           "made with requires_grad=True, or it was computed under no_grad()")
    if given is None:
        if array.size != 1:
            raise ShapeError(f"backward from a tensor of shape {list(t.shape)} needs a gradient of "
                             f"that shape; only a single number starts at 1. Sum it first?")
        one = np.empty(array.shape, array.dtype)
        one.fill(1)
        seed = STATE.get().tables[array.device].upload(one)
        return Tensor(seed) if create_graph else seed
    if not isinstance(given, Tensor) or (given.array.shape, given.array.dtype) != (
            array.shape, array.dtype):
        got = (f"one of {given.dtype.name}{list(given.shape)}" if isinstance(given, Tensor)
               else type(given).__name__)
        raise ShapeError(f"the gradient given must be a Tensor {t.dtype.name}{list(t.shape)} like "
                         f"the output it belongs to, got {got}")
    return given if create_graph else given.array


def _owned(g: Any, taken: set[int], tables: Tables) -> Any:
    """``g`` in C order, and in memory that no other gradient shares: somebody may write there."""
    if type(g) is np.ndarray and g.base is None and g.flags.c_contiguous and id(g) not in taken:
        taken.add(id(g))  # most are like that
        return g
    place = memory(g)
    if place in taken or not is_contiguous(g):
        g = tables[g.device].F.contiguous(g)
        place = memory(g)
    taken.add(place)
    return g


# ------------------------------------------------------------------ under create_graph


def _tensor_of(array: Any, node: Node | None) -> Tensor:
    return Tensor(array, node=node)


def _through_composite(node: Node, g: Tensor, needs: tuple[bool, ...]) -> list[Any]:
    """Differentiate a fused op through its definition in primitives: any number of times."""
    op, inputs = node.op, node.inputs
    assert op.composite_rule is not None and inputs is not None
    for name, t in zip(op.arrays, inputs, strict=False):
        if isinstance(t, Tensor):
            node.unwritten(name, t)
    F = TensorOps(g.device)
    # One input may have been computed from another: views of them keep their shares apart.
    own = [F.reshape(t, shape=t.shape) if need else t
           for t, need in zip(inputs, needs, strict=True)]
    y = op.composite_rule(F, *own, **{**op.attrs, **node.attrs})
    wanted = [t for t, need in zip(own, needs, strict=True) if need]
    answers = iter(grad(y, wanted, g, create_graph=True, allow_unused=True))
    return [next(answers) if need else None for need in needs]


TENSORS = Mode(TENSOR_TABLES, _tensor_of, _through_composite)
