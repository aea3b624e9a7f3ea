"""System calls of Linux that Python does not offer: namespaces, mounts, Landlock, seccomp.

Each function is one call, or the few that belong together, and raises OSError. What they are for is
said in ``walls.py``. Numbers and structures are those of the kernel's headers for programs; each
call's page in section 2 of the manual has its name.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys

HERE = sys.platform == "linux"
_libc = ctypes.PyDLL(None, use_errno=True) if HERE else None  # keeps the GIL: see ``fork_into``

# clone(2)
MOUNTS, HOSTNAME, IPC, USER, PIDS, NETWORK = (
    0x00020000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)

# mount(2), umount2(2)
READ_ONLY, NO_SUID, NO_DEVICES, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 4096, 16384, 1 << 18
REMOUNT, DETACH = 32, 2

# Landlock: rights on files, on folders, and what may be asked for with each version of it
EXECUTE, WRITE, READ, LIST, TRUNCATE, IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE | READ | TRUNCATE | IOCTL
LOOK = EXECUTE | READ | LIST
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}

#: clone, pivot_root, seccomp's name of the machine, and calls that no kernel of a network needs:
#: those that look into other processes, mount, make namespaces, or go round the filter itself.
NUMBERS = {
    "x86_64": (56, 155, 0xC000003E, {
        "socket": 41, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311,
        "io_uring_setup": 425, "unshare": 272, "setns": 308, "mount": 165, "keyctl": 250,
        "bpf": 321, "perf_event_open": 298, "userfaultfd": 323}),
    "aarch64": (220, 41, 0xC00000B7, {
        "socket": 198, "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271,
        "io_uring_setup": 425, "unshare": 97, "setns": 268, "mount": 40, "keyctl": 219,
        "bpf": 280, "perf_event_open": 241, "userfaultfd": 282}),
}
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every machine


def known() -> bool:
    """Whether the numbers of this machine are known here."""
    return HERE and platform.machine() in NUMBERS


def _done(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _call(what: str, number: int, *args: object) -> int:
    assert _libc is not None
    return _done(_libc.syscall(ctypes.c_long(number), *args), what)


def fork_into(namespaces: int) -> int:
    """``os.fork`` whose child is in new namespaces. In one of processes it is number 1, and all the
    others end with it.

    The C library would forget to tell Python, so this does what ``os.fork`` does around the call.
    """
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = -1
    try:
        pid = _call("clone", NUMBERS[platform.machine()][0],
                    ctypes.c_ulong(namespaces | signal.SIGCHLD), 0, 0, 0, 0)
    finally:
        if pid == 0:
            ctypes.pythonapi.PyOS_AfterFork_Child()
        else:
            ctypes.pythonapi.PyOS_AfterFork_Parent()
    return pid


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    assert _libc is not None
    _done(_libc.mount(source.encode(), target.encode(), kind.encode() or None,
                      ctypes.c_ulong(flags), data.encode() or None), f"mount {target}")


def bind(source: str, target: str) -> None:
    """Show ``source`` at ``target`` too, with what is mounted in it, to be read only."""
    mount(source, target, flags=BIND | RECURSIVE)
    read_only(target)


def read_only(target: str) -> None:
    """mount_setattr(2), for a mount and all in it: it keeps the flags that they have."""
    attributes = struct.pack("=QQQQ", READ_ONLY | NO_SUID, 0, 0, 0)
    _call(f"mount_setattr {target}", 442, -100, ctypes.c_char_p(target.encode()), 0x8000,
          ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)))


def enter(root: str) -> None:
    """Make a mounted folder the root of this process; what was there before is gone for it."""
    assert _libc is not None
    os.chdir(root)
    _call("pivot_root", NUMBERS[platform.machine()][1], b".", b".")
    _done(_libc.umount2(b".", DETACH), "umount")  # the old root lies on top of the new one
    os.chdir("/")


def prctl(option: int, *values: int) -> None:
    assert _libc is not None
    given = [ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]]
    _done(_libc.prctl(option, *given), "prctl")


def drop_capabilities() -> None:
    """Give up every privilege that root has, here and in programs that are started from here."""
    for number in range(64):
        try:
            prctl(24, number)  # PR_CAPBSET_DROP
        except OSError:
            break  # there are no more, or it had none
    header = ctypes.create_string_buffer(struct.pack("=II", 0x20080522, 0))
    assert _libc is not None
    _done(_libc.capset(header, ctypes.create_string_buffer(24)), "capset")


# ------------------------------------------------------------------ Landlock


def landlock_version() -> int:
    """0 where there is none."""
    try:
        return _call("landlock", LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


def landlock(readable: list[str], writable: list[str]) -> None:
    """From now on this process reads what is in ``readable``, writes in ``writable``, and touches
    no other file; connects to nobody and signals nobody outside, where that can be asked for.
    """
    version = landlock_version()
    rights = RIGHTS[max(v for v in RIGHTS if v <= version)]
    attributes = struct.pack("=QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = _call("landlock", LANDLOCK_CREATE, ctypes.c_char_p(attributes),
                  ctypes.c_size_t(size), 0)
    try:
        for allowed, paths in ((LOOK, readable), (rights, writable)):
            for path in paths:
                _allow(rules, path, allowed & rights)
        _call("landlock", LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not os.path.isdir(path):
            rights &= OF_FILES
        _call(f"landlock {path}", LANDLOCK_ADD, rules, 1,
              ctypes.c_char_p(struct.pack("=Qi", rights, at)), 0)
    finally:
        os.close(at)


# ------------------------------------------------------------------ seccomp


def refuse_calls() -> None:
    """From now on sockets other than Unix's and the calls in NUMBERS fail, with EACCES."""
    _, _, machine, calls = NUMBERS[platform.machine()]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | 13, 0x80000000
    program = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, kill),
               (load, 0, 0, 0),
               (at_least, 0, 1, 0x40000000), (answer, 0, 0, refuse)]  # numbers of x32
    for name, number in calls.items():
        if name == "socket":
            program += [(equal, 0, 4, number), (load, 0, 0, 16), (equal, 1, 0, 1),
                        (answer, 0, 0, refuse), (answer, 0, 0, allow)]
        else:
            program += [(equal, 0, 1, number), (answer, 0, 0, refuse)]
    program.append((answer, 0, 0, allow))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    what = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    prctl(22, 2, ctypes.addressof(what))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
