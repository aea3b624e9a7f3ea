"""The walls around a worker: what the code of a stranger finds when it looks beyond its call.

    with Sandbox(candidate, walls=Walls()) as box: ...
    print(Walls().missing())  # sentences: what this machine could not give

A wall is one function here. The worker builds all of them around itself before it loads the
candidate, and none comes down again; which of them there can be depends on the system, and
``missing`` asks a worker that tries. On Linux, whoever starts it:

    namespaces  processes, mounts, network and shared memory of its own (root, or a user namespace)
    files       a root of its own, of Python, its libraries and a copy of the answer, all read-only;
                a private folder of limited size; Landlock says the same once more, and alone where
                there are no namespaces
    user        a number that owns nothing, where the grader is root; no privileges, also later
    calls       seccomp: no sockets but Unix's, no looking into other processes
    limits      memory, processes, open files, size of files, processor time

Elsewhere there are the limits on time and files. bubblewrap is not used: it makes the same
namespaces by the same calls. This is no virtual machine: a hole in the kernel is a hole here. What
must not even be in the worker's memory is taken out by ``sealed.py``. Who ends a worker, and when,
is said in ``process.py``.
"""

from __future__ import annotations

import os
import platform
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from etude_check.errors import CheckError
from etude_check.worker import linux
from etude_check.worker.sealed import forbid, seal
from etude_check.worker.template import template

#: Beside Python's own: what its libraries and a program that it starts need to begin at all.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache",
          "/etc/alternatives", "/etc/localtime")
DEVICES = ("null", "zero", "full", "random", "urandom")
STAGE = "/sys"  # a folder that is everywhere and of which nothing is shown: the root is built there
PRIVATE = "/private"  # the folder of a worker with a root of its own
COPIED = 16 << 20  # bytes of an answer's folder, at most
STRANGER = 1_700_000_000  # first of 2**24 user numbers that own nothing; each worker draws one
PAGE = os.sysconf("SC_PAGE_SIZE")
NAMESPACES = linux.MOUNTS | linux.HOSTNAME | linux.IPC | linux.PIDS | linux.NETWORK


