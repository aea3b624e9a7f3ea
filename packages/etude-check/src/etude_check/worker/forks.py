"""What the template process does all its life: it forks workers, and says how they ended.

A worker without walls is a child of this process. One with walls is in namespaces of its own where
the system has them: there process 1 is a *keeper*, ours, which waits for the worker and ends with
it, and with the keeper ends everything that the worker has started. Where there are no namespaces,
what a dead worker leaves behind becomes a child of this process, and is killed here.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etude_check.worker import linux
from etude_check.worker.walls import NAMESPACES, Walls
from etude_check.worker.wire import pack, unpack

SEED = 1616  # of the global generators in every worker
Work = Callable[[int, int], None]


@dataclass
class _Worker:
    """One that has been forked: its folder, and the end of a pipe on which its keeper tells how
    it ended.
    """

    folder: str = ""
    told: int = -1


def serve(work: Work) -> None:
    """Fork a worker that does ``work(connection, arena)`` whenever the checker asks for one."""
    checker = socket.socket(fileno=int(sys.argv[1]))
    if linux.HERE:
        linux.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: whose parent ends becomes a child of ours
    workers: dict[int, _Worker] = {}
    while True:
        line, fds = b"", []
        while not line.endswith(b"\n"):
            data, more, _, _ = socket.recv_fds(checker, 1 << 12, 3)
            if not data:
                for pid, worker in workers.items():  # the checker has gone
                    _kill(pid)
                    shutil.rmtree(worker.folder, ignore_errors=True)
                return
            line += data
            fds += more
        message = unpack(line)
        if "wait" in message:
            reply: dict[str, Any] = {"code": _wait(message, workers)}
        elif "try" in message:
            reply = {"missing": _try(Walls.from_json(message["try"]), checker)}
        else:
            reply = {"pid": _fork(message, fds, work, checker, workers)}
        for fd in fds:
            os.close(fd)
        checker.sendall(pack(reply))


def _fork(message: dict[str, Any], fds: list[int], work: Work, checker: socket.socket,
          workers: dict[int, _Worker]) -> int:
    if message["walls"] is None:
        pid = os.fork()
        if not pid:
            checker.close()
            _become(message, fds, work)
        workers[pid] = _Worker()
        return pid
    walls = Walls.from_json(message["walls"])
    folder = tempfile.mkdtemp(prefix="etude-worker-")
    told, tell = os.pipe()
    pid, apart = _apart()
    if not pid:
        checker.close()
        if apart:
            _keep(tell, fds)
        _only(fds)
        shared = os.fstat(fds[1]).st_size
        _become(message, fds, work,
                lambda: walls.build(apart, message["shown"], folder, shared))
    os.close(tell)
    workers[pid] = _Worker(folder, told)
    return pid


def _try(walls: Walls, checker: socket.socket) -> list[str]:
    """Build the walls around a process that then ends. Returns what is missing."""
    folder = tempfile.mkdtemp(prefix="etude-worker-")
    read, write = os.pipe()
    pid, apart = _apart()
    if not pid:
        checker.close()
        try:
            missing = walls.build(apart, [], folder)
        except BaseException as error:
            missing = [f"the walls cannot be built: {type(error).__name__}: {error}"]
        os.write(write, pack({"missing": missing}))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    shutil.rmtree(folder, ignore_errors=True)
    found: list[str] = unpack(text)["missing"]
    return found


# ------------------------------------------------------------------ namespaces, and their keeper


def _apart() -> tuple[int, bool]:
    """A fork, into namespaces where it can be: its pid, and whether it is in them."""
    user, group = os.geteuid(), os.getegid()
    for more in ((0, linux.USER) if user == 0 else (linux.USER,)) if linux.known() else ():
        try:
            pid = linux.fork_into(NAMESPACES | more)
        except OSError:
            continue
        if not pid and more:  # in a user namespace one is nobody until it is said who one is
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        return pid, True
    return os.fork(), False


def _keep(tell: int, fds: list[int]) -> None:
    """Fork once more: the child returns, and this process waits for it."""
    os.setsid()
    pid = os.fork()
    if not pid:
        os.close(tell)
        return
    linux.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: with the template everything ends
    linux.prctl(4, 0)  # PR_SET_DUMPABLE
    for fd in fds:
        os.close(fd)
    while True:
        ended, status = os.wait()  # of whatever has become a child of process 1
        if ended == pid:
            os.write(tell, status.to_bytes(4, "little"))
            os._exit(0)


def _only(fds: list[int]) -> None:
    """Close every descriptor but the standard ones and these."""
    last = 2
    for fd in sorted(fds):
        os.closerange(last + 1, fd)
        last = fd
    os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))


# ------------------------------------------------------------------ in the worker


def _become(message: dict[str, Any], fds: list[int], work: Work,
            build: Callable[[], object] = lambda: None) -> None:
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
        build()
        work(connection, arena)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


# ------------------------------------------------------------------ how they end


def _wait(message: dict[str, Any], workers: dict[int, _Worker]) -> int | None:
    pid, status = os.waitpid(message["wait"], 0 if message["block"] else os.WNOHANG)
    if not pid:
        return None
    worker = workers.pop(pid)
    if worker.told >= 0:
        word = os.read(worker.told, 4)
        os.close(worker.told)
        status = int.from_bytes(word, "little") if word else status
    if worker.folder:
        _end_strays(workers)
        shutil.rmtree(worker.folder, ignore_errors=True)
    return os.waitstatus_to_exitcode(status)


def _end_strays(workers: dict[int, _Worker]) -> None:
    """Kill what dead workers have left: children of this process that are no workers. Each may
    leave children of its own, so this goes on until there are none.
    """
    here = Path(f"/proc/self/task/{os.getpid()}/children")
    while here.exists() and (strays := {*map(int, here.read_text().split())} - {*workers}):
        for pid in strays:
            _kill(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
