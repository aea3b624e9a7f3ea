"""``etude roofline``: what this machine can do at most. The work: ``peaks`` in ``measure/roof.py``,
and ``Roofline`` in ``measure/roofline.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from etude.commands.show import print_json
from etude.measure.roof import file_of, peaks, this_machine
from etude.measure.roofline import Roofline


def picture(suffix: str) -> click.Path:
    """The type of an option that takes a file to write."""
    return Writable(suffix)


class Writable(click.Path):
    """A file that can be written: its folder is there, and its name ends as it should. That is
    found out before the work begins whose result goes there.
    """

    def __init__(self, suffix: str) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)
        self.suffix = suffix

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None
                ) -> Path:
        path = Path(super().convert(value, param, ctx))  # type: ignore[arg-type]
        if path.suffix != self.suffix:
            self.fail(f"{str(path)!r} should end with {self.suffix}, for that is what it will be",
                      param, ctx)
        if not path.absolute().parent.is_dir():
            self.fail(f"there is no folder {str(path.absolute().parent)!r} for {path.name!r}; make "
                      f"it first", param, ctx)
        return path


@contextmanager
def saving(path: Path) -> Iterator[None]:
    """Errors of writing ``path``, worded."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(f"{path} could not be written: {error.strerror or error}"
                                   ) from error
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"{path} is drawn with {missing.name}, which is not installed: "
                                   f"pip install 'etude[plots]'") from missing


def write_each(files: dict[Path | None, Callable[[Path], Any]], err: bool) -> None:
    """Each file that was asked for; one that cannot be written does not keep the others."""
    failed = []
    for path, write in files.items():
        if path is None:
            continue
        try:
            with saving(path):
                write(path)
            click.echo(f"Written: {path}", err=err)
        except click.ClickException as error:
            failed.append(error)
    if failed:
        raise click.ClickException("; ".join(error.message for error in failed))


@click.command(epilog="\b\nExamples:\n  etude roofline\n  etude roofline --anew --svg roof.svg\n"
                      "  etude roofline --json")
@click.option("--anew", is_flag=True, help="Measure again, though there are numbers.")
@click.option("--json", "json_", is_flag=True, help="For programs.")
@click.option("--svg", type=picture(".svg"), metavar="FILE", help="Write the picture.")
@click.option("--png", type=picture(".png"), metavar="FILE", help="Write the picture.")
@click.option("--html", type=picture(".html"), metavar="FILE", help="Write it with the table.")
def roofline(anew: bool, json_: bool, svg: Path | None, png: Path | None, html: Path | None
             ) -> None:
    """Measure what this machine can do at most, and draw it.

    FLOP a second of the fastest matrix product there is, NumPy's or that of
    etude-cpu, and bytes a second of a copy, for 1, 2, 4 ... threads. It takes
    some seconds, once: the answer is kept, unless the machine was busy.
    """
    if anew or not file_of(this_machine()).exists():
        click.echo("Measuring, for some seconds.", err=True)
    found = peaks(anew)
    made = Roofline(found)
    if json_:
        print_json(json.loads(found.json()))
    else:
        click.echo(f"{found}\n\n{made}")
        if not found.busy:
            click.echo(f"\nKept in {file_of(found.machine)}")
    write_each(dict.fromkeys((svg, png, html), made.save), err=json_)
