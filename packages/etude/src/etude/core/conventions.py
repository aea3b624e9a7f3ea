"""Conventions: what an op gives where a formula leaves a choice, in lines that read and run.

    softmax([nan, 0, ...]) -> [nan, ...]  # one NaN spoils its row
    amax([]) -> ShapeError

Every row of the table states some below the op: of NaN, infinities, the sign of zero, ties, empty
axes and rows masked out entirely. Op cards and pages show them, the tests hold the reference to
them, and the kit every column. A line is Python, but only literals and these words:

    [1, 2]  3        an array, nested as deep as it has axes; a number is one without axes
    nan  inf  -0.0   with one of these, or a point, an array is float; whole numbers stand for
                     every dtype of the op that has them; True and False for bool
    [1, 0, ...]      the entry before the dots any number of times, once at least; all dots of a
                     call the same number, while dots in a result fill it to its size
    empty(0, 3)      an array of that shape, without elements
    int64([1, 2])    a line for this dtype alone
    None  dim=0      an array left out; an attribute
    -> 0             a zero of either sign; 0.0 and -0.0 have the one that they show
    -> _             an output, or an element, of which nothing is said; outputs may be left away
    -> ShapeError    what the call raises

In place of the op's name may stand ``f``. What is indented more than the first line goes on with
the line before. Nothing here runs an op; ``table.py`` keeps the lines of each.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from etude.core.shapes import DOMAINS, DTYPES, Shape

if TYPE_CHECKING:
    from etude.core.table import Op

Array = np.ndarray[Any, Any]
OPEN = object()  # what ``_`` stands for
WORDS: dict[str, Any] = {"nan": math.nan, "inf": math.inf, "_": OPEN,
                         **{d.name: d for d in DTYPES}}


@dataclass(frozen=True)
class Convention:
    """One line. Arrays and outputs are literals: numbers, or lists of them, with dots."""

    text: str  # "softmax([nan, 0, ...]) -> [nan, ...]"
    remark: str  # "one NaN spoils its row", or ""
    arrays: tuple[Any, ...]
    attrs: dict[str, Any]
    outputs: tuple[Any, ...]
    error: str  # the name of what is raised; "" if the call returns
    only: np.dtype[Any] | None = None  # the dtype that it is for, if not for all

    def __str__(self) -> str:
        return f"{self.text}  # {self.remark}" if self.remark else self.text

    def of(self, op: Op) -> str:
        """The line with the name of the op, also where it is written with ``f``."""
        return f"{op.name}{self.text[1:]}" if self.text.startswith("f(") else self.text

    @property
    def dotted(self) -> bool:
        return "..." in self.text

    def dtypes(self, op: Op) -> list[np.dtype[Any]]:
        """The dtypes of ``op`` that have all numbers of this line."""
        data = [number for name, a in self._named(op) if name not in op.fixed
                for number in numbers_in(a)]
        return [d for d in DOMAINS[op.domain] if self.only in (None, d)
                and all(_has(d, number) for number in data)]

    def given(self, op: Op, dtype: np.dtype[Any], n: int = 1) -> list[Array | None]:
        """The arrays of the call, in which every dots stand for ``n`` entries with the one before.
        """
        return [None if a is None else _spread(a, n).astype(_dtype_of(a, op, name, dtype))
                for name, a in self._named(op)]

    def wanted(self, shapes: Sequence[Shape], n: int = 1) -> list[Array]:
        """The results, as arrays of Python's numbers: see ``wrong``. ``shapes`` are those of what
        comes out; there may be more outputs than the line speaks of.
        """
        return [np.full(shape, OPEN) if y is OPEN else _spread(y, n, shape)
                for y, shape in zip(self.outputs, shapes, strict=False)]

    def _named(self, op: Op) -> Iterator[tuple[str, Any]]:
        names = op.arrays * len(self.arrays) if op.variadic else op.arrays
        return zip(names, self.arrays, strict=False)


def wrong(y: Array, want: Array) -> Array:
    """Where a result is not what a line says: a bool for each element.

    ``want``, of y's shape, is of Python's numbers, for a 0 has another meaning than a 0.0.
    """
    is_open = left_open(want)
    value = np.where(is_open, 0, want).astype(y.dtype)
    same = y == value
    if y.dtype.kind == "f":
        signed = _each(lambda v: isinstance(v, float) and v == 0, want)
        same &= ~signed | (np.signbit(y) == np.signbit(value))
        same |= np.isnan(y) & np.isnan(value)
    return np.asarray(~(same | is_open))


def left_open(want: Array) -> Array:
    """Where a line says nothing of a result: a bool for each element."""
    return _each(lambda v: v is OPEN, want)


def _spread(literal: Any, n: int, shape: Shape = ()) -> Array:
    """A literal as an array of Python's numbers, every dots spread out."""
    return np.array(_without_dots(literal, n, shape), dtype=object)


