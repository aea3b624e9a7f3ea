"""Records of a group of calls, made to run block by block (``replay/passes/fuse.py`` finds groups).

A record speaks of all rows. To run it on some of them one must know of each pointer how far a row
is from the next, and which number counts the rows. Both follow from the call: a pointer is that of
an operand, which goes by rows or is shared, and a function type counts rows by ``n``, ``rows`` or,
in a pointwise type, along the first axis of its geometry that is longer than 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude.backends.native.geometry import Geometry
from etude.backends.native.header import places, read_header
from etude.backends.native.kernel import GENERATED, Blocks, Member, Record
from etude.replay.passes.fuse import roles_of
from etude.replay.program import Buffer, Call, Group

#: Bytes of a block, of all arrays. What passes inside is a part of it, and stays in L1. Where
#: nothing is inside, each call walks through memory anyway. Then blocks may be as large as L2
#: holds, since longer walks are faster, while so many blocks are left for threads to share.
NEAR, FAR, BLOCKS = 48 << 10, 256 << 10, 32
LEAST_WORK = 16 << 10  # elements worth a thread
ROUND = 64  # rows of a block are a multiple, where they are many


def worthwhile(group: Group, calls: list[Call]) -> bool:
    """Whether there is more than one block: what fits into the nearest cache stays there anyway."""
    return sum(b.nbytes for b in _by_rows(calls[group.first : group.last])) > NEAR


def _by_rows(calls: list[Call]) -> set[Buffer]:
    """What the calls of a group take or make by rows."""
    return {v.buffer for call in calls if (roles := roles_of(call)) for v in roles.by_rows}


def blocks(group: Group, calls: list[Call], records: list[Record],
           begin: Callable[[Buffer], int]) -> Blocks | None:
    """The group of these calls and their records, one for each call or for the several calls of a
    loop; None where a record cannot be cut down. ``begin`` says where a buffer is.
    """
    by_rows = {b: b.nbytes // group.rows for b in _by_rows(calls)}  # -> bytes of a row
    touched = {p for r in records for p in r.pointers}  # not what is in registers of a loop
    by_rows = {b: step for b, step in by_rows.items() if begin(b) in touched}
    row = max(sum(by_rows.values()), 1)
    most = NEAR if group.inside & by_rows.keys() else min(max(NEAR, row * group.rows // BLOCKS),
                                                          FAR)
    block = max(most // row, 1)
    block = min(block // ROUND * ROUND if block > ROUND else block, group.rows)
    scratch, room = {}, 0
    for b in sorted(group.inside & by_rows.keys(), key=lambda b: b.name):
        scratch[b] = room
        room += -(-block * by_rows[b] // ROUND) * ROUND
    places_of = {begin(b): (step, scratch.get(b, -1)) for b, step in by_rows.items()}
    members = [_member(group.rows, r, places_of) for r in records]
    if None in members:
        return None
    elements = block * max(by_rows.values()) // 4
    grain = max(LEAST_WORK // max(elements, 1), 1)
    return Blocks(group.rows, block, grain, max(room, 1), [m for m in members if m is not None])


def _member(rows: int, record: Record, places_of: dict[int, tuple[int, int]]) -> Member | None:
    whole = record.attributes if record.type == GENERATED else [0.0] * len(record.pointers)
    found = [(0, -1) if all_of_it else places_of.get(p, (0, -1))
             for p, all_of_it in zip(record.pointers, whole, strict=True)]
    steps, inside = zip(*found, strict=True)
    counted = _counted(rows, record, steps)
    return None if counted is None else Member(steps, inside, *counted)


def _counted(rows: int, record: Record, steps: Any) -> tuple[int, int, int, int] | None:
    """(how many for each row, place in sizes, geometry, axis) of the number that counts rows."""
    kind = record.type.rpartition("_")[0]
    if record.type == GENERATED:
        return None if record.sizes[0] % rows else (record.sizes[0] // rows, 0, 0, 0)
    geometry = None
    for p, where, i in places(read_header().types[kind]):
        if where == "sizes" and p.name in ("n", "rows"):
            return None if record.sizes[i] % rows else (record.sizes[i] // rows, i, 0, 0)
        if p.kind == "geometry" and geometry is None:
            geometry = i
    if geometry is None:
        return None
    sizes, *strides = [Geometry.alive[p].numbers for p in record.pointers[geometry:]]
    axis = next((k for k, n in enumerate(sizes) if n > 1), 0)
    if sizes[axis] % rows:
        return None
    for stride, step in zip(strides, steps, strict=False):
        if (stride[axis] == 0) is not (step == 0):
            return None
    return sizes[axis] // rows, -1, geometry, axis
