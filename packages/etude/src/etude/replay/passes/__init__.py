"""Passes: a program goes in, a better one comes out, and the results keep their bits.

A pass is a function from Program to Program that changes nothing it is given. Each has a file of
its own, which says what it looks for, why that is sound, and what it buys.

    rewrite     what passes share
    dead        calls whose results nobody sees
    common      calls that were made before
    fold        calls that give the same at every run
    recompute   values that are made again instead of kept, under a memory budget
    in_place    results written over inputs that nobody needs any more
    fuse        neighbouring calls that run together, block by block
    tails       what a product does itself on its result; not a pass, fuse and executors ask
    memory      where temporaries lie; not a pass, but what an executor asks at the end
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from etude.replay.passes.common import common_subexpressions
from etude.replay.passes.dead import dead_code
from etude.replay.passes.fold import constant_folding
from etude.replay.passes.fuse import fusion
from etude.replay.passes.in_place import in_place
from etude.replay.passes.memory import memory_plan
from etude.replay.passes.recompute import recomputation
from etude.replay.program import Program

Pass = Callable[[Program], Program]

#: In the order in which they run. Folding and merging leave calls dead, so dead code is last of
#: the three. In place comes after all that asks which call made a value, recomputation above all,
#: and fusion last, since it speaks of calls by their numbers.
PASSES: tuple[Pass, ...] = (constant_folding, common_subexpressions, dead_code, recomputation,
                            in_place, fusion)


def optimised(program: Program, passes: tuple[Pass, ...] = PASSES, memory: int | None = None
              ) -> Program:
    """``program`` through the passes. ``Program.passes`` of the answer says what each one did.

    With ``memory``, values are made again instead of kept until the temporaries that are live at
    once take at most so many bytes, or as few as can be had; without, where it costs next to
    nothing.
    """
    said = list(program.passes)
    for step in passes:
        before = program
        program = recomputation(program, memory) if step is recomputation else step(program)
        said.append(f"{step.__name__.replace('_', ' ')}: {_difference(before, program)}")
    return replace(program, passes=said)


def _difference(before: Program, after: Program) -> str:
    calls, left = len(before.calls), len(after.calls)
    old, new = memory_plan(before), memory_plan(after)
    if after.groups:
        fused = sum(g.last - g.first for g in after.groups)
        return (f"{fused} of {left} calls in {len(after.groups)} groups, "
                f"arena {old.size:,} bytes -> {new.size:,}")
    return (f"{calls} calls -> {left}, {len(old.offsets)} temporaries -> {len(new.offsets)}, "
            f"arena {old.size:,} bytes -> {new.size:,}")
