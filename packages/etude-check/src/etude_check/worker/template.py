"""The template: a process that has imported all a worker needs, and forks one when asked.

An op gets a worker of its own, so that what one op leaves behind decides nothing about the next,
and a check finds the same however its ops are divided among processes. Started from nothing a
worker takes a quarter of a second, mostly for imports; forked it takes a hundredth. The template
never loads a candidate. ``Template`` is the checker's side; ``serve``, in the process that
``python -m etude_check.worker SOCKET`` starts, the other one.
"""

from __future__ import annotations

import atexit
import os
import random
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from etude_check.errors import CheckError
from etude_check.worker.wire import pack, unpack

SEED = 1616  # of the global generators in every worker


class Template:
    """A template process, as the checker sees it. There is one at a time: see ``template``."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self.socket, theirs = socket.socketpair()
        try:
            # -P: no module of the current folder may stand in for one of the library's.
            self.child = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", "etude_check.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, env=env, pass_fds=(theirs.fileno(),),
                start_new_session=True)
        except OSError as error:
            self.socket.close()
            raise CheckError(f"the worker process cannot be started: {error}") from None
        finally:
            theirs.close()

    def fork(self, fds: list[int], env: dict[str, str]) -> int:
        """A new worker with these descriptors (its connection, the arena, its log): its pid."""
        pid: int = self._ask({"env": env, "folder": os.getcwd()}, fds)["pid"]
        return pid

    def status(self, pid: int, block: bool = False) -> int | None:
        """How a worker ended, as ``subprocess`` counts it: None while it runs."""
        code: int | None = self._ask({"wait": pid, "block": block})["code"]
        return code

    def _ask(self, message: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        try:
            socket.send_fds(self.socket, [pack(message)], fds or [])
            line = b""
            while not line.endswith(b"\n"):
                data = self.socket.recv(1 << 12)
                if not data:
                    raise ConnectionError("it has ended")
                line += data
        except OSError as error:
            self.close()
            raise CheckError(f"the process that starts workers is gone: {error}") from None
        reply: dict[str, Any] = unpack(line)
        return reply

    @property
    def alive(self) -> bool:
        return self.socket.fileno() >= 0 and self.child.poll() is None

    def close(self) -> None:
        self.socket.close()  # which ends it
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(5)


_current: Template | None = None


def template(env: dict[str, str]) -> Template:
    """The template of this process; a new one if there is none, or the environment has changed."""
    global _current
    if _current is not None and (_current.env != env or not _current.alive):
        _current.close()
        _current = None
    if _current is None:
        _current = Template(env)
        atexit.register(_current.close)
    return _current


# ------------------------------------------------------------------ in the template


def serve(work: Callable[[int, int], None]) -> None:
    """Fork a worker that does ``work(connection, arena)`` whenever the checker asks for one."""
    checker = socket.socket(fileno=int(sys.argv[1]))
    while True:
        line, fds = b"", []
        while not line.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(checker, 1 << 12, 3)
            if not data:
                return  # the checker has gone
            line += data
            fds += more
        message = unpack(line)
        if "wait" in message:
            pid, status = os.waitpid(message["wait"], 0 if message["block"] else os.WNOHANG)
            checker.sendall(pack({"code": os.waitstatus_to_exitcode(status) if pid else None}))
            continue
        pid = os.fork()
        if not pid:
            checker.close()
            _become(message, fds, work)
        for fd in fds:
            os.close(fd)
        checker.sendall(pack({"pid": pid}))


def _become(message: dict[str, Any], fds: list[int], work: Callable[[int, int], None]) -> None:
    """What the forked process does, all its life."""
    connection, arena, log = fds
    os.setsid()  # it can be killed with all that it starts
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    os.environ.update(message["env"])
    # Two columns that draw random numbers without a seed should draw the same ones in every op.
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    sys.argv[1:] = [str(connection), str(arena)]
    code = 1
    try:
        os.chdir(message["folder"])
        work(connection, arena)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
