"""The C signature of an op, and what each array and number in it is, for people.

The parameters are those of the op's function type in etude.h. What the numbers are is told by the
same parts of the row by which ``numbers.py`` passes them. Op cards and op pages show it.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache

from etude.backends.native.header import HEADER, SUFFIXES, Parameter, read_header
from etude.backends.native.numbers import by_name, parts
from etude.core.layout import Layout
from etude.core.table import Op


def has_signature(op: Op) -> bool:
    """Whether the class of the op is a function type of etude.h."""
    return op.cls in read_header().types


def signature(op: Op, suffix: str = "f32", width: int = 84) -> str:
    """The prototype of a kernel of ``op``, as it is defined in C."""
    _, arguments = _types()[op.cls]
    first, *rest = [f"{a}," for a in arguments]
    words = [f"int etude_{op.name}_{suffix}({first}", *rest]
    text = _wrapped(words, "    ", width).removesuffix(",")
    return re.sub(r"\breal\b", SUFFIXES[suffix], text) + ")"


def comment(op: Op) -> str:
    """What etude.h says over the function type of ``op``."""
    return _types()[op.cls][0]


def meanings(op: Op) -> list[tuple[str, str]]:
    """(names in C, what they are): arrays that the row calls otherwise, and all numbers of which it
    speaks. Of strides, and of the sizes beside them, the comment in etude.h speaks.
    """
    parameters = read_header().types[op.cls]
    found = _arrays(op, [p.name for p in parameters if p.kind == "array"])
    numbers: dict[str, list[str]] = {}  # what they are -> their names, such as SH and SW
    for p in parameters:
        if words := _number(op, p):
            numbers.setdefault(words, []).append(p.name)
    if numbers and isinstance(op.shape, Layout):
        found.append(("layout", op.shape.text))
    return found + [(", ".join(names), words) for words, names in numbers.items()]


def _number(op: Op, p: Parameter) -> str:
    """What a size or an attribute is, by the row; "" where it does not say."""
    if p.kind not in ("size", "attribute"):
        return ""
    known = op.shape.names() if isinstance(op.shape, Layout) else set()
    told = {name: part.words for part in parts(op) for name in part.names}
    words = told.get(p.name, "")
    if not words and (p.name in known or p.name in op.attrs):
        words = by_name(op, p.name, p.name not in op.attrs).words
    attribute = words.removeprefix("the attribute ")
    none = p.kind == "attribute" and op.attrs.get(attribute, 0) is None
    return f"{words}, NaN for None" if none else words


def _arrays(op: Op, pointers: list[str]) -> list[tuple[str, str]]:
    """What the pointers are whose names are those of the function type, and not of the row."""
    inputs, outputs = list(op.arrays), list(op.outputs)
    if len(inputs) + len(outputs) > len(pointers):  # one that is not passed; the names tell which
        return []
    found = []
    for i, name in enumerate(pointers):
        result = i - len(pointers) + len(outputs)
        if result >= 0 and name not in (outputs[result], f"{outputs[result]}_out"):
            found.append((name, "the result"))
        elif result < 0 and i >= len(inputs):
            found.append((name, "NULL"))
        elif result < 0 and name != inputs[i]:
            found.append((name, f"the array {inputs[i]}"))
    return found


@cache
def _types() -> dict[str, tuple[str, list[str]]]:
    """Function type -> the comment that stands over it in etude.h, and its parameters."""
    text = re.sub(r"[ \t]*\\\n", "\n", HEADER.read_text(encoding="ascii"))
    found, said = {}, ""
    for words, name, arguments in re.findall(
            r"(/\*.*?\*/)|typedef int etude_(\w+)_fn_##T\((.*?)\);", text, re.S):
        if words:
            said = _wrapped(words.split(), "   ", 84)
        else:
            found[name] = said, re.split(r",\s+", " ".join(arguments.split()))
    return found


def _wrapped(words: list[str], indent: str, width: int) -> str:
    """Words, which may hold spaces, in lines of at most ``width`` columns."""
    joined = " ".join(w.replace(" ", "\0") for w in words)
    lines = textwrap.wrap(joined, width, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")
