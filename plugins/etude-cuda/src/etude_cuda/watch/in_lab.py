"""Runs the program of some cases in the lab's inspect mode, and tells what the lab has seen.

Advice about speed is left out: a conformance kit asks what is right. A finding is told with the
smallest case that shows it, for which each case is run alone until all are found again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from etude_cuda.lab.build import Built, build_program, include_options
from etude_cuda.lab.program import Ran, Settings, run_program
from etude_cuda.watch.calls import Calls
from etude_cuda.watch.driver import Program, program, statuses
from etude_cuda.watch.seen import LAB, Seen, Watched

if TYPE_CHECKING:
    from etude_cuda.lab.findings import Told
    from etude_cuda.lab.report.record import Report

SECONDS = 60.0  # for all cases together
ALONE = 20.0  # seconds for running cases alone, to see which of them show what was found
WIDTH = 80  # columns of what is told
STATUS = {1: "reports an index out of range", 2: "has no memory", 3: "declines", 4: "fails"}
FAILED = 4  # of these: what CUDA says from then on, if a kernel broke
LAST = ("never-ends", "deadlock", "assert")  # nothing runs after these


def watch(source: Path, cases: Mapping[str, Calls], seconds: float = SECONDS) -> Watched:
    """What the lab sees of the cases, the smallest of which come first. LabError for a file that
    cannot be built for inspection; KeyboardInterrupt for Ctrl-C, which leaves nothing running.
    """
    asked = program(source, cases)
    built = build_program([asked.source], "inspect", include_options(), shown=source)
    report, ran = _run(source, asked, built, (), seconds)
    # A program that ended early has freed nothing, and that says nothing of the kernels.
    left_out = {"leak"} if len(statuses(ran.output)) < len(asked.cases) else set[str]()
    told = [t for t in report.findings if t.severity != "advice" and t.kind not in left_out]
    found = Watched(LAB, list(cases), [_seen(report, t) for t in told], notes=_notes(asked, ran))
    _to_its_end(found, asked, ran)
    if len(statuses(ran.output)) == len(cases):  # else one of them has broken the rest
        _cases_of(found, source, asked, built)
    return found


def _run(source: Path, asked: Program, built: Built, numbers: Sequence[int],
         seconds: float) -> tuple[Report, Ran]:
    from etude_cuda.lab.report.record import build

    with tempfile.TemporaryDirectory(prefix="etude-watch-") as folder:
        data, events = Path(folder) / "cases.bin", Path(folder) / "events.jsonl"
        data.write_bytes(asked.data)
        settings = Settings(timeout=seconds)
        ran = run_program(built.executable, [str(data), *map(str, numbers)], events, settings,
                          keep=True)
        if ran.stopped == "interrupted":
            raise KeyboardInterrupt
        if not events.exists():
            events.write_text("")
        report = build(events, built.executable, program=str(source), seed=settings.seed,
                       exit_status=ran.status, output=ran.output)
    return report, ran


def _seen(report: Report, told: Told) -> Seen:
    from etude_cuda.lab.report.text import finding

    thing = told.found.object if told.found else None
    return Seen(LAB, told.kind, told.severity, told.headline, finding(report, told, WIDTH),
                told.file, told.line, [n for file, n in told.lines if file == told.file],
                source=report.quotes.line(told.file, told.line), kernel=told.kernel,
                space=thing.space if thing else "", count=told.count,
                atomic=any(p.atomic for p in told.found.places) if told.found else False)


def _notes(asked: Program, ran: Ran) -> list[str]:
    """What kernels said instead of computing."""
    found: dict[str, list[str]] = {}
    for number, (status, words) in sorted(statuses(ran.output).items()):
        if status:
            said = f"{STATUS.get(status, f'returns {status}')}{f': {words}' if words else ''}"
            found.setdefault(said, []).append(asked.cases[number])
    return [f"watched in the lab, the kernel {said} ({', '.join(names[:3])}"
            + (f" and {len(names) - 3} more" if len(names) > 3 else "") + ")"
            for said, names in found.items()]


def _to_its_end(found: Watched, asked: Program, ran: Ran) -> None:
    """A run that ended early without a finding that says why is a finding itself."""
    done = statuses(ran.output)
    if len(done) == len(asked.cases):
        return
    broken = [number for number, (status, _) in done.items() if status == FAILED]
    where = asked.cases[broken[0] if broken else len(done)]
    for one in found.findings:
        one.case = where if one.kind in LAST else one.case
    if any(s.kind in LAST for s in found.findings):
        return
    why = (f"was ended by {ran.crash}" if ran.crash else f"was stopped at {ran.seconds:.0f} s"
           if ran.stopped else f"says {done[broken[0]][1]!r}" if broken else
           f"ended with status {ran.status}")
    words = f"the program {why}, in case {where}"
    endless = ran.stopped or "timed out" in words
    found.findings.append(Seen(LAB, "never-ends" if endless else "crash", "error", words,
                               f"error: {words}", case=where))


def _cases_of(found: Watched, source: Path, asked: Program, built: Built) -> None:
    """Enter into each finding the first case that shows it when it runs alone."""
    until = time.monotonic() + ALONE
    left = [s for s in found.findings if not s.case]
    for number, name in enumerate(asked.cases):
        if not left or time.monotonic() > until:
            return
        report, _ = _run(source, asked, built, [number], ALONE)
        there = {(t.kind, t.file, t.line) for t in report.findings}
        for one in left:
            if (one.kind, one.file, one.line) in there:
                one.case = name
        left = [s for s in left if not s.case]
