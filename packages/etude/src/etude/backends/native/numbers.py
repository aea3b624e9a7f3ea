"""The numbers a kernel takes, its sizes and attributes, matched by name with the op's row.

A parameter of the function type in etude.h is looked up, in this order,

1. in the row's ``kernel`` text, which says what has another name in C, or is a product;
2. among the sizes of the row's layout: ``N C H W`` of conv2d are passed as ``N C H W``;
3. among the op's attributes. Words are passed as their place in the choices, None as NaN.

What a ``kernel`` text may say, its parts apart by commas:

    planes = N C                  a product of sizes; ``rows = ...``, ``cols = *D``, ``n = *S``
    SH SW = stride                an attribute, one number or several
    b = 0                         a number
    outer n inner = x along dim   the sizes of x before, at and behind the axes that dim names
    rows cols = x along dim       all other sizes, and that of dim, which is moved to the end
    index_n = index at dim        one size
    from = dtype of x             ETUDE_F32, ...
    kind ... column = attn_mask over ... L S    how a mask broadcasts (``spread`` says which six)

An op whose row, header and library disagree is refused when the library is opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from etude.backends.native.geometry import Array, collapse, padded, spread_steps
from etude.backends.native.header import SUFFIXES, Parameter
from etude.backends.native.kernel import SUFFIX, Kernel
from etude.core.errors import BackendError, Unsupported
from etude.core.layout import Layout, Sizes, read_dims
from etude.core.shapes import axes, spec_of
from etude.core.table import Op

Number = int | float


@dataclass(frozen=True)
class Given:
    """What numbers are worked out from: one call whose shapes have been checked."""

    sizes: Sizes
    arrays: dict[str, Any]
    attrs: dict[str, Any]


Source = Callable[[Given], Sequence[Any]]


class Part(NamedTuple):
    """Some of the numbers: their names in C, where they are from, and the same in words."""

    names: list[str]
    source: Source
    words: str


class Numbers:
    """All numbers of a kernel: ``numbers(arrays, attrs)``, in the order of the function type.

    Raises BackendError where the row leaves one of them open, or names one that C does not have.
    """

    def __init__(self, kernel: Kernel) -> None:
        op = kernel.op
        if not isinstance(op.shape, Layout):
            raise BackendError(f"{op.name}: a kernel of type {op.cls!r} gets its sizes by name, "
                               f"and this op states no layout; write shape= as a text")
        self.op, self.layout = op, op.shape
        self.parameters = [p for p in kernel.parameters if p.kind in ("size", "attribute")]
        self.sources = parts(op)
        self._agree(kernel)

    def _agree(self, kernel: Kernel) -> None:
        """BackendError unless every number has one source, and every array a pointer."""
        op, wanted = self.op, [p.name for p in self.parameters]
        told = [name for part in self.sources for name in part.names]
        for name in told:
            if name not in wanted:
                raise BackendError(f"{op.name}: its row says what {name!r} is, but the function "
                                   f"type {op.cls!r} of etude.h takes {', '.join(wanted)}")
        known = self.layout.names()
        for name in wanted:
            if name in told:
                continue
            if name in known or name in op.attrs:
                self.sources.append(by_name(op, name, name in known))
                continue
            raise BackendError(
                f"{op.name}: its kernel takes {name!r} (function type {op.cls!r} of etude.h), "
                f"which is no size of its layout ({self.layout.text}) and no attribute. Say in "
                f"the row what it is: kernel=\"{name} = ...\"")
        pointers = len([p for p in kernel.parameters if p.kind == "array"])
        if pointers != len(op.arrays) + len(op.outputs):
            raise BackendError(
                f"{op.name} has {len(op.arrays)} arrays and {len(op.outputs)} results, and the "
                f"function type {op.cls!r} of etude.h takes {pointers} of both. Take another "
                f"type, or enter one")

    def __call__(self, arrays: Sequence[Any], attrs: dict[str, Any]) -> tuple[Number, ...]:
        """Raises Unsupported where an attribute is NaN, or axes do not lie as C wants them."""
        attrs = {**self.op.attrs, **attrs}
        sizes = self.layout.bind([spec_of(a) for a in arrays], attrs)
        given = Given(sizes, dict(zip(self.op.arrays, arrays, strict=False)), attrs)
        found: dict[str, Any] = {}
        for names, source, _ in self.sources:
            found.update(zip(names, source(given), strict=True))
        return tuple([self._number(p, found[p.name]) for p in self.parameters])

    def _number(self, p: Parameter, value: Any) -> Number:
        if p.kind == "size":
            return int(value)
        if isinstance(value, int) and int(float(value)) != value:
            raise Unsupported(f"{p.name} = {value}, which no double holds")
        return float(value)


# ------------------------------------------------------------------ one part of the text


def parts(op: Op) -> list[Part]:
    """What the row's ``kernel`` text says."""
    return [_read(op, part) for part in filter(None, map(str.strip, op.kernel.split(",")))]


