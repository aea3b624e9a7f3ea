"""A finding of the runtime as a reader gets it: sentences, both places, the line, what to try.

``tell`` takes the events of a run and gives the list of Told that every report shows, the worst
first, one for each mistake: the same kind at the same lines is one. The words themselves are in
the package words, a function for each kind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from etude_cuda.lab import words
from etude_cuda.lab.case import Case, Site, more_pcs
from etude_cuda.lab.events import Finding, Log
from etude_cuda.lab.quotes import Quotes
from etude_cuda.lab.symbols import Symbols

#: What a finding does to the verdict. An error fails the run, a warning and advice do not.
SEVERITY = dict.fromkeys(("leak", "same-value-race", "error-ignored"), "warning")
SEVERITY |= dict.fromkeys(("uncoalesced", "bank-conflict", "branch-divergence", "unread-output",
                           "barrier-in-branch"), "advice")
SIZES = ("out-of-bounds", "bytes-for-elements", "copy-range")  # an array is too small
RANK = {"error": 0, "warning": 1, "advice": 2}


@dataclass
class Told:
    """One mistake. ``file`` and ``line`` are where it is marked; sites are all who took part."""

    kind: str
    severity: str
    launch: int
    kernel: str
    file: str
    line: int
    headline: str  # one line, without a full stop
    what: str  # what happened, in sentences
    sites: tuple[Site, ...]
    advice: tuple[str, ...]
    count: int = 1
    scope: str = ""
    shrunk: str = ""  # the smallest launch that still shows it, once shrink.py has looked
    found: Finding | None = field(default=None, repr=False)

    @property
    def lines(self) -> list[tuple[str, int]]:
        """File and line of every side that has one, without repetitions, its own first."""
        own = [(self.file, self.line)] if self.line else []
        return list(dict.fromkeys(own + [(s.file, s.line) for s in self.sites if s.line]))

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        return {"kind": self.kind, "severity": self.severity, "launch": self.launch,
                "kernel": self.kernel, "file": self.file, "line": self.line,
                "headline": self.headline, "what": self.what, "advice": list(self.advice),
                "count": self.count, "scope": self.scope, "shrunk": self.shrunk,
                "places": [s.to_json() for s in self.sites]}


def tell(log: Log, found: list[Finding], symbols: Symbols, quotes: Quotes) -> list[Told]:
    """Every finding in words, in the order of the program, the worst first. What agrees in kind,
    kernel and lines is told once; of two arrays that are too small each is told.
    """
    symbols.load(pc for f in found for pc in _pcs(f))
    together: dict[tuple[Any, ...], list[Told]] = defaultdict(list)
    for one in found:
        told = _told(Case(one, log, symbols, quotes))
        key = (told.kind, told.kernel, told.scope, one.detail.get("op"), _array(one),
               *sorted(told.lines))
        together[key].append(told)
    merged = []
    for same in together.values():
        same[0].count = sum(t.count for t in same)
        merged.append(same[0])
    return sorted(merged, key=_order)


def _order(told: Told) -> tuple[int, bool, int, int]:
    """The worst first, then as the program went; what only an early end left behind comes last."""
    left_behind = told.found is not None and "ended_early" in told.found.detail
    order = told.found.order if told.found else 0
    return RANK[told.severity], left_behind, order, told.launch


def _array(one: Finding) -> tuple[Any, ...]:
    """Which array is too small, of those that a line may use or make: by its name and where it was
    asked for. Of other findings the line says enough.
    """
    if one.kind not in SIZES or one.object is None:
        return ()
    return one.object.name, one.object.space, one.object.allocated


def _told(case: Case) -> Told:
    said = words.say(case)
    sites = tuple(case.site(p) for p in case.found.places)
    lines = {(s.file, s.line) for s in sites}
    sites += tuple(m for m in said.more if (m.file, m.line) not in lines)
    marked = said.at or next((s for s in sites if s.line), None)
    launch = case.launch
    where = (marked.file, marked.line) if marked else \
        (launch.file, launch.line) if launch else ("", 0)
    kernel = launch.kernel if launch else case.found.kernel
    # A copy that was carried out may be meant; what an early end leaves behind the process frees.
    excused = {"rest_is_read", "ended_early"} & set(case.found.detail)
    severity = "advice" if excused else SEVERITY.get(case.found.kind, "error")
    return Told(case.found.kind, severity, case.found.launch, kernel, *where, said.headline,
                said.what, sites, tuple(said.advice), case.found.count, case.found.scope,
                found=case.found)


def _pcs(f: Finding) -> list[int]:
    own = [pc for p in f.places for pc in (p.pc, *p.stack)]
    return own + more_pcs(f) + ([*f.object.allocated, *f.object.freed] if f.object else [])
