"""``etude check``: arguments, progress and files.

What is found comes from ``engine.check``, how it looks from ``report/``. Every ``etude`` command
loads this module, so it imports nothing heavy at the top.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from etude_check.commands.three import Three
    from etude_check.engine import Progress
    from etude_check.report.record import Report
    from etude_check.report.watch import Watch
    from etude_check.worker.candidate import Candidate

EVERY = 60.0  # seconds between lines of progress where there is no terminal
INTERRUPTED = 130
LEVELS = ("smoke", "full", "soak")
EPILOG = """\b
Examples:
  etude check cpu                           every op of the backend cpu
  etude check cpu --level smoke --jobs 2    a minute's worth
  etude check --module mine.py              functions marked with etude.implements
  etude check --source softmax.c --op softmax
  etude check --source softmax.cu           in the lab, on a card and under
                                            compute-sanitizer if there is one
  etude check cpu --family conv2d --html report.html
  etude check cpu --case softmax/tail/17@0  one case, with its arrays

\b
Exit status: 0 every executed case passed; 1 some failed, or a tool saw a
mistake; 2 the request cannot be carried out; 3 nothing was executed; 130
interrupted.

Files are written for failed and interrupted runs too.
"""


class Refused(click.ClickException):
    """A request that cannot be carried out."""

    exit_code = 2


@click.command(epilog=EPILOG)
@click.argument("backend", required=False)
@click.option("--module", metavar="FILE.py", help="Check the functions in this file that are "
              "marked with etude.implements.")
@click.option("--source", metavar="FILE.c", help="Compile this file and check the kernels of "
              "etude.h in it (.c, .cpp, .cu).")
@click.option("--device", type=click.Choice(["gpu-lab", "cuda"]), help="Of a CUDA source: only "
              "there. [default: the lab, then the card if there is one]")
@click.option("--op", "ops", metavar="OP", multiple=True, help="Only this op. Repeatable.")
@click.option("--family", "families", metavar="FAMILY", multiple=True,
              help="Only the ops of this family (a file in ops/: softmax, conv2d). Repeatable.")
@click.option("--cases", "kinds", metavar="KIND", multiple=True,
              help="Only cases of this kind (tail, layout, special). Repeatable.")
@click.option("--dtype", "dtypes", metavar="D", multiple=True,
              help="Only this dtype (float32). Repeatable.")
@click.option("--level", type=click.Choice(LEVELS), default="full", show_default=True,
              help="smoke: some cases of each kind; full: all; soak: all, for five seeds.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Inputs are drawn from it.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N",
              help="Ops checked at a time. [default: the cores this process may use]")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), default=20.0,
              metavar="SECONDS", show_default=True,
              help="After so long a call counts as hanging.")
@click.option("--case", metavar="ID", help="Only this case, in detail: softmax/tail/17@0.")
@click.option("--first", is_flag=True, help="Stop at the first failure.")
@click.option("--json", "json_", metavar="FILE", help="Write the report as JSON; - for stdout.")
@click.option("--html", metavar="FILE", help="Write it as one HTML page.")
@click.option("--junit", metavar="FILE", help="Write it as JUnit XML, for CI.")
@click.pass_context
def check(ctx: click.Context, backend: str | None, module: str | None, source: str | None,
          device: str | None, ops: tuple[str, ...], families: tuple[str, ...],
          kinds: tuple[str, ...], dtypes: tuple[str, ...], level: str, seed: int,
          jobs: int | None, timeout: float, case: str | None, first: bool, json_: str | None,
          html: str | None, junit: str | None) -> None:
    """Hold a backend's kernels against the reference.

    BACKEND is the name of an installed backend, or one of --module and --source
    says what to check. The candidate runs in a process of its own: a crash or a
    hang costs one case. Only a case that was executed and right scores.

    A CUDA source (.cu) gets up to three verdicts: the lab's, where some of the
    cases run once more in inspect mode; a card's; and compute-sanitizer's. Who
    cannot judge here is told as NOT RUN, with the reason, and where two judge
    differently it is said.
    """
    from etude_check.commands.three import Three, is_cuda
    from etude_check.engine import check as run
    from etude_check.errors import CheckError
    from etude_check.report.record import BIAS
    from etude_check.worker.candidate import Candidate, everywhere

    for name, path in (("--json", json_), ("--html", html), ("--junit", junit)):
        if path is not None and not (path == "-" and name == "--json"):
            writable(name, path)
    if case is not None and (ops or families or kinds or dtypes):
        raise Refused("--case names one case; it does not go with --op, --family, --cases or "
                      "--dtype.")
    if backend is module is source is None:
        raise Refused("Name what to check: a backend ('etude backends' lists them), or "
                      "--module FILE.py, or --source FILE.c.")
    _known(ops, families, kinds, dtypes)
    if case is not None and case.count("/") >= 2:
        op, kind, _ = case.split("/", 2)
        _known((op,), (), (kind,) if kind != BIAS else (), ())
    done: list[Report] = []
    three = Three(device, {"ops": ops or None, "families": families or None, "kinds": kinds or None,
                           "dtypes": dtypes or None, "seed": seed, "case": case})
    interrupted = False
    try:
        asked = Candidate.parse(backend, module, source)
        for candidate in everywhere(asked, device):
            installed(candidate)
            # Where hypothesis cannot write it leaves no folder .hypothesis; it stores nothing of
            # ours.
            os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", os.devnull)
            with _Watch() as watch:
                report = watch.guard(partial(
                    run, candidate, ops=ops or None, families=families or None,
                    kinds=kinds or None, dtypes=dtypes or None, level=level, seed=seed,
                    jobs=jobs or _cores(), case=case, stop_at_first=first, timeout=timeout,
                    progress=watch))
            interrupted |= watch.interrupted
            if case is not None and json_ != "-" and report.executed and not interrupted:
                _print_case(report, case, candidate, timeout)
            if is_cuda(candidate):
                interrupted |= not _watch(three, candidate, report, interrupted, first)
            _print(report, json_, whole=case is None)
            done.append(report)
            if interrupted:
                break
        if three.rulings:
            three.end(asked, done, interrupted, lambda w: _print_watch(done[0], w, json_))
    except CheckError as error:
        raise Refused(str(error)) from error
    except KeyboardInterrupt:  # before there was a report
        click.echo("INTERRUPTED before a case was done. This is not a pass.", err=True)
        ctx.exit(INTERRUPTED)
    for report in done:
        device_of = report.environment.get("device", "") if report is not done[0] else ""
        _write(report, *(_beside(path, device_of) for path in (json_, html, junit)))
    if done[0].rulings:
        _print_rulings(done[0], json_)
    ctx.exit(INTERRUPTED if interrupted else max(r.exit_status for r in done))


def _beside(path: str | None, device: str) -> str | None:
    """Where the report of a second device goes: report-cuda.html beside report.html; not to stdout,
    which holds one document.
    """
    if path is None or not device:
        return path
    return None if path == "-" else str(Path(path).with_stem(f"{Path(path).stem}-{device}"))


def _watch(three: Three, candidate: Candidate, report: Report, interrupted: bool,
           first: bool) -> bool:
    """Let tools look on while a CUDA source computes, unless the run is over. False for Ctrl-C."""
    if interrupted or (first and report.failures) or report.environment.get("backend") == "":
        three.interrupted(candidate, report)
        return True
    try:
        three.watch(candidate, report)
    except KeyboardInterrupt:
        report.notes.append("interrupted while cases were watched")
        three.interrupted(candidate, report)
        return False
    return True


# ------------------------------------------------------------------ what is asked


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def writable(option: str, path: str) -> None:
    """Refused, before an hour of work, for a file that cannot be written."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir():
        raise Refused(f"{option} {path} is a folder, and a file is wanted.")
    if not folder.is_dir():
        raise Refused(f"{option} {path}: there is no folder {str(folder)!r}.")
    if not os.access(folder, os.W_OK):
        raise Refused(f"{option} {path}: the folder {str(folder)!r} cannot be written to.")


