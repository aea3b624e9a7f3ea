"""Recomputation: under a memory budget, some values are computed twice instead of kept.

In a training step most memory is waiting. The forward pass leaves values that only the backward
pass reads, each for as long as everything in between takes; the peak comes where the two meet.
Such a value may be thrown away after its last use before the peak, and made again just before its
next one. That costs time, so the cheap ones go first: a gelu or a normalisation runs at the speed
of memory, a convolution does not.

Of every value that waits across the peak this pass finds the *recipe*: the calls that make it out
of what is there at that moment anyway. A recipe may reach back over several calls, a relu, the
normalisation before it, up to the output of a convolution that is kept. Then it takes the value
with the most bytes for the least time, rewrites the program, and looks again, until the peak is
within the budget or nothing is left to gain.

Without a budget it still takes what costs next to nothing: recipes that together add at most
``FREE`` of the program's time. That is often half of the memory, and no slower: what is made again
is read from a cache that the kept value would long have left.

Gradients keep their bits, since a call made again with the same inputs gives the same bits. What a
recipe reads must therefore not have been written in between: an optimiser's step ends the life of
the values that came from the old parameters. Source: Chen et al. 2016, Training Deep Nets with
Sublinear Memory Cost; there the user marks segments, here the calls are known.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace

from etude.core.shapes import Spec
from etude.core.table import TABLE
from etude.replay.memory import is_whole
from etude.replay.passes.memory import lifetimes, live_bound
from etude.replay.passes.rewrite import Exchange, reads, with_calls, writes
from etude.replay.program import Buffer, Call, Program, Value

LONGEST = 8  # calls in a recipe
FREE = 0.06  # of the program's time, which recipes may cost where nobody asked for them
#: What a call costs, in seconds: a round estimate, by which recipes are compared.
PER_FLOP, PER_BYTE, PER_CALL = 2e-11, 5e-11, 1e-6


@dataclass(frozen=True)
class Recipe:
    """How to make a value again before the call ``before``."""

    target: Buffer
    before: int
    calls: tuple[int, ...]  # in order
    seconds: float


def recomputation(program: Program, memory: int | None = None) -> Program:
    """``program`` with values made again, until at most ``memory`` bytes of temporaries are live
    at once, or as few as recipes allow. None: as long as that costs next to nothing.
    """
    left = sum(map(_seconds, program.calls)) * FREE if memory is None else math.inf
    best = program
    while True:
        peak, at = _peak(best)
        if memory is not None and peak <= memory:
            return best
        for recipe in _Search(best, at).recipes():
            if recipe.seconds <= left and _peak(found := _applied(best, recipe)) < (peak, at):
                best, left = found, left - recipe.seconds
                break
        else:
            return best


def _peak(program: Program) -> tuple[int, int]:
    """The most bytes that are live at one call, and the first such call."""
    lives = lifetimes(program)
    most = live_bound(lives, {b: b.nbytes for b in lives})
    change = [0] * (len(program.calls) + 1)
    for b, (first, last) in lives.items():
        change[first] += b.nbytes
        change[last + 1] -= b.nbytes
    now = 0
    for i, step in enumerate(change):
        now += step
        if now == most:
            return most, i
    return most, 0


class _Search:
    """The recipes for all values of a program that wait across the call ``at``."""

    def __init__(self, program: Program, at: int) -> None:
        self.program, self.at = program, at
        self.reads, self.writes = reads(program), writes(program)
        self.lives = lifetimes(program)

    def recipes(self) -> list[Recipe]:
        """The most bytes for the least time first."""
        found = [r for b in self.lives if (r := self._recipe(b)) is not None]
        return sorted(found, key=lambda r: r.seconds / r.target.nbytes)

    def _recipe(self, b: Buffer) -> Recipe | None:
        if len(self.writes.get(b, ())) != 1:
            return None
        uses = self.reads.get(b, [])
        after = bisect_right(uses, self.at)
        made = self.writes[b][0]
        if after == len(uses) or made >= self.at or uses[bisect_left(uses, self.at)] == self.at:
            return None  # it is not there, or is at work, at the peak
        calls: set[int] = set()
        if not self._collect(b, uses[after], calls):
            return None
        seconds = sum(_seconds(self.program.calls[i]) for i in calls)
        return Recipe(b, uses[after], tuple(sorted(calls)), seconds)

    def _collect(self, b: Buffer, before: int, calls: set[int]) -> bool:
        """Add the calls that make ``b`` from what is there at the call ``before``. False if what
        they read is gone by then.
        """
        made = self.writes[b]
        if len(made) != 1 or len(calls) >= LONGEST:
            return False
        call = self.program.calls[made[0]]
        if not all(v.buffer.kind == "temporary" and is_whole(v) for v in call.outputs):
            return False
        calls.add(made[0])
        return all(self._there(v.buffer, made[0], before)
                   or (v.buffer.kind == "temporary" and v.buffer in self.writes
                       and self._collect(v.buffer, before, calls)) for v in call.reads())

    def _there(self, b: Buffer, made: int, before: int) -> bool:
        """Whether ``b`` holds at the call ``before`` what the call ``made`` read from it."""
        written = self.writes.get(b, [])
        if bisect_left(written, made) != bisect_left(written, before):
            return False
        return b.kind != "temporary" or self.lives[b][1] >= before


def _seconds(call: Call) -> float:
    """What a call costs, about."""
    op = TABLE[call.op]
    given = [Spec(x.shape, x.dtype) if isinstance(x, Value) else x for x in call.inputs]
    moved = sum(v.buffer.nbytes for v in (*call.reads(), *call.outputs))
    return float(op.flops(*given, **call.attrs)) * PER_FLOP + moved * PER_BYTE + PER_CALL


def _applied(program: Program, recipe: Recipe) -> Program:
    """``program`` with the calls of a recipe made again, and their result read from then on."""
    again = Exchange({v.buffer: replace(v.buffer, name=f"{v.buffer.name}'")
                      for i in recipe.calls for v in program.calls[i].outputs})
    later = Exchange({recipe.target: again.buffer(recipe.target)})
    calls = [*enumerate(program.calls[: recipe.before]),
             *[(recipe.before, again.call(program.calls[i])) for i in recipe.calls],
             *[(i, later.call(c)) for i, c in enumerate(program.calls) if i >= recipe.before]]
    return with_calls(program, calls)
