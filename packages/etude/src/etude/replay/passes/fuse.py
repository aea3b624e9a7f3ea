"""Fusion: neighbouring calls that run together, block by block, while the block is in the cache.

add, then relu: two calls walk the whole array twice. If it does not fit into the cache, the second
one waits for memory that the first one had in its hands a moment ago. Fused, both run on a block of
rows, then on the next, and what only passes between them is never in memory at all: a block of it
lies in scratch memory that stays in the cache of a core.

Which calls can run in blocks? Those that treat *rows* alike and apart: row r of the result comes
from row r of some inputs, and from others as a whole. Elementwise ops do, and a bias or a number
that they broadcast is such an other; so do softmax and layer_norm, where a row of the formula is
a row here. A sum over rows does not, nor a transposed read.

A *group* (``Program.groups``) is a run of such calls on arrays of the same rows, some of which
share an array. The calls stay in the program as they are: an executor that knows no groups runs
them one by one. One that does runs the same kernels on fewer rows at a time, so the bits are the
same.

What is gained are trips to memory: a chain of seven elementwise calls on 16 MB takes a third of the
time. Where all arrays fit into the cache that cores share, trips are short, and the gain is
smaller; two calls may have none.

A product with an activation behind it is not cut, though it treats rows apart too: each block would
pack the matrix again. A relu that follows in its place, and behind a convolution a norm or a sum,
are its *tail* (``tails.py``): the product does them itself, so they are in no group. (The bias is
in the product anyway: ``linear`` starts its sums there.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from etude.core.array import c_strides
from etude.core.table import IN_PLACE, TABLE
from etude.replay.memory import is_whole
from etude.replay.passes.tails import tails
from etude.replay.program import Buffer, Call, Group, Program, Value

#: Classes of ops that work element by element, and those that work on the last axis.
ELEMENTS = (*IN_PLACE, "compare", "map_bool")
ROWS = ("rows", "rows_backward", "norm", "rms_norm")
MOST_BYTES = 1 << 14  # of an array, in one row: a few of them must fit into the nearest cache
MOST_CALLS = 16  # in a group: as many as the host has room for


def fusion(program: Program) -> Program:
    """``program`` with groups of calls that may run block by block."""
    groups: list[Group] = []
    now: _Run | None = None
    taken = {j for tail in tails(program.calls).values() for j in tail.values()}
    for i, call in enumerate(program.calls):
        roles = roles_of(call) if i not in taken else None
        if now is not None and roles is not None and (longer := now.with_call(roles)) is not None:
            now = longer
            continue
        _close(now, program, groups)
        now = None if roles is None else _Run(i).with_call(roles)
    _close(now, program, groups)
    return replace(program, groups=groups)


@dataclass(frozen=True)
class Roles:
    """How a call takes its arrays: by rows, of which there may be ``rows``, or as a whole."""

    rows: int
    by_rows: tuple[Value, ...]
    shared: tuple[Value, ...]
    written: frozenset[Buffer]


def roles_of(call: Call) -> Roles | None:
    """None for a call that cannot run in blocks of rows."""
    op, y = TABLE[call.op], call.outputs[0]
    if not all(is_whole(v) for v in call.outputs) or y.buffer.device != "cpu":
        return None
    if op.cls in ELEMENTS and len(call.outputs) == 1:
        by_rows, shared = _elements(call, y)
        rows = math.prod(y.shape)
        for v in shared:
            size = math.prod(v.shape)
            if not _suffix(v, y):
                return None
            rows = math.gcd(rows, math.prod(y.shape) // max(size, 1))
    elif op.cls in ROWS and call.attrs.get("dim", -1) in (-1, len(y.shape) - 1) and y.shape:
        rows = math.prod(y.shape[:-1])
        by_rows = [v for v in call.reads() if v.shape == y.shape] + [
            v for v in call.outputs if math.prod(v.shape) % max(rows, 1) == 0]
        shared = [v for v in call.reads() if v.shape != y.shape]
        if len(by_rows) + len(shared) < len(call.reads()) + len(call.outputs):
            return None
        if any(math.prod(v.shape) != y.shape[-1] for v in shared):
            return None
    else:
        return None
    if rows < 2 or not all(is_whole(v) for v in by_rows):
        return None
    return Roles(rows, tuple(by_rows), tuple(shared),
                 frozenset(v.buffer for v in call.outputs))


def _elements(call: Call, y: Value) -> tuple[list[Value], list[Value]]:
    by_rows = [v for v in call.reads() if v.shape == y.shape]
    shared = [v for v in call.reads() if v.shape != y.shape]
    return [*by_rows, y], shared


def _suffix(v: Value, y: Value) -> bool:
    """Whether ``v`` is repeated along leading axes of ``y`` alone: a number, or a bias."""
    shape = v.shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    steps = [s for n, s in zip(v.shape, v.strides, strict=True) if n != 1]
    dense = [s for n, s in zip(v.shape, c_strides(v.shape), strict=True) if n != 1]
    return steps == dense and shape == y.shape[len(y.shape) - len(shape) :]


@dataclass(frozen=True)
class _Run:
    """Calls from ``first`` on that may run in blocks of the same ``rows``."""

    first: int
    count: int = 0
    rows: int = 0
    by_rows: frozenset[Buffer] = frozenset()
    shared: frozenset[Buffer] = frozenset()
    written: frozenset[Buffer] = frozenset()
    largest: int = 0  # bytes of an array that goes by rows
    joined: bool = False  # whether some array is touched by two calls

    def with_call(self, roles: Roles) -> _Run | None:
        """This and one more call; None where the two do not go together."""
        by_rows = frozenset(v.buffer for v in roles.by_rows)
        shared = frozenset(v.buffer for v in roles.shared)
        rows = math.gcd(self.rows, roles.rows)
        largest = max([self.largest, *[b.nbytes for b in by_rows]])
        together = replace(self, count=self.count + 1, rows=rows, largest=largest,
                           joined=self.joined or bool(self.by_rows & by_rows),
                           by_rows=self.by_rows | by_rows, shared=self.shared | shared,
                           written=self.written | roles.written)
        if together.count > MOST_CALLS:
            return None
        if together.written & together.shared or largest > rows * MOST_BYTES:
            return None
        if any(b.nbytes % rows for b in together.by_rows):
            return None
        return together


def _close(run: _Run | None, program: Program, groups: list[Group]) -> None:
    """Keep a run as a group, if its calls have something to share."""
    if run is None or not run.joined:
        return
    last = run.first + run.count
    outside = {v.buffer for i, c in enumerate(program.calls)
               if not run.first <= i < last for v in (*c.reads(), *c.outputs)}
    inside = frozenset(b for b in run.written
                       if b.kind == "temporary" and b not in outside)
    groups.append(Group(run.first, last, run.rows, inside))
