"""``etude profile``: a script runs under the profiler, unchanged. The work is in
``measure/profile/``, which ``etude.profile`` opens for a block.
"""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from etude.commands import INTERRUPTED
from etude.commands.roofline import picture, write_each
from etude.commands.show import print_json
from etude.core.state import tap_everywhere
from etude.measure.profile import Profile
from etude.measure.roof import file_of, this_machine

EPILOG = """\b
Examples:
  etude profile train.py
  etude profile --html run.html train.py --epochs 3
  etude profile --trace run.json -m my_package.train
Options of etude go before the script; what comes after it is the script's.
"""


@click.command(epilog=EPILOG, context_settings={"ignore_unknown_options": True,
                                                "allow_interspersed_args": False})
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.option("--html", type=picture(".html"), metavar="FILE",
              help="Write one page with everything.")
@click.option("--trace", type=picture(".json"), metavar="FILE",
              help="Write a trace for chrome://tracing and ui.perfetto.dev.")
@click.option("--flame", type=picture(".svg"), metavar="FILE", help="Write the flame graph.")
@click.option("--roofline", type=picture(".svg"), metavar="FILE",
              help="Write the roofline with each op as a dot.")
@click.option("--json", "json_", is_flag=True,
              help="For programs. What the script prints goes to stderr.")
@click.option("--ops", type=click.IntRange(min=1), default=15, show_default=True,
              help="How many ops the table has.")
@click.option("--lines", type=click.IntRange(min=1), default=8, show_default=True,
              help="How many lines of the program.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [ARGUMENTS]...")
def profile(module: str | None, html: Path | None, trace: Path | None, flame: Path | None,
            roofline: Path | None, json_: bool, ops: int, lines: int, command: tuple[str, ...]
            ) -> None:
    """Run SCRIPT and say where its time went.

    For each op: calls, time, GFLOP/s, GB/s, the share of what this machine
    could do, bytes. For the run: how busy the cores were, how far from the
    peak, how much of the memory was alive, how long it waited for data. The
    script needs no change. If it raises, what ran until then is told.
    """
    name, run = _program(module, list(command))
    found = Profile(name)
    with redirect_stdout(sys.stderr) if json_ else nullcontext():
        status = _run(run, found)
    if found.empty:
        click.echo(found.empty, err=True)
        sys.exit(status or 1)
    if not json_ and not file_of(this_machine()).exists():
        click.echo("Measuring the peaks of this machine, once, for some seconds.", err=True)
    if json_:
        print_json(found.json())
    else:
        click.echo(f"\n{found.table(ops, lines)}")
    write_each({html: found.html, trace: found.trace, flame: found.flame,
                roofline: found.roofline}, err=True)
    sys.exit(status)


def _program(module: str | None, words: list[str]) -> tuple[str, Callable[[], Any]]:
    """(what it is called, what runs it). The arguments are in place when it runs."""
    if module is not None:
        def run_module() -> None:
            sys.argv[1:] = words  # run_module sets the first
            sys.path.insert(0, os.getcwd())
            runpy.run_module(module, run_name="__main__", alter_sys=True)

        return f"-m {module}", run_module
    if not words:
        raise click.UsageError("which script? etude profile train.py, or etude profile -m MODULE")
    script = Path(words[0])
    if not script.exists():
        there = sorted(p.name for p in script.absolute().parent.glob("*.py"))
        hint = f" There are {', '.join(there[:8])}" if there else ""
        raise click.ClickException(f"There is no script {str(script)!r}.{hint}")

    def run_script() -> None:
        sys.argv[:] = words
        if not script.is_dir():  # of a folder, run_path sees to it
            sys.path.insert(0, str(script.absolute().parent))
        runpy.run_path(str(script), run_name="__main__")

    return script.name, run_script


def _run(run: Callable[[], Any], found: Profile) -> int:
    """Run the program under the tap. Returns the status it ends with; prints what it raises."""
    found.watch.base = sys._getframe()  # what called this is no part of the program
    with _as_before(), tap_everywhere(found.watch):
        try:
            run()
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return end.code or 0
            click.echo(end.code, err=True)
            return 1
        except KeyboardInterrupt:
            click.echo("\nStopped; this is what ran until then.", err=True)
            return INTERRUPTED
        except BaseException as error:
            traceback.print_exception(type(error), error, _own(error.__traceback__))
            click.echo("\nThe script ended with this error; what ran until then:", err=True)
            return 1
        finally:
            found.close()
    return 0


@contextmanager
def _as_before() -> Iterator[None]:
    """The arguments and the path of this process, put back afterwards."""
    argv, path = sys.argv[:], sys.path[:]
    try:
        yield
    finally:
        sys.argv[:], sys.path[:] = argv, path


def _own(frames: TracebackType | None) -> TracebackType | None:
    """A traceback without what ran the script: it begins in the script. None where the script has
    not begun, as with a syntax error or a module that is not there: the error itself says enough.
    """
    while frames is not None and (frames.tb_frame.f_code.co_filename.startswith("<frozen runpy")
                                  or frames.tb_frame.f_globals.get("__name__") == __name__):
        frames = frames.tb_next
    return frames
