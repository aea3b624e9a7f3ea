"""``etude lab``: CUDA programs and kernels without a GPU.

Every ``etude`` command loads this file, so it imports nothing heavy at the top. What runs is in
``program.py``, how it is built in ``build.py``, what a single kernel is given in ``kernel.py``.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etude_cuda.zoo.commands import zoo

if TYPE_CHECKING:
    from etude_cuda.lab.session import Session

INTERRUPTED = 130
OUT_OF_TIME = 3
CARDS = ("T4", "A100", "H100")

RUN_EPILOG = """\b
Examples:
  etude lab run vadd.cu                      a whole program, watched
  etude lab run prog.cu helper.cpp -- 1024   its arguments after --
  etude lab run prog.cu --mode fast          without watching, at full speed
  etude lab run softmax.cu --kernel softmax --grid 32 --block 128 --arg n=512
  etude lab run prog.cu --html report.html

\b
Exit status: 0 nothing is wrong; 1 something was found; 2 it cannot be built
or run; 3 stopped at the time limit; 130 interrupted; else what the program
returned.
"""

KERNELS_EPILOG = """\b
Example:
  etude lab kernels softmax.cu
"""


class Refused(click.ClickException):
    """A request that cannot be carried out."""

    exit_code = 2


@click.group()
def lab() -> None:
    """Run CUDA programs and kernels without a GPU, and see what is wrong.

    The lab runs every thread of a CUDA program on this machine, watches every
    memory access, and names mistakes with their lines: races, missing barriers,
    accesses out of bounds, memory nobody wrote, slow access patterns. It needs
    g++ and no GPU.
    """


class _AfterDashes(click.Command):
    """A command whose arguments after ``--`` belong to the program that it runs."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        ctx.obj = args[at + 1:]
        return super().parse_args(ctx, args[:at])


def _compiling(command: Any) -> Any:
    """The options that are handed to the compiler."""
    for option in (
            click.option("-I", "folders", metavar="FOLDER", multiple=True,
                         help="Look for included files there. Repeatable."),
            click.option("-D", "defines", metavar="NAME[=VALUE]", multiple=True,
                         help="Define a macro. Repeatable."),
            click.option("-l", "libraries", metavar="NAME", multiple=True,
                         help="Link a library of this machine. Repeatable.")):
        command = option(command)
    return command


@lab.command(cls=_AfterDashes, epilog=RUN_EPILOG,
             short_help="Run a CUDA program, or one kernel of it.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--mode", type=click.Choice(["inspect", "fast"]), default="inspect",
              show_default=True, help="inspect: watch every access; fast: only run.")
@click.option("--card", type=click.Choice(CARDS, case_sensitive=False), default="A100",
              show_default=True, help="The card whose limits and figures are used.")
@click.option("--kernel", metavar="NAME", help="Run only this kernel, on inputs that are drawn. "
              "A template with its arguments: 'k<float, 16>'.")
@click.option("--grid", metavar="X[,Y[,Z]]", help="With --kernel: the blocks.")
@click.option("--block", metavar="X[,Y[,Z]]", help="With --kernel: the threads of a block.")
@click.option("--shared", type=click.IntRange(min=0), default=0, metavar="BYTES",
              help="With --kernel: the third argument of the launch.")
