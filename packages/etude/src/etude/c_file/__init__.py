"""A trained model as one C file with main(): ``write(trained, path)``, or ``classifier`` for layers
of your own. The command is ``etude export --c`` (``commands/export.py``).

The C stands in templates beside this file: ``frame.c``, then ``layers.c``, of which a file gets the
layers that its model has, then ``classifier.c`` or ``gpt.c``. ``classifier.py`` and ``gpt.py`` say
what is put into them, ``source.py`` how, and ``bound.py`` how far the output may lie from Etude's.
It is no compiler: what it does not know it refuses, by the layer's path and name.
"""

from __future__ import annotations

import hashlib
import math
import re
import shlex
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from etude import __version__
from etude.c_file.classifier import classifier
from etude.c_file.gpt import gpt
from etude.c_file.source import CFileError, comment
from etude.data.files import write_atomically
from etude.models.gpt import GPT
from etude.train.catalog import MODELS
from etude.train.settings import with_defaults
from etude.train.trained import Trained

__all__ = ["CFileError", "classifier", "gpt", "write"]

ABOUT_NUMBERS = """\
Bound: its logits lie at most @BOUND@ from those of Etude's reference. That is proven, layer by \
layer, for inputs from 0 to 1, and the worst case: what is measured is hundreds of times smaller.

Legend: x what a layer reads, y what it writes, w its weights, b its bias; n numbers in, m out; \
images are (C, H, W): channels, rows, columns; o an output, O of them."""

ABOUT_TEXT = """\
Bound: its logits lie at most @BOUND@ of the largest one from those of Etude's reference. That is \
how far independent roundings reach; it is measured and not proven. So a text is the one that \
Etude writes, unless two tokens were nearer to each other than that.

Legend: x what a layer reads, y what it writes, w its weights, b its bias; n numbers in, m out; \
t the place of a token, v its number; the sizes are explained where they are set."""


def write(trained: Trained, path: Path) -> str:
    """Write the program, whole or not at all; returns how to compile it, and its bound.

    Raises CFileError for a model that a C file cannot have, and OSError.
    """
    if trained.quantized:
        raise CFileError(f"{trained.path}: its weights are int8, and a C file has float weights "
                         f"alone. Export the float weights that it was quantised from; --onnx "
                         f"keeps int8")
    program = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem) or "model"
    first = _first(trained, program)
    if type(trained.model) is GPT:
        if trained.tokenizer is None:
            raise CFileError(f"{trained.path}: a gpt needs its tokenizer, and there is no "
                             f"tokenizer.json beside the weights; give it: --tokenizer FILE")
        text, bound = gpt(trained.model, trained.tokenizer, first, program)
        of = f"within {bound:.1e} of the largest"
    else:
        text, bound = classifier(trained.model, _shape(trained), trained.classes, first, program)
        of = f"within {bound:.1e}"
    write_atomically(path, text.encode("ascii"))
    made = path.with_suffix("")
    return (f"{path}: {len(text):,} bytes; its logits are Etude's {of}. Compile and run it:\n"
            f"  {shlex.join(['cc', '-O2', str(path), '-o', str(made), '-lm'])}\n"
            f"  {shlex.quote(str(made) if made.is_absolute() else f'./{made}')} --help")


def _shape(trained: Trained) -> tuple[int, ...]:
    """Of one sample."""
    given = with_defaults(MODELS[trained.name], trained.arguments)
    if trained.name == "mlp":
        return (given["inputs"],)
    if trained.name == "lenet":
        return given["channels"], given["size"], given["size"]
    raise CFileError(f"{trained.path}: a {trained.name} cannot be written as a C file; mlp, lenet "
                     f"and gpt can")


def _first(trained: Trained, program: str) -> str:
    """The first paragraphs of the file."""
    count = sum(math.prod(p.shape) for p in trained.model.parameters())
    a = "an" if trained.name.startswith("m") else "a"
    given = ", ".join(f"{k}={v!r}" for k, v in trained.arguments.items())
    text = trained.name == "gpt"
    use = (f'./{program} "To be" 200 --temperature 0.8 --seed 1' if text else
           f"./{program} < images.txt")
    stat = trained.path.stat()
    day = datetime.fromtimestamp(stat.st_mtime, UTC).date()
    digest = hashlib.sha256(trained.path.read_bytes()).hexdigest()[:16]
    result = f" Its run ended with {trained.result}." if trained.result else ""
    about: list[Any] = [
        f"{program}.c: {a} {trained.name} of {count:,} weights, trained with Etude, as a program "
        f"of one file that needs nothing but C's own library. It is meant to be read from top to "
        f"bottom: layers, the model made of them, what goes in and comes out; the weights stand at "
        f"the end. It is no engine: one {'text' if text else 'image'} at a time, plain loops, and "
        f"no training.",
        f"    cc -O2 {program}.c -o {program} -lm\n    {use}",
        f"Model: {trained.name}({given}), from {trained.path.name} of {day} (SHA-256 {digest}...), "
        f"written by etude {__version__}.{result}",
        *(ABOUT_TEXT if text else ABOUT_NUMBERS).split("\n\n")]
    filled = [one if one.startswith(" ") else textwrap.fill(comment(one), 95) for one in about]
    return textwrap.indent("\n\n".join(filled), "   ").strip()
