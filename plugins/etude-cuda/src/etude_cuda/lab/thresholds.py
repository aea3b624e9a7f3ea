"""When counters become a finding: uncoalesced, bank-conflict, branch-divergence.

The runtime counts and does not judge. A program is judged here, by source line: what is flagged
must be worth a reader's time, so each threshold has a floor beside its ratio.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

from etude_cuda.lab.events import Access, Block, Finding, Log, Place
from etude_cuda.lab.symbols import Symbols

KINDS = ("uncoalesced", "bank-conflict", "branch-divergence")
REQUESTS = 4  # fewer say nothing about a pattern
SECTORS = 2  # times the ideal, and
EXTRA_SECTORS = 3  # more than the ideal on average: two sectors for one are not worth a word
EXTRA_PASSES = 1  # 2-way conflicts on average
LANES = 16  # of 32 on average, or fewer, and
SHARE = 10  # at least one in so many of the launch's executions of blocks by warps

T = TypeVar("T", Access, Block)


def judge(log: Log, symbols: Symbols) -> list[Finding]:
    """The findings that the counters of a run give."""
    symbols.load(pc for a in log.accesses for pc in (a.pc, *a.stack))
    symbols.load(b.pc for b in log.blocks)
    return [*uncoalesced(log, symbols), *bank_conflicts(log, symbols), *divergent(log, symbols)]


def uncoalesced(log: Log, symbols: Symbols) -> Iterable[Finding]:
    """Lines whose requests to global memory touch far more sectors than their bytes need."""
    bad = [a for a in log.accesses if a.space != "shared" and a.requests
           and a.sectors >= SECTORS * a.ideal
           and a.sectors - a.ideal >= EXTRA_SECTORS * a.requests]
    for same in _by_line(log, symbols, bad, lambda a: a.op):
        n = sum(a.requests for a in same)
        if n >= REQUESTS:
            yield _finding("uncoalesced", same[0], n, {
                "op": same[0].op, "requests": n, "sectors": sum(a.sectors for a in same),
                "ideal": sum(a.ideal for a in same), "stride": stride(same[0])})


def bank_conflicts(log: Log, symbols: Symbols) -> Iterable[Finding]:
    """Lines whose requests to shared memory need a second pass, or more, on average."""
    bad = [a for a in log.accesses if a.space == "shared" and a.requests
           and a.conflicts >= EXTRA_PASSES * a.requests]
    for same in _by_line(log, symbols, bad, lambda a: a.op):
        n = sum(a.requests for a in same)
        if n >= REQUESTS:
            yield _finding("bank-conflict", same[0], n, {
                "op": same[0].op, "requests": n, "conflicts": sum(a.conflicts for a in same)})


def divergent(log: Log, symbols: Symbols) -> Iterable[Finding]:
    """Lines that warps run with half of their lanes or fewer, often enough to matter."""
    whole: dict[int, int] = defaultdict(int)
    for b in log.blocks:
        whole[b.launch] += b.warps
    # One lane alone is a leader that the program has chosen.
    bad = [b for b in log.blocks if b.scattered and b.warps < b.lanes <= LANES * b.warps]
    for same in _by_line(log, symbols, bad, lambda b: ""):
        # Several blocks of one line are its expressions: one after the other, by the same warps.
        most = max(same, key=lambda b: b.scattered)
        if most.scattered >= REQUESTS and most.scattered * SHARE >= whole[most.launch]:
            yield _finding("branch-divergence", most, most.split, {
                "warps": most.warps, "lanes": most.lanes, "split": most.split})


def stride(a: Access) -> int:
    """Bytes between neighbouring lanes of the example, where it is the same for all; else 0."""
    there = [(lane, at) for lane, at in enumerate(a.example) if at is not None]
    steps = {(b[1] - x[1]) / (b[0] - x[0]) for x, b in zip(there, there[1:])}
    return int(steps.pop()) if len(steps) == 1 else 0


def _stack(one: Access | Block) -> tuple[int, ...]:
    return one.stack if isinstance(one, Access) else ()


def _by_line(log: Log, symbols: Symbols, found: list[T], kind: Callable[[T], str]) -> list[list[T]]:
    """Events of one kernel at one line, and of one kind, together."""
    together: dict[tuple[str, str, int, str], list[T]] = defaultdict(list)
    for one in found:
        frame = symbols.place(one.pc, _stack(one))
        launch = log.launched(one.launch)
        together[launch.kernel if launch else "", frame.file, frame.line, kind(one)].append(one)
    return list(together.values())


def _finding(kind: str, one: Access | Block, count: int, detail: dict[str, object]) -> Finding:
    role = one.op if isinstance(one, Access) else ""
    size = one.size if isinstance(one, Access) else 0
    place = Place(role, None, one.pc, _stack(one), size)
    return Finding(kind, one.launch, (place,), None, "warp", count, detail)
