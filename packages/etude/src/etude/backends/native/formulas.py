"""What pointwise kernels compute of one element, read from their own text.

Beside its libraries etude-cpu ships the C that its pointwise kernels are made of (the folder
``pointwise``). There a kernel is a line, such as

    MAP(relu, ETUDE_GRAIN_MEMORY, v < 0 ? 0 : v)

and this file reads such lines: the formula of a generated loop is the kernel's, character by
character, and no second list of formulas is kept.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILES = ("map.c", "activation.c", "binary.c", "compare.c")
LINE = re.compile(r"^(MAP|MOSTLY_ORDINARY|HALVED2?|LOOP2?|EQUAL|ACTIVATION|BINARY|COMPARE)"
                  r"\((\w+), (.+)\)(?: /\*.*\*/)?$", re.MULTILINE)


class Formula(NamedTuple):
    """``value`` computed from v, and w where there are two inputs, and from the attributes a, b."""

    inputs: int
    attributes: int
    value: str
    result: str = "real"  # its type; a condition is an int

    def definition(self, name: str) -> str:
        """As a C function."""
        if name == "where":
            given = "int condition, real v, real w"
        else:
            given = ", ".join([f"real {n}" for n in ["v", "w"][: self.inputs]
                               + ["a", "b"][: self.attributes]])
        return f"VMATH {self.result} op_{name}({given}) {{ return {self.value}; }}"


@cache
def formulas(folder: Path) -> dict[str, Formula]:
    """By name, those of the kernels whose text is in ``folder``, for float and double."""
    found: dict[str, Formula] = {}
    for file in FILES:
        for kind, name, rest in LINE.findall((folder / file).read_text(encoding="utf-8")):
            if name not in found:  # what comes later in a file is for int64
                found[name] = _formula(kind, re.sub(r" \*(?=\w)", " * ", rest))
    # Its kernel reads a condition: no line says it.
    found["where"] = Formula(3, 0, "condition ? v : w")
    return found


def _formula(kind: str, rest: str) -> Formula:
    if kind == "MAP":
        return Formula(1, 0, rest.partition(", ")[2])
    if kind == "MOSTLY_ORDINARY":  # which blocks are ordinary, the function, and theirs: same bits
        return Formula(1, 0, f"{rest.split(', ')[1]}(v)")
    if kind == "HALVED":  # a function that is computed half by half: same bits
        return Formula(1, 0, f"{rest}(v)")
    if kind == "HALVED2":
        return Formula(2, 0, f"v * {rest}(w)")
    if kind == "ACTIVATION":  # grain, value, first, second: the attributes, 0 for one not used
        value, first, second = re.fullmatch(r"\w+, (.+), ([^,]+), ([^,]+)", rest).groups()  # type: ignore[union-attr]
        return Formula(1, (first != "0") + (second != "0"), value)
    if kind == "COMPARE":
        return Formula(2, 0, f"v {rest} w", "int")
    return Formula(1 if kind == "LOOP" else 2, 0, rest)