def _known(ops: tuple[str, ...], families: tuple[str, ...], kinds: tuple[str, ...],
           dtypes: tuple[str, ...]) -> None:
    """Refused for a name that nothing has."""
    from etude.core.table import TABLE
    from etude_check.cases.spec import KINDS, ORDER
    from etude_check.specs import specs

    known = {"op": set(specs()), "family": {TABLE[n].family for n in specs()},
             "kind of case": set(KINDS), "dtype": set(ORDER)}
    options = {"op": "--op", "family": "--family", "kind of case": "--cases",
               "dtype": "--dtype"}
    for what, names in (("op", ops), ("family", families), ("kind of case", kinds),
                        ("dtype", dtypes)):
        for name in names:
            if name in known[what]:
                continue
            other = next((w for w, there in known.items() if name in there), None)
            if other is not None:
                raise Refused(f"{name!r} is no {what}, but it is {_a(other)}: "
                              f"{options[other]} {name}.")
            raise Refused(f"There is no {what} called {name!r}{_hint(name, known[what])}")


def _a(what: str) -> str:
    return f"{'an' if what[0] == 'o' else 'a'} {what}"


def _hint(name: str, known: set[str]) -> str:
    from etude.core.errors import did_you_mean

    close = did_you_mean(name, known)
    few = f" There are {', '.join(sorted(known))}." if len(known) < 40 else \
        " 'etude ops' lists them."
    return close if close != "." else "." + few