def _without_dots(literal: Any, n: int, shape: Shape) -> Any:
    """``literal`` with n entries for the dots. A list of a result, of which the shape is known, is
    filled by its dots, if it has one alone.
    """
    if not isinstance(literal, list):
        return literal
    if shape and literal.count(...) == 1:
        n = shape[0] - len(literal) + 2
    found: list[Any] = []
    for entry in literal:
        if entry is ...:
            found += found[-1:] * (n - 1)
        else:
            found.append(_without_dots(entry, n, shape[1:]))
    return found


def _each(holds: Any, want: Array) -> Array:
    return np.asarray(np.frompyfunc(holds, 1, 1)(want)).astype(bool)


def numbers_in(literal: Any) -> Iterator[Any]:
    """The numbers that a literal holds, without the dots."""
    if isinstance(literal, list):
        for entry in literal:
            yield from numbers_in(entry)
    elif not isinstance(literal, np.ndarray) and literal not in (None, ...):
        yield literal


def _dtype_of(literal: Any, op: Op, name: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """That of the call, unless the op has another for the array of this name."""
    if name not in op.fixed:
        return dtype
    only = op.fixed[name]
    if only is None:  # several: bool, or like the others
        bools = all(isinstance(v, bool) for v in numbers_in(literal))
        only = np.dtype(bool) if bools else dtype
    return only


def _has(dtype: np.dtype[Any], number: Any) -> bool:
    """Whether a dtype has this number; a float has what it must round too, if neither 0 nor
    infinity comes of that.
    """
    if isinstance(number, bool) or dtype.kind == "b":
        return isinstance(number, bool) and dtype.kind == "b"
    if dtype.kind == "i":
        return isinstance(number, int) and -(2**63) <= number < 2**63
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(number))
    if isinstance(number, int):
        return rounded == number
    return math.isinf(rounded) == math.isinf(number) and (rounded == 0) == (number == 0)


# ------------------------------------------------------------------ reading


def read(op: str, text: str) -> tuple[Convention, ...]:
    """The conventions of a text, one a line; what is indented more goes on with the line before.
    Raises ValueError for a line that says none.
    """
    lines = inspect.cleandoc(text).replace("\n ", " ").splitlines()
    return tuple(_line(op, line) for line in lines if line.strip())


def _line(op: str, line: str) -> Convention:
    code, _, remark = line.partition("#")
    call, _, result = code.partition("->")
    words = _Words()
    try:
        node = ast.parse(call.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in (op, "f"):
            raise ValueError(f"it must call {op}")
        arrays = tuple(words.literal(a) for a in node.args)
        attrs = {str(k.arg): words.literal(k.value) for k in node.keywords}
        error, outputs = _result(words, result.strip())
    except (SyntaxError, ValueError) as fault:
        raise ValueError(f"{op}: the convention {line!r} cannot be read: {fault}. It is like "
                         f"'{op}([0, nan]) -> [0, nan]  # why'") from fault
    said = " ".join(code.split())
    return Convention(said, remark.strip(), arrays, attrs, outputs, error, words.only)


def _result(words: _Words, text: str) -> tuple[str, tuple[Any, ...]]:
    """The name of an error and no outputs, or "" and the outputs."""
    if not text:
        raise ValueError("it does not say what comes out")
    if text.isidentifier() and text.endswith("Error"):
        return text, ()
    outputs = words.literal(ast.parse(f"({text})", mode="eval").body)
    return "", outputs if isinstance(outputs, tuple) else (outputs,)


class _Words(ast.NodeTransformer):
    """Puts values in place of the words, so that literals are left."""

    only: np.dtype[Any] | None = None

    def literal(self, node: ast.AST) -> Any:
        return ast.literal_eval(self.visit(node))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id not in WORDS:
            raise ValueError(f"{node.id!r} means nothing here; known are {', '.join(WORDS)}")
        return ast.Constant(WORDS[node.id])

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = ast.unparse(node.func)
        if isinstance(WORDS.get(name), np.dtype) and len(node.args) == 1:
            self.only = WORDS[name]
            return self.visit(node.args[0])  # type: ignore[no-any-return]
        if name != "empty":
            raise ValueError(f"{ast.unparse(node)!r} is no literal")
        shape = tuple(self.literal(a) for a in node.args)
        if 0 not in shape:
            raise ValueError("an empty array has a size that is 0")
        return ast.Constant(np.empty(shape, object))  # type: ignore[arg-type]
