"""What follows about an op from its row: an example call, and how often it can be differentiated.

Nothing here names an op, so a new one needs no line. To find an example, a few usual shapes are
tried on the op's own shape rule. An op that only runs in backward gets the arrays that the gradient
of such an example hands to it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import numpy as np

from etude.backends.use import use
from etude.core.autograd import grad
from etude.core.columns import Event
from etude.core.dispatch import OPS
from etude.core.shapes import Spec, bool_, float32, float64
from etude.core.state import tap
from etude.core.table import TABLE, Op
from etude.core.tensor import Tensor

#: Shapes of data: 32 samples of 64 features, 32 images of 8 channels. Shapes of parameters: 10
#: classes, a 3 x 3 kernel to 16 channels. Sizes that must not match by accident differ.
BATCHES: list[tuple[int, ...]] = [(32, 64), (32, 8, 14, 12), (64,), (32,), (64, 32), ()]
PARAMETERS: list[tuple[int, ...]] = [(64,), (10, 64), (10,), (16, 8, 3, 3), (16,), (8,), ()]
LENGTHS: list[tuple[int, ...]] = [(n,) for n in range(1, 13)]  # of keys and settings
#: Values for attributes without a default: a share, a dim, a size, an index, shapes, dims, a dtype.
VALUES = [0.5, 0, 2, ((0, 16, 1),), (64,), (32, 64), (1, 0), float64]


@dataclass(frozen=True)
class Example:
    """One call: shapes and attributes, and what it costs."""

    arrays: dict[str, Spec]
    attrs: dict[str, Any]
    flops: int
    bytes: int


def example(op: Op) -> Example | None:
    """A usual call of ``op``. None for a view, which costs nothing, and where none is found."""
    if op.cls in ("view", "create"):
        return None
    found = _usual_call(op)
    if found is None:
        return None
    arrays, attrs = found
    numbered = [f"{op.arrays[0]}{i}" for i in range(len(arrays))]
    names = numbered if op.variadic else op.arrays
    specs = {n: a for n, a in zip(names, arrays, strict=False) if a is not None}
    return Example(specs, attrs, op.flops(*arrays, **attrs), op.bytes(*arrays, **attrs))


Call = tuple[list[Any], dict[str, Any]]  # Specs and attributes


def _usual_call(op: Op) -> Call | None:
    """A call as it happens in the backward of another op, else one that is tried out."""
    if op.internal:
        for parent in _parents(op):
            found = _search_backward(parent, op)
            if found is not None:
                return found
    return _search(op)


def _search(op: Op) -> Call | None:
    """The first call that the shape rule accepts. Floats are tried before bools, and only the
    attributes without a default before those that may be None too.
    """
    needed = [k for k, v in op.attrs.items() if v is Parameter.empty]
    optional = [k for k, v in op.attrs.items() if v is None]
    for dtype in (float32, bool_):
        for wanted in (needed, needed + optional):
            found = _accepted(op, wanted, dtype)
            if found is not None:
                return found
    return None


def _accepted(op: Op, wanted: list[str], dtype: np.dtype[Any]) -> Call | None:
    """The first call with values for the attributes ``wanted`` that the shape rule accepts."""
    names = op.arrays * 2 if op.variadic else op.arrays
    for values in itertools.product(VALUES, repeat=len(wanted)):
        attrs = dict(zip(wanted, values, strict=True))
        try:
            if op.prepare is not None:
                attrs = op.prepare(attrs)
        except Exception:  # these values do not even look right
            continue
        for shapes in _assignments(op, names):
            specs = [Spec(s, op.fixed.get(n) or dtype)
                     for n, s in zip(names, shapes, strict=True)]
            try:
                op.check(tuple(specs), attrs)
                op.flops(*specs, **attrs)
            except Exception:  # the shape rule, or the cost, has no answer to this call
                continue
            return specs, attrs
    return None


def _assignments(op: Op, names: tuple[str, ...]) -> Iterator[tuple[tuple[int, ...], ...]]:
    """A shape for each array. That of the first array varies slowest; for each of them, shapes that
    are alike are tried before shapes that differ.
    """
    if not names:
        yield ()
        return
    rest = [_usual_shapes(op, name) for name in names[1:]]
    for first in BATCHES + LENGTHS:
        for different in range(1, min(len(names), 3) + 1):
            for shapes in itertools.product([first], *rest):
                if len(set(shapes)) == different:
                    yield shapes


def _usual_shapes(op: Op, name: str) -> list[tuple[int, ...]]:
    """What may be tried for an array that is not the first."""
    if name in op.fixed:  # indices, keys, settings
        return BATCHES + LENGTHS
    if name in ("weight", "bias"):
        return PARAMETERS
    return BATCHES + PARAMETERS


def _parents(op: Op) -> Iterator[Op]:
    """The ops in whose gradient rule ``op`` appears."""
    return (p for p in TABLE.values() if not p.internal and op.name in _used(p))


def _search_backward(parent: Op, op: Op) -> Call | None:
    """The call of ``op`` in the gradient of an example of ``parent``."""
    call = _search(parent)
    if call is None:
        return None
    specs, attrs = call
    calls: list[Event] = []
    names = parent.arrays * len(specs) if parent.variadic else parent.arrays
    inputs = []
    for name, spec in zip(names, specs, strict=False):
        value = np.full(spec.shape, 1 if spec.dtype == bool_ else 0.5, spec.dtype)
        wanted = spec.dtype == float32 and name not in parent.optional
        inputs.append(Tensor(value, requires_grad=wanted))
    with use("reference"), tap(calls.append):
        y = OPS[parent.name](*inputs, **attrs)
        y = y[0] if isinstance(y, tuple) else y  # only the first is differentiable
        grad(y, [t for t in inputs if t.requires_grad], Tensor(np.ones(y.shape, y.dtype)),
             allow_unused=True)
    for event in calls:
        if event.op == op.name:
            given = [None if a is None else Spec(a.shape, a.dtype) for a in event.arrays]
            return given, dict(event.attrs)
    return None


# ------------------------------------------------------------------ how often it differentiates


def _used(op: Op) -> set[str]:
    """The ops that the gradient rule of ``op`` is written in."""
    return set() if op.rule is None else TABLE.keys() & set(op.rule.__code__.co_names)


def times(op: Op, above: tuple[Op, ...] = ()) -> float:
    """How many times ``op`` can be differentiated; infinity for any number.

    That is once more than the ops that its rule is written in; a rule that comes back to its own op
    never ends. Public ops without a rule (comparisons, argmax) do not count: they make masks and
    indices, through which no gradient flows.
    """
    if op.composite_rule is not None or op in above:
        return math.inf
    if op.rule is None:
        return 0
    used = [TABLE[n] for n in _used(op)]
    below = [times(o, (*above, op)) for o in used if o.rule or o.composite_rule or o.internal]
    return 1 + min(below, default=math.inf)


def differentiable(op: Op) -> str:
    """``times`` in words, with the reason."""
    n = times(op)
    if n == 0:
        ways = [_again(parent) for parent in _parents(op)] if op.internal else []
        return f"none; a second derivative goes through {' and '.join(ways)}" if ways else "none"
    fused = sorted(o for o in _used(op) if TABLE[o].internal and o != op.name)
    through = f"the rule calls {' and '.join(fused)}" if fused else "the rule is made of public ops"
    if op.composite_rule is not None:
        return f"any number of times: {through}; from the second on, the op in primitives"
    often = {1: "once", math.inf: "any number of times"}.get(n, f"{n:g} times")
    return f"{often}: {through}"


def _again(parent: Op) -> str:
    """How an op whose backward has no gradient is differentiated a second time."""
    n = times(parent)
    return f"{parent.name} in primitives" if n == math.inf else f"{parent.name}, {n:g} times in all"
