"""``etude export``: a trained model, in formats that other programs take.

A format is an entry of ``FORMATS``; its option, help and the rest follow from that. What a model is
made of is read by ``train/trained.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from etude.commands.train import changed, worded

EPILOG = """\b
Examples:
  etude export runs/digits --c digits.c    and then: cc -O2 digits.c -o digits -lm
  etude export gpt.safetensors --c gpt.c --model gpt --set heads=4
"""


def _c(trained: Any, path: Path) -> str:
    from etude.c_file import write

    return write(trained, path)


@dataclass(frozen=True)
class Format:
    """``write`` takes a ``Trained`` and a path, makes the file, and returns a sentence about it."""

    help: str
    write: Callable[[Any, Path], str]


#: Name of the option -> format.
FORMATS = {"c": Format("One C file with main(), which needs nothing but libc and libm.", _c)}


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each format."""
    for name, format in reversed(FORMATS.items()):
        command = click.option(f"--{name}", metavar="FILE", help=format.help,
                               type=click.Path(path_type=Path, dir_okay=False))(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@_options
@click.option("--model", metavar="NAME", help="Which model the weights are of, if the file does "
              "not say so. That of 'etude train' does.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="An argument of that model, such as heads=4.")
@click.option("--tokenizer", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Of a text.  [default: tokenizer.json beside the weights]")
def export(source: Path, model: str | None, changes: tuple[str, ...], tokenizer: Path | None,
           **paths: Path | None) -> None:
    """Write a trained model as a file for other programs.

    SOURCE is the folder of a run of 'etude train', or a .safetensors file. Several
    formats may be written at once.
    """
    wanted = {name: path for name, path in paths.items() if path is not None}
    if not wanted:
        raise click.UsageError(f"Say what to write: {' or '.join(f'--{n} FILE' for n in FORMATS)}")
    with worded():
        from etude.train.trained import Trained

        trained = Trained.read(source, model, dict(map(changed, changes)), tokenizer)
        if any(path.resolve() == trained.path.resolve() for path in wanted.values()):
            raise click.UsageError(f"{trained.path} is what is read, and would be written over")
        for name, path in wanted.items():
            click.echo(FORMATS[name].write(trained, path))
