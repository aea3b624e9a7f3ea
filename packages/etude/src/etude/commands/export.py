"""``etude export``: a trained model, in formats that other programs take.

A format is an entry of ``FORMATS``; its option, help and the rest follow from that. What a model is
made of is read by ``train/trained.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click

from etude.commands.train import changed, worded

EPILOG = """\b
Examples:
  etude export runs/digits --c digits.c    and then: cc -O2 digits.c -o digits -lm
  etude export runs/digits --onnx digits.onnx
  etude export runs/names --gguf names.gguf
  etude export runs/names --safetensors gpt2.safetensors --names gpt2
  etude export gpt.safetensors --c gpt.c --model gpt --set heads=4
"""


class Asked(NamedTuple):
    """What was said besides the file: each is for some formats."""

    names: str | None = None  # the layout, of --names
    shape: tuple[int, ...] | None = None  # of a sample


def _c(trained: Any, path: Path, asked: Asked) -> str:
    from etude.c_file import write

    return write(trained, path)


def _onnx(trained: Any, path: Path, asked: Asked) -> str:
    from etude.onnx.trained import write

    return write(trained, path, asked.shape)


def _gguf(trained: Any, path: Path, asked: Asked) -> str:
    from etude.weights import save_gguf

    if trained.name != "gpt":
        raise click.UsageError(f"--gguf is for a gpt, which llama.cpp runs; {trained.path} is of "
                               f"the model {trained.name}")
    save_gguf(path, trained.model, trained.tokenizer, name=trained.path.resolve().parent.name)
    vocabulary = "no vocabulary" if trained.tokenizer is None else "its vocabulary"
    return f"{path}: GGUF of the architecture gpt2, in float32, with {vocabulary}"


def _torch(trained: Any, path: Path, asked: Asked) -> str:
    """In the format of PyTorch that the name of the path ends in."""
    from etude.weights import save_torch

    save_torch(path, trained.model, asked.names)
    whose = f"the layout {asked.names!r}" if asked.names else "Etude, as in state_dict()"
    return f"{path}: the weights of this {trained.name}, with the names of {whose}"


@dataclass(frozen=True)
class Format:
    """``write`` takes a ``Trained``, a path and what was asked, makes the file, and returns a
    sentence about it.
    """

    help: str
    write: Callable[[Any, Path, Asked], str]


#: Name of the option, and of the ending -> format.
FORMATS = {
    "c": Format("One C file with main(), which needs nothing but libc and libm.", _c),
    "onnx": Format("An ONNX file, for other frameworks and runtimes.", _onnx),
    "gguf": Format("A gpt for llama.cpp.", _gguf),
    "safetensors": Format("Weights for PyTorch, and all that reads safetensors.", _torch),
    "pt": Format("Weights for torch.load.", _torch),
}


def _sizes(context: Any, option: Any, text: str | None) -> tuple[int, ...] | None:
    """"3,32,32" as numbers."""
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"sizes are numbers from 1, such as 3,32,32; got {text!r}")
    return tuple([int(part) for part in parts])


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
@click.option("--names", metavar="LAYOUT", help="Of --safetensors and --pt: gpt2, nanogpt or "
              "resnet.  [default: those of state_dict()]")
@click.option("--shape", metavar="N,...", callback=_sizes, help="Of a sample, for --onnx, where "
              "the model takes several: 3,32,32, or the length of a text.")
def export(source: Path, model: str | None, changes: tuple[str, ...], tokenizer: Path | None,
           names: str | None, shape: tuple[int, ...] | None, **paths: Path | None) -> None:
    """Write a trained model as a file for other programs.

    SOURCE is the folder of a run of 'etude train', or a .safetensors file. Several
    formats may be written at once.
    """
    wanted = {name: path for name, path in paths.items() if path is not None}
    if not wanted:
        raise click.UsageError(f"Say what to write: {' or '.join(f'--{n} FILE' for n in FORMATS)}")
    for name, path in wanted.items():
        if path.suffix != f".{name}":
            raise click.UsageError(f"--{name} writes a file whose name ends in .{name}, got "
                                   f"{str(path)!r}")
    if names and not {"safetensors", "pt"} & wanted.keys():
        raise click.UsageError("--names is for --safetensors and --pt")
    if shape is not None and "onnx" not in wanted:
        raise click.UsageError("--shape is for --onnx")
    with worded():
        from etude.train.trained import TEXT, Trained

        trained = Trained.read(source, model, dict(map(changed, changes)), tokenizer)
        if tokenizer is not None and trained.name not in TEXT:
            raise click.UsageError(f"--tokenizer is for a model of text ({' or '.join(TEXT)}); "
                                   f"{trained.path} is of the model {trained.name}")
        if any(path.resolve() == trained.path.resolve() for path in wanted.values()):
            raise click.UsageError(f"{trained.path} is what is read, and would be written over")
        for name, path in wanted.items():
            click.echo(FORMATS[name].write(trained, path, Asked(names, shape)))
