"""The worker: a process that loads one candidate and runs calls of it, one at a time.

``template.py`` forks it. Arrays are in the arena, messages are lines of JSON. The worker judges
nothing and knows no expected values. Whatever it answers, the checker looks at the memory itself,
because by then the candidate's code has been running here. It imports nothing of the kit but what
it needs to load and call.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import socket
import traceback
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import etude
import etude.backends.plugins  # with what a worker needs first: the template has it ready
from etude.core.array import DeviceArray, memory
from etude.core.columns import Table
from etude.core.contract import disguised
from etude.core.errors import Unsupported
from etude.core.table import TABLE, as_arrays
from etude_check.worker.arena import Arena
from etude_check.worker.at_once import at_once
from etude_check.worker.candidate import Candidate, load_candidate
from etude_check.worker.drive import Driver
from etude_check.worker.forks import serve
from etude_check.worker.remote import Remote, on_host
from etude_check.worker.state import Kept, State, Threads
from etude_check.worker.tamper import Searches, Watch
from etude_check.worker.wire import decode, pack, unpack

LOST = 81  # exit status: somebody closed the connection under the worker
EVERY = 256  # after so many calls it looks at what may have been patched
WORDS = 2000  # characters of an exception's message that are passed on
LIBRARIES = tuple(str(Path(f).parent) + os.sep for f in (etude.__file__, np.__file__, __file__))
MEMORY = 4 << 30  # bytes that calls may take, or half of the machine's if that is less


class Connection:
    """The worker's end: whole lines in, whole lines out."""

    def __init__(self, fd: int) -> None:
        self.socket = socket.socket(fileno=fd)
        self.rest = b""

    def receive(self) -> dict[str, Any]:
        while b"\n" not in self.rest:
            data = self.socket.recv(1 << 16)
            if not data:
                os._exit(0)  # the checker has gone, and nobody is left to answer
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        message: dict[str, Any] = unpack(line)
        return message

    def send(self, message: dict[str, Any]) -> None:
        self.socket.sendall(pack(message))


def words(error: BaseException) -> dict[str, Any]:
    """An exception as data."""
    try:
        text = str(error)
    except BaseException:
        text = "(its message cannot be shown)"
    return {"exception": type(error).__name__, "message": text[:WORDS],
            "exceptions": [c.__name__ for c in type(error).__mro__][:16], **place(error)}


def place(error: BaseException) -> dict[str, str]:
    """Where it was raised: the last frame in a file that is no library's, and the traceback from
    the first of these on.
    """
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename.startswith(LIBRARIES):
        at = at.tb_next
    if at is None:
        return {}
    try:
        frames = traceback.extract_tb(at)
        last = [f for f in frames if not f.filename.startswith(LIBRARIES)][-1]
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames),
                 *traceback.format_exception_only(error)]
    except BaseException:  # of the exception's own
        return {}
    return {"where": f"{os.path.basename(last.filename)}:{last.lineno} in {last.name}",
            "traceback": "".join(lines).rstrip()[-WORDS:]}


