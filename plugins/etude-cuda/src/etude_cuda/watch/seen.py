"""What a tool has seen of a program: plain data, the same for every tool."""

from __future__ import annotations

from dataclasses import dataclass, field

LAB, SANITIZER = "lab", "compute-sanitizer"


@dataclass
class Seen:
    """One mistake as one tool reports it. ``kind`` is a kind of ``lab/events.py``, whoever found
    it, so that two tools can be compared; ``lines`` are all lines of ``file`` that took part.
    """

    tool: str  # lab, memcheck, racecheck, initcheck, synccheck
    kind: str
    severity: str  # error, warning
    headline: str
    text: str  # in full, with the source lines quoted
    file: str = ""
    line: int = 0
    lines: list[int] = field(default_factory=list)
    source: str = ""  # the line itself
    kernel: str = ""
    space: str = ""  # shared, global or "", where the tool says it
    atomic: bool = False  # one of the accesses is atomic
    count: int = 1
    case: str = ""  # the smallest case that shows it, if that is known


@dataclass
class Watched:
    """One tool's account of some cases. It ran if ``not_run`` is empty."""

    by: str  # LAB or SANITIZER
    cases: list[str] = field(default_factory=list)
    findings: list[Seen] = field(default_factory=list)
    not_run: str = ""
    notes: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)  # of compute-sanitizer, those that ran
