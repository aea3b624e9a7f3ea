"""What a run under the lab wrote down: JSON lines, one event each, read strictly into a Log.

The other side is the runtime in C++, which writes the file that the environment variable LAB_EVENTS
names. A line that does not say what it should is an error that names the line: the two halves ship
together, so it is a bug and not a dialect. The one exception is the last line of a program that was
killed while it wrote: it is dropped, and ``Log.cut`` says so. Fields beyond those below are
ignored. Program counters are return addresses, one past the call (symbols.py takes the one off).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etude.core.errors import BackendError

#: Every kind of finding. The package words has a function for each.
KINDS = ("out-of-bounds", "use-after-free", "misaligned", "uninitialized", "leak", "invalid-free",
         "race", "same-value-race", "barrier-divergence", "barrier-in-branch",
         "shuffle-inactive", "shuffle-mask", "deadlock", "never-ends", "null-pointer",
         "host-pointer", "device-pointer", "bytes-for-elements", "copy-direction", "copy-range",
         "unsynchronized-read", "unread-output", "host-crash", "error-ignored",
         "launch-failed", "shared-size", "assert", "uncoalesced", "bank-conflict",
         "branch-divergence", "unsupported")

Thread = tuple[int, int, int, int, int, int]  # blockIdx x y z, threadIdx x y z
Three = tuple[int, int, int]


@dataclass(frozen=True)
class Launch:
    """One ``k<<<grid, block>>>``, numbered from 1 in the order of the program."""

    launch: int
    kernel: str
    file: str
    line: int
    grid: Three
    block: Three
    static_shared: int = 0
    dynamic_shared: int = 0
    seconds: float = 0.0
    threads: int = 0
    status: str = "ok"


@dataclass(frozen=True)
class Place:
    """One side of a finding: who did what, and at which program counter. The host has no thread.

    ``file`` and ``line`` are there where the runtime knows them without debug information.
    """

    role: str
    thread: Thread | None
    pc: int
    stack: tuple[int, ...] = ()
    size: int = 0
    atomic: bool = False
    volatile: bool = False
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Thing:
    """The memory a finding is about. ``offset`` is where, in bytes; it may lie outside.

    ``allocated`` and ``freed`` are the program counters of the calls, with their callers; ``file``
    and ``line`` are where it is declared or allocated, as far as that is known without them.
    """

    name: str
    space: str
    bytes: int
    offset: int
    allocated: tuple[int, ...] = ()
    freed: tuple[int, ...] = ()
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, as the runtime saw it. The package words says it to a reader;
    ``words`` is the runtime's own sentence, where it has one.
    """

    kind: str
    launch: int
    places: tuple[Place, ...]
    object: Thing | None = None
    scope: str = ""
    count: int = 1
    detail: dict[str, Any] = field(default_factory=dict)
    words: str = ""
    kernel: str = ""
    order: int = 0  # findings are numbered from 1 as they are made; 0 where nobody counted


@dataclass(frozen=True)
class Access:
    """All loads (stores, atomics) of one instruction in one launch, summed over its warps.

    ``requests`` are warps times executions, ``sectors`` the 32-byte pieces of memory they touched,
    ``ideal`` the fewest that the same bytes could have taken, ``conflicts`` the passes over the
    banks of shared memory beyond the first. ``example``: the addresses of one warp, lane by lane,
    relative to the object; None for a lane that took no part. ``stack``: the callers, where the
    instruction is in a function that was called from several lines.
    """

    launch: int
    pc: int
    space: str
    op: str
    size: int
    requests: int
    lanes: int
    sectors: int
    ideal: int
    conflicts: int
    bytes: int
    example: tuple[int | None, ...] = ()
    stack: tuple[int, ...] = ()


@dataclass(frozen=True)
class Block:
    """How often a basic block ran: by warps, by lanes, and by warps of which only a part came.

    ``scattered`` are those of the split whose lanes are not simply the first ones of the warp: the
    last warp of ``if (t < k)`` cannot be helped, every second lane can.
    """

    launch: int
    pc: int
    warps: int
    lanes: int
    split: int
    scattered: int