class Calls:
    """Calls of one loaded column on the arena's arrays."""

    def __init__(self, backend: Any, arena: Arena, state: State) -> None:
        self.backend = backend
        self.arena = arena
        self.state = state
        self.remote = backend.device != "cpu"
        self.kept = Kept(partial(on_host, backend) if self.remote else None)
        self.threads = Threads()
        self.searches = Searches()
        self.results: tuple[Any, ...] = ()

    def _inputs(self, message: dict[str, Any]) -> tuple[list[Any], Any]:
        """Arrays of the call, and what made them where they are on a device. An array given twice
        is the same object both times.
        """
        given = message["arrays"]
        there = Remote(self.backend, self.arena, [
            g["at"] for g in (*given, *(message.get("outs") or ())) if "at" in g]
        ) if self.remote else None
        make = self.arena.view if there is None else there.array
        made: list[Any] = []
        for g in given:
            if "same" in g:
                made.append(made[g["same"]])
            elif "at" in g:
                made.append(make(g["at"]))
            else:
                made.append(decode(g["value"]))
        return made, there

    def run(self, message: dict[str, Any]) -> dict[str, Any]:
        """One op call, of which nothing but the outcome in words goes back."""
        self.results = ()
        op = self.backend.ops.get(message["op"])
        if op is None:
            return {"status": "missing"}
        arrays, there = self._inputs(message)
        attrs = {k: decode(v) for k, v in message["attrs"].items()}
        buffers: tuple[Any, ...] | None = None
        if message["outs"] is not None:
            make = self.arena.view if there is None else there.array
            buffers = tuple([arrays[o["input"]] if "input" in o else make(o["at"])
                             for o in message["outs"]])
            attrs["out"] = buffers[0] if message["single"] else buffers
        start = perf_counter()
        try:
            with self.searches:
                for _ in range(message["repeats"]):
                    result = op(*arrays, **attrs)
        except Unsupported as no:
            return {**words(no), "status": "unsupported", "left": self.state.look()}
        except BaseException as error:
            return {**words(error), "status": "raised", "left": self.state.look()}
        seconds = perf_counter() - start
        self.threads.after(message["op"])
        left = self.state.look()
        if there is not None:
            left += there.bring_back()
        results = result if isinstance(result, tuple) else (result,)
        results = tuple([np.asarray(r) if isinstance(r, np.generic) else r for r in results])
        reply: dict[str, Any] = {"status": "ok", "seconds": seconds,
                                 "tuple": isinstance(result, tuple)}
        if buffers is not None:
            reply["same"] = [len(results) == len(buffers) and results[i] is buffers[i]
                             for i in range(len(buffers))]
        else:
            self.results = results
        wanted = DeviceArray if self.remote else np.ndarray
        reply["results"] = [[r.dtype.name, list(r.shape)] if type(r) is wanted else
                            [type(r).__name__, None] for r in results]
        reply["disguised"] = "" if self.remote or (
            buffers is not None and all(reply["same"])) else disguised(result)
        reply["shares"] = [i for i, r in enumerate(results) if buffers is None
                           and any(self._shares(r, a) for a in arrays)]
        # Those in the arena are looked at by the checker itself.
        keep = results if buffers is None and not reply["shares"] else ()
        reply["left"] = left + self.kept.keep(message["op"], keep)
        return reply

    def together(self, message: dict[str, Any]) -> dict[str, Any]:
        """Two calls, each made alone and then again and again while another thread makes the other.
        Their results are compared here, roughly: whether they are right is asked elsewhere.
        """
        op = self.backend.ops[message["op"]]
        arrays, first = self._inputs(message)[0], message["first"]
        calls = [partial(self._answer, op, given, {k: decode(v) for k, v in attrs.items()})
                 for given, attrs in zip((arrays[:first], arrays[first:]), message["attrs"],
                                         strict=True)]
        alone, took = [], []
        try:
            for call in calls:
                start = perf_counter()
                alone.append(call())
                took.append(perf_counter() - start)
        except Unsupported as no:
            return {**words(no), "status": "unsupported"}
        except BaseException as error:
            return {**words(error), "status": "raised"}
        found = at_once(calls, alone, min(took))
        return {"status": "ok", "seconds": sum(took), "left": found + self.state.look()}

    def look(self, _message: dict[str, Any]) -> dict[str, Any]:
        """What all the calls so far have left behind, seen at leisure."""
        return {"status": "ok", "left": self.kept.look() + self.state.look(all_=True)}

    def _shares(self, result: Any, array: Any) -> bool:
        if isinstance(result, np.ndarray) and isinstance(array, np.ndarray):
            return np.may_share_memory(result, array)  # slots lie apart: bounds are exact
        return hasattr(result, "buffer") and hasattr(array, "buffer") \
            and memory(result) == memory(array)

    def _answer(self, op: Any, given: list[Any], attrs: dict[str, Any]) -> Any:
        """The result of a call as NumPy arrays."""
        result = op(*given, **attrs)
        if not self.remote:
            return as_arrays(result)
        several = isinstance(result, tuple)
        found = tuple([on_host(self.backend, r) for r in (result if several else (result,))])
        return found if several else found[0]

    def fetch(self, message: dict[str, Any]) -> dict[str, Any]:
        """Copy the results of the last call into the arena, byte for byte."""
        for where, r in zip(message["outs"], self.results, strict=True):
            target = self.arena.view(where)
            if self.remote:
                r = on_host(self.backend, r)
            if target.dtype == np.bool_:  # what is neither 0 nor 1 must stay so
                target, r = target.view(np.uint8), r.view(np.uint8)
            np.copyto(target, r)
        self.results = ()
        return {"status": "ok"}

    def refuse(self, message: dict[str, Any]) -> dict[str, Any]:
        """A call as a user's reaches the column, through the dispatcher's table. What a column
        declines the reference gets, also on a device, to see what becomes of the call there.
        """
        arrays, _ = self._inputs(message)
        attrs = {k: decode(v) for k, v in message["attrs"].items()}
        start = perf_counter()
        try:
            prepare = TABLE[message["op"]].prepare
            if prepare is not None:
                attrs = prepare(attrs)
            table = Table(self.backend.device, (self.backend,), fallback=self.remote)
            table[message["op"]](*arrays, **attrs)
        except BaseException as error:
            return {**words(error), "status": "raised"}
        return {"status": "ok", "seconds": perf_counter() - start}


