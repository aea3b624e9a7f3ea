"""Where temporaries lie: one arena, in which memory is used again as soon as nobody needs it.

A temporary is *live* from the first call that touches it to the last. Two that are never live at
once may lie in the same place. Whatever the placement, at each call all that is live must be
somewhere: the largest such sum is the *live bound*, and no arena is smaller.

Finding the smallest arena is hard (it is bin packing with intervals), and simple rules come near.
This one is *first fit*, the largest first: each buffer goes to the lowest place where it touches no
buffer placed before it that is live at the same time. Large ones go first, because small ones fit
into the gaps that they leave; in the other order a small one in the middle of the arena may push a
large one past its end.

The arena is why a replayed step allocates nothing. It is also why it is fast: memory that was
written a moment ago is still in the cache when the next call takes it over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from etude.replay.program import Buffer, Program

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


@dataclass(frozen=True)
class MemoryPlan:
    """The place of each temporary in the arena, and how good the plan is, in bytes."""

    offsets: dict[Buffer, int]
    lives: dict[Buffer, tuple[int, int]]  # the first and the last call that touch it
    size: int  # of the arena
    live_bound: int  # no arena is smaller
    total: int  # what the temporaries would take if each had memory of its own
    _ends: dict[int, list[Buffer]] = field(default_factory=dict, repr=False)

    def dead_after(self, call: int) -> list[Buffer]:
        """The buffers that nobody touches after this call."""
        return self._ends.get(call, [])

    def beside(self, call: int) -> list[tuple[int, int]]:
        """(offset, size) of what is live at this call."""
        return [(self.offsets[b], aligned(b.nbytes)) for b, (first, last) in self.lives.items()
                if first <= call <= last]

    def __str__(self) -> str:
        over = self.size / self.live_bound if self.live_bound else 1.0
        return (f"arena {self.size:,} bytes for {len(self.offsets)} temporaries of {self.total:,}; "
                f"live at once at most {self.live_bound:,} (arena / bound {over:.2f})")


def memory_plan(program: Program, lasting: Collection[Buffer] = ()) -> MemoryPlan:
    """Place every temporary of a program, but those that are only inside of a group. The results
    ``lasting`` lie in the arena, too: from the first call that touches them on, and past the last.
    """
    inside = {b for g in program.groups for b in g.inside}
    lives = {b: span for b, span in lifetimes(program, lasting).items() if b not in inside}
    sizes = {b: aligned(b.nbytes) for b in lives}
    offsets: dict[Buffer, int] = {}
    placed: list[Buffer] = []
    for b in sorted(lives, key=lambda b: (-sizes[b], lives[b])):
        beside = sorted((offsets[o], sizes[o]) for o in placed if _together(lives[b], lives[o]))
        offsets[b] = lowest(sizes[b], beside)
        placed.append(b)
    ends: dict[int, list[Buffer]] = {}
    for b, (_, last) in lives.items():
        ends.setdefault(last, []).append(b)
    size = max((offsets[b] + sizes[b] for b in lives), default=0)
    return MemoryPlan(offsets, lives, size, live_bound(lives, sizes), sum(sizes.values()), ends)


def lifetimes(program: Program, lasting: Collection[Buffer] = ()
              ) -> dict[Buffer, tuple[int, int]]:
    """The first and the last call that touch each temporary. The calls of a group are one: while
    some of their rows are at the first of them, others are at the last. ``lasting`` results live
    until after the last call.
    """
    begins, ends = [list(range(len(program.calls))) for _ in range(2)]
    for g in program.groups:
        for i in range(g.first, g.last):
            begins[i], ends[i] = g.first, g.last - 1
    lives: dict[Buffer, tuple[int, int]] = {}
    for i, call in enumerate(program.calls):
        for v in (*call.reads(), *call.outputs):
            if v.buffer.kind == "temporary" or v.buffer in lasting:
                first, last = lives.get(v.buffer, (begins[i], ends[i]))
                lives[v.buffer] = min(first, begins[i]), max(last, ends[i])
    return {b: (first, len(program.calls) if b in lasting else last)
            for b, (first, last) in lives.items()}


def live_bound(lives: dict[Buffer, tuple[int, int]], sizes: dict[Buffer, int]) -> int:
    """The most bytes that are live at one call."""
    change: dict[int, int] = {}
    for b, (first, last) in lives.items():
        change[first] = change.get(first, 0) + sizes[b]
        change[last + 1] = change.get(last + 1, 0) - sizes[b]
    now = most = 0
    for at in sorted(change):
        now += change[at]
        most = max(most, now)
    return most


def aligned(nbytes: int) -> int:
    """The bytes that so many take in the arena."""
    return max(1, -(-nbytes // ALIGNMENT)) * ALIGNMENT


def _together(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def lowest(size: int, taken: Iterable[tuple[int, int]]) -> int:
    """The lowest offset for ``size`` bytes beside (offset, size) of others, sorted."""
    at = 0
    for offset, length in taken:
        if at + size <= offset:
            break
        at = max(at, offset + length)
    return at
