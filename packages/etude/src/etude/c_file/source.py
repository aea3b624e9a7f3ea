"""How the text of a C file is put together: templates, weights as rows of text, strings.

A template is C in a file of this folder, with ``@NAME@`` where something is put in. ``Source``
collects what a model needs: which layers, which weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

ROW = 80  # digits in a row of weights: 10 floats, or 5 doubles

#: dtype -> what C calls it, its bits, how text becomes one, and the digits that tell it exactly
TYPES = {np.dtype(np.float32): ("float", "uint32_t", "strtof", 9),
         np.dtype(np.float64): ("double", "uint64_t", "strtod", 17)}


class CFileError(ValueError):
    """A layer, or a setting of one, that a C file does not have."""


@cache
def template(name: str) -> str:
    """A file of this folder, without its first comment, which is about the template."""
    text = Path(__file__).with_name(name).read_text("ascii")
    return re.sub(r"\A/\*.*?\*/\n+", "", text, flags=re.S).rstrip()


@cache
def layers() -> dict[str, str]:
    """Name -> C, of the parts of layers.c, in their order."""
    parts = re.split(r"^/// (\w+)\n", template("layers.c"), flags=re.M)[1:]
    return {name: code.strip() for name, code in zip(parts[::2], parts[1::2], strict=True)}


def fill(text: str, values: Mapping[str, object]) -> str:
    """``text`` with each @NAME@ replaced. KeyError for a name without a value."""
    return re.sub(r"@([A-Z]+)@", lambda found: str(values[found[1]]), text)


def quoted(text: bytes) -> str:
    """A string literal of C. What is not plain ASCII is written in octal, which always has three
    digits and so never runs into what follows; ?? would begin a trigraph.
    """
    plain = set(range(0x20, 0x7F)) - set(b'"\\?')
    return '"' + "".join(chr(c) if c in plain else f"\\{c:03o}" for c in text) + '"'


def comment(text: str) -> str:
    """``text`` as it may stand inside of a comment."""
    return ascii(text)[1:-1].replace("\\", "/").replace("*/", "* /").replace("/*", "/ *")


class Source:
    """The parts of a C file, while a model is written."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.used = {"take"}
        self.rows: list[str] = []

    def call(self, layer: str, arguments: str) -> str:
        """A call of a layer of layers.c, which the file then has."""
        self.used.add(layer)
        name = "tanh_of" if layer == "tanh" else layer
        return f"    {name}({arguments});"

    def weight(self, path: str, array: Array) -> None:
        """Put an array at the end of the file, where ``take`` reads one after another."""
        digits = array.astype(self.dtype.newbyteorder(">")).tobytes().hex()
        self.rows.append(f"    /* {comment(path)}: {' x '.join(map(str, array.shape))} */")
        self.rows += [f'    "{digits[i : i + ROW]}",' for i in range(0, len(digits), ROW)]

    def text(self, first: str, program: str, sizes: Mapping[str, tuple[int, str]], body: str,
             values: Mapping[str, object]) -> str:
        """The whole file: ``first`` is its first comment, ``body`` the template after the frame.
        ``sizes`` are its constants, each a number and what it is. CFileError for a ``first`` that
        would end its comment.
        """
        if "*/" in first or "/*" in first:
            raise CFileError("what the file says about the model stands in a comment of C, and has "
                             "/* or */ in it; leave that out")
        name, bits, parse, digits = TYPES[self.dtype]
        lines = [f"    {f'{key} = {value},':<20} /* {about} */"
                 for key, (value, about) in sizes.items()]
        values = {
            "TYPES": f"typedef {name} number;\ntypedef {bits} bits;",
            "SIZES": "\n".join(["enum {", *lines, "};"]), "ROW": ROW, "PROGRAM": program,
            "LAYERS": "\n\n".join(code for key, code in layers().items() if key in self.used),
            "PARSE": parse, "DIGITS": digits, **values}
        parts = [f"/* {first} */", fill(template("frame.c"), values), fill(template(body), values)]
        rows = [f"const char weights[][{ROW} + 1] = {{", *self.rows, "};"]
        return "\n".join([*parts, *rows]) + "\n"
