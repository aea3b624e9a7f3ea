"""The counters of a run by source line: sectors, conflicts, lanes, bytes, FLOPs.

An instruction of a header of the lab counts for the user's line that it was inlined into, or that
is nearest on the way. What cannot be given a line is left out of the lines and is in the totals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from etude_cuda.lab.events import Access, Log
from etude_cuda.lab.flops import Work
from etude_cuda.lab.symbols import Symbols

SECTOR = 32  # bytes
EXAMPLES = 6  # drawn for a line
MEMORY = ("global", "managed", "pinned", "host")  # spaces whose accesses go out in sectors


@dataclass
class Line:
    """All that happened at one line of one kernel, over its launches."""

    file: str
    line: int
    kernel: str
    requests: int = 0  # to global memory, by warps
    sectors: int = 0
    ideal: int = 0
    bytes: int = 0  # that lanes wanted of global memory
    shared_requests: int = 0
    conflicts: int = 0  # passes beyond the first
    warps: int = 0  # executions of the line's block that leaves most lanes idle
    lanes: int = 0
    split: int = 0
    flops: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    examples: list[Access] = field(default_factory=list)

    @property
    def moved(self) -> int:
        """Bytes that the sectors take, with no cache."""
        return SECTOR * self.sectors

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        numbers = {k: v for k, v in vars(self).items() if k not in ("calls", "examples")}
        return {**numbers, "calls": dict(self.calls), "examples": [
            {"op": a.op, "space": a.space, "size": a.size, "requests": a.requests,
             "sectors": a.sectors, "ideal": a.ideal, "conflicts": a.conflicts,
             "addresses": list(a.example)} for a in self.examples]}


def by_line(log: Log, symbols: Symbols, work: Work | None = None) -> list[Line]:
    """The counters of every line that has any, in the order of files and lines."""
    lines: dict[tuple[str, str, int], Line] = {}
    symbols.load(pc for a in log.accesses for pc in (a.pc, *a.stack))
    symbols.load(b.pc for b in log.blocks)
    if work:
        symbols.load(at + 1 for _, at in (*work.flops, *work.calls))

    def of(launch: int, pc: int, stack: tuple[int, ...] = ()) -> Line | None:
        frame = symbols.place(pc, stack)
        if not frame.users:
            return None
        one = log.launched(launch)
        kernel = one.kernel if one else ""
        key = kernel, frame.file, frame.line
        return lines.setdefault(key, Line(frame.file, frame.line, kernel))

    for a in log.accesses:
        if line := of(a.launch, a.pc, a.stack):
            _access(line, a)
    for b in log.blocks:
        line = of(b.launch, b.pc)
        if line and _idle(b.warps, b.lanes, b.split) > _idle(line.warps, line.lanes, line.split):
            line.warps, line.lanes, line.split = b.warps, b.lanes, b.split
    for (launch, at), n in (work.flops if work else {}).items():
        if line := of(launch, at + 1):
            line.flops += n
    for (launch, at), names in (work.calls if work else {}).items():
        if line := of(launch, at + 1):
            line.calls += names
    return sorted(lines.values(), key=lambda x: (x.file, x.line, x.kernel))


def _idle(warps: int, lanes: int, split: int) -> tuple[int, int]:
    """Which basic block speaks for a line: the one that leaves most lanes idle, or runs most."""
    return (32 * warps - lanes if split else 0, warps)


def _access(line: Line, a: Access) -> None:
    if a.space == "shared":
        line.shared_requests += a.requests
        line.conflicts += a.conflicts
    elif a.space in MEMORY:
        line.requests += a.requests
        line.sectors += a.sectors
        line.ideal += a.ideal
        line.bytes += a.bytes
    if a.example and len(line.examples) < EXAMPLES:
        line.examples.append(a)


@dataclass
class Kernel:
    """The sums of one kernel over its launches."""

    name: str
    launches: int = 0
    threads: int = 0
    requests: int = 0
    sectors: int = 0
    ideal: int = 0
    bytes: int = 0
    shared_requests: int = 0
    conflicts: int = 0
    flops: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        return {**vars(self), "calls": dict(self.calls)}


def by_kernel(log: Log, work: Work | None = None) -> list[Kernel]:
    """The sums by kernel, in the order of their first launches. Nothing is left out."""
    kernels: dict[str, Kernel] = {}
    names = {one.launch: one.kernel for one in log.launches}
    for one in log.launches:
        k = kernels.setdefault(one.kernel, Kernel(one.kernel))
        k.launches += 1
        k.threads += one.threads
    for a in log.accesses:
        k = kernels.setdefault(names.get(a.launch, ""), Kernel(names.get(a.launch, "")))
        if a.space == "shared":
            k.shared_requests += a.requests
            k.conflicts += a.conflicts
        elif a.space in MEMORY:
            k.requests += a.requests
            k.sectors += a.sectors
            k.ideal += a.ideal
            k.bytes += a.bytes
    for (launch, _), n in (work.flops if work else {}).items():
        if names.get(launch) in kernels:
            kernels[names[launch]].flops += n
    for (launch, _), called in (work.calls if work else {}).items():
        if names.get(launch) in kernels:
            kernels[names[launch]].calls += called
    return list(kernels.values())
