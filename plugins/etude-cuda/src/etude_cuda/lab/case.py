"""A finding with all that is needed to speak about it: threads, lines and memory by their names.

The functions of ``words/`` get a Case and give a Said.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from etude_cuda.lab.events import Finding, Launch, Log, Place, Thread, Three
from etude_cuda.lab.quotes import Quotes
from etude_cuda.lab.symbols import UNKNOWN, Frame, Symbols

SPACES = {"shared": "shared memory", "global": "global memory", "constant": "constant memory",
          "managed": "managed memory", "pinned": "pinned host memory", "host": "host memory",
          "local": "local memory of a thread"}
DOES = {"read": "reads", "load": "reads", "write": "writes", "store": "writes",
        "atomic": "updates atomically", "wait": "waits", "free": "frees", "copy": "copies",
        "launch": "launches", "call": "calls", "waits": "waits", "barrier": "waits",
        "shuffle": "shuffles", "elsewhere": "is elsewhere", "assert": "asserts", "trap": "traps",
        "index": "reads or writes", "crash": "crashes", "access": "uses it",
        "allocation": "allocates"}
SUMMED = ("uncoalesced", "bank-conflict", "branch-divergence")  # of all warps together
READS = ("read", "load")
WRITES = ("write", "store", "atomic")


#: float *d_x = to_device(x);
GETS = re.compile(r"\b([A-Za-z_]\w*)\s*=\s*(?!=)[\w:<>, ]+\(")
#: Bytes of the types that sizeof is asked for.
SIZES = {"char": 1, "bool": 1, "uint8_t": 1, "half": 2, "__half": 2, "short": 2, "int": 4,
         "unsigned": 4, "float": 4, "uint32_t": 4, "int32_t": 4, "double": 8, "int64_t": 8,
         "size_t": 8, "float2": 8, "int2": 8, "float4": 16, "int4": 16, "double2": 16}


@dataclass(frozen=True)
class Site:
    """One side of a finding: who, where, and what it did there."""

    role: str
    who: str
    does: str
    file: str
    line: int
    function: str
    quoted: str
    thread: Thread | None = None

    def to_json(self) -> dict[str, Any]:
        """As schema.json describes it."""
        return {"role": self.role, "who": self.who, "does": self.does, "file": self.file,
                "line": self.line, "function": self.function, "source": self.quoted,
                "thread": list(self.thread) if self.thread else None}


@dataclass
class Said:
    """The words. ``at`` is the side to mark in the source where it is not the first; ``more`` are
    sides that stand in the details and not among the places.
    """

    headline: str
    what: str
    advice: list[str]
    at: Site | None = None
    more: tuple[Site, ...] = ()


class Case:
    """A finding with all that is needed to speak about it."""

    def __init__(self, found: Finding, log: Log, symbols: Symbols, quotes: Quotes) -> None:
        self.found = found
        self.launch: Launch | None = log.launched(found.launch)
        self.symbols = symbols
        self.quotes = quotes
        self.detail = found.detail

    def site(self, place: Place) -> Site:
        """Who did what at which line."""
        frame = self.symbols.place(place.pc, place.stack)
        if not frame.users and place.line:
            frame = Frame(self.symbols.relative(place.file), place.line, frame.function)
        return Site(place.role, self.who(place.thread), self.does(place), frame.file, frame.line,
                    frame.function, self.quotes.line(frame.file, frame.line), place.thread)

    def at(self, calls: tuple[int, ...], file: str = "", line: int = 0) -> Site | None:
        """The line of a call alone: of a program counter with its callers, or as it is known."""
        frame = self.symbols.place(calls[0], calls[1:]) if calls else UNKNOWN
        if not frame.users and line:
            frame = Frame(self.symbols.relative(file), line, "")
        if not frame.known:
            return None
        return Site("", "", "", frame.file, frame.line, frame.function,
                    self.quotes.line(frame.file, frame.line))

    @property
    def first(self) -> Site:
        """The first side, or an empty one."""
        places = self.found.places
        return self.site(places[0]) if places else Site("", "the program", "", "", 0, "", "")

    @property
    def second(self) -> Site | None:
        """The other side, if there is one."""
        return self.site(self.found.places[1]) if len(self.found.places) > 1 else None

    # ---------------------------------------------------------------- threads

    def who(self, thread: Thread | None) -> str:
        """"thread 33 of block 0": as many coordinates as the launch has dimensions."""
        if thread is None:
            return "a warp" if self.found.kind in SUMMED else "the host"
        grid = self.launch.grid if self.launch else (2, 2, 2)
        block = self.launch.block if self.launch else (2, 2, 2)
        return f"thread {_some(thread[3:], block)} of block {_some(thread[:3], grid)}"

    def global_x(self, thread: Thread | None) -> int | None:
        """blockIdx.x * blockDim.x + threadIdx.x."""
        if thread is None or self.launch is None:
            return None
        return thread[0] * self.launch.block[0] + thread[3]

    @property
    def across(self) -> int:
        """How many threads the launch has along x."""
        return self.launch.grid[0] * self.launch.block[0] if self.launch else 0

    # ---------------------------------------------------------------- memory

    @property
    def element(self) -> int:
        """Bytes of one element: as declared, or as accessed."""
        thing = self.found.object
        if thing and self.extents:
            return thing.bytes // prod(self.extents)
        made = self.allocated
        size = re.search(r"sizeof\s*\(\s*(\w+)\s*\)", made.quoted) if made else None
        if size and size[1] in SIZES:
            return SIZES[size[1]]
        return next((p.size for p in self.found.places if p.size), 0)

    @property
    def index(self) -> int | None:
        """The element that the finding is about."""
        thing = self.found.object
        return thing.offset // self.element if thing and self.element else None

    @property
    def length(self) -> int:
        """How many elements the memory has."""
        thing = self.found.object
        return thing.bytes // self.element if thing and self.element else 0

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """The extents of a shared array, read from its declaration; () if they cannot be."""
        thing = self.found.object
        if thing is None or thing.space != "shared" or not thing.line:
            return ()
        file = self.symbols.relative(thing.file)
        return declared(self.quotes.lines(file), thing.line, thing.name, thing.bytes)

    @property
    def name(self) -> str:
        """What the program calls the memory: its own name, or the pointer it was allocated to."""
        thing = self.found.object
        if thing is None:
            return ""
        made = self.allocated
        known = "" if thing.name.startswith(("cuda", "malloc")) else thing.name
        return known or (_pointer(made.quoted) if made else "")

    @property
    def _of_a_parameter(self) -> bool:
        """Whether the lab allocated it for a kernel that runs by itself (drive.h)."""
        thing = self.found.object
        return (thing is not None and bool(thing.name) and not thing.file
                and not thing.name.startswith(("cuda", "malloc")))

    @property
    def allocated(self) -> Site | None:
        """Where the memory was asked for."""
        thing = self.found.object
        if thing is None or thing.space == "shared" or self._of_a_parameter:
            return None
        helper = self.at(thing.allocated, thing.file, thing.line)
        # A function that allocates for others says little: who called it knows the pointer's name.
        callers = [self.at(thing.allocated[n:]) for n in range(1, len(thing.allocated))]
        return next((c for c in callers if c and GETS.search(c.quoted)), helper)

    @property
    def cell(self) -> str:
        """"s[33]", "tile[1][16]", or "element 33"."""
        thing, index = self.found.object, self.index
        if thing is None or index is None:
            return "memory"
        if len(self.extents) > 1 and 0 <= index < self.length:
            parts = []
            for extent in reversed(self.extents):
                parts.append(f"[{index % extent}]")
                index //= extent
            return (self.name or "it") + "".join(reversed(parts))
        return f"{self.name}[{index}]" if self.name else f"element {index}"

    @property
    def memory(self) -> str:
        """"s[32] in shared memory", with where it was allocated."""
        thing = self.found.object
        if thing is None:
            return "memory that nobody allocated"
        extents = "".join(f"[{d}]" for d in self.extents)
        extents = extents or (f"[{self.length}]" if self.length else "")
        size = "" if extents else f" ({thing.bytes:,} bytes)"
        name = f"{self.name}{extents}{size}" if self.name else \
            f"{self.length:,} elements ({thing.bytes:,} bytes)" if self.length else \
            f"{thing.bytes:,} bytes"
        made = self.allocated
        where = f", allocated at {spot(made)}" if made else ""
        return f"{name} in {SPACES.get(thing.space, thing.space)}{where}"

    def does(self, place: Place) -> str:
        """"writes s[33]"."""
        verb = DOES.get(place.role, place.role)
        if place.role in READS + WRITES:
            kind = "volatile " if place.volatile else ""
            return f"{verb} {kind}{self.cell}".rstrip()
        return verb

    def number(self, name: str) -> int | None:
        """A field of the details that is a number."""
        value = self.detail.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text(self, name: str, default: str = "") -> str:
        """A field of the details as a text."""
        value = self.detail.get(name)
        return default if value is None else str(value)


def more_pcs(found: Finding) -> list[int]:
    """Program counters within the details, so that they can be looked up with the others."""
    return [int(w["pc"], 16) for w in found.detail.get("waiting") or () if w.get("pc")]


def declared(lines: list[str], line: int, name: str, size: int) -> tuple[int, ...]:
    """The extents in ``float tile[TILE][TILE + 1]``; () where they are no plain numbers.

    Names are looked up where the file defines them as numbers. The product has to fit the size.
    """
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    found = re.search(rf"\b{re.escape(name)}\s*((?:\[[^\]]*\])+)", text) if name else None
    if not found:
        return ()
    extents = [_number(e, lines) for e in re.findall(r"\[([^\]]*)\]", found[1])]
    if 0 in extents or size % prod(extents) or size // prod(extents) not in SIZES.values():
        return ()
    return tuple(extents)


def _number(text: str, lines: list[str]) -> int:
    """The value of 16, TILE or TILE + 1; 0 if it is not that simple."""
    total = 0
    for part in text.split("+"):
        word = part.strip()
        if not word.isdigit():
            defined = [re.search(rf"\b{re.escape(word)}\s*=?\s*(\d+)\b", one) for one in lines
                       if re.search(r"#\s*define|const", one)] if word.isidentifier() else []
            word = next((d[1] for d in defined if d), "0")
            if word == "0":
                return 0
        total += int(word)
    return total


def spot(site: Site) -> str:
    """"line 12", with the file where it is not the only one: "k.cu:12"."""
    return f"{site.file}:{site.line}" if site.line else "an unknown line"


def _some(index: tuple[int, ...], extents: tuple[int, ...]) -> str:
    if extents[1] == extents[2] == 1:
        return str(index[0])
    shown = index if extents[2] > 1 else index[:2]
    return f"({', '.join(map(str, shown))})"


def _pointer(line: str) -> str:
    """The variable an allocation goes to: cudaMalloc((void **)&d_x, n) and x = malloc(n).

    "" where a line allocates several.
    """
    if len(re.findall(r"cudaMalloc|\bmalloc|\bcalloc|\bnew\b", line)) > 1:
        return ""
    gets = GETS.findall(line)
    if gets and "alloc" not in line and "new" not in line:
        return gets[0] if len(gets) == 1 else ""
    found = re.search(r"cudaMalloc\w*\s*(?:<[^>]*>)?\(\s*(?:\([^()]*\)\s*)?&?\s*([A-Za-z_]\w*)",
                      line) or re.search(r"([A-Za-z_]\w*)\s*=\s*[^=]*\b(?:malloc|calloc|new)\b",
                                         line)
    return found[1] if found else ""


def many(n: int, word: str, plural: str = "") -> str:
    """"1 thread", "2 threads"."""
    return f"{n:,} {word if n == 1 else plural or word + 's'}"


def dims(d: Three) -> str:
    """Extents of a grid or a block, as they are written: 256, or (32, 32)."""
    shown = d if d[2] > 1 else d[:2] if d[1] > 1 else d[:1]
    return str(shown[0]) if len(shown) == 1 else f"({', '.join(map(str, shown))})"
