"""The lab's examination: every animal of the zoo built, run and watched like anybody's program.

A wrong program must give each finding it declares, at its line. Its twin, and every program that
only looks wrong, must run to its end and give none. What is found in a wrong program besides is
kept for people to look at: one mistake often makes others, and none of it is a false alarm.
"""

from __future__ import annotations

import datetime
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from etude_cuda.lab.build import LabError, Options, build_program, compiler
from etude_cuda.lab.program import Settings, run_program
from etude_cuda.zoo import Animal, Expected, animals

SECONDS = 40.0  # after which an animal that has not ended is ended
SEED = 1  # the order of threads and blocks is mixed by it; 0 would leave it as it is


@dataclass(frozen=True)
class Found:
    """A finding, as far as the zoo is concerned: what, how far apart, at which lines."""

    kind: str
    scope: str
    lines: tuple[int, ...]
    headline: str = ""

    def is_(self, wanted: Expected) -> bool:
        """Whether it is what an animal declares."""
        return (self.kind == wanted.kind and wanted.line in self.lines
                and wanted.scope in ("", self.scope))

    def __str__(self) -> str:
        scope = f" ({self.scope})" if self.scope else ""
        return f"{self.kind}{scope} at {', '.join(map(str, self.lines)) or 'no line'}"


@dataclass
class Seen:
    """One run of a program: what the lab found, and how it went."""

    found: list[Found] = field(default_factory=list)
    status: int = 0
    output: str = ""
    trouble: str = ""  # why it could not be built, or how it was ended


@dataclass
class Fate:
    """What became of one program."""

    name: str
    variant: str  # wrong, twin or innocent
    outcome: str  # found, missed, clean, alarm, broken
    expected: int = 0
    missing: list[str] = field(default_factory=list)
    besides: list[str] = field(default_factory=list)
    message: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the lab did right by it."""
        return self.outcome in ("found", "clean")


@dataclass
class Score:
    """What became of all of them."""

    fates: list[Fate]
    seed: int = SEED

    def of(self, *variants: str) -> list[Fate]:
        """The fates of some variants."""
        return [f for f in self.fates if f.variant in variants]

    @property
    def expected(self) -> int:
        """Findings that the wrong programs declare."""
        return sum(f.expected for f in self.fates)

    @property
    def detected(self) -> int:
        """Those that were found, at their lines."""
        return self.expected - sum(len(f.missing) for f in self.of("wrong"))

    @property
    def alarms(self) -> list[Fate]:
        """Right programs that were accused."""
        return [f for f in self.fates if f.outcome == "alarm"]

    @property
    def passed(self) -> bool:
        """Whether there is nothing to mend."""
        return bool(self.fates) and all(f.good for f in self.fates)

    @property
    def sentence(self) -> str:
        """For the head of every report."""
        wrong, right = self.of("wrong"), self.of("twin", "innocent")
        caught = sum(f.good for f in wrong)
        said = []
        if wrong:
            said.append(f"{self.detected} of {self.expected} findings at their line "
                        f"({self.detected / self.expected:.1%}), {caught} of {len(wrong)} wrong "
                        f"programs caught whole")
        if right:
            said.append(f"{len(self.alarms)} false alarms over {len(right)} right ones "
                        f"({len(self.alarms) / len(right):.1%})")
        broken = sum(f.outcome == "broken" for f in self.fates)
        return "; ".join(said + [f"{broken} could not be run"] * bool(broken))

    def to_json(self) -> dict[str, Any]:
        """As ``gpu_score.json`` has it."""
        return {"sentence": self.sentence, "date": datetime.date.today().isoformat(),
                "seed": self.seed, "expected": self.expected, "detected": self.detected,
                "alarms": len(self.alarms), "right": len(self.of("twin", "innocent")),
                "passed": self.passed, "fates": [asdict(f) for f in self.fates]}


def run(chosen: Sequence[Animal] | None = None, jobs: int = 2, seed: int = SEED,
        progress: Callable[[Fate], None] = lambda fate: None) -> Score:
    """The fates of animals, by default all. LabError where there is no g++."""
    compiler()
    tasks = [(a, v) for a in (animals().values() if chosen is None else chosen)
             for v in (("innocent",) if a.innocent else ("wrong", "twin"))]
    fates = []

    def one(task: tuple[Animal, str]) -> Fate:
        fate = fate_of(*task, seed)
        progress(fate)
        return fate

    if tasks:
        fates.append(one(tasks[0]))  # alone: it compiles the lab itself, once for all
    with ThreadPoolExecutor(jobs) as pool:
        fates += pool.map(one, tasks[1:])
    return Score(fates, seed)


def fate_of(animal: Animal, variant: str, seed: int = SEED) -> Fate:
    """Run one variant of an animal and judge what the lab says."""
    begin = time.perf_counter()
    options = Options(defines=("FIXED",) if variant == "twin" else ())
    seen = watch(animal.path, options=options, seed=seed)
    wanted = animal.expected if variant == "wrong" else ()
    fate = judge(animal.name, variant, wanted, seen)
    fate.seconds = round(time.perf_counter() - begin, 2)
    return fate


def judge(name: str, variant: str, wanted: Sequence[Expected], seen: Seen) -> Fate:
    """The fate of a program that was seen."""
    fate = Fate(name, variant, "", len(wanted))
    fate.missing = [str(w) for w in wanted if not any(f.is_(w) for f in seen.found)]
    fate.besides = [str(f) for f in seen.found if not any(f.is_(w) for w in wanted)]
    if variant == "wrong":
        fate.outcome = "missed" if fate.missing else "found"
        fate.message = seen.trouble if fate.missing else ""
    elif seen.found:
        fate.outcome = "alarm"
        fate.message = seen.found[0].headline
    elif seen.trouble or seen.status:
        fate.outcome = "broken"
        fate.message = seen.trouble or f"it ended with status {seen.status}: {seen.output[-200:]}"
    else:
        fate.outcome = "clean"
    return fate


def watch(path: Path, arguments: Sequence[str] = (), options: Options | None = None,
          seed: int = SEED, seconds: float = SECONDS) -> Seen:
    """Build a program for inspection, run it, and read what the lab found in that file.

    LabError where the lab itself cannot be built.
    """
    from etude_cuda.lab.report.record import build

    try:
        built = build_program([path], "inspect", options)
    except LabError as error:
        if path.name not in str(error):
            raise
        return Seen(refused(str(error), path.name), status=2, trouble=str(error))
    with tempfile.TemporaryDirectory(prefix="etude-zoo-") as folder:
        events = Path(folder) / "events.jsonl"
        ran = run_program(built.executable, arguments, events, Settings(seed, timeout=seconds),
                          keep=True)
        trouble = ran.stopped or ran.crash
        if not events.exists():
            return Seen([], ran.status, ran.output, trouble or "it wrote no events")
        report = build(events, built.executable, program=path.name, seed=seed,
                       exit_status=ran.status, output=ran.output, folder=path.parent)
    found = [Found(t.kind, t.scope, tuple(n for file, n in t.lines if Path(file).name == path.name),
                   t.headline) for t in report.findings]
    if not trouble and report.log.end.get("stopped"):
        trouble = str(report.log.end["stopped"])
    return Seen(found, ran.status, ran.output, trouble)


def refused(message: str, file: str) -> list[Found]:
    """What the source pass does not let through counts as found, at the lines that it names."""
    lines = [int(n) for n in re.findall(rf"{re.escape(file)}:(\d+): ", message)]
    unsupported = "does not compile" not in message
    return [Found("unsupported", "", (n,), message) for n in lines if unsupported]
