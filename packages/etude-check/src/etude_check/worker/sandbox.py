"""The checker's side of a call: arrays into the arena, the call, and what became of them.

    with Sandbox(prepare(Candidate.parse("cpu"))) as box:
        outcome = box.run("softmax", [x], {"dim": -1}, [(x.shape, x.dtype)])

The candidate runs in a worker process, which a crash, a hang or an exit ends; the next call gets
another. An Outcome says what was returned and what was done besides that no kernel may do. It says
nothing of whether the values are right: ``judge/judge.py`` does, which runs after
this.
"""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from etude.core.table import TABLE
from etude_check.errors import CheckError
from etude_check.worker.answers import (
    Array,
    Description,
    Driven,
    Outcome,
    Wanted,
    description_of,
    driven_of,
    misfits,
    name_of,
    outcome_of,
    returned,
    strings,
)
from etude_check.worker.arena import SLOT, SLOTS, Arena, Place
from etude_check.worker.candidate import Candidate, shown
from etude_check.worker.drive import DRIVERS
from etude_check.worker.process import Ended, Process
from etude_check.worker.values import to_plain
from etude_check.worker.walls import Walls
from etude_check.worker.wire import LIMIT, encode

__all__ = ["Description", "Driven", "Outcome", "Sandbox"]

STATUSES = ("ok", "unsupported", "missing", "raised")  # what a worker may answer
EARLIER = "an earlier call"  # faults that this call did not begin say so
FAILED_STARTS = 3  # in a row, and the candidate is not started again
EXPLAINED = 3  # crashes of an op that are run once more to see what they reached for
SETTLE = 0.02  # seconds that somebody who writes too late is given, after the last call
DRIVEN = 16 << 20  # bytes of the answer to a driven call, which has its values in it
LATER = 1 << 20  # bytes of an array that are looked at once more before the next call


Call = tuple[Sequence[Any], Mapping[str, Any]]  # arrays and attributes


@dataclass
class _Laid:
    """A call whose arrays are in the arena."""

    arrays: list[dict[str, Any]]  # as the message names them
    inputs: list[tuple[str, Place]]
    outputs: list[tuple[str, Place]]
    aliased: dict[int, int]  # output -> input, by number in their lists


def _as_bools(values: Array, name: str, faults: list[str]) -> Array:
    """An output. Of one of bools, ``faults`` hears of elements that are none."""
    if values.dtype != np.bool_:
        return values
    raw = values.view(np.uint8)
    if wrong := int((raw > 1).sum()):
        faults.append(f"{wrong} element(s) of bool {name} are neither 0 nor 1")
    return np.asarray(raw != 0)


def _alarm(timeout: float) -> int:
    """Seconds after which a worker ends itself: later than a checker that lives would end it."""
    return int(timeout) + 10


