"""Tails: what a product does itself, the calls that follow it on its result, in its place.

A batch norm in evaluation, a sum with another array, a relu: each would walk over all of what a
convolution has just written, and on few threads if that is small. A kernel that can does all of it
while what it has finished is in the cache of its core (C: ``c_src/cpu/tail.h``), operation by
operation, so the bits are those of the calls. The calls stay in the program, for kernels that
cannot.
"""

from __future__ import annotations

from math import prod

from etude.core.array import c_strides
from etude.replay.passes.rewrite import same_elements
from etude.replay.program import Call, Value

PARTS = ("batch_norm_eval", "add", "relu")  # in this order, each at most once
OF = {"conv2d": PARTS, "linear": ("relu",)}  # which of them a product may do


def tails(calls: list[Call]) -> dict[int, dict[str, int]]:
    """Calls with a tail: each op in it, and the number of its call."""
    return {i: tail for i in range(len(calls)) if (tail := _tail(calls, i))}


def _tail(calls: list[Call], i: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in OF.get(calls[i].op, ()):
        j = i + 1 + len(found)
        if j < len(calls) and calls[j].op == part and _in_place(calls[j], calls[i].outputs[0]):
            found[part] = j
    return found


def _in_place(call: Call, y: Value) -> bool:
    """Whether a call, one of ``PARTS``, has ``y`` as its first operand and as its result."""
    x, z = call.inputs[0], call.outputs[0]
    if not (isinstance(x, Value) and same_elements(x, y) and same_elements(z, y)):
        return False
    if call.op == "batch_norm_eval":  # one pixel has a formula of its own, which adds no bias of 0
        return prod(y.shape[2:]) > 1
    other = call.inputs[1] if call.op == "add" else None
    return call.op == "relu" or (
        isinstance(other, Value) and other.buffer is not y.buffer and other.shape == y.shape
        and other.strides == c_strides(y.shape) and other.dtype == y.dtype)
