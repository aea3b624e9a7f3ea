"""Which calls in C the call of an op leads to: written down, and none of them made.

Between ``softmax(x, dim=0)`` and ``etude_softmax_f32`` stands the op's calling convention: it
collapses axes, copies what does not lie dense, and may call a kernel more than once. The binders
of ``etude.backends.native`` do that for every host. The host here notes the calls of kernels and
returns at once, so a program can make the same calls later, on another device and under a tool.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from etude.backends.native.bind import bind
from etude.backends.native.geometry import Geometry
from etude.backends.native.header import SUFFIXES, places
from etude.backends.native.kernel import OK, Host, Kernel, Record
from etude.backends.native.library import header
from etude.backends.native.memory import Memory
from etude.core.errors import Unsupported
from etude.core.table import TABLE
from etude_cuda.lab.build import LabError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class At:
    """A pointer: bytes after the beginning of a piece of memory."""

    piece: int
    offset: int


@dataclass
class Piece:
    """Memory of the device. ``content`` is None where nobody has written before the calls;
    ``name`` is that of the first parameter that points there.
    """

    size: int
    content: bytes | None
    name: str


@dataclass(frozen=True)
class CCall:
    """One call of a kernel: a pointer, None for NULL, sizes of geometry, or a number each."""

    symbol: str  # etude_relu_f32
    type: str  # its function type: map
    arguments: tuple[At | tuple[int, ...] | int | float | None, ...]


@dataclass
class Calls:
    """The calls of one call of an op, and the memory that they share."""

    pieces: list[Piece] = field(default_factory=list)
    calls: list[CCall] = field(default_factory=list)


def exported(library: Path) -> dict[str, list[str]]:
    """Op -> the suffixes for which a library defines a kernel: {"relu": ["f32"]}. It is read, and
    nothing of it runs. LabError without nm, which comes with g++.
    """
    nm = shutil.which("nm")
    if nm is None:
        raise LabError("nm, which lists what a library exports, was not found. It is a part of "
                       "binutils, as g++ needs them: sudo apt install binutils")
    said = subprocess.run([nm, "-D", "--defined-only", str(library)], capture_output=True,
                          text=True, check=False).stdout
    names = {line.split()[-1] for line in said.splitlines() if line.strip()}
    found = {op: [s for s in SUFFIXES if f"etude_{op}_{s}" in names] for op in TABLE}
    return {op: suffixes for op, suffixes in found.items() if suffixes}


class Notes:
    """The calls of one op, for a library that has kernels of it for these suffixes."""

    def __init__(self, op: str, suffixes: Sequence[str]) -> None:
        self._op = op
        self._empty: dict[int, Array] = {}  # made here, not written: by the address of its start
        self._derived: set[int] = set()  # copies of what only a kernel would have written
        self._kept: list[Array] = []  # copies: an address is worth nothing without its memory
        self._noted: list[tuple[str, str, tuple[Any, ...]]] = []
        memory = Memory(self._new, self._copy, np.array, lambda x: x)
        host = Host("notes", self._thunk, lambda x: x, str, _never, list[Record], _never, _never,
                    False, memory)
        addresses = {suffix: i for i, suffix in enumerate(SUFFIXES) if suffix in suffixes}
        kernel = Kernel(TABLE[op], header().types[TABLE[op].cls], addresses, host)
        self._call = bind(kernel)

    def of(self, arrays: Sequence[Any], attrs: Mapping[str, Any],
           out: Any = None) -> Calls | None:
        """The calls that ``op(*arrays, out=out, **attrs)`` makes; None where the library declines,
        or where what is between two kernels is computed from their results.
        """
        self._noted, self._kept, self._empty, self._derived = [], [], {}, set()
        try:
            # The results are kept until the notes are read: they are the memory of the calls.
            result = self._call(*arrays, out=out, **attrs)
        except (Unsupported, _UnknownError):
            return None
        found = self._read()
        del result
        return found

    # ------------------------------------------------------------------ the host

    def _thunk(self, cls: str, suffix: str) -> Any:
        return partial(self._note, cls, f"etude_{self._op}_{suffix}")

    def _note(self, cls: str, symbol: str, kernel: int, *arguments: Any) -> int:
        for value in arguments:
            if isinstance(value, np.ndarray) and _start(_root(value)) in self._derived:
                raise _UnknownError
        self._noted.append((cls, symbol, arguments))
        return OK

    def _new(self, shape: Any, dtype: np.dtype[Any]) -> Array:
        made = np.empty(shape, dtype)
        self._empty[_start(made)] = made
        return made

    def _copy(self, x: Array, out: Array | None) -> Array:
        y = np.empty(x.shape, x.dtype) if out is None else out
        np.copyto(y, x)
        root = _root(y)
        if _start(_root(x)) in self._empty:
            self._derived.add(_start(root))
        self._empty.pop(_start(root), None)  # it has been written now
        self._kept.append(root)
        return y

    # ------------------------------------------------------------------ what was noted

    def _read(self) -> Calls:
        """Addresses of this process become pieces, each as long as the calls reach."""
        found, numbers, ends = Calls(), dict[int, int](), dict[int, int]()
        roots: dict[int, tuple[Array, str]] = {}
        for cls, _, arguments in self._noted:
            for (p, _, _), x in zip(places(header().types[cls]), arguments, strict=True):
                if isinstance(x, np.ndarray):
                    root = _root(x)
                    start = _start(root)
                    roots.setdefault(start, (root, p.name))
                    ends[start] = max(ends.get(start, start), _end(x))
        for start, (root, name) in roots.items():
            numbers[start] = len(found.pieces)
            size = ends[start] - start
            content = None if start in self._empty else _bytes(root, size)
            found.pieces.append(Piece(size, content, name))
        for cls, symbol, arguments in self._noted:
            words = [_word(p.kind, x, numbers) for (p, _, _), x in zip(
                places(header().types[cls]), arguments, strict=True)]
            found.calls.append(CCall(symbol, cls, tuple(words)))
        return found


class _UnknownError(Exception):
    """What a kernel would get is known only after another has run."""


def _never(*given: Any) -> Any:
    raise AssertionError(f"the notes are all there is: no records begin or run ({given})")


def _word(kind: str, value: Any, numbers: Mapping[int, int]) -> Any:
    if kind == "geometry":
        return Geometry.alive[value].numbers
    if isinstance(value, np.ndarray):
        start = _start(_root(value))
        return At(numbers[start], value.__array_interface__["data"][0] - start)
    if kind == "array":
        return None
    return float(value) if kind == "attribute" else int(value)


def _root(x: Array) -> Array:
    """The array whose memory ``x`` is a part of."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return x


def _start(x: Array) -> int:
    return int(byte_bounds(x)[0])


def _end(x: Array) -> int:
    return int(byte_bounds(x)[1]) if x.size else _start(x)


def _bytes(root: Array, size: int) -> bytes:
    """The first bytes of an array's memory, whatever lies between its elements."""
    return ctypes.string_at(_start(root), size)
