"""What a check found: verdicts, one record per case, one report per run. Plain data, no NumPy.

The other files here turn them into text, the exit status follows from them, and whoever calls the
kit from Python gets them; ``schema.json`` publishes their form. ``judge/judge.py`` says how a
verdict is reached.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from etude_check.report.watch import Finding, Ruling, Watch

BIAS = "bias"  # the kind of a record on the errors of all cases of an op together
ALL = "every impostor"  # in Record.blind: the case could not have told any of them from right
DECLINED = "declined: "  # before the column's own reason, in Record.message
SCHEMA = 4  # of the JSON report; a new number when a field changes its meaning


class Verdict(StrEnum):
    """What became of a case. Only PASS scores."""

    PASS = "PASS"
    CERTAIN = "FAIL (certain)"  # no order of summation, no rounding explains it
    INACCURATE = "FAIL (inaccurate)"  # over the bound, though some rounding might explain it
    CRASH = "CRASH"
    TIMEOUT = "TIMEOUT"
    MISTRUSTED = "MISTRUSTED"  # it could not have failed
    UNSUPPORTED = "UNSUPPORTED"  # the column does not have the op, or declined the call
    NOT_RUN = "NOT RUN"  # the op was given up before, because calls of it hang
    WAIVED = "WAIVED"  # failed, and the plugin has declared that it does

    @property
    def failed(self) -> bool:
        return self not in (Verdict.PASS, Verdict.UNSUPPORTED, Verdict.NOT_RUN, Verdict.WAIVED)

    @property
    def executed(self) -> bool:
        return self not in (Verdict.UNSUPPORTED, Verdict.NOT_RUN)


@dataclass
class Record:
    """One case. ``expected``, ``got``, ``error`` and ``bound`` are those of the worst element."""

    case: str  # "softmax/tail/17@0": op, kind of case, number or plan, seed
    op: str
    family: str  # the op's family: the file it lives in
    kind: str  # the kind of case: tail, layout, special, ...
    dtype: str
    verdict: Verdict
    message: str = ""  # a sentence: what is wrong, or why it did not run
    asked: str = ""  # the call in words: softmax(x: float32[3, 5] reversed, dim=-1)
    size: int = 0  # elements of all arrays; the smallest failing case is shown first
    output: str = ""  # which output the worst element is in
    index: list[int] | None = None
    expected: float | None = None
    got: float | None = None
    error: float | None = None  # |got - expected|
    bound: float | None = None
    ratio: float | None = None  # the largest error / bound of the case, passed or not
    wrong: int = 0  # elements over their bound
    likely: str = ""  # the mistake it looks like, from the zoo
    blind: list[str] = field(default_factory=list)  # impostors that would have passed this case
    seconds: float = 0.0  # of the call, in the worker

    def reproduce(self, target: str) -> str:
        """The command that runs this case alone."""
        quote = "'" if any(c in self.case for c in "{[ \"") else ""
        return f"etude check {target} --case {quote}{self.case}{quote}"


@dataclass
class Screen:
    """The vacuity screen of one output: how many cases caught each impostor."""

    op: str
    dtype: str
    output: str
    caught: dict[str, int]  # impostor -> cases that it missed by 100 bounds
    exempt: dict[str, str] = field(default_factory=dict)  # impostor -> why it may pass
    least: int = 3

    @property
    def trusted(self) -> bool:
        return all(n >= self.least for i, n in self.caught.items() if i not in self.exempt)


@dataclass
class Report:
    """A whole run. ``target`` is the candidate on the command line ("cpu", "--module f.py")."""

    target: str
    level: str
    seed: int
    records: list[Record]
    screens: list[Screen] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # tampering, waivers, what could not be run
    environment: dict[str, Any] = field(default_factory=dict)  # versions, machine, isa, threads
    seconds: float = 0.0
    mutation_score: str = ""  # of the zoo, published beside every report
    watches: list[Watch] = field(default_factory=list)  # of a CUDA source: tools that looked on
    rulings: list[Ruling] = field(default_factory=list)  # what the lab, a card and its tools say
    disagreements: list[str] = field(default_factory=list)  # what one of them says and another not

    def count(self, verdict: Verdict) -> int:
        return sum(r.verdict is verdict for r in self.records)

    @property
    def counts(self) -> dict[str, int]:
        return {v.value: self.count(v) for v in Verdict}

    @property
    def executed(self) -> int:
        return sum(r.verdict.executed for r in self.records)

    @property
    def scored(self) -> int:
        """How many cases passed and mean something. A call that must be refused does not count,
        because the table refuses it for the column; nor does a case that every impostor would have
        passed.
        """
        return sum(r.verdict is Verdict.PASS and r.kind != "errors" and r.blind != [ALL]
                   for r in self.records)

    @property
    def failures(self) -> list[Record]:
        """Failed cases, the smallest of each op first; what only all cases together show is last.
        """
        return sorted((r for r in self.records if r.verdict.failed),
                      key=lambda r: (r.family, r.op, r.kind == BIAS, r.size))

    @property
    def passed(self) -> bool:
        return self.scored > 0 and not self.failures and not self.seen

    @property
    def seen(self) -> list[Finding]:
        """The mistakes that tools saw while the candidate computed."""
        return [f for w in self.watches for f in w.errors]

    @property
    def exit_status(self) -> int:
        """0 all passed, 1 something failed, 3 nothing was executed that could have failed."""
        wrong = bool(self.failures or self.seen)
        return 3 if not self.scored and not wrong else int(wrong)

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "passed": self.passed, "counts": self.counts, **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Report:
        """Raises ValueError for a document of another schema."""
        if document.get("schema") != SCHEMA:
            raise ValueError(f"a report of schema {SCHEMA} is wanted, got "
                             f"{document.get('schema')!r}")
        given = {k: v for k, v in document.items() if k not in ("schema", "passed", "counts")}
        given["records"] = [Record(**{**r, "verdict": Verdict(r["verdict"])})
                            for r in given["records"]]
        given["screens"] = [Screen(**s) for s in given["screens"]]
        given["rulings"] = [Ruling(**r) for r in given["rulings"]]
        given["watches"] = [Watch(**{**w, "findings": [Finding(**f) for f in w["findings"]]})
                            for w in given["watches"]]
        return cls(**given)
