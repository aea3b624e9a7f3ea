"""C that Etude writes for itself, through the reader's compiler, once.

What comes out is kept in ``user_cache()`` under a name that stands for the text, the flags, the
headers and the compiler: the same text is compiled once on a machine. Two processes that compile it
at the same time both write a file of their own, and the second one takes the place of the first.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from etude.backends.native.image import missing
from etude.core.errors import BackendError
from etude.data.files import user_cache, write_atomically

NAMES = ("cc", "gcc", "clang")
SHOWN = 12  # lines of what a compiler says
PATIENCE = 300.0  # seconds for one file


def compiler() -> list[str] | None:
    """The command of the C compiler: $CC, or the first of cc, gcc, clang; None without one."""
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError:  # a quotation that is not closed
        return None
    for words in ([named] if named else [[name] for name in NAMES]):
        if shutil.which(words[0]):
            return words
    return None


def lacking() -> str:
    """Why there is no compiler, and what to do, as a sentence without its full stop."""
    named = os.environ.get("CC", "")
    if named.strip():
        return f"$CC is {named!r}, and no compiler is found by it. Correct it, or unset it"
    return (f"no C compiler was found (tried {', '.join(NAMES)}). Install one (Debian, Ubuntu: "
            f"sudo apt install gcc; Fedora: sudo dnf install gcc; macOS: xcode-select --install), "
            f"or name it in $CC")


def compiled(text: str, flags: Sequence[str], folders: Sequence[Path]) -> Path:
    """The shared library of a C text, which may include the headers in ``folders``.

    BackendError where there is no compiler, where the text does not compile, and where the cache
    cannot be written. The text lies beside the library, with the suffix .c.
    """
    command = compiler()
    if command is None:
        raise BackendError(lacking())
    kept = user_cache() / "generated" / f"{_digest(text, command, flags, folders)}.so"
    source = kept.with_suffix(".c")
    part = kept.with_suffix(f".{os.urandom(4).hex()}.part")  # each process writes one of its own
    try:
        if kept.exists() and not missing(kept):
            return kept
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(source, text.encode())
        _compile([*command, *flags, *(f"-I{f}" for f in folders), "-shared", "-fPIC", str(source),
                  "-o", str(part), "-lm"], source)
        if not part.exists():
            raise BackendError(f"the compiler {command[0]!r} ended well and wrote no library. Name "
                               f"another in $CC. The text is in {source}")
        os.replace(part, kept)
    except OSError as error:
        raise BackendError(f"what is generated is kept in {kept.parent}, and that fails: {error}. "
                           f"Name another folder in $XDG_CACHE_HOME") from None
    finally:
        with suppress(OSError):
            part.unlink()
    return kept


def _compile(command: list[str], source: Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"the compiler {command[0]!r} cannot be run: {error}. Name another in "
                           f"$CC") from None
    if done.returncode == 0:
        return
    said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
    lines = "\n".join(said[:SHOWN])
    raise BackendError(f"generated C does not compile, says {command[0]}:\n{lines}\nThe text is in "
                       f"{source}. Name another compiler in $CC")


def _digest(text: str, command: list[str], flags: Sequence[str], folders: Sequence[Path]) -> str:
    total = hashlib.sha256(f"{_version(tuple(command))}\0{list(flags)}\0{text}\0".encode())
    for header in sorted(h for folder in folders for h in folder.glob("*.h")):
        total.update(header.read_bytes() + b"\0")
    return total.hexdigest()[:16]


@cache
def _version(command: tuple[str, ...]) -> str:
    """What tells one compiler from another: where it is, and what it says of itself."""
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackendError(f"the compiler {command[0]!r} cannot be run: {error}. Name another in "
                           f"$CC") from None
    return f"{shutil.which(command[0])} {list(command)} {done.stdout}"