def describe(backend: Any, waivers: list[Any]) -> dict[str, Any]:
    return {"status": "ok", "name": str(backend.name), "device": str(backend.device),
            "isa": str(backend.isa), "threads": int(backend.threads),
            "checks": bool(backend.checks), "waivers": list(waivers),
            "ops": {str(op): [str(d) for d in backend.dtypes.get(op, ())] for op in backend.ops}}


def limits() -> None:
    """No core files, and no log that fills the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_FSIZE, 1 << 30)


def limit_memory() -> None:
    """Limit the memory that calls may take beyond what the loaded candidate holds already, so that
    a call that wants all there is fails alone. Only on Linux, where /proc says how much it holds.
    """
    if not os.path.exists("/proc/self/statm"):
        return
    with open("/proc/self/statm") as file:
        data = int(file.read().split()[5])
    page = os.sysconf("SC_PAGE_SIZE")
    _limit(resource.RLIMIT_DATA, page * data + min(MEMORY, page * os.sysconf("SC_PHYS_PAGES") // 2))


def _limit(which: int, size: int) -> None:
    most = resource.getrlimit(which)[1]
    resource.setrlimit(which, (size if most < 0 else min(size, most), most))


def work(channel: int, fd: int) -> None:
    """Load the candidate that the checker names, and answer until the checker is gone."""
    connection = Connection(channel)
    limits()
    faulthandler.enable()
    hello = connection.receive()
    # Should the checker be killed while something hangs, nobody else would end this process.
    signal.alarm(hello["alarm"])
    arena = Arena(fd, *hello["arena"])
    if hello["guards"]:
        arena.protect()
    watch, state = Watch(), State()
    me = os.getpid()
    try:
        loaded = load_candidate(Candidate.from_json(hello["candidate"]))
        answer = describe(loaded.backend, loaded.waivers)
        pack(answer)  # a waiver may be anything
        calls, driver = Calls(loaded.backend, arena, state), Driver(loaded.answer)
        if not calls.remote:  # a driver maps memory of the device as if it were its own
            limit_memory()
    except BaseException as error:
        connection.send({**words(error), "id": hello["id"], "status": "raised"})
        return
    signal.alarm(0)
    changed = watch.look() + state.look(loading=True, all_=True)
    connection.send({**answer, "id": hello["id"], "tampering": changed})
    count = 0
    while True:
        message = connection.receive()
        signal.alarm(message["alarm"])
        do = {"run": calls.run, "fetch": calls.fetch, "refuse": calls.refuse,
              "together": calls.together, "look": calls.look,
              "drive": driver.drive}[message["do"]]
        try:
            reply = do(message)
        except BaseException as error:  # a transfer of the candidate's, or a strange result
            reply = {**words(error), "status": "raised"}
        signal.alarm(0)
        if os.getpid() != me:
            os._exit(0)  # the candidate forked, and this is the copy
        count += 1
        reply["tampering"] = calls.searches.told() + calls.threads.look()
        if count % EVERY == 0 or message["do"] == "look":
            reply["tampering"] += watch.look()
        reply["id"] = message["id"]
        try:
            connection.send(reply)
        except OSError:
            os._exit(LOST)


if __name__ == "__main__":
    serve(work)
