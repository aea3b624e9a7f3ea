"""``etude.lab.run``: a CUDA program or kernel, from a file or from a notebook's cell, to a Report.

    report = etude.lab.run("vector_add.cu", args=["1024"])
    report = etude.lab.run(text, kernel="scale", grid=4, block=64, args={"n": 256})
    report                      # in a notebook: the annotated source
    report.findings[0].advice   # in a program: what etude lab run prints, as objects

The command ``etude lab run`` does the same from a terminal (commands.py).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etude.data.files import user_cache, write_atomically
from etude_cuda.lab import cards
from etude_cuda.lab.build import LabError, Options
from etude_cuda.lab.program import Settings
from etude_cuda.lab.report.record import Report
from etude_cuda.lab.session import run_kernel_of, run_program_of

Extent = int | Sequence[int]


def run(source: str | Path, *, kernel: str | None = None, grid: Extent | None = None,
        block: Extent | None = None, shared: int = 0,
        args: Sequence[Any] | Mapping[str, Any] = (), mode: str = "inspect",
        card: str = cards.DEFAULT, seed: int = 0, timeout: float | None = None) -> Report:
    """Run a program, or one ``kernel`` of a file, in the lab.

    ``source`` is the path of a .cu file, or the text of one: what has a line break in it is text.
    Without ``kernel`` it is a whole program with a main(), and ``args`` are its arguments, as a
    list. With one, ``grid`` and ``block`` are its launch, ``shared`` its third argument in bytes,
    and ``args`` says by name what its parameters get; what is not given is drawn (``seed``). The
    arrays that came out are in ``report.results``.

    What the program prints is printed. Raises LabError, a BackendError, for a program that cannot
    be built or holds what the lab does not know. What is wrong in a program that ran is in the
    Report and raises nothing.
    """
    file = _file(source)
    settings = Settings(seed, cards.card(card).name, timeout)
    if mode not in ("inspect", "fast"):
        raise LabError(f"There is no mode {mode!r}: 'inspect' watches every access, 'fast' only "
                       f"runs.")
    if kernel is None:
        if grid is not None or block is not None or isinstance(args, Mapping):
            raise LabError("grid, block and arguments by name go with kernel=NAME; a whole program "
                           "has its own, and args is a list for its command line.")
        done = run_program_of([file], mode, Options(), settings, [str(a) for a in args], keep=True)
        sys.stdout.write(done.ran.output)
        return done.report
    if grid is None or block is None:
        raise LabError(f"How shall {kernel} be launched? Give grid= and block=, as in grid=4, "
                       f"block=(16, 16).")
    if args and not isinstance(args, Mapping):
        raise LabError("The arguments of a kernel go by name, as in args={'n': 256}.")
    given = {name: str(value) for name, value in dict(args).items()}
    done = run_kernel_of(file, kernel, _extent(grid), _extent(block), mode, shared, given,
                         Options(), settings)
    done.report.results = list(done.results)
    return done.report


def _file(source: str | Path) -> Path:
    """The file to run. A text is kept under its digest, so that the same cell is compiled once."""
    if isinstance(source, Path) or "\n" not in source:
        return Path(source)
    name = hashlib.sha256(source.encode()).hexdigest()[:16]
    file = user_cache() / "lab" / "cells" / name / "cell.cu"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, source.encode())
    return file


def _extent(x: Extent) -> tuple[int, ...]:
    return (x,) if isinstance(x, int) else tuple(x)
