"""What tools saw while a CUDA source computed some of its cases, and what each judge says in all.

Plain data, like ``record.py``. The plugin etude-cuda makes it (``etude_cuda.watch``); ``watch.py``
beside the engine asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Finding:
    """One mistake as one tool reports it, at a line of the source."""

    tool: str  # lab, memcheck, racecheck, initcheck, synccheck
    kind: str  # race, out-of-bounds, ...: the names are the lab's, whoever found it
    severity: str  # error or warning; a warning fails nothing
    headline: str
    text: str  # in full, with the source lines quoted
    file: str = ""
    line: int = 0
    lines: list[int] = field(default_factory=list)  # of the file, all that took part
    source: str = ""  # the line itself
    kernel: str = ""
    space: str = ""  # shared or global, where the tool says it
    atomic: bool = False  # one of the accesses is atomic
    count: int = 1
    case: str = ""  # the smallest case that shows it, if known


@dataclass
class Watch:
    """One tool's account of the cases that it watched. It ran if ``not_run`` is empty."""

    by: str  # "lab" or "compute-sanitizer"
    cases: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    not_run: str = ""  # why it did not
    notes: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)  # of compute-sanitizer, those that ran

    @property
    def errors(self) -> list[Finding]:
        """The findings that fail the check."""
        return [f for f in self.findings if f.severity == "error"]


@dataclass
class Ruling:
    """The verdict of one of the three on a CUDA source."""

    by: str  # "lab", "card" or "compute-sanitizer"
    verdict: str  # PASSED, FAILED, INTERRUPTED or NOT RUN
    words: str


def words_of(watches: Sequence[Watch]) -> str:
    """"and the lab saw 2 mistakes", for the end of a sentence; "" where nobody saw one."""
    said = [f"{'the lab' if w.by == 'lab' else w.by} saw {len(w.errors)} "
            f"mistake{'s' * (len(w.errors) != 1)}" for w in watches if w.errors]
    return " and ".join(said)