@dataclass(frozen=True)
class Walls:
    """What a worker may take, and what it does not see. Plain data."""

    memory: int = 1 << 30  # bytes beyond those of a worker that has loaded nothing
    disk: int = 64 << 20  # bytes of its folder; no file is larger
    output: int = 8 << 20  # bytes that it prints during one call
    processes: int = 32  # threads too
    files: int = 128  # open at once
    cpu: int = 600  # seconds of processor time, of all its calls together
    hidden: tuple[str, ...] = ()  # real paths of files and folders of libraries, out of its sight
    sealed: tuple[str, ...] = ()  # ops whose references it does without: ``sealed.py``
    forbidden: tuple[str, ...] = ()  # modules and functions that it does without

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Walls:
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v
                                 for k, v in document.items()}
        return cls(**given)

    def missing(self) -> list[str]:
        """Which walls cannot be had here, in sentences. Asks a worker that does nothing else."""
        plain = replace(self, hidden=(), sealed=(), forbidden=())  # these can be had anywhere
        return template(bare=True).missing(plain.to_json())

    def admit(self, shown: Sequence[str]) -> None:
        """CheckError for files and folders that are too large to be copied for a worker."""
        for path in shown:
            if sum(os.stat(f).st_size for f in _files(path)) > COPIED:
                raise CheckError(f"{path} holds more than {COPIED >> 20} MiB, and a worker within "
                                 f"walls gets a copy; put the answer into a folder of its own")

    # -------------------------------------------------------------- in the worker

    def build(self, apart: bool, shown: Sequence[str], folder: str, shared: int = 0) -> list[str]:
        """Build every wall around this process. ``apart``: it is in namespaces of its own;
        ``shown``: files and folders that it may read besides Python's; ``folder``: an empty one
        that it may use; ``shared``: bytes of the memory that it shares with the checker. Returns
        what is missing.
        """
        os.umask(0o022)
        taken = _taken(shared)
        if not linux.known():
            self._limits(taken)
            self._environment(folder)
            self._memory()
            return [f"on {platform.system()} {platform.machine()} only time, open files and the "
                    f"size of files are limited: memory is not, and files, network and other "
                    f"processes are within its reach"]
        missing: list[str] = []

        def wall(without: str, build: Callable[..., None], *args: Any) -> bool:
            try:
                build(*args)
            except OSError as error:
                missing.append(f"{without}: {error.strerror or error}")
                return False
            return True

        if not apart:
            missing.append("it can see other processes and reach their shared memory: the system "
                           "gives it no namespaces")
        rooted = apart and wall("files that it must not read are closed to it, but not out of its "
                                "sight", self._root, shown)
        home = PRIVATE if rooted else folder
        if not rooted:
            missing.append("its folder has no limit for all files together, only one for each")
        other = wall("it runs as the same user as the checker", self._user, rooted, shown, home)
        self._limits(taken)
        if other or (apart and os.geteuid() != 0):
            _limit(resource.RLIMIT_NPROC, self.processes)
        else:
            missing.append("how many processes it starts is not limited: they would be counted "
                           "with those of the checker's user")
        wall("it keeps the privileges of the checker", _give_up_privileges)
        wall("files are protected by their permissions alone, without Landlock", self._landlock,
             rooted, shown, home)
        closed = wall("system calls are not filtered", linux.refuse_calls)
        if not apart and not closed:
            missing.append("the network is within its reach")
        self._environment(home)
        self._memory()
        return missing

    def _memory(self) -> None:
        """What must not even be in this process: see ``sealed.py``."""
        seal(self.sealed)
        forbid(self.forbidden)

    def _root(self, shown: Sequence[str]) -> None:
        """A file system of its own, with nothing in it but what it needs, and that read-only."""
        flags = linux.NO_SUID | linux.NO_DEVICES
        linux.mount("none", "/", flags=linux.RECURSIVE | linux.PRIVATE)
        linux.mount("tmpfs", STAGE, "tmpfs", flags, f"size={2 * COPIED},mode=755")
        roots = libraries()
        for path in roots:
            _show(path)
        for path in self._hidden_in(roots):
            _cover(path)
        for path in shown:
            if not _within(path, roots):
                _copy(path)
        for name in DEVICES:
            _show(f"/dev/{name}")
        os.mkdir(STAGE + PRIVATE)
        linux.mount("tmpfs", STAGE + PRIVATE, "tmpfs", flags, f"size={self.disk},mode=777")
        os.mkdir(STAGE + "/proc")
        with suppress(OSError):  # some containers forbid it: then there is no /proc
            linux.mount("proc", STAGE + "/proc", "proc", flags)
        linux.mount("none", STAGE, flags=linux.REMOUNT | linux.BIND | linux.READ_ONLY | flags)
        linux.enter(STAGE)

    def _hidden_in(self, roots: Sequence[str]) -> list[str]:
        """Hidden files and folders, as they can be reached through each of the roots."""
        found = []
        for root in roots:
            real = os.path.realpath(root)
            found += [root + path[len(real):] for path in self.hidden if _within(path, [real])]
        return found

    def _user(self, rooted: bool, shown: Sequence[str], home: str) -> None:
        """Another user. Only root can; then what the worker reads must be open to everybody."""
        if os.geteuid() != 0:
            raise OSError("the checker is not root")
        closed = [p for p in shown if not rooted and not _open_to_all(p)]
        if closed:
            raise OSError(f"nobody else may read {closed[0]}")
        number = STRANGER + int.from_bytes(os.urandom(3), "little")
        os.chown(home, number, number)
        os.setgroups([])
        os.setresgid(number, number, number)
        os.setresuid(number, number, number)

    def _limits(self, taken: tuple[int, int]) -> None:
        """Those of the system for one process; its children get the same."""
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, self.cpu)
        _limit(resource.RLIMIT_NOFILE, self.files)
        _limit(resource.RLIMIT_FSIZE, self.disk)
        if taken != (0, 0):
            _limit(resource.RLIMIT_AS, taken[0] + self.memory)
            _limit(resource.RLIMIT_DATA, taken[1] + self.memory)

    def _landlock(self, rooted: bool, shown: Sequence[str], home: str) -> None:
        """Which files it may open, held by the system for this process and all its children."""
        devices = [f"/dev/{name}" for name in DEVICES]
        if rooted:
            readable = ["/"]
        else:
            roots = libraries()
            readable = [*_around(roots, self._hidden_in(roots)), *shown, "/proc/self"]
        linux.landlock(readable, [home, *devices])

    def _environment(self, home: str) -> None:
        """It is told nothing of the user who runs the checker. Its folder is where it works."""
        os.chdir(home)
        os.environ.update(HOME=home, TMPDIR=home)
        tempfile.tempdir = home  # it may have looked before


