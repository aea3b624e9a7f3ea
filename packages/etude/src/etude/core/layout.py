"""Layouts: the shapes that an op takes and gives, stated beside it in one line of text.

    "x: N C H W, weight: O C/groups KH KW, bias: O -> N O OH OW"

Before the arrow stand the arrays, and after each its sizes; behind it stand the results. A name
that comes twice is one size, and a call in which the two differ is an error, worded here from
the layout. A shape rule is a layout and, where that is not enough, a function (``sizes``) that
works out the names no array has and refuses what a layout cannot say.

    N, KH, 2          a size by name, or this very size
    ...  *S           any number of axes; ``...`` is a name like any other, to functions ``rest``
    ~Z                any axes that broadcast with the other ~Z; *Z is what comes of them
    num_classes       the value of an attribute
    seed+call         as many as there are names: what stands in an array of settings
    C/groups          a size divided by an attribute
    kernel_size = KH KW      an attribute that holds sizes
    index: N int64    an array, or a result, of this dtype; ``any`` leaves it to the function, and
                      ``dtype`` is the attribute; all others share one dtype, of the op's domain
    query key: N D    two arrays of one layout; without a name it is that of all
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from etude.core.errors import DTypeError, ShapeError
from etude.core.given import whole
from etude.core.shapes import (
    DOMAINS,
    DTYPES,
    STORED,
    Shape,
    Spec,
    broadcast,
    check_shape,
    common_dtype,
    dtype_of,
)

Dims = tuple[str, ...]
Parts = list[tuple[int | None, ...] | None]  # the sizes of each dim; None where they are open

WORDS: dict[str, np.dtype[Any] | None] = {**{d.name: d for d in (*DTYPES, *STORED)},
                                           "any": None}


class Layout:
    """The shape rule that a line of text states: ``layout(*specs, **attrs)`` -> Spec(s)."""

    def __init__(self, op: str, text: str, arrays: Dims, domain: str,
                 sizes: Callable[..., Any] | None) -> None:
        self.op = op
        self.text = text
        self.order = arrays
        self.domain = domain
        self.sizes = sizes
        self.asks = list(inspect.signature(sizes).parameters)[1:] if sizes else []
        self.arrays: dict[str, Dims] = {}
        self.attrs: dict[str, Dims] = {}
        self.fixed: dict[str, np.dtype[Any] | None] = {}
        taken, _, given = text.partition("->")
        for part in taken.split(","):
            names, _, rest = part.rpartition(":")
            attr, equals, rest = rest.rpartition("=")
            dims, dtype = read_dims(rest)
            if equals:
                self.attrs[attr.strip()] = dims
                continue
            for name in names.split() or arrays:
                self.arrays[name] = dims
                if dtype:
                    self.fixed[name] = WORDS[dtype]
        self.results = [read_dims(part) for part in given.split(",")]

    def __call__(self, *specs: Any, **attrs: Any) -> Any:
        free = [s for name, s in zip(self.order, specs, strict=False) if name not in self.fixed]
        dtype: Any = common_dtype(self.op, free, DOMAINS[self.domain]) if free else None
        sizes = self.bind(specs, attrs)
        made = [Spec(sizes.shape(dims), self._dtype(word, attrs) if word else dtype)
                for dims, word in self.results]
        return made[0] if len(made) == 1 else tuple(made)

    def _dtype(self, word: str, attrs: dict[str, Any]) -> Any:
        """The dtype of that name; "dtype" is the attribute, if the op can give that."""
        if word in WORDS:
            return WORDS[word]
        asked = dtype_of(self.op, attrs["dtype"])
        if asked not in DOMAINS[self.domain]:
            names = ", ".join(d.name for d in DOMAINS[self.domain])
            raise DTypeError(f"{self.op}: dtype must be one of {names}, got {asked.name}")
        return asked

    def bind(self, specs: Sequence[Any], attrs: dict[str, Any]) -> Sizes:
        """The size behind every name. Raises ShapeError where two do not go together."""
        sizes = Sizes(self.op, attrs)
        arrays = dict(zip(self.order, specs, strict=False))
        for attr, dims in self.attrs.items():
            given = attrs[attr] if np.iterable(attrs[attr]) else (attrs[attr],)
            sizes.take(attr, dims, check_shape(f"{self.op}: {attr}", given), attr, repr(given))
        self._take(sizes, arrays)
        if self.sizes is not None:
            known = {**arrays, **attrs, **sizes}
            found = self.sizes(self.op, *[known.get(name) for name in self.asks]) or {}
            clash = any(sizes.get(name, size) != size for name, size in found.items())
            sizes.update(found)
            sizes.source.update(dict.fromkeys(found, ""))
            if clash:
                self._take(sizes, arrays)
        return sizes

    def _take(self, sizes: Sizes, arrays: dict[str, Any]) -> None:
        for name, dims in self.arrays.items():
            spec = arrays.get(name)
            if spec is not None:
                shape = spec.shape if isinstance(spec, Spec) else ()
                sizes.take(name, dims, shape, f"{name} {spec}", f"{spec}")
        for name in [name for name in sizes if name.startswith("~")]:
            sizes[name[1:]] = broadcast(self.op, *sizes.pop(name))

    def count(self, formula: str, specs: Sequence[Any], attrs: dict[str, Any]) -> int:
        """What a cost such as "2 ... K N + ... N" comes to: products of sizes, added up."""
        sizes = self.bind(specs, attrs)
        return sum(math.prod(sizes.shape(read_dims(term)[0])) for term in formula.split(" + "))

    def names(self) -> set[str]:
        """Every size that has a name of its own: N and KH, but not ``...`` or ``*S``."""
        every = [*self.arrays.values(), *self.attrs.values(), *[dims for dims, _ in self.results]]
        return {dim.partition("/")[0] for dims in every for dim in dims
                if dim[0] not in "*~" and not dim.isdigit() and "+" not in dim}


def read_dims(text: str) -> tuple[Dims, str]:
    """("N", "*rest") and "int64" of "N ... int64"; "" where no dtype is given."""
    words = ["*rest" if word == "..." else word for word in text.split()]
    dtype = words.pop() if words and words[-1] in (*WORDS, "dtype") else ""
    return tuple(words), dtype


class Sizes(dict[str, Any]):
    """Name -> size (behind a star: sizes), as far as the arrays of one call have settled them."""

    def __init__(self, op: str, attrs: dict[str, Any]) -> None:
        super().__init__()
        self.op = op
        self.attrs = attrs
        self.source: dict[str, str] = {}  # name -> the array or attribute it was read from

    def shape(self, dims: Dims) -> Shape:
        """The sizes that ``dims`` stand for, all of them settled."""
        return tuple([n for part in map(self._part, dims) for n in part or ()])  # type: ignore[misc]

    def _part(self, dim: str) -> tuple[int | None, ...] | None:
        """The size or sizes of one dim. None is open: a size, or any number of them."""
        if dim[0] in "*~":
            return self.get(dim[1:]) if dim[0] == "*" else None
        name, _, divisor = dim.partition("/")
        if divisor and name in self:
            return (self[name] // self._divisor(divisor, self[name]),)
        if dim in self.attrs:
            return check_shape(f"{self.op}: {dim}", (self.attrs[dim],))
        if dim.isdigit():
            return (int(dim),)
        if "+" in dim:
            return (dim.count("+") + 1,)
        return (self.get(dim),)

    def _divisor(self, attr: str, n: int) -> int:
        by = whole(self.attrs[attr])
        if by is None or by < 1 or n % by:
            raise ShapeError(f"{self.op}: {attr}={self.attrs[attr]!r} must be a positive integer "
                             f"that divides {n}")
        return by

    def take(self, what: str, dims: Dims, shape: Shape, source: str, given: str) -> None:
        """Settle by ``shape`` what is open in ``dims``. ShapeError if the two do not fit."""
        parts = [self._part(dim) for dim in dims]
        pieces = _cut(parts, shape)
        if pieces is None:
            turned = (*shape[:-2], *shape[:-3:-1])
            hint = "; transposed it would fit" if len(shape) > 1 and _cut(parts, turned) else ""
            raise ShapeError(f"{self.op}: {what} must "
                             f"{self._wanted(what, dims, parts)}, got {given}{hint}")
        for dim, part, piece in zip(dims, parts, pieces, strict=True):
            name, _, divisor = dim.lstrip("*").partition("/")
            if name.startswith("~"):
                self.setdefault(name, []).append(piece)
            elif part is None:
                self[name] = piece
            elif part[0:1] == (None,):
                self[name] = piece[0] * (self._divisor(divisor, 0) if divisor else 1)
            else:
                continue
            self.source[name] = f" from {source}"

    def _wanted(self, what: str, dims: Dims, parts: Parts) -> str:
        """The rest of a sentence that begins "x must": what it should be like, and why."""
        layout = f"({', '.join([_shown(dim) for dim in dims])})"
        named = dict.fromkeys(name for dim in dims for name in dim.lstrip("*").split("/"))
        why = [f"{_shown('*' + n if '*' + n in dims else n)} = "
               f"{list(v) if isinstance(v, tuple) else v}{self.source.get(n, '')}"
               for n in named if (v := self.get(n, self.attrs.get(n))) is not None
               and n[0] != "~" and not self.source.get(n, "").startswith(f" from {what} ")]
        if None not in parts and (None,) not in parts:
            only = dims[0].lstrip("*") if len(dims) == 1 and dims[0][0] == "*" else ""
            if self.source.get(only):  # all of it stands in another array: no name is needed
                whose = self.source[only].removeprefix(" from ")
                return f"have shape {list(self.shape(dims))}, which is that of {whose}"
            because = f" with {', '.join(why)}" if why else ""
            return f"have shape {list(self.shape(dims))}: {layout}{because}"
        if why:
            return f"be {layout} with {', '.join(why)}"
        least = "at least " if None in parts else ""
        return f"have {least}{parts.count((None,))} dimensions {layout}"


def _shown(dim: str) -> str:
    return "..." if dim == "*rest" or dim[0] == "~" else dim


def _cut(parts: Parts, shape: Shape) -> list[Shape] | None:
    """``shape`` cut to the lengths of the parts, at most one of them open; None if it cannot be."""
    rest = len(shape) - sum(len(part) for part in parts if part is not None)
    pieces, at = [], 0
    for part in parts:
        length = rest if part is None else len(part)
        piece = shape[at : at + max(length, 0)]
        if part is not None and any(k not in (None, n) for k, n in zip(part, piece, strict=False)):
            return None
        pieces.append(piece)
        at += max(length, 0)
    return pieces if at == len(shape) and rest >= 0 else None