def _read(op: Op, part: str) -> Part:
    """The C names that a part of a ``kernel`` text speaks of, and where their numbers are from."""
    left, equals, right = part.partition("=")
    names, words = left.split(), right.split()
    if not equals or not names or not words:
        raise BackendError(f"{op.name}: cannot read {part!r} in kernel=; see numbers.py for what "
                           f"may stand there")
    if len(words) == 3 and words[1] == "along":
        return Part(names, _along(words[0], words[2], len(names)),
                    _along_in_words(op, names, words[0], words[2]))
    if len(words) == 3 and words[1] == "at":
        return Part(names, _at(words[0], words[2]),
                    f"the size of {words[0]} at the axis {words[2]}")
    if len(words) == 3 and words[:2] == ["dtype", "of"]:
        return Part(names, _dtype(words[2]), f"the dtype of {words[2]}, ETUDE_F32 and so on")
    if len(words) > 2 and words[1] == "over":
        return Part(names, _over(words[0], " ".join(words[2:])),
                    f"how {words[0]} broadcasts over {' '.join(words[2:])}, as said above")
    if len(words) == 1 and words[0].isdigit():
        return Part(names, lambda given: [int(words[0])], f"always {words[0]}")
    if len(words) == 1 and words[0] in op.attrs:
        return Part(names, _attribute(op, words[0]), _attribute_in_words(op, words[0]))
    one = len(words) == 1 and words[0][0] not in "*."
    return Part(names, _product(right), f"the size {words[0]} of the layout" if one else
                f"the sizes {' '.join(words)} of the layout, multiplied")


def by_name(op: Op, name: str, size: bool) -> Part:
    """A number that the row calls as C does: a size of the layout, or an attribute."""
    if size:
        return Part([name], lambda given: given.sizes.shape((name,)), "as in the layout")
    return Part([name], _attribute(op, name), _attribute_in_words(op, name))


def _product(text: str) -> Source:
    dims, _ = read_dims(text)
    return lambda given: [math.prod(given.sizes.shape(dims))]


def _attribute(op: Op, name: str) -> Source:
    words = op.choices.get(name)

    def source(given: Given) -> Sequence[Any]:
        value = given.attrs[name]
        if words is not None:
            return [words.index(value)]
        if value is None:
            return [math.nan]
        values = value if isinstance(value, (tuple, list)) else [value]
        if any(v != v for v in values):
            raise Unsupported("an attribute is NaN")
        return values

    return source


def _attribute_in_words(op: Op, name: str) -> str:
    text = f"the attribute {name}"
    if name in op.choices:
        return f"{text}: {', '.join(f'{i} {word!r}' for i, word in enumerate(op.choices[name]))}"
    return f"{text}, 0 or 1" if isinstance(op.attrs[name], bool) else text


