"""What ONNX and Etude say to each other: which op is which, both ways, and where they differ.

Two registries. ``READERS`` has what becomes of an ONNX node, ``WRITERS`` what becomes of an Etude
op. The files in ``families/`` fill both, one family of ops each: first "From ONNX", below it "To
ONNX". A third table, ``DIFFERENCES``, says where the two have other conventions, and whether that
is handled or refused. The docs print all three; nothing is listed a second time.

Nothing here imports onnx.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from etude.core.errors import did_you_mean

Rule = TypeVar("Rule", bound=Callable[..., Any])

#: The newest opset of ONNX whose ops were compared with these tables, one by one.
NEWEST = 28

#: The oldest opset that a file may state. Older ones differ in more than the tables say.
OLDEST = 7


class Refused(ValueError):  # noqa: N818 - it is a refusal, worded by whoever refuses
    """A node or an op that the other side does not have, or has with another meaning.

    A reader or a writer raises it with the reason alone, ``raise Refused("dilated pooling")``;
    whoever runs it adds the node or the op.
    """


@dataclass(frozen=True)
class Reader:
    """How an ONNX op is read, for nodes of opset ``since`` to ``to`` (None: the newest)."""

    op: str
    domain: str  # "" is ONNX's own
    since: int
    to: int | None
    family: str
    rule: Callable[..., Any]  # rule(node, *inputs) -> a Tensor, or a tuple of them


@dataclass(frozen=True)
class Writer:
    """How an Etude op is written, for files of opset ``since`` to ``to`` (None: the newest)."""

    op: str
    since: int
    to: int | None
    family: str
    rule: Callable[..., Any]  # rule(call, build) -> the names of its results


@dataclass(frozen=True)
class Difference:
    """A convention in which ONNX and Etude differ, and what is done about it."""

    op: str  # of ONNX, or of Etude where the way is out
    onnx: str  # what ONNX says
    etude: str  # what Etude says
    answer: str  # "handled: ..." or "refused: ..."


READERS: dict[tuple[str, str], list[Reader]] = {}  # (domain, op) -> by opset, oldest first
WRITERS: dict[str, list[Writer]] = {}
DIFFERENCES: list[Difference] = []


def reads(op: str, since: int = 1, to: int | None = None, domain: str = ""
          ) -> Callable[[Rule], Rule]:
    """Enter the decorated function as what becomes of nodes ``op`` of opsets ``since`` to ``to``.

    It is called with the node (``node.get("alpha", 1.0)``, ``node.opset``) and its inputs, Tensors
    or None where an optional one is absent, and returns a Tensor or a tuple of them, the results.
    """

    def enter(rule: Rule) -> Rule:
        entry = Reader(op, domain, since, to, _family(rule), rule)
        _enter(READERS.setdefault((domain, op), []), entry)
        return rule

    return enter


def writes(op: str, since: int = 13, to: int | None = None) -> Callable[[Rule], Rule]:
    """Enter the decorated function as what becomes of Etude's ``op`` in files of opsets ``since``
    to ``to``. It is called with the call (value names, attributes, shapes, dtypes) and a builder,
    and returns the names of the results.
    """

    def enter(rule: Rule) -> Rule:
        _enter(WRITERS.setdefault(op, []), Writer(op, since, to, _family(rule), rule))
        return rule

    return enter


def differs(op: str, onnx: str, etude: str, answer: str) -> None:
    """Enter a convention in which the two differ. answer: "handled: how" or "refused: when"."""
    if not answer.startswith(("handled: ", "refused: ")):
        raise ValueError(f"differs({op!r}): the answer starts with 'handled: ' or 'refused: ', "
                         f"got {answer!r}")
    DIFFERENCES.append(Difference(op, onnx, etude, answer))


def reader(domain: str, op: str, opset: int) -> Reader:
    """The reader of nodes ``op`` at this opset. Raises Refused if there is none."""
    found = READERS.get((domain, op))
    if not found:
        own = [name for where, name in READERS if where == domain]
        where = f"the domain {shown(domain)}" if domain else "ONNX"
        raise Refused(f"Etude has no reader for the op {shown(op)} of {where}"
                      f"{did_you_mean(op[:60], own)} One is a function under @reads in "
                      f"etude/onnx/families")
    return _at(found, opset, f"read the op {op!r}")


def writer(op: str, opset: int) -> Writer:
    """The writer of Etude's ``op`` at this opset. Raises Refused if there is none."""
    found = WRITERS.get(op)
    if not found:
        raise Refused(f"ONNX has no op that is the op {op!r}{did_you_mean(op, WRITERS)} "
                      f"One is a function under @writes({op!r}) in etude/onnx/families")
    return _at(found, opset, f"write the op {op!r}")


def lowest(op: str, opset: int = 13) -> int:
    """The lowest opset, ``opset`` or above, at which Etude's ``op`` can be written."""
    for entry in WRITERS.get(op, []):
        if entry.to is None or entry.to >= opset:
            return max(entry.since, opset)
    return writer(op, opset).since  # raises


Entry = TypeVar("Entry", Reader, Writer)


def _at(entries: list[Entry], opset: int, what: str) -> Entry:
    for entry in entries:
        if entry.since <= opset and (entry.to is None or opset <= entry.to):
            return entry
    ranges = ", ".join(f"{e.since} to {e.to}" if e.to else f"{e.since} on" for e in entries)
    raise Refused(f"Etude can {what} of opset {ranges}, and this is opset {opset}")


def _enter(entries: list[Entry], entry: Entry) -> None:
    for other in entries:
        if entry.since <= (other.to or NEWEST) and other.since <= (entry.to or NEWEST):
            raise ValueError(f"two rules for {entry.op!r} hold at opset "
                             f"{max(entry.since, other.since)}: in {other.family}.py and in "
                             f"{entry.family}.py")
    entries.append(entry)
    entries.sort(key=lambda e: e.since)


def _family(rule: Callable[..., Any]) -> str:
    return rule.__module__.rpartition(".")[2]


def shown(name: str) -> str:
    """A name out of a file, for a message: quoted, in ASCII, and not longer than a line."""
    text = ascii(name if len(name) <= 60 else f"{name[:57]}...")
    return text if len(text) <= 200 else f"{text[:197]}...'"


def fill() -> None:
    """Import every file of ``families``, so that the tables are full."""
    families = importlib.import_module("etude.onnx.families")
    for module in pkgutil.iter_modules(families.__path__):
        importlib.import_module(f"{families.__name__}.{module.name}")
