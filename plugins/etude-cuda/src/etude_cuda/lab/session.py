"""One run from sources to a Report: build, run, read what was found.

    session = run_program_of([Path("prog.cu")], "inspect", arguments=["1024"])
    session.report.text(), session.ran.status

``run_kernel_of`` does the same for one kernel of a file, by way of the program that ``kernel.py``
writes around it. A launch that would take too long is timed on a few of its blocks first, and
refused with one that does not.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude_cuda.lab.build import Built, LabError, Options, build_program, looked_at
from etude_cuda.lab.files import pass_file
from etude_cuda.lab.kernel import Drive, Result, results_of
from etude_cuda.lab.program import Ran, Settings, run_program

if TYPE_CHECKING:
    from etude_cuda.lab.report.record import Report

PATIENCE = 300.0  # seconds that one kernel may take where nobody gave a limit
TRIED = 2048  # threads, about, that are timed before a large launch
LARGE = 1 << 17  # threads from which a launch is timed first
SMALLER = 10.0  # seconds for a run that looks for a smaller launch with the same race
FIRST_TOLD = 10.0  # seconds of a launch, after which it is told how far it is
TAIL = 4096  # bytes at the end of the events, among which the last progress is

Say = Callable[[str], None]


@dataclass
class Session:
    """What came of a run. ``results`` are the arrays of a single kernel."""

    report: Report
    ran: Ran
    results: list[Result] = field(default_factory=list)
    drive: Drive | None = None


def run_program_of(files: Sequence[Path], mode: str, options: Options | None = None,
                   settings: Settings | None = None, arguments: Sequence[str] = (), *,
                   keep: bool = False, say: Say = lambda text: None) -> Session:
    """Build a whole program, run it and read what was found. LabError if it cannot be built."""
    built = build_program(files, mode, options)
    with tempfile.TemporaryDirectory(prefix="etude-lab-") as folder:
        events = Path(folder) / "events.jsonl"
        settings = settings or Settings()
        ran = run_program(built.executable, arguments, events, settings, keep=keep,
                          tick=_Watch(events, say))
        report = _report(events, built, files[0], mode, settings, ran, options)
        _smaller(report, built, arguments, Path(folder), settings)
        return Session(report, ran)


def run_kernel_of(file: Path, name: str, grid: Sequence[int], block: Sequence[int], mode: str,
                  shared: int = 0, given: Mapping[str, str] | None = None,
                  options: Options | None = None, settings: Settings | None = None, *,
                  say: Say = lambda text: None) -> Session:
    """Run one kernel on inputs that are drawn where ``given`` does not say them.

    LabError if there is no such kernel, an argument does not fit, or it would take too long.
    """
    settings = settings or Settings()
    options = options or Options()
    with tempfile.TemporaryDirectory(prefix="etude-lab-") as text:
        folder = Path(text)
        table = pass_file(looked_at(file), folder / "listed.cpp", options.folders)
        drive = Drive.of(file, table.kernels, name, grid, block, shared, given)
        driver = folder / f"{drive.kernel.name}.driver.cu"
        driver.write_text(drive.program())
        built = build_program([driver], mode, options, shown=file)
        _patient(built, drive, folder, mode, settings)
        events, out = folder / "events.jsonl", folder / "results.jsonl"
        ran = run_program(built.executable, _words(drive, drive.grid, out, settings), events,
                          settings, tick=_Watch(events, say))
        report = _report(events, built, file, mode, settings, ran, options)
        _smaller(report, built, _words(drive, drive.grid, out, settings), folder, settings)
        return Session(report, ran, results_of(out), drive)


def _words(drive: Drive, grid: Sequence[int], out: Path, settings: Settings) -> list[str]:
    return [str(out), str(settings.seed), *map(str, grid)]


def _report(events: Path, built: Built, file: Path, mode: str, settings: Settings,
            ran: Ran, options: Options | None) -> Report:
    from etude_cuda.lab.report.record import build

    if not events.exists():  # it ended before the lab began to write
        events.write_text("")
    return build(events, built.executable, program=str(file), card=settings.card, mode=mode,
                 seed=settings.seed, exit_status=0 if ran.stopped else ran.status,
                 output=ran.output, nvcc_source=file if mode == "inspect" else None,
                 include=(options or Options()).folders)


def _smaller(report: Report, built: Built, words: Sequence[str], folder: Path,
             settings: Settings) -> None:
    """Look for the smallest launches that show the races, by running the program again."""
    from etude_cuda.lab.report.record import build
    from etude_cuda.lab.shrink import shrink

    def again(only: str) -> Report | None:
        events = folder / "smaller.jsonl"
        events.unlink(missing_ok=True)
        run_program(built.executable, words, events,
                    replace(settings, only=only, timeout=SMALLER), keep=True)
        if not events.exists():
            return None
        return build(events, None, program=report.program, symbols=report.symbols)

    results = folder / "results.jsonl"
    kept = results.read_bytes() if results.exists() else None
    shrink(report, again)
    if kept is not None:
        results.write_bytes(kept)


# ------------------------------------------------------------------ launches that take hours


def _patient(built: Built, drive: Drive, folder: Path, mode: str, settings: Settings) -> None:
    """LabError for a launch that will take longer than somebody waits, with a smaller one."""
    threads = drive.block[0] * drive.block[1] * drive.block[2]
    few = max(1, TRIED // threads)
    if drive.blocks * threads < LARGE or drive.blocks < 4 * few:
        return
    first = _seconds(built, drive, few, folder, settings)
    second = _seconds(built, drive, 2 * few, folder, settings)
    each = max(second - first, 0.0) / few
    total = first + each * (drive.blocks - few)
    limit = settings.timeout or PATIENCE
    if total <= limit:
        return
    fit = int(limit / 10 / each)
    offer = ("Try " + f"--grid {max(1, fit)}, which takes some {duration(each * max(1, fit))}"
             if mode == "fast" or fit else "Try --mode fast")
    raise LabError(
        f"{drive.launch()} has {drive.blocks:,} blocks of {threads:,} threads, and would take "
        f"about {duration(total)} ({mode} mode, {each * 1e3:.3g} ms a block). {offer}: most "
        f"mistakes show in a few blocks. --timeout {int(total * 2)} runs it all the same.")


def _seconds(built: Built, drive: Drive, blocks: int, folder: Path, settings: Settings) -> float:
    """How long the launch takes with so many blocks: along x first, then y, then z."""
    from etude_cuda.lab.events import read

    x = min(blocks, drive.grid[0])
    y = min(-(-blocks // x), drive.grid[1])
    z = min(-(-blocks // (x * y)), drive.grid[2])
    events = folder / "tried.jsonl"
    run_program(built.executable, _words(drive, (x, y, z), folder / "tried", settings), events,
                Settings(settings.seed, settings.card, settings.timeout or PATIENCE), keep=True)
    launches = read(events).launches if events.exists() else []
    return launches[0].seconds if launches else 0.0


@dataclass
class _Watch:
    """Says how far a long launch is: after ten seconds, and whenever twice as many have gone by."""

    events: Path
    say: Say
    launch: int = 0
    next: float = FIRST_TOLD

    def __call__(self, passed: float) -> None:
        now = _progress(self.events)
        if now is None:
            return
        if now["launch"] != self.launch:
            self.launch, self.next = now["launch"], FIRST_TOLD
        if now["seconds"] < self.next:
            return
        self.next = 2 * now["seconds"]
        share = now["done"] / now["blocks"]
        left = f", some {duration(now['seconds'] * (1 / share - 1))} to go" if share else ""
        self.say(f"{now['kernel']}, launched at line {now['line']}: {now['done']:,} of "
                 f"{now['blocks']:,} blocks after {duration(now['seconds'])}{left}. Ctrl-C ends it "
                 f"and shows what was found so far; most mistakes show at a smaller size as well.")


def _progress(events: Path) -> dict[str, Any] | None:
    """The last progress that the program wrote, if it wrote one."""
    try:
        with events.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL))
            lines = file.read().rpartition(b"\n")[0].splitlines()  # the last may be half written
    except OSError:
        return None
    lines = [line for line in lines if line.startswith(b'{"event":"progress"')]
    return json.loads(lines[-1]) if lines else None


def duration(seconds: float) -> str:
    """As people say it: 40 s, 5 min, 3 h, 2 days."""
    for unit, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.2g} s"