def installed(candidate: Candidate) -> None:
    """CheckError for a backend that no plugin offers. Loading it is left to the worker."""
    if candidate.kind != "backend" or candidate.value == "reference":
        return
    from etude.backends.plugins import registry
    from etude_check.errors import CheckError

    found = registry()
    if candidate.value not in found.backends:
        troubled = "".join(f" The plugin {p.name!r} is {p.state}: {p.reason}."
                           for p in found.plugins if p.state != "active")
        raise CheckError(f"There is no backend called {candidate.value!r}"
                         f"{_hint(candidate.value, {'reference', *found.backends})}{troubled}")


# ------------------------------------------------------------------ while it runs


class _Watch:
    """Shows how far a run is, and takes over what was found when somebody stops it."""

    def __init__(self) -> None:
        self.interrupted = False
        self.start = self.said = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Watch:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        to = Console(stderr=True)
        if to.is_terminal:
            self._bar = Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                            TextColumn("ops  {task.fields[said]}"), TimeElapsedColumn(),
                            console=to, transient=True)
            self._task = self._bar.add_task("starting", total=None, said="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, now: Progress) -> None:
        said = f"{now.executed:,} cases, {now.failed:,} failed"
        if now.hanging:
            said += f", {now.hanging} op{'s' * (now.hanging > 1)} given up"
        if self._bar is not None:
            self._bar.update(self._task, completed=now.done, total=now.total,
                             description=f"{now.op:<24.24}", said=said)
        elif time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            click.echo(f"{self.said - self.start:.0f} s: {now.done} of {now.total} ops, {said}",
                       err=True)

    def guard(self, run: Callable[[], Report]) -> Report:
        """The report of ``run``; on Ctrl-C, or SIGTERM from a CI, what there is of it."""
        from etude_check.engine import Interrupted

        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return run()
        except Interrupted as stop:
            self.interrupted = True
            return stop.report
        finally:
            signal.signal(signal.SIGTERM, before)


# ------------------------------------------------------------------ when it is done


def _print(report: Report, json_: str | None, whole: bool) -> None:
    from etude.commands.show import console
    from etude_check.report import summary, terminal

    if json_ == "-":  # stdout belongs to the program that reads it
        click.echo(summary.verdict_line(report), err=True)
    else:
        terminal.show(report, console(), whole)


def _print_watch(report: Report, watch: Watch, json_: str | None) -> None:
    """What compute-sanitizer saw where the kit itself had no card."""
    from etude.commands.show import console
    from etude_check.report import terminal

    if json_ != "-":
        terminal.watched(report, watch, console())


def _print_rulings(report: Report, json_: str | None) -> None:
    """The verdicts of the three, and where they differ."""
    from etude.commands.show import console
    from etude_check.report import terminal

    if json_ != "-":
        click.echo()
        terminal.rulings(report, console())


def _print_case(report: Report, case: str, candidate: Candidate, timeout: float) -> None:
    """What was given, expected and got. What is wrong with it is printed after."""
    from etude_check.commands.detail import arrays

    click.echo(f"{case}\n{report.records[0].asked}\n")
    for label, text in arrays(case, candidate, timeout):
        click.echo(f"{label}: {text}\n")
    ratio = report.records[0].ratio
    if ratio is not None:
        click.echo(f"largest error over bound: {ratio:.3g}\n")


def _write(report: Report, json_: str | None, html: str | None, junit: str | None) -> None:
    from etude_check.report import html as as_html
    from etude_check.report import json as as_json
    from etude_check.report import junit as as_junit

    if json_ == "-":
        click.echo(as_json.dumps(report), nl=False)
        json_ = None
    wanted = ((json_, as_json.dumps), (html, as_html.dumps), (junit, as_junit.dumps))
    write([(path, dumps(report)) for path, dumps in wanted if path is not None])


def write(texts: list[tuple[str, str]]) -> None:
    """Write files (path, text), each whole or not at all. Refused, at the end, for those that
    cannot be written: hours of work may be in the others.
    """
    from etude.data.files import write_atomically

    failed = []
    for path, text in texts:
        try:
            write_atomically(path, text.encode())
            click.echo(f"Wrote {path}", err=True)
        except OSError as error:
            failed.append(f"{path} cannot be written: {error.strerror}")
    if failed:
        raise Refused("\n".join(failed))
