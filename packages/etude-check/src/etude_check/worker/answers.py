"""What a worker answers, and how much of it is believed.

The candidate's code runs in the worker and may have written the answer. So every field is checked
for its type, and one that does not fit is taken as empty. Values are not read from answers at all:
the checker looks at the arena itself (``sandbox.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etude.core.table import TABLE
from etude_check.worker.process import Ended
from etude_check.worker.values import from_plain

Array = np.ndarray[Any, Any]
Wanted = tuple[tuple[int, ...], Any]  # shape and dtype of an output


@dataclass
class Description:
    """What a candidate says it is. ``error``: why it could not be loaded, else empty."""

    name: str = ""
    device: str = ""
    isa: str = ""
    threads: int = 1
    ops: dict[str, list[str]] = field(default_factory=dict)
    checks: bool = False
    waivers: list[Any] = field(default_factory=list)
    tampering: list[str] = field(default_factory=list)
    error: str = ""
    log: str = ""  # the end of what it printed, if it could not be loaded


@dataclass
class Outcome:
    """What became of one call.

    ``outputs`` are private copies, only when the status is "ok" and everything returned has the
    shape and dtype that was wanted. ``faults`` are sentences without a subject: "changes its
    input x".
    """

    status: str  # ok, unsupported, missing, raised, crash, timeout, protocol
    outputs: list[Array] = field(default_factory=list)
    message: str = ""
    exception: str = ""  # the class that was raised
    exceptions: list[str] = field(default_factory=list)  # and its bases
    where: str = ""  # "softmax.py:7 in softmax": the last line of the candidate's that it came by
    traceback: str = ""  # of what was raised
    seconds: float = 0.0  # by the worker's clock, which a candidate can set
    took: float = 0.0  # by the checker's, with the way there and back
    faults: list[str] = field(default_factory=list)
    rss_growth: int = 0  # bytes over the repeats
    log: str = ""  # the end of what the worker printed, if it ended


@dataclass
class Driven:
    """What became of one driven call. ``value`` is plain, and only there when it is "ok"."""

    status: str  # ok, raised, missing, unloadable, crash, timeout, protocol
    value: Any = None
    message: str = ""
    exception: str = ""  # the class that was raised
    exceptions: list[str] = field(default_factory=list)  # and its bases
    where: str = ""  # "softmax.py:7 in softmax"
    traceback: str = ""
    log: str = ""  # the end of what was printed meanwhile
    seconds: float = 0.0


def name_of(what: str, names: tuple[str, ...], i: int) -> str:
    """The name of an array in a sentence: "input x", "output rstd", or "input xs[2]" of an op that
    takes any number of arrays.
    """
    if i < len(names) and not names[i].startswith("*") and not (
            what == "input" and i == len(names) - 1 == 0 and names[0] == "xs"):
        return f"{what} {names[i]}"
    return f"{what} {names[-1].lstrip('*')}[{i - len(names) + 1}]" if names else f"{what} {i}"


def strings(value: Any, most: int = 20, length: int = 2000) -> list[str]:
    return [_text(s)[:length] for s in value[:most] if isinstance(s, str)] \
        if isinstance(value, list) else []


def _text(value: Any) -> str:
    """At most 2000 characters, none of which is half of one: those cannot be written to a file."""
    return value[:2000].encode(errors="replace").decode() if isinstance(value, str) else ""


def outcome_of(reply: dict[str, Any], took: float) -> Outcome:
    seconds = reply.get("seconds")
    honest = isinstance(seconds, float) and 0 <= seconds <= took
    return Outcome(reply["status"], message=_text(reply.get("message")),
                   exception=_text(reply.get("exception")),
                   exceptions=strings(reply.get("exceptions")),
                   where=_text(reply.get("where")), traceback=_text(reply.get("traceback")),
                   seconds=float(seconds) if honest else took,  # type: ignore[arg-type]
                   took=took)


def driven_of(reply: dict[str, Any], took: float) -> Driven:
    """Raises Ended for an answer that is no plain value."""
    base = outcome_of(reply, took)
    try:
        value = from_plain(reply.get("value")) if base.status == "ok" else None
    except ValueError as error:
        raise Ended("protocol", f"the worker broke the protocol: {error}") from None
    return Driven(base.status, value, base.message, base.exception, base.exceptions, base.where,
                  base.traceback, seconds=base.seconds)


def description_of(reply: dict[str, Any]) -> Description:
    if reply["status"] != "ok":
        kind, words = _text(reply.get("exception")), _text(reply.get("message"))
        plain = kind in ("BackendError", "CheckError")  # worded for people already
        return Description(error=words if plain and words else f"{kind}: {words}".rstrip(": "))
    ops, waivers, threads = reply.get("ops"), reply.get("waivers"), reply.get("threads")
    if not isinstance(ops, dict) or not isinstance(waivers, list) or type(threads) is not int:
        raise Ended("protocol", "the worker broke the protocol while it was loaded: its "
                                "description is incomplete")
    return Description(_text(reply.get("name")), _text(reply.get("device")),
                       _text(reply.get("isa")), threads,
                       {op: strings(dtypes) for op, dtypes in ops.items() if op in TABLE},
                       reply.get("checks") is True, waivers)


def _results(reply: dict[str, Any]) -> list[tuple[str, tuple[int, ...] | None]]:
    """(dtype, shape) of what was returned; (class, None) for what is no array."""
    given = reply.get("results")
    found: list[tuple[str, tuple[int, ...] | None]] = []
    for item in given if isinstance(given, list) else []:
        kind, shape = item if isinstance(item, list) and len(item) == 2 else ("?", None)
        if isinstance(shape, list) and all(type(n) is int for n in shape):
            found.append((_text(kind), tuple(shape)))
        else:
            found.append((_text(kind), None))
    return found


def misfits(reply: dict[str, Any], outputs: Sequence[Wanted]) -> bool:
    return _results(reply) != [(np.dtype(d).name, tuple(s)) for s, d in outputs]


def _spec(dtype: str, shape: tuple[int, ...] | None) -> str:
    return dtype if shape is None else f"{dtype}{list(shape)}"


def returned(op: str, reply: dict[str, Any], outputs: Sequence[Wanted],
              returning: bool) -> list[str]:
    """Faults in what was returned, as far as the worker's word goes: values are looked at after."""
    if disguise := _text(reply.get("disguised")):
        return [disguise]
    names = [name_of("output", TABLE[op].outputs, i) for i in range(len(outputs))]
    results = _results(reply)
    if not returning:
        same = reply.get("same")
        if isinstance(same, list) and len(same) == len(outputs) and all(s is True for s in same):
            return []
        if not misfits(reply, outputs):
            return ["did not return the buffers given as out="]
    if len(results) != len(outputs):
        return [f"returned {len(results)} array(s) where {len(outputs)} are wanted "
                f"({', '.join(names)})"]
    many = TABLE[op].outputs[0].startswith("*") or len(TABLE[op].outputs) > 1
    faults = []
    if reply.get("tuple") is not many:
        faults.append("returned one array where a tuple is wanted" if many else
                      "returned a tuple where one array is wanted")
    for (dtype, shape), (want, kind) in zip(results, outputs, strict=True):
        if shape != tuple(want) or dtype != np.dtype(kind).name:
            faults.append(f"returned {_spec(dtype, shape)}, asked was "
                          f"{_spec(np.dtype(kind).name, tuple(want))}")
    if reply.get("shares") and TABLE[op].cls != "view":
        faults.append("returned a view of its input")
    return faults