class Sandbox:
    """Runs calls of one (prepared) candidate in a worker that is started when first needed, within
    ``walls`` if the candidate is a stranger's.
    """

    def __init__(self, candidate: Candidate, *, threads: int = 1, timeout: float = 20.0,
                 start_timeout: float = 60, walls: Walls | None = None,
                 slots: int = SLOTS, slot: int = SLOT) -> None:
        self.candidate = candidate
        self.timeout = timeout
        self.start_timeout = start_timeout
        self.tampering: list[str] = []  # of every worker so far
        self._threads = threads
        self._walls = walls
        self._arena = Arena.create(slots, slot)
        self._process: Process | None = None
        self._description = Description()
        self._called = False  # since the worker was started
        self._failures = 0
        self._explained: Counter[str] = Counter()
        self._before: tuple[str, list[tuple[str, int, bytes]]] = ("", [])
        self._large: list[Place] = []

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and whatever it started."""
        if self._arena.memory.closed:
            return
        self._stop()
        self._arena.close()

    def finish(self) -> list[str]:
        """End the worker after a last look at what its calls have left behind: faults, as an
        Outcome has them. The next call gets another worker.
        """
        if self._process is None or not self._called:
            return []
        time.sleep(SETTLE)
        found = self._afterwards()
        if self._process is not None:
            with suppress(Ended):
                found += strings(self._ask({"do": "look"}, self.timeout, "at the end").get("left"))
        self._stop()
        return found

    def describe(self) -> Description:
        """Load the candidate and ask it what it is. Never raises for what the candidate does."""
        self._start()
        self._description.tampering = list(self.tampering)
        return self._description

    # ------------------------------------------------------------------ the worker

    def _start(self, guards: bool = True) -> Process | None:
        """A worker with the candidate loaded; None if that fails, and ``_description`` says how."""
        if self._process is not None:
            return self._process
        if self._failures >= FAILED_STARTS or (self._failures and not self._description.name):
            return None
        during = "while it was loaded"
        visible = shown(self.candidate)
        if self._walls is not None:
            self._walls.admit(visible)
        process = Process(self._arena.fd, self._threads, self._walls, visible)
        try:
            reply = process.ask(
                {"candidate": self.candidate.to_json(), "guards": guards,
                 "arena": [self._arena.slots, self._arena.slot],
                 "alarm": _alarm(self.start_timeout)}, self.start_timeout, during)
            found = description_of(reply)
        except Ended as end:
            process.kill()
            self._failures += 1
            self._description = Description(self._description.name, error=end.message,
                                            log=end.log)
            return None
        except BaseException:
            process.kill()
            raise
        self._note(reply)
        self._description = found
        if found.error:
            self._failures = FAILED_STARTS  # it would only fail again
            process.kill()
            return None
        self._failures = 0
        self._called = False
        self._process = process
        return process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def _note(self, reply: dict[str, Any]) -> None:
        for sentence in strings(reply.get("tampering", [])):
            if sentence not in self.tampering:
                self.tampering.append(sentence)

    def _ask(self, message: dict[str, Any], timeout: float, during: str,
             limit: int = LIMIT) -> dict[str, Any]:
        """Raises Ended, and has ended the worker then."""
        process = self._start()
        if process is None:
            raise Ended("crash", f"the candidate does not load: {self._description.error}")
        message["alarm"] = _alarm(timeout)
        self._called = True
        try:
            reply = process.ask(message, timeout, during, limit)
            if reply["status"] not in STATUSES:
                raise Ended("protocol", f"the worker broke the protocol {during}: unknown status")
        except BaseException:  # Ended, or the user's interrupt: what it does now is not known
            self._stop()
            raise
        self._note(reply)
        process.trim()
        return reply

    def _ready(self) -> list[str]:
        """Before a call: find out what the one before it wrote too late, and end a worker that
        speaks without being asked.
        """
        faults = self._afterwards()
        self._arena.release(self._large)
        self._large = []
        if self._process is not None and self._process.speaks():
            self._twice()
        return faults

    def _twice(self) -> None:
        self._stop()
        self._note({"tampering": ["answers without being asked"]})

    def _afterwards(self) -> list[str]:
        op, places = self._before
        self._before = ("", [])
        found = [f"{EARLIER} of {op} went on writing into its {what} after it had returned"
                 for what, begin, content in places
                 if self._arena.memory[begin : begin + len(content)] != content]
        if found:
            self._stop()  # it is still writing there
        return found

    # ------------------------------------------------------------------ one call

    def run(self, op: str, arrays: Sequence[Any], attrs: Mapping[str, Any],
            outputs: Sequence[Wanted], *, mode: str = "out",
            alias: Mapping[int, int] | None = None, place: str = "end", poison: str = "nan",
            repeats: int = 1, timeout: float | None = None) -> Outcome:
        """Call ``ops[op](*arrays, out=buffers, **attrs)``, or without ``out`` in mode "return".

        ``outputs``: (shape, dtype) of each. ``alias``: output i goes into the memory of input j.
        ``place``: which edge of its guarded slot every array touches, "end" or "start"; or
        "apart", each at another address modulo 64. Raises CheckError for
        arrays that do not fit the arena, and for nothing that the candidate does.
        """
        faults = self._ready()
        laid = self._lay(op, arrays, outputs, alias or {}, place, poison)
        returning = mode == "return"
        outs: list[dict[str, Any]] | None = None
        if not returning:
            inputs = [i for i, a in enumerate(arrays) if isinstance(a, np.ndarray)]
            outs, free = [], iter(laid.outputs)
            for i in range(len(outputs)):
                if i in laid.aliased:
                    outs.append({"input": inputs[laid.aliased[i]]})
                else:
                    outs.append({"at": next(free)[1].to_json()})
        names = TABLE[op].outputs
        message = {"do": "run", "op": op, "arrays": laid.arrays, "outs": outs,
                   "attrs": {k: encode(v) for k, v in attrs.items()}, "repeats": 1,
                   "single": len(names) == 1 and not names[0].startswith("*")}
        return self._attempt(op, message, laid, outputs, returning, faults, repeats,
                             timeout or self.timeout)

    def drive(self, function: str, args: Sequence[Any], *, timeout: float | None = None,
              drivers: Path | None = None) -> Driven:
        """Call a function of the answer with plain values (``values.py``), or "drivers:name" of the
        file ``drivers``, which is handed the answer before them. ValueError for arguments that are
        not plain, and nothing for what the answer does.
        """
        message = {"do": "drive", "function": function, "args": [to_plain(a) for a in args]}
        if drivers is not None and function.startswith(DRIVERS):
            message["drivers"] = [str(drivers), drivers.read_text()]
        self._ready()
        process = self._start()
        if process is None:
            return Driven("unloadable", message=self._description.error,
                          log=self._description.log)
        before = process.printed()
        start = time.perf_counter()
        try:
            reply = self._ask(message, timeout or self.timeout, f"in {function}", DRIVEN)
            found = driven_of(reply, time.perf_counter() - start)
            found.log = process.tail(before)
            return found
        except Ended as end:
            return Driven("protocol" if end.status == "stale" else end.status,
                          message=end.message, log=end.log,
                          seconds=time.perf_counter() - start)

    @property
    def queued(self) -> float:
        """Seconds that the worker has been ready to run and had no core; NaN if nobody knows."""
        return math.nan if self._process is None else self._process.queued()

    def refuse(self, op: str, arrays: Sequence[Any], attrs: Mapping[str, Any]) -> Outcome:
        """A call that should be refused, made through the dispatcher as a user's would be.

        The status is "raised" with the exception, or "ok" if nothing was raised.
        """
        faults = self._ready()
        laid = self._lay(op, arrays, (), {}, "end", "nan")
        message = {"do": "refuse", "op": op, "arrays": laid.arrays,
                   "attrs": {k: encode(v) for k, v in attrs.items()}}
        return self._attempt(op, message, laid, (), False, faults, 1, self.timeout)

    def together(self, op: str, first: Call, second: Call) -> Outcome:
        """Two calls in two threads at once, several times; faults, if either comes out otherwise
        than alone. Nothing is returned.
        """
        faults = self._ready()
        laid = self._lay(op, [*first[0], *second[0]], (), {}, "end", "nan")
        message = {"do": "together", "op": op, "arrays": laid.arrays, "first": len(first[0]),
                   "attrs": [{k: encode(v) for k, v in attrs.items()} for _, attrs in (
                       first, second)]}
        several = 10 * self.timeout  # for what is not one call
        return self._attempt(op, message, laid, (), False, faults, 1, several)

    def _lay(self, op: str, arrays: Sequence[Any], outputs: Sequence[Wanted],
             alias: Mapping[int, int], place: str, poison: str) -> _Laid:
        """Put inputs and buffers into slots, in this order."""
        laid = _Laid([], [], [], {})
        seen: dict[int, int] = {}  # the same array given twice is one array in the worker too
        number: dict[int, int] = {}  # position among the arrays -> among the inputs
        places = self._put(arrays, place)
        for i, a in enumerate(arrays):
            if not isinstance(a, np.ndarray):
                laid.arrays.append({"value": encode(a)})
            elif id(a) in seen:
                number[i] = number[seen[id(a)]]
                laid.arrays.append({"same": seen[id(a)]})
            else:
                seen[id(a)] = i
                number[i] = len(laid.inputs)
                p = places[id(a)]
                laid.inputs.append((name_of("input", TABLE[op].arrays, i), p))
                laid.arrays.append({"at": p.to_json()})
        for i, (shape, dtype) in enumerate(outputs):
            if i in alias:
                laid.aliased[i] = number[alias[i]]
                continue
            p = self._arena.reserve(len(laid.inputs) + len(laid.outputs), tuple(shape),
                                    np.dtype(dtype), place, poison)
            laid.outputs.append((name_of("output", TABLE[op].outputs, i), p))
        return laid

    def _put(self, arrays: Sequence[Any], place: str) -> dict[int, Place]:
        """Where each array lies, by its id. Arrays that overlap share a slot; the others of theirs
        stay empty.
        """
        places: dict[int, Place] = {}
        different = {id(a): a for a in arrays if isinstance(a, np.ndarray)}.values()
        for slot, a in enumerate(different):
            if a.dtype.hasobject:
                raise CheckError("an array of Python objects cannot be sent to the worker")
            if id(a) in places:
                continue
            together = [b for b in different if b is a or np.may_share_memory(a, b)]
            if len(together) == 1:
                places[id(a)] = self._arena.put(slot, a, place)
            else:
                found = self._arena.put_together(slot, together, place)
                places.update({id(b): p for b, p in zip(together, found, strict=True)})
        return places

    def _attempt(self, op: str, message: dict[str, Any], laid: _Laid, outputs: Sequence[Wanted],
                 returning: bool, faults: list[str], repeats: int, timeout: float) -> Outcome:
        during = "in the middle of the call"
        start = time.perf_counter()
        try:
            try:
                reply = self._ask(message, timeout, during)
            except Ended as end:
                if end.status != "stale":
                    raise
                # An answer to an earlier question, which this call cannot have caused.
                self._twice()
                for _, p in (*laid.inputs, *laid.outputs):
                    self._arena.write(p)
                reply = self._ask(message, timeout, during)
            took = time.perf_counter() - start
            outcome = outcome_of(reply, took)
            ran = outcome.status == "ok" and message["do"] == "run"
            if ran and not returning:
                copies = self._copies(laid)  # at once: there is no time left to compute in
            if repeats > 1 and outcome.status == "ok":
                assert self._process is not None
                memory = self._process.anonymous()
                self._ask({**message, "repeats": repeats}, timeout, during)
                outcome.rss_growth = self._process.anonymous() - memory
                copies = self._copies(laid)
            outcome.faults = faults + self._verify(laid) + strings(reply.get("left"))
            if ran:
                outcome.faults += returned(op, reply, outputs, returning)
                if not (returning and outcome.faults and misfits(reply, outputs)):
                    if returning:
                        copies = self._fetched(op, laid, outcome, timeout)
                    outcome.outputs = [_as_bools(y, name, outcome.faults) for name, y in copies]
        except Ended as end:
            return self._ended(end, faults, message, laid, timeout)
        self._settle(op, laid)
        return outcome

    def _fetched(self, op: str, laid: _Laid, outcome: Outcome, timeout: float
                 ) -> list[tuple[str, Array]]:
        """Copies of what was returned, by name."""
        if TABLE[op].cls != "view":
            for _, p in laid.inputs:
                self._arena.scribble(p)
        self._ask({"do": "fetch", "outs": [p.to_json() for _, p in laid.outputs]}, timeout,
                  "while its results were fetched")
        outcome.faults += self._verify(laid)
        return self._copies(laid)

    def _copies(self, laid: _Laid) -> list[tuple[str, Array]]:
        """Private copies of the outputs, by name: it is these that are judged."""
        free = iter(laid.outputs)
        places = [laid.inputs[laid.aliased[i]] if i in laid.aliased else next(free)
                  for i in range(len(laid.outputs) + len(laid.aliased))]
        return [(name, self._arena.array(p)) for name, p in places]

    def _verify(self, laid: _Laid) -> list[str]:
        """What a call did to memory that is not its own, seen by looking at that memory."""
        faults = []
        aliased = set(laid.aliased.values())
        for i, (name, p) in enumerate(laid.inputs):
            elements, gaps = self._arena.changed(p)
            if elements and i not in aliased:
                faults.append(f"changes its {name}")
            if gaps:
                faults.append(f"writes into the gaps between the elements of {name}")
        for name, p in (*laid.inputs, *laid.outputs):
            at = self._arena.stray(p)
            if at is not None:
                faults.append(f"writes past the end of {name} (byte {at} after it)"
                              if p.side == "after" else
                              f"writes before the start of {name} (byte {at} before it)")
        return faults

    def _settle(self, op: str, laid: _Laid) -> None:
        """Remember how memory is now: nothing may write there any more."""
        self._before = (op, [(name, p.begin, self._arena.memory[p.begin : p.end])
                             for name, p in (*laid.inputs, *laid.outputs)
                             if p.end - p.begin <= LATER])
        self._large = [p for _, p in (*laid.inputs, *laid.outputs)]

    def _ended(self, end: Ended, faults: list[str], message: dict[str, Any], laid: _Laid,
               timeout: float) -> Outcome:
        text = end.message
        if end.signal in (signal.SIGSEGV, signal.SIGBUS):
            reached = self._reached_for(message, laid, timeout)
            text += f": {reached}" if reached else " (reads or writes outside its arrays?)"
            faults = faults + [reached] if reached else faults
        status = "protocol" if end.status == "stale" else end.status
        return Outcome(status, message=text, faults=faults, log=end.log)

    def _reached_for(self, message: dict[str, Any], laid: _Laid, timeout: float) -> str:
        """What a call that crashed was reaching for. The call is made once more with the guards
        open: if it gets through, a guard is what it ran into. That costs two starts of a worker, so
        it is done for the first crashes of an op only.
        """
        if message["do"] != "run" or self._explained[message["op"]] >= EXPLAINED:
            return ""
        self._explained[message["op"]] += 1
        places = [p for _, p in (*laid.inputs, *laid.outputs)]
        for p in places:
            self._arena.write(p)
        before = self._arena.beyond(places, fill=True)
        if self._start(guards=False) is None:
            return ""
        try:
            self._ask(message, timeout, "in the middle of the call")
        except Ended:
            return ""
        finally:
            self._stop()
        changed = self._arena.beyond(places) != before
        return f"{'writes' if changed else 'reads'} outside its arrays"
