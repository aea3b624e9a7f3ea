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

_STEPS = ("elements of {} from one {} to the next; below 0 where it is read backwards, 0 where it "
          "is repeated")

#: What ``matrices.py`` passes for the numbers of a product, which it works out from strides.
PRODUCTS = {
    "matmul": {
        "m, n, k": "the sizes M, N and K of the layout",
        "batch": "the sizes *B of the layout, multiplied; or 1, and m is M times them, where one y "
                 "serves matrices x that follow one another",
        "a_batch, a_row, a_col": _STEPS.format("x", "matrix, row and column"),
        "b_batch, b_row, b_col": _STEPS.format("y", "matrix, row and column"),
        "bias": "NULL: the op linear uses this type too, and has one; matmul never has"},
    "linear": {
        "batch": "always 1", "m": "the sizes ... of the layout, multiplied",
        "n, k": "the sizes N and K of the layout",
        "a_batch, b_batch": "always 0", "a_row, a_col": _STEPS.format("x", "row and column"),
        "b_row, b_col": "b is the weight transposed, K x N, as it lies: " + _STEPS.format(
            "weight", "k (b_row) and n (b_col)") + ". In C order b_row is 1 and b_col is K",
        "bias": "N numbers, or NULL"},
}


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


def comment(op: Op, width: int = 84) -> str:
    """What etude.h says over the function type of ``op``."""
    return _wrapped(_types()[op.cls][0].split(), "   ", width)


def meanings(op: Op) -> list[tuple[str, str]]:
    """(names in C, what they are): arrays that the row calls otherwise, and all numbers of which it
    speaks. Of other strides, and of the sizes beside them, the comment in etude.h speaks.
    """
    parameters = read_header().types[op.cls]
    found = _arrays(op, [p.name for p in parameters if p.kind == "array"])
    if op.cls == "matmul" and op.name in PRODUCTS and isinstance(op.shape, Layout):
        arrays = [(name, words) for name, words in found if name != "bias"]
        return [*arrays, ("layout", op.shape.text), *PRODUCTS[op.name].items()]
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
            said = words
        else:
            found[name] = said, re.split(r",\s+", " ".join(arguments.split()))
    return found


def _wrapped(words: list[str], indent: str, width: int) -> str:
    """Words, which may hold spaces, in lines of at most ``width`` columns."""
    joined = " ".join(w.replace(" ", "\0") for w in words)
    lines = textwrap.wrap(joined, width, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")
