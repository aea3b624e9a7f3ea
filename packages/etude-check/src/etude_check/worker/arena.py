"""The memory that checker and worker share: every array between pages that cannot be touched.

    | guard | slot 0 | guard | slot 1 | guard | ...        one array in each slot
              ^start           end^

An array lies flush against the end of its slot, where reading on kills the worker at once, or
flush against the start, or a little behind it, each array at another place in its cache line
("apart"). On its other side lies a canary, bytes of a known pattern: if they have changed, somebody
wrote there. The gaps of a strided array hold the same pattern. Arrays that overlap in the checker
overlap in their slot too. The checker writes and verifies all of it through a mapping of its own,
without guards: the worker is not asked whether it behaved. This file knows arrays; ``sandbox.py``
knows ops, and words the messages.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from etude_check.errors import CheckError

Array = np.ndarray[Any, Any]

SLOTS = 24
SLOT = 64 << 20  # address space, not memory: pages exist once they are written
GUARD = 4 << 20  # wide, because a wrong stride may step over a single page
CANARY = 4096
APART = (1, 6, 11, 0, 13, 3, 8)  # elements between the start of a slot and an array, by slot
EDGE = 64 << 10  # bytes of a guard, at either end, that hold a pattern when writes are sought

#: What lies around arrays and in their gaps. Read as float32 or float64 it is NaN, as an index it
#: is out of range, as a bool it is neither True nor False. Every word is different, so that writing
#: some other NaN over it shows.
TILE = (np.arange(1, CANARY // 4 + 1, dtype="<u4") | np.uint32(0xFFC00000)).tobytes()
POISON = {"nan": b"\xff", "garbage": b"\xa5"}  # what outputs hold before the call


def tile(n: int) -> bytes:
    return TILE[:n] if n <= CANARY else (TILE * (n // CANARY + 1))[:n]


def span(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[int, int]:
    """(bytes before the first element, bytes from there to the end) that an array covers."""
    if 0 in shape:
        return 0, 0
    before, after = 0, itemsize
    for n, s in zip(shape, strides, strict=True):
        if s < 0:
            before -= (n - 1) * s
        else:
            after += (n - 1) * s
    return before, after


@dataclass(eq=False)
class Place:
    """Where one array lies. ``content`` is its whole extent, gaps included, as it must be."""

    slot: int
    begin: int
    end: int
    offset: int  # of the element [0, ..., 0]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    canary: tuple[int, int]
    side: str  # of the canary: "after" or "before"
    content: bytes

    def to_json(self) -> list[Any]:
        return [self.offset, self.dtype.str, list(self.shape), list(self.strides),
                self.begin, self.end]

    def elements(self) -> Array:
        """Which bytes of the extent belong to elements; the others are gaps."""
        mask: Array = np.zeros(self.end - self.begin, np.uint8)
        np.ndarray((*self.shape, self.dtype.itemsize), np.uint8, mask.data,
                   self.offset - self.begin, (*self.strides, 1))[...] = 1
        return mask.astype(bool)


class Arena:
    """The shared memory. The checker makes one, the worker opens it by its descriptor."""

    def __init__(self, fd: int, slots: int = SLOTS, slot: int = SLOT) -> None:
        page = mmap.ALLOCATIONGRANULARITY
        self.fd, self.slots, self.slot = fd, slots, -(-slot // page) * page
        self.size = slots * (self.slot + GUARD) + GUARD
        self.memory: Any = mmap.mmap(fd, self.size)

    @classmethod
    def create(cls, slots: int = SLOTS, slot: int = SLOT) -> Arena:
        size = slots * (slot + mmap.ALLOCATIONGRANULARITY + GUARD) + GUARD
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("etude-check", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, size)
            # Were it made smaller by the worker, the checker would crash where it looks.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS,
                        fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        else:
            fd, path = tempfile.mkstemp(prefix="etude-check-")
            os.unlink(path)
            os.ftruncate(fd, size)
        return cls(fd, slots, slot)

    def close(self) -> None:
        self.memory.close()
        os.close(self.fd)

    def bounds(self, slot: int) -> tuple[int, int]:
        """Where a slot begins and ends."""
        start = GUARD + slot * (self.slot + GUARD)
        return start, start + self.slot

    # ------------------------------------------------------------------ the checker's side

    def _place(self, slot: int, before: int, after: int, shape: tuple[int, ...],
               strides: tuple[int, ...], dtype: np.dtype[Any], place: str) -> Place:
        size = before + after
        if slot >= self.slots or size > self.slot:
            raise CheckError(
                f"an array of {size} bytes does not fit a slot of {self.slot}" if size > self.slot
                else f"a call of more than {self.slots} arrays, its results included")
        start, stop = self.bounds(slot)
        if place == "end":
            begin, end = stop - size, stop
            canary, side = (max(start, begin - CANARY), begin), "before"
        else:
            skip = APART[slot % len(APART)] * dtype.itemsize if place == "apart" else 0
            begin = min(start + skip, stop - size)
            end = begin + size
            canary, side = (end, min(end + CANARY, stop)), "after"
        return Place(slot, begin, end, begin + before, shape, strides, dtype, canary, side, b"")

    def put(self, slot: int, array: Array, place: str) -> Place:
        """Copy an array in as it is strided, and surround it."""
        before, after = span(array.shape, array.strides, array.itemsize)
        p = self._place(slot, before, after, array.shape, array.strides, array.dtype, place)
        if before + after == array.nbytes and array.flags.c_contiguous:
            p.content = array.tobytes()
        else:
            extent = bytearray(tile(before + after))
            np.ndarray(array.shape, array.dtype, extent, before, array.strides)[...] = array
            p.content = bytes(extent)
        self.write(p)
        return p

    def put_together(self, slot: int, arrays: Sequence[Array], place: str) -> list[Place]:
        """Copy arrays of one dtype that overlap into one slot, as they overlap."""
        low = [byte_bounds(a)[0] for a in arrays]
        high = [byte_bounds(a)[1] for a in arrays]
        whole = self._place(slot, 0, max(high) - min(low), (), (), arrays[0].dtype, place)
        extent = bytearray(tile(whole.end - whole.begin))
        places = []
        for a, first, last in zip(arrays, low, high, strict=True):
            before, _ = span(a.shape, a.strides, a.itemsize)
            offset = first - min(low) + before
            np.ndarray(a.shape, a.dtype, extent, offset, a.strides)[...] = a
            begin, end = whole.begin + first - min(low), whole.begin + last - min(low)
            edge = first == min(low) if whole.side == "before" else last == max(high)
            canary = whole.canary if edge else (end, end)
            places.append(Place(slot, begin, end, begin + before, a.shape, a.strides, a.dtype,
                                canary, whole.side, b""))
        for p in places:
            p.content = bytes(extent[p.begin - whole.begin : p.end - whole.begin])
            self.write(p)
        return places

    def reserve(self, slot: int, shape: tuple[int, ...], dtype: np.dtype[Any], place: str,
                poison: str) -> Place:
        """Room for a result, filled with what no kernel should leave there."""
        strides, step = [], dtype.itemsize
        for n in reversed(shape):
            strides.append(step)
            step *= n
        size = step if shape else dtype.itemsize
        p = self._place(slot, 0, size, shape, tuple(reversed(strides)), dtype, place)
        p.content = POISON[poison] * size
        self.write(p)
        return p

    def write(self, p: Place) -> None:
        """Put an extent and its canary (back) to what they must be."""
        self.memory[p.begin : p.end] = p.content
        low, high = p.canary
        self.memory[low:high] = TILE[CANARY - (high - low):] if p.side == "before" else \
            TILE[: high - low]

    def scribble(self, p: Place) -> None:
        """Overwrite an input, so that what still looks at it shows wrong values. The pattern goes
        by address: inputs that overlap are overwritten alike.
        """
        p.content = tile(p.begin % CANARY + p.end - p.begin)[p.begin % CANARY :]
        self.memory[p.begin : p.end] = p.content

    def array(self, p: Place) -> Array:
        """A private copy of the elements as they are now."""
        view: Array = np.ndarray(p.shape, p.dtype, self.memory, p.offset, p.strides)
        return view.copy()

    def stray(self, p: Place) -> int | None:
        """The first byte written on the canary's side, counted from the array; None if none was."""
        low, high = p.canary
        found = self.memory[low:high]
        if found == (TILE[CANARY - (high - low):] if p.side == "before" else TILE[: high - low]):
            return None
        expected = TILE[CANARY - (high - low):] if p.side == "before" else TILE[: high - low]
        wrong = np.flatnonzero(np.frombuffer(found, np.uint8) != np.frombuffer(expected, np.uint8))
        return int(high - low - wrong[-1] if p.side == "before" else wrong[0])

    def changed(self, p: Place) -> tuple[bool, bool]:
        """Whether (elements, gaps) of an extent are no longer ``content``."""
        found = self.memory[p.begin : p.end]
        if found == p.content:
            return False, False
        wrong = np.frombuffer(found, np.uint8) != np.frombuffer(p.content, np.uint8)
        inside = p.elements()
        return bool((wrong & inside).any()), bool((wrong & ~inside).any())

    def release(self, places: list[Place]) -> None:
        """Give the memory of large arrays back; the next call will need other pages anyway."""
        if hasattr(mmap, "MADV_REMOVE"):
            for p in places:
                if p.end - p.begin > 1 << 20:
                    start, stop = self.bounds(p.slot)
                    self.memory.madvise(mmap.MADV_REMOVE, start, stop - start)

    def beyond(self, places: list[Place], fill: bool = False) -> list[bytes]:
        """What the guards beside these arrays hold; with ``fill``, after putting a pattern there.

        Only a worker that was not protected can reach them. Read through the descriptor, because
        looking at a hole through the mapping would make pages of it.
        """
        found = []
        for n in sorted({g for p in places for g in (p.slot, p.slot + 1)}):
            low, high = self.guards()[n]
            if fill:
                self.memory[low : low + EDGE] = self.memory[high - EDGE : high] = tile(EDGE)
            found.append(os.pread(self.fd, high - low, low))
        return found

    def guards(self) -> list[tuple[int, int]]:
        return [(i * (self.slot + GUARD), i * (self.slot + GUARD) + GUARD)
                for i in range(self.slots + 1)]

    # ------------------------------------------------------------------ the worker's side

    def protect(self) -> None:
        """Make the guards unreadable, for this process and for good."""
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        for low, high in self.guards():
            if libc.mprotect(base + low, high - low, 0):
                raise OSError(ctypes.get_errno(), "mprotect")

    def view(self, where: list[Any]) -> Array:
        """The array at a place, as ``Place.to_json`` describes it."""
        offset, dtype, shape, strides = where[:4]
        return np.ndarray(tuple(shape), dtype, self.memory, offset, tuple(strides))

    def extent(self, where: list[Any]) -> Array:
        """Everything the array covers, gaps too, as a flat array of its dtype."""
        begin, end = where[4:]
        dtype = np.dtype(where[1])
        return np.ndarray(((end - begin) // dtype.itemsize,), dtype, self.memory, begin)