@dataclass
class Log:
    """Everything one run wrote. ``end`` is empty if the program never came to its end."""

    launches: list[Launch] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    accesses: list[Access] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)
    cut: bool = False
    _numbered: dict[int, Launch] = field(default_factory=dict, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the program ended by itself, and everything is in the log."""
        return bool(self.end) and not self.end.get("stopped") and not self.cut

    def launched(self, number: int) -> Launch | None:
        """The launch of that number."""
        if len(self._numbered) != len(self.launches):
            self._numbered = {one.launch: one for one in self.launches}
        return self._numbered.get(number)


def read(path: str | Path) -> Log:
    """The log in a file. Raises BackendError for a line that is no event, naming it."""
    return parse(Path(path).read_text("utf-8", errors="replace"), str(path))


def parse(text: str, name: str = "the events") -> Log:
    """The log in a text."""
    log = Log()
    lines = text.split("\n")
    last = len(lines) if lines[-1] else 0  # the number of a line that has no end, or 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            _enter(log, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if number == last:
                log.cut = True
                continue
            raise BackendError(f"{name}, line {number} is no event of the lab: {_why(error)} in "
                               f"{line[:200]!r}. Remove the cache of the lab and run again: its "
                               f"runtime and its reader may be of two versions.") from error
    return log


def _why(error: Exception) -> str:
    return f"no field {error}" if isinstance(error, KeyError) else str(error)


def _enter(log: Log, event: dict[str, Any]) -> None:
    what = event["event"]
    if what not in _ENTER:
        raise ValueError(f"unknown event {what!r}")
    _ENTER[what](log, event)


def _launch(log: Log, e: dict[str, Any]) -> None:
    log.launches.append(Launch(
        _int(e["launch"]), str(e["kernel"]), str(e["file"]), _int(e["line"]), _three(e["grid"]),
        _three(e["block"]), _int(e.get("static_shared", 0)), _int(e.get("dynamic_shared", 0)),
        float(e.get("seconds", 0)), _int(e.get("threads", 0)), str(e.get("status", "ok"))))


def _finding(log: Log, e: dict[str, Any]) -> None:
    if e["kind"] not in KINDS:
        raise ValueError(f"unknown kind of finding {e['kind']!r}")
    log.findings.append(Finding(
        e["kind"], _int(e.get("launch") or 0), tuple(map(_place, e.get("places") or ())),
        _thing(e["object"]) if e.get("object") else None, str(e.get("scope") or ""),
        _int(e.get("count", 1)), dict(e.get("detail") or {}), str(e.get("words") or ""),
        str(e.get("kernel") or ""), _int(e.get("order", 0))))


def _place(p: dict[str, Any]) -> Place:
    thread = p.get("thread")
    if thread is not None:
        thread = tuple(map(_int, thread))
        if len(thread) != 6:
            raise ValueError(f"a thread has six coordinates, not {len(thread)}")
    return Place(str(p.get("role") or ""), thread, _pc(p.get("pc")),
                 tuple(map(_pc, p.get("stack") or ())), _int(p.get("size", 0)),
                 bool(p.get("atomic")), bool(p.get("volatile")), str(p.get("file") or ""),
                 _int(p.get("line", 0)))


def _thing(o: dict[str, Any]) -> Thing:
    file, line = o.get("declared") or (o.get("file") or "", o.get("line", 0))
    return Thing(str(o.get("name") or ""), str(o["space"]), _int(o.get("bytes", 0)),
                 _int(o.get("offset", 0)), _calls(o, "allocated"), _calls(o, "freed"), str(file),
                 _int(line))


def _calls(o: dict[str, Any], what: str) -> tuple[int, ...]:
    """The program counter of a call and its callers; () if it is not known."""
    pc = _pc(o.get(f"{what}_pc"))
    return (pc, *map(_pc, o.get(f"{what}_stack") or ())) if pc else ()


def _access(log: Log, e: dict[str, Any]) -> None:
    example = tuple(None if a is None else _int(a) for a in e.get("example") or ())
    log.accesses.append(Access(
        _int(e["launch"]), _pc(e["pc"]), str(e["space"]), str(e["op"]), _int(e["size"]),
        _int(e["requests"]), _int(e["lanes"]), _int(e["sectors"]), _int(e["ideal"]),
        _int(e["conflicts"]), _int(e["bytes"]), example, tuple(map(_pc, e.get("stack") or ()))))


def _block(log: Log, e: dict[str, Any]) -> None:
    log.blocks.append(Block(_int(e["launch"]), _pc(e["pc"]), _int(e["warps"]), _int(e["lanes"]),
                            _int(e["split"]), _int(e.get("scattered", e["split"]))))


def _note(log: Log, e: dict[str, Any]) -> None:
    log.notes.append(str(e.get("text") or e.get("note") or
                         ", ".join(f"{k} {v}" for k, v in e.items() if k != "event")))


def _end(log: Log, e: dict[str, Any]) -> None:
    log.end = {k: v for k, v in e.items() if k != "event"}


_ENTER: dict[str, Callable[[Log, dict[str, Any]], None]] = {
    "launch": _launch, "finding": _finding, "access": _access, "block": _block, "note": _note,
    "end": _end, "progress": lambda log, e: None}  # progress is for who watches the run


def _int(x: Any) -> int:
    if isinstance(x, bool) or not isinstance(x, int):
        raise ValueError(f"{x!r} is no whole number")
    return x


def _three(x: Iterable[Any]) -> Three:
    a, b, c = map(_int, x)
    return a, b, c


def _pc(x: Any) -> int:
    """An address, which JSON carries as a text in hexadecimal; nothing is 0."""
    if x is None:
        return 0
    return x if isinstance(x, int) else int(x, 16)
