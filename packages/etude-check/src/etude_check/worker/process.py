"""A worker process as the checker sees it: forked, asked, timed, and killed with its children.

Every reply is treated as if the candidate had written it, because it can have: its size is limited,
it must be JSON, and it must carry the random number of the question. This file also puts into words
how a worker ended; ``sandbox.py`` finds out what it did to the arrays.
"""

from __future__ import annotations

import math
import os
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from etude_check.errors import CheckError
from etude_check.worker.template import template
from etude_check.worker.walls import Walls
from etude_check.worker.wire import LIMIT, pack, unpack

STEP = 0.05  # seconds between looks at whether a silent worker is still there
TAIL = 4000  # characters of what it printed that are shown
LOST = 81  # exit status of a worker whose connection was closed under it
LOG = 1 << 20  # bytes of log that are kept from one call to the next
PAGE = os.sysconf("SC_PAGE_SIZE")


class Ended(Exception):  # noqa: N818 - one of the ways a call can go
    """The worker did not answer as it should. ``status`` is crash, timeout, protocol or stale."""

    def __init__(self, status: str, message: str, number: int = 0) -> None:
        super().__init__(message)
        self.status, self.message, self.signal = status, message, number
        self.log = ""


class Process:
    """One worker, in a session of its own so that it can be killed with all it started.
    ``threads``: how many its kernels get. Within ``walls`` it sees what is ``shown``, and Python.
    """

    def __init__(self, arena: int, threads: int, walls: Walls | None = None,
                 shown: Sequence[str] = ()) -> None:
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill()
        self.most = None if walls is None else walls.output
        self.rest = b""
        self.asked = ""
        self.code: int | None = None  # of its end
        self.socket, theirs = socket.socketpair()
        try:
            self.template = template(bare=walls is not None)
            self.pid = self.template.fork([theirs.fileno(), arena, self.log.fileno()],
                                          {"ETUDE_NUM_THREADS": str(threads)},
                                          None if walls is None else walls.to_json(), shown)
        except BaseException:
            self.socket.close()
            self.log.close()
            raise
        finally:
            theirs.close()

    def ask(self, message: dict[str, Any], timeout: float, during: str,
            limit: int = LIMIT) -> dict[str, Any]:
        """Send a message and wait for its answer, of at most ``limit`` bytes. Raises Ended; the
        worker is of no use then.
        """
        self.asked = message["id"] = secrets.token_hex(8)
        try:
            self.socket.settimeout(timeout)
            self.socket.sendall(pack(message))
            reply = self._answer(time.monotonic() + timeout, timeout, during, limit)
        except Ended as end:
            end.log = self.tail()
            raise
        except OSError:  # nobody reads at the other end any more
            gone = self._gone(during)
            gone.log = self.tail()
            raise gone from None
        return reply

    def _answer(self, deadline: float, timeout: float, during: str,
                limit: int) -> dict[str, Any]:
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Ended("timeout", f"no answer within {timeout:g} s {during}")
            self.socket.settimeout(min(left, STEP))
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError:
                if self._ended() is not None:  # a child it left behind may hold the socket
                    data = self._said_last()
                elif self.most is not None and self.printed() > self.most:
                    raise Ended("crash", f"printed more than {self.most >> 20} MiB "
                                         f"{during}") from None
                else:
                    continue
            if not data:
                raise self._gone(during)
            self.rest += data
            if len(self.rest) > limit:
                raise Ended("protocol", f"the worker broke the protocol {during}: an answer of "
                                        f"more than {limit} bytes")
        line, _, self.rest = self.rest.partition(b"\n")
        return self._read(line, during)

    def _said_last(self) -> bytes:
        """What a worker that has ended sent after the last look, such as why nothing loaded."""
        self.socket.settimeout(0)
        try:
            return self.socket.recv(1 << 16)
        except OSError:
            return b""

    def _read(self, line: bytes, during: str) -> dict[str, Any]:
        broke = f"the worker broke the protocol {during}"
        try:
            reply = unpack(line)
        except ValueError:
            raise Ended("protocol", f"{broke}: what it answers is no JSON") from None
        if not isinstance(reply, dict) or not isinstance(reply.get("status"), str):
            raise Ended("protocol", f"{broke}: its answer has no status")
        if reply.get("id") != self.asked:
            raise Ended("stale", f"{broke}: an answer that nobody asked for")
        return reply

    def _gone(self, during: str) -> Ended:
        """How the process ended, in words."""
        end = time.monotonic() + 1.0
        while (code := self._ended()) is None:
            if time.monotonic() > end:
                return Ended("protocol", f"the worker broke the protocol {during}: it closed its "
                                         f"connection and runs on")
            time.sleep(0.01)
        if code == LOST:
            return Ended("protocol", f"the worker broke the protocol {during}: its connection to "
                                     f"the checker was closed")
        if code >= 0:
            return Ended("crash", f"exited with status {code} {during}")
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = {"SIGKILL": " (out of memory?)", "SIGALRM": " (nobody stopped it in time)"}
        return Ended("crash", f"crashed with {name}{hint.get(name, '')} {during}", -code)

    def _ended(self, block: bool = False) -> int | None:
        if self.code is None:
            self.code = self.template.status(self.pid, block)
        return self.code

    def speaks(self) -> bool:
        """Whether it says something although it was not asked."""
        if self.rest:
            return True
        self.socket.settimeout(0)
        try:
            self.rest = self.socket.recv(1 << 10)
        except (BlockingIOError, ConnectionError):
            return False
        return bool(self.rest)

    def tail(self, since: int = 0) -> str:
        """The end of what it printed, standard output and errors together; of what it printed when
        it had printed ``since`` bytes already.
        """
        size = self.printed()
        text = os.pread(self.log.fileno(), TAIL, max(since, size - TAIL))
        return text.decode(errors="replace").replace("\0", "").strip()

    def trim(self) -> None:
        """Forget a log that has grown large."""
        if self.printed() > LOG:
            os.ftruncate(self.log.fileno(), 0)
            os.lseek(self.log.fileno(), 0, os.SEEK_SET)  # of the worker too: it is one open file

    def printed(self) -> int:
        """Bytes of its log."""
        return os.fstat(self.log.fileno()).st_size

    def anonymous(self) -> int:
        """Bytes of memory of its own, the arena not counted; 0 where /proc does not say."""
        try:
            text = (self._files() / "statm").read_text()
        except (OSError, IndexError):
            return 0
        _, resident, shared = text.split()[:3]
        return (int(resident) - int(shared)) * PAGE

    def queued(self) -> float:
        """Seconds that its threads have been ready and had no core; NaN where nobody counts."""
        try:
            tasks = [(t / "schedstat").read_text() for t in (self._files() / "task").iterdir()]
            return sum(int(text.split()[1]) for text in tasks) * 1e-9
        except (OSError, ValueError, IndexError):
            return math.nan

    def _files(self) -> Path:
        """What the system says of it. Within walls ``pid`` is its keeper, whose only child it is.
        """
        pid = str(self.pid)
        if self.most is not None:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            pid = children[0] if children else pid
        return Path(f"/proc/{pid}")

    def kill(self) -> None:
        """End it and every process of its session."""
        for end in (os.kill, os.killpg) if self.code is None else (os.killpg,):
            with suppress(ProcessLookupError, PermissionError):  # all of them have ended
                end(self.pid, signal.SIGKILL)
        with suppress(CheckError):  # without the template nobody can be asked
            self._ended(block=True)
        self.socket.close()
        self.log.close()
