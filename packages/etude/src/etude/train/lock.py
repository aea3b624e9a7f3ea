"""One run, one folder: whoever writes into the folder of a run holds a lock on it.

The lock is the operating system's, on the file run.lock in the folder (``flock``), so it ends with
the process that holds it, however that ends: a file that a killed run left behind locks nothing.
What stands in the file is only for people: who holds the lock. Like all of Etude it needs a
POSIX system; on Windows that is WSL.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from etude.data.files import sweep

NAME = "run.lock"
TRIES = 20  # looks at a file that its holder has not filled yet, one each PAUSE seconds
PAUSE = 0.01


class FolderInUseError(OSError):
    """Another run, of this process or another, writes into the folder."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """The folder, made if need be, is this block's alone. What killed writers left half written is
    removed first.

    Raises FolderInUseError, which says who has it; OSError if the folder cannot be written to. On
    a file system without locks there is a warning, and nothing is held.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _locked(folder / NAME)
    try:
        sweep(folder, ".+")
        yield
    finally:
        # First the name, then the lock: whoever opened the file meanwhile looks again.
        with suppress(OSError):
            os.unlink(file.name)
        file.close()


def _locked(path: Path) -> Any:
    """The file at ``path``, locked until it is closed, with the name of this process in it."""
    while True:
        file = open(path, "ab+", buffering=0)  # noqa: SIM115 - held until the run ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise FolderInUseError(_in_use(file)) from None
        except OSError as error:
            warnings.warn(f"{path.parent} is on a file system without locks ({error.strerror}), so "
                          f"nothing keeps a second run out of it; start one at a time",
                          stacklevel=4)
            return file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                _sign(file)
                return file
        file.close()  # the run before removed it between the two lines above


def _sign(file: Any) -> None:
    """Say who holds the lock. On a full disk nothing is said, and the lock is held all the same."""
    who = {"pid": os.getpid(), "host": socket.gethostname(),
           "since": time.strftime("%Y-%m-%d %H:%M:%S %z")}
    with suppress(OSError):
        file.truncate(0)
        file.write(json.dumps(who).encode())


def _in_use(file: Any) -> str:
    """The sentence for a lock that somebody else holds."""
    folder = Path(file.name).parent
    who = "another process"
    for _ in range(TRIES):
        file.seek(0)
        with suppress(ValueError, KeyError, TypeError):
            found = json.loads(file.read())
            who = f"process {found['pid']} on {found['host']}, since {found['since']}"
            break
        time.sleep(PAUSE)
    return (f"{folder} is in use: {who}, writes into it. Wait until that run has ended, or end it; "
            f"or take another folder, with --out on the command line")