def libraries() -> list[str]:
    """Folders and files with what Python and its libraries consist of, none within another."""
    paths = sysconfig.get_paths()
    found = [*SYSTEM, sys.prefix, sys.base_prefix, *sys.path,
             os.path.dirname(os.path.realpath(sys.executable)),
             *(paths[k] for k in ("stdlib", "platstdlib", "purelib", "platlib")),
             *os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    there = sorted({os.path.abspath(p) for p in found if p and os.path.exists(p)}, key=len)
    outer: list[str] = []
    for path in there:
        if not _within(path, outer):
            outer.append(path)
    return outer


def _within(path: str, folders: Sequence[str]) -> bool:
    return any(path == f or path.startswith(f.rstrip("/") + "/") for f in folders)


def _show(path: str) -> None:
    """Show a file or folder at the same place in the new root; a link stays one."""
    target = STAGE + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        open(target, "x").close()
    linux.bind(path, target)


def _cover(path: str) -> None:
    """Show an empty file or folder, which nobody may read, instead of what is there."""
    target = STAGE + path
    empty = STAGE + ("/.folder" if os.path.isdir(target) else "/.file")
    if not os.path.exists(empty):
        if os.path.isdir(target):
            os.mkdir(empty)
        else:
            open(empty, "x").close()
        os.chmod(empty, 0)
    linux.bind(empty, target)


def _copy(path: str) -> None:
    """A copy of a file, or of the ordinary files of a folder, that everybody may read."""
    for source in _files(path):
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            data = file.read()
        os.makedirs(os.path.dirname(STAGE + source), exist_ok=True)
        with open(STAGE + source, "xb") as file:
            file.write(data)


def _files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    found = [e for e in os.scandir(path) if not e.is_symlink()]
    return [f for e in sorted(found, key=lambda e: e.name)
            for f in (_files(e.path) if e.is_dir() else [e.path] if e.is_file() else [])]


def _around(roots: Sequence[str], hidden: Sequence[str]) -> list[str]:
    """Paths that together show all of the roots but what is hidden."""
    found = []
    for root in roots:
        if not any(_within(h, [root]) for h in hidden):
            found.append(root)
        elif root not in hidden and os.path.isdir(root):
            found += _around([e.path for e in os.scandir(root)], hidden)
    return found


def _open_to_all(path: str) -> bool:
    """Whether every user may reach and read it."""
    read = 0o4 if os.path.isfile(path) else 0o5
    inner = os.stat(path).st_mode & read == read
    while (path := os.path.dirname(path)) != "/":
        inner = inner and os.stat(path).st_mode & 0o1 == 0o1
    return inner


def _give_up_privileges() -> None:
    linux.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS: no program that it starts gets any either
    linux.drop_capabilities()
    linux.prctl(4, 0)  # PR_SET_DUMPABLE: others of the same user cannot look into it


def _taken(shared: int) -> tuple[int, int]:
    """Bytes of address space and of data that this process needs; zeros where nobody says."""
    with suppress(OSError), open("/proc/self/statm") as file:
        sizes = file.read().split()
        return PAGE * int(sizes[0]) + shared, PAGE * int(sizes[5])
    return 0, 0


def _limit(which: int, size: int) -> None:
    most = resource.getrlimit(which)[1]
    least = size if most < 0 else min(size, most)
    resource.setrlimit(which, (least, least))