def _along(array: str, attr: str, count: int) -> Source:
    def source(given: Given) -> Sequence[Any]:
        return along(given.arrays[array].shape, given.attrs[attr])[:count]

    return source


def _along_in_words(op: Op, names: list[str], array: str, attr: str) -> str:
    if len(names) == 2:  # ``axes.bind_rows``
        return (f"the sizes of {array} at all axes but {attr}, multiplied, and at {attr}, which is "
                f"moved to the end first")
    if op.cls not in ("reduce", "var", "prod_backward"):
        return f"the sizes of {array} before, at and behind {attr}, multiplied"
    apart = "take a call each" if op.cls == "reduce" else "are moved to the end first"
    return (f"the sizes of {array} before, at and behind the axes of {attr}, multiplied; axes that "
            f"are no neighbours {apart}")  # ``axes.bind_reduce``, ``axes.bind_together``


def along(shape: tuple[int, ...], dim: Any) -> tuple[int, int, int]:
    """(outer, n, inner): the sizes before, at and behind the axes ``dim``, one, several or all.

    Raises Unsupported for axes that are no neighbours.
    """
    if isinstance(dim, (int, np.integer)):
        d = int(dim) % len(shape)
        return math.prod(shape[:d]), shape[d], math.prod(shape[d + 1 :])
    (only, *more) = passes(shape, axes("reduce", dim, len(shape)))
    if more:
        raise Unsupported("axes that are no neighbours")
    return only[1]


def passes(shape: tuple[int, ...], dims: tuple[int, ...]
           ) -> list[tuple[tuple[int, ...], tuple[int, int, int]]]:
    """A reduction over ``dims`` in passes over neighbouring axes, the innermost first: the axes
    of each, and its (outer, n, inner).

    (2, 3, 4, 5) over 0, 2, 3 is ((2, 3), (6, 20, 1)), then ((0,), (1, 2, 3)).
    """
    groups: list[tuple[bool, list[int]]] = []  # reduced or not, and the axes; those of 1 left out
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if groups and groups[-1][0] == (d in dims):
            groups[-1][1].append(d)
        else:
            groups.append((d in dims, [d]))
    found = []
    while any(reduced for reduced, _ in groups):
        at = max(i for i, (reduced, _) in enumerate(groups) if reduced)
        before, here, behind = groups[:at], groups[at][1], groups[at + 1 :]
        found.append((tuple(here), (_total(shape, before), math.prod(shape[d] for d in here),
                                    _total(shape, behind))))
        groups.pop(at)
    return found or [(dims, (math.prod(shape), 1, 1))]


def _total(shape: tuple[int, ...], groups: list[tuple[bool, list[int]]]) -> int:
    return math.prod(shape[d] for _, axes in groups for d in axes)


def _at(array: str, attr: str) -> Source:
    return lambda given: [given.arrays[array].shape[given.attrs[attr]]]


def _dtype(array: str) -> Source:
    return lambda given: [list(SUFFIXES).index(SUFFIX[given.arrays[array].dtype])]


def _over(array: str, text: str) -> Source:
    dims, _ = read_dims(text)
    return lambda given: spread(given.arrays[array], given.sizes.shape(dims))


def spread(mask: Array | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """kind, count, outer, inner, row, column: how ``mask`` broadcasts over (..., row, column).

    kind is 0 without a mask, 1 for a bool one and 2 for numbers. That of one of the batch axes'
    indices b, row and column stands at  b / count * outer + b % count * inner + ...  (etude.h).
    """
    if mask is None:
        return 0, 1, 0, 0, 0, 0
    *lead, row, column = spread_steps(mask, shape) or ()
    sizes, (kept,) = collapse(shape[:-2], lead)
    if len(sizes) > 2:
        raise Unsupported("attn_mask broadcast over batch axes that do not collapse")
    outer, inner = padded(kept, 2, 0)
    kind = 1 if mask.dtype == np.bool_ else 2
    return kind, sizes[-1] if sizes else 1, outer, inner, row, column
