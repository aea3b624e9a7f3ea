"""The template: a process that has imported all a worker needs, and forks one when asked.

An op gets a worker of its own, so that what one op leaves behind decides nothing about the next,
and a check finds the same however its ops are divided among processes. Started from nothing a
worker takes a quarter of a second, mostly for imports; forked it takes a hundredth. The template
never loads a candidate. This is the checker's side; ``forks.py`` is what runs in the process that
``python -m etude_check.worker SOCKET`` starts.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from etude_check.errors import CheckError
from etude_check.worker.wire import pack, unpack

ONE = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

#: What a worker with walls is told of the environment, and what begins so.
TOLD = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH")
BEGINNINGS = ("PYTHON", "ETUDE_", "NPY_")


def environment(bare: bool = False) -> dict[str, str]:
    """The environment of workers: every BLAS gets one thread, and this kit can be imported. How
    many threads kernels get is said to each worker. ``bare``: nothing else of the user's, who may
    keep passwords in it.
    """
    env = {k: v for k, v in os.environ.items()
           if not bare or k in TOLD or k.startswith(BEGINNINGS)}
    env.update(dict.fromkeys(ONE, "1"))
    env.pop("PYTEST_CURRENT_TEST", None)  # another one at every step would need another template
    package = Path(__file__).parents[2]
    if package.name not in ("site-packages", "dist-packages"):  # else it is found anyway
        env["PYTHONPATH"] = os.pathsep.join(
            p for p in (env.get("PYTHONPATH", ""), str(package)) if p)
    return env


class Template:
    """A template process, as the checker sees it: see ``template``."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self._missing: dict[str, list[str]] = {}
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

    def fork(self, fds: list[int], env: dict[str, str], walls: dict[str, Any] | None = None,
             shown: Sequence[str] = ()) -> int:
        """A new worker with these descriptors (its connection, the arena, its log): its pid. Within
        walls it sees Python, and the files and folders that are ``shown``.
        """
        pid: int = self._ask({"env": env, "folder": os.getcwd(), "walls": walls,
                              "shown": list(shown)}, fds)["pid"]
        return pid

    def missing(self, walls: dict[str, Any]) -> list[str]:
        """What is missing of the walls when they are built here."""
        key = repr(walls)
        if key not in self._missing:
            self._missing[key] = self._ask({"try": walls})["missing"]
        return list(self._missing[key])

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


_current: dict[bool, Template] = {}


def template(bare: bool = False) -> Template:
    """The template of this process, or the one whose workers know little of its environment: a new
    one if there is none, or the environment has changed.
    """
    env, known = environment(bare), _current.get(bare)
    if known is not None and (known.env != env or not known.alive):
        known.close()
        known = None
    if known is None:
        known = _current[bare] = Template(env)
        atexit.register(known.close)
    return known
