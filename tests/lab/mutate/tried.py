"""One mistake on trial: programs with it are built, run and watched in the lab.

A mistake is *found* when the lab says something that it does not say of the same program without
it. It is *wrong* when a program notices by itself that its results are wrong, does not come to its
end, or leaves other results than without the mistake; and *broken* when it does not compile. Else
it has *survived*.
"""

import re
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from etude_cuda.lab.build import LabError, Options, build_program
from etude_cuda.lab.program import Settings, run_program
from etude_cuda.lab.report.record import build

SECONDS = 40.0  # the slowest of the programs needs two
PROGRAMS = Path(__file__).parents[1] / "programs"

#: Memory that nobody wrote to holds the same bytes in each run, so that results can be compared.
FILLED = "GLIBC_TUNABLES=glibc.malloc.perturb=170:glibc.malloc.tcache_count=0"


@dataclass(frozen=True)
class Run:
    """What would notice a mistake: the files of a program, and the arguments of one run."""

    files: tuple
    options: Options = field(default_factory=Options)
    arguments: tuple = ()

    @property
    def name(self):
        return " ".join([*(f.name for f in self.files[:1]), *self.arguments])


@dataclass(frozen=True)
class Seen:
    """One run: what the lab found, how it ended, and the arrays that it wrote down."""

    found: frozenset
    trouble: str
    results: tuple


class Trials:
    """Sources of one folder, ``home``, and what the lab says of them as they are."""

    home = PROGRAMS

    def __init__(self, folder):
        self.folder = Path(folder)
        self._known = {}
        self._noticed = Counter()
        self._lock = Lock()

    def texts(self):
        """The files that are mutated: name -> text."""
        return {p.name: p.read_text() for p in sorted(self.home.glob("*.cu"))}

    def runs(self, file, tree):
        """What would notice a mistake in a file of the folder ``tree``. What has noticed more of
        the mistakes in a file is tried earlier.
        """
        return [Run((tree / file,))]

    def known(self, run):
        """What is seen of a run without a mistake; it must end well."""
        with self._lock:
            if run not in self._known:
                self._known[run] = seen = look(run)
                if seen.trouble:
                    raise RuntimeError(f"{run.name} as it is: {seen.trouble}")
            return self._known[run]

    def run(self, change, text):
        """What became of one mistake, as a dictionary."""
        start = time.perf_counter()
        tree = self.folder / change.key
        tree.mkdir(parents=True, exist_ok=True)
        for path in self.home.glob("*.cu*"):
            shutil.copy(path, tree)
        (tree / change.file).write_text(change.apply(text))
        told = {k: v for k, v in asdict(change).items() if k not in ("start", "end", "new")}
        told |= self._first_notice(change.file, tree)
        shutil.rmtree(tree)
        return told | {"seconds": round(time.perf_counter() - start, 1)}

    def _first_notice(self, file, tree):
        runs = list(zip(self.runs(file, tree), self.runs(file, self.home), strict=True))
        for run, as_it_is in sorted(runs, key=lambda both: -self._noticed[file, both[1]]):
            try:
                noticed = judge(self.known(as_it_is), look(run))
            except LabError as error:
                return {"verdict": "broken", "by": str(error)[-300:]}
            if noticed:
                self._noticed[file, as_it_is] += 1
                return noticed | {"run": run.name}
        return {"verdict": "survived", "by": ""}


def judge(known, seen):
    """The verdict on what was seen, and by what it is known; None where nothing is new."""
    new = sorted(seen.found - known.found)
    if new:
        kind, scope, lines = new[0]
        return {"verdict": "found", "by": kind, "says": f"{kind} {scope} at {', '.join(lines)}"}
    if seen.trouble:
        return {"verdict": "wrong", "by": "the program's own check or end", "says": seen.trouble}
    for number, (was, now) in enumerate(zip(known.results, seen.results, strict=True)):
        if not same(was, now):
            return {"verdict": "wrong", "by": "comparison of results", "says": f"array {number}"}
    return None


def same(was, now):
    """Whether two arrays are equal, but for the rounding of sums in another order."""
    if was.dtype.kind != "f":
        return np.array_equal(was, now)
    with np.errstate(all="ignore"):
        return (np.allclose(was, now, rtol=1e-4, atol=1e-5, equal_nan=True)
                and np.array_equal(np.signbit(was[was == now]), np.signbit(now[was == now])))


def look(run, seconds=SECONDS):
    """Build and run a program under inspection. LabError if it does not compile."""
    built = build_program(run.files, "inspect", run.options)
    with tempfile.TemporaryDirectory(prefix="etude-mutant-") as text:
        folder = Path(text)
        events, results = folder / "events.jsonl", folder / "results"
        words = [FILLED, f"CLEAN_RESULTS={results}", str(built.executable), *run.arguments]
        ran = run_program(Path(shutil.which("env")), words, events,
                          Settings(seed=1, timeout=seconds), keep=True)
        if not events.exists():
            return Seen(frozenset(), f"status {ran.status}, and no events", ())
        report = build(events, built.executable, program=run.name, folder=folder)
        found = {(t.kind, t.scope, tuple(f"{Path(file).name}:{n}" for file, n in t.lines))
                 for t in report.findings}
        trouble = ran.stopped or ran.crash or str(report.log.end.get("stopped") or "")
        if not trouble and ran.status:
            trouble = f"status {ran.status}: {ran.output[-200:]}"
        return Seen(frozenset(found), trouble, tuple(arrays(results)))


def arrays(file):
    """The arrays that a program wrote down, each behind a line such as "f4 1000"."""
    data = file.read_bytes() if file.exists() else b""
    at = 0
    while head := re.compile(rb"([fiu]\d) (\d+)\n").match(data, at):
        dtype, count = np.dtype(head[1].decode()), int(head[2])
        yield np.frombuffer(data, dtype, count, head.end())
        at = head.end() + count * dtype.itemsize
