"""Ops checked one after another, here or in several processes, and what comes of them.

Python's own pools pass a result on when it is whole. Here records come as they are found, so that a
run that somebody stops in the middle of an op loses nothing. A process that is ended, by whatever,
costs the op that it was at.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from etude import TABLE
from etude_check.judge.runner import Result, Runner, Settings, plain
from etude_check.report.record import Record, Verdict
from etude_check.worker.parent import end_with_parent

EVERY = 0.5  # seconds between reports of what was found, and between looks at signals
PATIENCE = 5.0  # seconds that a process is given to end

#: Told, with the op, of records as they are found; and of the call that was stopped in the middle.
Hear = Callable[[str, list[Record] | str], None]


def results(runner: Runner, ops: Sequence[str], jobs: int, hear: Hear
            ) -> Generator[Result, None, None]:
    """The results of ``ops`` as they come; ``hear(op, records)`` what is found before, and
    ``hear(op, "was in softmax/empty/0@0 for 10 s")`` of a run that is stopped in a long call.
    Closing the generator ends everything that it has started.
    """
    jobs = min(jobs, len(ops))
    if jobs <= 1:
        for op in ops:
            batch = _Batch(op, hear)
            try:
                yield runner.check(op, batch)
            except KeyboardInterrupt:
                batch.flush()
                hear(op, runner.at())
                raise
        return
    pool = [_Helper(runner.settings) for _ in range(jobs)]
    try:
        yield from _shared(pool, runner.settings, list(ops), hear)
    finally:
        for helper in pool:
            helper.process.terminate()
        for helper in pool:
            for said in helper.rest():
                hear(helper.op, said)


class _Batch:
    """Called with each record of an op; passes them on now and then."""

    def __init__(self, op: str, hear: Hear) -> None:
        self.op, self.hear = op, hear
        self.records: list[Record] = []
        self.since = time.monotonic()

    def __call__(self, record: Record) -> None:
        self.records.append(plain(record))
        if time.monotonic() - self.since >= EVERY or record.verdict is Verdict.TIMEOUT:
            self.flush()

    def flush(self) -> None:
        if self.records:
            self.hear(self.op, self.records)
        self.records, self.since = [], time.monotonic()


class _Helper:
    """A process that checks the ops it is sent, one after another."""

    def __init__(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")  # fork would copy threads half alive
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, settings), daemon=True)
        self.process.start()
        theirs.close()
        self.op = ""

    def give(self, op: str) -> None:
        self.op = op
        self.connection.send(op)

    def rest(self) -> list[list[Record] | str]:
        """What it still had to say after it was told to end."""
        found: list[list[Record] | str] = []
        try:
            while self.connection.poll(PATIENCE):
                said = self.connection.recv()
                found += [said] if isinstance(said, list | str) else []
        except (EOFError, OSError):
            pass
        self.process.join(PATIENCE)
        self.process.kill()
        self.connection.close()
        return found


def _shared(pool: list[_Helper], settings: Settings, ops: list[str], hear: Hear
            ) -> Generator[Result, None, None]:
    """Ops divided among the helpers: each gets another one when it is done."""
    ops.reverse()
    busy: dict[Any, _Helper] = {}
    for helper in pool:
        helper.give(ops.pop())
        busy[helper.connection] = helper
    while busy:
        # Not for ever: a signal that comes just before the waiting begins ends only the next one.
        for connection in wait(list(busy), EVERY):
            helper = busy[connection]
            try:
                said = helper.connection.recv()
            except (EOFError, OSError):
                said = ""
            if isinstance(said, str):  # its last words
                said = _lost(helper.op)
                del busy[connection]
                pool.remove(helper)
                helper.rest()
                pool.append(helper := _Helper(settings))
                busy[helper.connection] = helper
            if isinstance(said, list):
                hear(helper.op, said)
                continue
            if ops:
                helper.give(ops.pop())
            else:
                del busy[helper.connection]
            yield said


def _lost(op: str) -> Result:
    return Result(op, [Record(f"{op}/-/0@0", op, TABLE[op].family, "-", "", Verdict.MISTRUSTED,
                              "the process that checked it has ended (out of memory?)")])


def _work(connection: Connection, settings: Settings) -> None:
    """A helper's side: it ends when it is terminated, or its parent is."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    batch = _Batch("", lambda op, records: connection.send(records))
    runner = Runner(settings)
    try:
        while True:
            op = connection.recv()
            batch.op = op
            result = runner.check(op, batch)
            batch.flush()
            connection.send(result)
    except (KeyboardInterrupt, EOFError):
        batch.flush()
        connection.send(runner.at())
    finally:
        runner.close()
        connection.close()
