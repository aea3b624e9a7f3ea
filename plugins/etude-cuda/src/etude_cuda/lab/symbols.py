"""From a program counter to the user's own line: file, line, function and the chain of inlining.

addr2line of the binutils, which every g++ comes with, reads the debug information; all addresses go
through it in one call. A program counter of the lab is a return address, so the instruction meant
the one before it. Frames in the lab's own headers and in those of the compiler are no place a
reader can mend: the place is the innermost frame outside of them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from etude.core.errors import BackendError

#: Folders whose files are not the user's. The lab's own are known by what is in its tree.
FOREIGN = re.compile(r"(^|/)(c_src/lab|etude_cuda/lab|etude_cuda/c_src)/|^/usr/(include|lib)|"
                     r"/include/c\+\+/|/lib/gcc/|^\?\?$|^$")


@dataclass(frozen=True)
class Frame:
    """One function on the way to an instruction: the innermost of an inlined chain comes first."""

    file: str
    line: int
    function: str

    @property
    def known(self) -> bool:
        """Whether the debug information has a line for it."""
        return self.line > 0

    @property
    def users(self) -> bool:
        """Whether it lies in a file that the user wrote."""
        return self.known and not FOREIGN.search(self.file)


UNKNOWN = Frame("", 0, "")


class Symbols:
    """The debug information of one executable, asked for many addresses at once.

    Names of source files are given relative to the first of ``folders`` that they lie in.
    """

    def __init__(self, binary: str | Path | None, *folders: str | Path) -> None:
        self.binary = binary
        self.folders = [os.path.join(os.path.abspath(f), "") for f in folders or (".",)]
        self._chains: dict[int, tuple[Frame, ...]] = {}
        self._places: dict[tuple[int, ...], Frame] = {}

    def load(self, pcs: Iterable[int]) -> None:
        """Look up return addresses; those known already, and 0, cost nothing."""
        new = sorted({pc for pc in pcs if pc and pc not in self._chains})
        if not new or self.binary is None:
            return
        asked = "".join(f"{pc - 1:#x}\n" for pc in new)
        chains = _split(_addr2line(self.binary, asked))
        for pc, chain in zip(new, chains, strict=True):
            self._chains[pc] = tuple(Frame(self.relative(f.file), f.line, f.function)
                                     for f in chain)

    def chain(self, pc: int) -> tuple[Frame, ...]:
        """The inlined functions at a return address, innermost first; () if nothing is known."""
        if pc not in self._chains:
            self.load([pc])
        return self._chains.get(pc, ())

    def place(self, pc: int, stack: Sequence[int] = ()) -> Frame:
        """The user's innermost line on the way to ``pc``; ``stack`` are its callers, nearest first.

        Where no frame is the user's, what is known of the innermost one.
        """
        key = (pc, *stack)
        if key not in self._places:
            frames = [f for address in key for f in self.chain(address)]
            self._places[key] = next((f for f in frames if f.users),
                                     next((f for f in frames if f.known), UNKNOWN))
        return self._places[key]

    def inlined_into(self, pc: int, stack: Sequence[int] = ()) -> tuple[Frame, ...]:
        """The user's frames on the way to ``pc``, the innermost first."""
        return tuple(f for address in (pc, *stack) for f in self.chain(address) if f.users)

    def relative(self, name: str) -> str:
        """A name as somebody who stands in one of the folders would write it."""
        path = os.path.normpath(name) if name not in ("", "??") else ""
        here = next((f for f in self.folders if path.startswith(f)), "")
        return path[len(here):]


def _addr2line(binary: str | Path, asked: str) -> str:
    tool = shutil.which(os.environ.get("ADDR2LINE", "addr2line"))
    if tool is None:
        raise BackendError("addr2line is not installed, so nothing can be said by line; it comes "
                           "with g++ in the package binutils")
    done = subprocess.run([tool, "-e", str(binary), "-a", "-i", "-f", "-C"], input=asked,
                          capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BackendError(f"addr2line cannot read {binary}: {done.stderr.strip()}")
    return done.stdout


def _split(text: str) -> list[list[Frame]]:
    """The answer of addr2line: an address, then function and file:line by turns, per address."""
    chains: list[list[Frame]] = []
    function = ""
    expected_place = False
    for line in text.splitlines():
        if not expected_place and re.fullmatch(r"0x[0-9a-f]+", line):
            chains.append([])
        elif not expected_place:
            function, expected_place = line, True
        else:
            file, _, number = line.rpartition(":")
            digits = re.match(r"\d+", number)
            chains[-1].append(Frame("" if file == "??" else file, int(digits[0]) if digits else 0,
                                    "" if function == "??" else function))
            expected_place = False
    return chains
