"""Pointwise chains as C of their own: one loop, in which what passes between calls is in registers.

A group (``replay/passes/fuse.py``) runs block by block: each of its calls reads a block from L1 and
writes one there. That is a load and a store for each call, and for an ``add`` they are most of the
work. A *loop* (``loops.py``) is what a person would write instead.

Neighbours in a group become a loop if they are pointwise, of one size and of one dtype, float32 or
float64, and if their kernels are in a library that ships its text (``formulas.py``). The formula of
each call is its kernel's, compiled with the kernel's flags, so the bits are the kernel's too; of a
NaN only that it is one, for its other bits come from the operand that a compiler puts first. All
else stays in blocks: int64, sin and cos, pow, softmax and the norms. A loop between such calls is
one member of their group, and runs on a block of rows like the others.

Loops are written while calls are bound (``replay.py``) and compiled together (``compiled.py``).
"""

from __future__ import annotations

import ctypes
import math
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from etude.backends.native.compiled import compiled, compiler, lacking
from etude.backends.native.formulas import Formula
from etude.backends.native.header import HEADER
from etude.backends.native.kernel import GENERATED, Host, Record
from etude.backends.native.loops import Loop, step_of
from etude.core.errors import BackendError
from etude.inspect.receipt import outside
from etude.replay.program import Buffer, Group, Program

LEAST_WORK = 16 << 10  # elements worth a thread
NOTHING = "/* Nothing is generated: no two neighbours are pointwise calls of one size. */\n"

T = TypeVar("T")


def can_generate(host: Host | None) -> bool:
    """Whether there can be loops in programs that ``host`` runs. If not, a warning says what is
    missing: groups then run block by block, with the same bits.
    """
    if host is None or host.loop is None:
        why = "it needs the kernels of etude-cpu: pip install etude-cpu, and etude.use(\"cpu\")"
    elif compiler() is None:
        why = lacking()
    else:
        return True
    warnings.warn(f"capture(generate=True) generates nothing here: {why}. The program runs as "
                  f"without generate, with the same bits", stacklevel=outside())
    return False


class Generator:
    """The loops of one program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._read: dict[Buffer, int] = {}  # the last call that reads a buffer
        for i, call in enumerate(program.calls):
            self._read.update({v.buffer: i for v in call.reads()})
        self.loops: list[Loop] = []
        self.libraries: list[ctypes.CDLL] = []  # records point into them

    # ------------------------------------------------------------------ while calls are bound

    def shortened(self, group: Group, records: list[Record], begin: Callable[[Buffer], int]
                  ) -> list[tuple[Record, int]]:
        """The records of a group, each with how many calls it runs: those of neighbours that make a
        loop are exchanged for one, which has no code yet. ``begin`` says where a buffer is.
        """
        found: list[tuple[Record, int]] = []
        loop: Loop | None = None
        for i, record in enumerate(records, group.first):
            step = step_of(self._program.calls[i], record)
            if loop is not None and step is not None and loop.add(step):
                continue
            found += self._made(loop, group, records, begin)
            loop = None if step is None else Loop(i, step)
            if loop is None or step is None or not loop.add(step):
                loop = None
                found.append((record, 1))
        return found + self._made(loop, group, records, begin)

    def _made(self, loop: Loop | None, group: Group, records: list[Record],
              begin: Callable[[Buffer], int]) -> list[tuple[Record, int]]:
        """What runs the calls of a loop: itself, or its only call's own kernel."""
        if loop is None:
            return []
        if loop.last - loop.first == 1:
            return [(records[loop.first - group.first], 1)]
        last = loop.last
        loop.close(lambda b: b.kind != "temporary" or self._read.get(b, -1) >= last)
        pointers = [begin(v.buffer) + v.offset * v.dtype.itemsize for v in loop.pointers]
        pointers += [begin(b) for b in loop.stored]
        shared = [float(math.prod(v.shape) < loop.size) for v in loop.pointers]
        self.loops.append(loop)
        record = Record(GENERATED, len(self.loops) - 1, tuple(pointers),
                        (loop.size // loop.row, max(LEAST_WORK // loop.row, 1)),
                        (*shared, *[0.0] * len(loop.stored)), 0, None)
        return [(record, loop.last - loop.first)]

    # ------------------------------------------------------------------ afterwards

    def source(self) -> str:
        """The text of all loops, file by file."""
        return "\n".join(self._text(key) for key in self._files()) or NOTHING

    def compiled(self, records: list[Record | T], host: Host) -> list[Record | T]:
        """``records`` with code in those of the loops. BackendError where it does not compile."""
        assert host.loop is not None
        code: dict[int, int] = {}
        for key, loops in self._files().items():
            folder, library, _ = key
            isa = library.rpartition("_")[2].partition(".")[0]
            flags = ["-std=gnu11", *shlex.split((folder / f"flags-{isa}").read_text())]
            path = compiled(self._text(key), flags, [folder, HEADER.parent])
            try:
                opened = ctypes.CDLL(str(path))
            except OSError as error:
                raise BackendError(f"generated code cannot be opened: {error}. Remove {path}, or "
                                   f"name another compiler in $CC") from None
            self.libraries.append(opened)
            for k in loops:
                code[k] = ctypes.cast(getattr(opened, f"chain_{k}"), ctypes.c_void_p).value or 0
        return [host.loop(code[r.kernel], r.pointers, *r.sizes)
                if isinstance(r, Record) and r.type == GENERATED else r for r in records]

    def _files(self) -> dict[tuple[Path, str, str], list[int]]:
        """(folder of the kernels' text, their library, dtype) -> which loops are of it. A file is
        compiled for one dtype, as those of kernels are.
        """
        files: dict[tuple[Path, str, str], list[int]] = {}
        for k, loop in enumerate(self.loops):
            files.setdefault((loop.folder, loop.library, loop.suffix), []).append(k)
        return files

    def _text(self, key: tuple[Path, str, str]) -> str:
        loops = self._files()[key]
        used: dict[str, Formula] = {}
        for k in loops:
            used.update(self.loops[k].formulas)
        formulas = "\n".join(used[name].definition(name) for name in sorted(used))
        functions = "\n\n".join(self.loops[k].text(f"chain_{k}") for k in loops)
        return TEXT.format(bits=key[2].removeprefix("f"), formulas=formulas, functions=functions)


TEXT = """\
/* Pointwise calls of a captured program, a function for each chain. The program's values keep their
   names; x_at is where x lies. Compiled with the flags of Etude's kernels, for the same bits. */
#define ETUDE_REAL {bits}
#include "vmath.h"

/* The formulas of the kernels. */
{formulas}

{functions}
"""
