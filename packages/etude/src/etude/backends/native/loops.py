"""A chain of pointwise calls as a loop in C: ``Loop`` takes calls one by one and writes the text.

    for (int64_t i = begin; i < end; i++)
    {
        real x = x_at[i];
        real t1 = op_mul(x, 0.5f);
        real t2 = op_relu(t1);
        y_at[i] = t2;
    }

All loads come before all stores, so a result may be written over an input, as the calls may.
An operand that all rows share, such as a bias, makes it two loops, over rows and along one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from etude.backends.native.formulas import Formula, formulas
from etude.backends.native.kernel import Record
from etude.backends.native.library import symbol_at
from etude.core.shapes import bool_, float32, float64
from etude.core.table import TABLE
from etude.replay.passes.fuse import ELEMENTS
from etude.replay.program import Buffer, Call, Operand, Value

MOST_POINTERS = 12  # of a record: c_src/cpu/host/record.h
REALS: dict[str, np.dtype[Any]] = {"f32": float32, "f64": float64}


class Step(NamedTuple):
    """A call that can be a line of a loop: the formula of its kernel, and where that is from."""

    call: Call
    folder: Path  # with the text of the kernels
    library: str  # the file that they are in
    suffix: str
    name: str  # of the formula
    formula: Formula
    attributes: tuple[float, ...]

    @property
    def size(self) -> int:
        return math.prod(self.call.outputs[0].shape)


def step_of(call: Call, record: Record) -> Step | None:
    """None where no formula is known for the kernel that the record calls."""
    suffix = record.type.rpartition("_")[2]
    found = symbol_at(record.kernel)
    if suffix not in REALS or TABLE[call.op].cls not in ELEMENTS or found is None:
        return None
    library, symbol = found
    folder = library.parent / "pointwise"
    if symbol != f"etude_{call.op}_{suffix}" or not folder.is_dir():
        return None
    bent = call.op.startswith("gelu") and record.attributes[0] != 0  # approximate="tanh"
    name = call.op.replace("gelu", "gelu_tanh") if bent else call.op
    formula = formulas(folder).get(name)
    if formula is None or len(call.inputs) != formula.inputs:
        return None
    return Step(call, folder, library.name, suffix, name, formula,
                record.attributes[: formula.attributes])


class Loop:
    """Steps ``first`` to ``last`` - 1 of a program as one loop over ``size`` elements."""

    def __init__(self, first: int, step: Step) -> None:
        self.first, self.last = first, first
        self.folder, self.library, self.suffix = step.folder, step.library, step.suffix
        self.size, self.row = step.size, 1  # row: elements of what all rows share, if anything is
        self.formulas: dict[str, Formula] = {}
        self.pointers: list[Value] = []  # of inputs; those of outputs follow, once it is known
        self.stored: list[Buffer] = []
        self._names: set[str] = set()
        self._inputs: dict[Any, str] = {}  # what is read from memory -> its name
        self._values: dict[Buffer, tuple[str, str]] = {}  # what was computed -> its type and name
        self._pointed: list[str] = []
        self._before: list[str] = []  # lines of the text: numbers read once,
        self._loads: list[str] = []
        self._lines: list[str] = []

    # ------------------------------------------------------------------ calls

    def add(self, step: Step) -> bool:
        """Take one more call; False, and nothing is changed, if it does not go into this loop."""
        call, y = step.call, step.call.outputs[0]
        same = (self.library, self.suffix, self.size) == (step.library, step.suffix, step.size)
        kinds = ["int" if step.name == "where" and k == 0 else "real"
                 for k in range(len(call.inputs))]
        if not same or not all(map(self._fits, call.inputs, kinds, [y] * len(kinds))):
            return False
        rows = {math.prod(v.shape) for v in call.reads() if v.shape != y.shape} - {1}
        rows |= {self.row} - {1}
        new = {self._key(v, y) for v in call.reads()} - set(self._inputs)
        if len(rows) > 1 or len(self._inputs) + len(new) + len(self._values) >= MOST_POINTERS:
            return False
        self.row = rows.pop() if rows else 1
        given = [self._operand(x, kind, y) for x, kind in zip(call.inputs, kinds, strict=True)]
        given += [literal(a, self.suffix) for a in step.attributes]
        result = step.formula.result
        name = self._fresh(y.buffer.name)
        self._values[y.buffer] = result, name
        self._lines.append(f"{result} {name} = op_{step.name}({', '.join(given)});")
        self.formulas[step.name] = step.formula
        self.last += 1
        return True

    def _fits(self, x: Operand, kind: str, y: Value) -> bool:
        """Whether ``x`` can be read as a real, or as a condition, and is what it was before."""
        if not isinstance(x, Value):
            return kind == "real" and x is not None
        if x.buffer in self._values:
            return x.shape == y.shape and self._values[x.buffer][0] == kind
        return x.dtype == (bool_ if kind == "int" else REALS[self.suffix])

    def _key(self, v: Value, y: Value) -> Any:
        if v.shape == y.shape:
            return v.buffer
        return v.buffer, v.offset, math.prod(v.shape)

    def _operand(self, x: Operand, kind: str, y: Value) -> str:
        """``x`` as C has it; what is in memory is loaded at its first use."""
        if not isinstance(x, Value):
            assert x is not None
            return literal(x, self.suffix)
        if x.buffer in self._values:
            return self._values[x.buffer][1]
        key = self._key(x, y)
        if key not in self._inputs:
            name = self._inputs[key] = self._fresh(x.buffer.name)
            self.pointers.append(x)
            element = "uint8_t" if kind == "int" else "real"
            self._pointed.append(f"const {element} *{name}_at")
            size = 1 if x.shape != y.shape and math.prod(x.shape) == 1 else 0
            where = "0" if size else "i" if x.shape == y.shape else "j"
            (self._before if size else self._loads).append(f"{kind} {name} = {name}_at[{where}];")
        return self._inputs[key]

    def _fresh(self, name: str) -> str:
        """``name``, or with a number behind it: memory that is written again holds another value.
        The t5' of recomputation is t5_again here.
        """
        name = re.sub(r"\W", "_again", name)
        names = [name, *[f"{name}_{k}" for k in range(2, len(self._names) + 3)]]
        found = next(n for n in names if n not in self._names)
        self._names.add(found)
        return found

    # ------------------------------------------------------------------ the text

    def close(self, needed: Callable[[Buffer], bool]) -> None:
        """No call comes any more. ``needed`` says of a buffer whether it is read afterwards."""
        self.stored = [b for b in self._values if needed(b)]

    def text(self, name: str) -> str:
        """The function, which is called ``name``."""
        pointed, stores = list(self._pointed), []
        for b in self.stored:
            kind, value = self._values[b]
            element = "uint8_t" if kind == "int" else "real"
            pointed.append(f"{element} *{value}_at")
            stores.append(f"{value}_at[i] = {'(uint8_t)' if kind == 'int' else ''}{value};")
        body = [*self._loads, *self._lines, *stores]
        head = [*[f"{p} = p[{k}];" for k, p in enumerate(pointed)],
                *[f"const {line}" for line in self._before]]
        body = ["{", *[f"    {line}" for line in body], "}"]
        if self.row == 1:
            lines = [*head, "ETUDE_SIMD for (int64_t i = begin; i < end; i++)", *body]
        else:
            body.insert(1, f"    int64_t i = row * {self.row} + j;")
            inner = [f"ETUDE_SIMD for (int64_t j = 0; j < {self.row}; j++)", *body]
            lines = [*head, "for (int64_t row = begin; row < end; row++)",
                     *[f"    {line}" for line in inner]]
        return "\n".join([f"/* calls {self.first} to {self.last - 1} */",
                          f"void {name}(void *const *p, int64_t begin, int64_t end)", "{",
                          *[f"    {line}" for line in lines], "}"])


def literal(x: float, suffix: str) -> str:
    """A number in C, rounded as an array of that dtype rounds it."""
    number = np.array(x, REALS[suffix])[()]
    if np.isnan(number):
        return "NAN"
    if np.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    return f"{number!s}{'f' if suffix == 'f32' else ''}"