@click.option("--arg", "given", metavar="NAME=VALUE", multiple=True, help="With --kernel: an "
              "argument. n=256, x=normal:1024, x=zeros:1024, x=range:8, x=0.5:1024. Repeatable.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True,
              help="The order of threads and blocks, and drawn inputs, follow from it. 0: threads "
              "in the order of their numbers.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="End the program after so long. [default: none]")
@click.option("--html", metavar="FILE", help="Write the report as one HTML page.")
@click.option("--json", "json_", metavar="FILE", help="Write the report as JSON.")
@_compiling
@click.pass_context
def run(ctx: click.Context, files: tuple[str, ...], mode: str, card: str, kernel: str | None,
        grid: str | None, block: str | None, shared: int, given: tuple[str, ...], seed: int,
        timeout: float | None, html: str | None, json_: str | None, folders: tuple[str, ...],
        defines: tuple[str, ...], libraries: tuple[str, ...]) -> None:
    """Run a CUDA program on this machine's CPU, and say what is wrong with it.

    FILE is a program with a main(), or with --kernel any file that defines the
    kernel. Several files make one program. What follows -- is given to it.
    """
    from etude_cuda.lab.build import LabError, Options
    from etude_cuda.lab.program import Settings
    from etude_cuda.lab.session import run_kernel_of, run_program_of

    sys.stdout.flush()
    if kernel is None and (grid or block or shared or given):
        raise Refused("--grid, --block, --shared and --arg go with --kernel NAME.")
    if kernel is not None:
        _alone(kernel, files, grid, block, ctx.obj)
    for name, path in (("--html", html), ("--json", json_)):
        if path is not None:
            _writable(name, path)
    for word in files[1:]:
        if not Path(word).exists() and not Path(word).suffix[1:].isalpha():
            raise Refused(f"{word}: there is no such file. What is for the program stands after "
                          f"--, as in: etude lab run {files[0]} -- {word}")
    options = Options(tuple(map(Path, folders)), defines, libraries)
    settings = Settings(seed, card.upper(), timeout)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if kernel is None:
            session = run_program_of(list(map(Path, files)), mode, options, settings, ctx.obj,
                                     say=_say)
        else:
            session = run_kernel_of(Path(files[0]), kernel, _three("--grid", grid or ""),
                                    _three("--block", block or ""), mode, shared, _given(given),
                                    options, settings, say=_say)
        _show(session, html, json_)
    except LabError as error:
        raise Refused(str(error)) from error
    finally:
        signal.signal(signal.SIGTERM, before)
    ctx.exit(_status(session))


def _alone(kernel: str, files: tuple[str, ...], grid: str | None, block: str | None,
           words: list[str]) -> None:
    """Refused for what cannot stand beside ``--kernel``, or is missing there."""
    missing = ["--grid"] * (not grid) + ["--block"] * (not block)
    if missing:
        raise Refused(f"--kernel {kernel} needs {' and '.join(missing)} as "
                      f"well: --grid says how many blocks are launched, --block how many threads "
                      f"each has. Try: etude lab run {files[0]} --kernel {kernel} --grid "
                      f"{grid or 4} --block {block or 128}")
    if len(files) > 1:
        raise Refused(f"--kernel {kernel} goes with one FILE, the one that defines it; got "
                      f"{len(files)}.")
    if words:
        raise Refused(f"--kernel {kernel} runs a kernel and no main(), so nobody takes the "
                      f"arguments after --. What the kernel is given stands in --arg NAME=VALUE.")


def _say(text: str) -> None:
    click.echo(text, err=True)


def _writable(option: str, path: str) -> None:
    """Refused, before anything runs, for a file that cannot be written."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir() or not folder.is_dir():
        raise Refused(f"{option} {path}: a file in a folder that exists is wanted.")


def _three(option: str, text: str) -> list[int]:
    """``16,16`` as numbers."""
    try:
        sizes = [int(part) for part in text.replace("x", ",").split(",")]
    except ValueError:
        sizes = []
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise Refused(f"{option} {text}: one to three whole numbers are wanted, as in 64 or 16,16.")
    return sizes


def _given(texts: tuple[str, ...]) -> dict[str, str]:
    """``--arg n=256`` as a name and a value."""
    for text in texts:
        if "=" not in text:
            raise Refused(f"--arg {text}: a name and a value are wanted, as in --arg n=256.")
    return dict(text.split("=", 1) for text in texts)


def _status(session: Session) -> int:
    """The exit status of the command, as its help says."""
    if session.ran.stopped:
        return INTERRUPTED if session.ran.stopped == "interrupted" else OUT_OF_TIME
    if session.ran.status:
        return session.ran.status if session.ran.status > 0 else 128 - session.ran.status
    return int(session.report.failed)


def _show(session: Session, html: str | None, json_: str | None) -> None:
    """Say what was found, on stderr: stdout belongs to the program."""
    from rich.console import Console

    if session.ran.stopped:
        click.echo(f"Stopped ({session.ran.stopped}) after {session.ran.seconds:.1f} s. What was "
                   "found so far:", err=True)
    elif session.ran.crash:
        click.echo(f"The program was ended by {session.ran.crash}.", err=True)
    if session.drive is not None:
        click.echo(f"{session.drive.launch()} with\n"
                   + "\n".join(f"    {value}" for value in session.drive.values))
        if session.results:
            click.echo("gave\n" + "\n".join(f"    {result}" for result in session.results))
    if session.report.mode == "inspect" or session.report.findings:
        session.report.show(Console(stderr=True, highlight=False, markup=False))
    for path, text in ((html, session.report.html), (json_, session.report.json)):
        if path is not None:
            Path(path).write_text(text(), encoding="utf-8")
            click.echo(f"Wrote {path}", err=True)


@lab.command(epilog=KERNELS_EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@_compiling
def kernels(files: tuple[str, ...], folders: tuple[str, ...], defines: tuple[str, ...],
            libraries: tuple[str, ...]) -> None:
    """List the kernels of a file, with their parameters.

    Files that it includes from its own folder are read too.
    """
    from etude_cuda.lab.build import LabError, looked_at, no_kernel
    from etude_cuda.lab.files import pass_file

    found = 0
    for file in files:
        try:
            looked_at(Path(file))
        except LabError as error:
            raise Refused(str(error)) from None
        with tempfile.TemporaryDirectory(prefix="etude-lab-") as folder:
            table = pass_file(Path(file), Path(folder) / "out.cpp", [Path(f) for f in folders])
        for kernel in table.kernels:
            click.echo(f"{kernel.file}:{kernel.line}: {kernel}")
        for refusal in table.refusals:
            click.echo(str(refusal), err=True)
        found += len(table.kernels)
        if not table.kernels and len(files) > 1:
            click.echo(no_kernel(Path(file)), err=True)
    if not found:
        raise Refused(no_kernel(Path(files[0])) if len(files) == 1 else
                      "None of these files defines a kernel.")


lab.add_command(zoo)
