"""The mutation score: every animal through the engine that checks everybody else.

A mutant is killed when a case fails that is of the kind it names. If none does, the other kinds are
run too, so that the report can say who caught it instead. An honest variant must pass everything
the level asks. A cheat must fail, and the report must say what it did.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from etude_check.engine import check
from etude_check.report.record import Record, Report, Verdict
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate
from etude_check.zoo import Animal, animals


@dataclass
class Fate:
    """What became of one animal."""

    name: str
    kind: str
    ops: tuple[str, ...]
    outcome: str  # killed, elsewhere, survived, passed, alarm, unnamed, unchecked
    by: list[str] = field(default_factory=list)  # kinds of cases that failed
    message: str = ""  # of the first failure, or why nothing was run
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.outcome in ("killed", "elsewhere", "passed")


@dataclass
class Score:
    """What became of all of them. Those killed "elsewhere" are dead too, but the kind of case that
    they name did not catch them.
    """

    level: str
    seeds: list[int]
    fates: list[Fate]

    def of(self, *outcomes: str) -> list[Fate]:
        return [f for f in self.fates if f.outcome in outcomes]

    @property
    def killed(self) -> int:
        return len(self.of("killed", "elsewhere"))

    @property
    def total(self) -> int:
        """Mutants and cheats that could be judged: their ops have specs."""
        return sum(f.kind != "honest" and f.outcome != "unchecked" for f in self.fates)

    @property
    def survivors(self) -> list[Fate]:
        return self.of("survived", "unnamed")

    @property
    def alarms(self) -> list[Fate]:
        return self.of("alarm")

    @property
    def passed(self) -> bool:
        return bool(self.fates) and not self.survivors and not self.alarms

    @property
    def sentence(self) -> str:
        """For the head of every report."""
        honest = sum(f.kind == "honest" for f in self.fates)
        share = f"{self.killed / self.total:.1%}" if self.total else "none run"
        return (f"{self.killed} of {self.total} wrong kernels killed ({share}), {len(self.alarms)} "
                f"false alarms over {honest} honest ones, at {self.level}, "
                f"{len(self.seeds)} seed{'s' * (len(self.seeds) != 1)}")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "killed": self.killed, "total": self.total,
                "sentence": self.sentence, "passed": self.passed,
                "date": datetime.date.today().isoformat()}


def run(which: Iterable[Animal] | None = None, level: str = "full", seeds: Sequence[int] = (0,),
        progress: Callable[[Fate], None] | None = None, jobs: int = 1) -> Score:
    """The fates of animals, by default all. Mutants meet the first seed only: they must die."""
    chosen = list(animals().values() if which is None else which)
    score = Score(level, list(seeds), [])
    for animal in chosen:
        start = time.perf_counter()
        fate = fate_of(animal, level, seeds, jobs)
        fate.seconds = time.perf_counter() - start
        score.fates.append(fate)
        if progress is not None:
            progress(fate)
    return score


def fate_of(animal: Animal, level: str = "full", seeds: Sequence[int] = (0,), jobs: int = 1
            ) -> Fate:
    """Check one animal on the ops it varies."""
    known = [op for op in animal.ops if op in specs()]
    if not known:
        return Fate(animal.name, animal.kind, animal.ops, "unchecked",
                    message="its ops have no spec")
    judge = {"mutant": _mutant, "honest": _honest, "cheat": _cheat}[animal.kind]
    return judge(animal, known, level, seeds, jobs)


def _failed(report: Report) -> list[Record]:
    """Failures that accuse the column; a mistrusted case accuses the spec."""
    return [r for r in report.records if r.verdict.failed and r.verdict is not Verdict.MISTRUSTED]


def _mutant(animal: Animal, ops: list[str], level: str, seeds: Sequence[int], jobs: int) -> Fate:
    kind = animal.kills.partition("/")[2]
    fate = Fate(animal.name, animal.kind, animal.ops, "killed")
    found = _failed(check(Candidate("zoo", animal.name), ops=ops, kinds=[kind], level=level,
                          seed=seeds[0], stop_at_first=True))
    if not any(r.kind == kind for r in found):
        fate.outcome = "elsewhere"
        found = found or _failed(check(Candidate("zoo", animal.name), ops=ops, level=level,
                                       seed=seeds[0]))
    if not found:
        fate.outcome = "survived"
    fate.by = sorted({r.kind for r in found})
    fate.message = found[0].message if found else "every case passed"
    return fate


def _honest(animal: Animal, ops: list[str], level: str, seeds: Sequence[int], jobs: int) -> Fate:
    fate = Fate(animal.name, animal.kind, animal.ops, "passed")
    for seed in seeds:
        report = check(Candidate("zoo", animal.name), ops=ops, level=level, seed=seed, jobs=jobs)
        found = _failed(report)
        if found or not report.scored:
            worst = found[0] if found else None
            fate.outcome = "alarm"
            fate.by = sorted({f"{r.op}/{r.kind}" for r in found})
            fate.message = f"{worst.case}: {worst.message}" if worst else "nothing was executed"
            break
    return fate


def _cheat(animal: Animal, ops: list[str], level: str, seeds: Sequence[int], jobs: int) -> Fate:
    """Everything of the first ops at the level "smoke": a cheat shows itself at once."""
    fate = Fate(animal.name, animal.kind, animal.ops, "survived", message="it passes")
    report = check(Candidate("zoo", animal.name), ops=ops, level="smoke", seed=seeds[0])
    if report.passed:
        return fate
    said = " | ".join([*{r.message + " " + r.likely for r in report.records}, *report.notes,
                       *{f"{r.kind} status {report.exit_status}" for r in report.records},
                       "" if report.scored else "not executed"])
    fate.by = sorted({r.kind for r in _failed(report)})
    fate.outcome = "killed" if animal.report in said else "unnamed"
    fate.message = next((n for n in report.notes if animal.report in n), "") or next(
        (r.message for r in report.records if animal.report in r.message + r.likely),
        said[:200])
    return fate
