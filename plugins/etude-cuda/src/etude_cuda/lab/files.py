"""The source pass over files: a program and what it includes with quotes.

    python -m etude_cuda.lab.files IN.cu OUT.cpp [-I FOLDER]

Beside OUT go the passed copies of the files that IN includes. What is done to a text stands in
``source.py``. CMake runs this as plugins/etude-cuda/build_source.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from etude_cuda.lab.source import Kernel, Refusal, passed


@dataclass
class Table:
    """What is in a program: kernels and refusals of a file and of the files it includes."""

    kernels: list[Kernel] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)  # all that were read
    volatile: bool = False


def pass_file(source: Path, output: Path, folders: Sequence[Path] = ()) -> Table:
    """Pass ``source`` to ``output``, and what it includes from its own folder or ``folders`` to
    files beside it.
    """
    table = Table()
    copies: dict[Path, Path] = {}
    macros: set[str] = set()

    def visit(path: Path, to: Path) -> None:
        copies[path.resolve()] = to
        table.files.append(path)

        def resolve(name: str, quoted: bool) -> str | None:
            places = [path.parent, *folders] if quoted else folders
            found = next((p / name for p in places if (p / name).is_file()), None)
            if found is None:
                return None
            if found.resolve() not in copies:
                copy = output.with_name(f"{output.stem}.{len(copies)}.{found.name}")
                visit(found, copy)
            return str(copies[found.resolve()].absolute())

        text = path.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("\ufeff")
        done = passed(text, str(path), resolve)
        to.write_text(done.text, encoding="utf-8", errors="surrogateescape")
        table.kernels += done.kernels
        table.refusals += done.refusals
        table.volatile |= done.volatile
        macros.update(done.macros)

    output.parent.mkdir(parents=True, exist_ok=True)
    visit(source, output)
    table.refusals = [r for r in table.refusals if not r.what.endswith(
        tuple(f"({name})" for name in macros))]  # a name of the program
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m etude_cuda.lab.files IN OUT [-I FOLDER]``; 1 if something was refused."""
    parser = argparse.ArgumentParser(description="Pass CUDA C++ to what g++ and the lab read.")
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("-I", dest="folders", action="append", type=Path, default=[])
    asked = parser.parse_args(arguments)
    table = pass_file(asked.source, asked.output, asked.folders)
    refused = [r for r in table.refusals if r.sure]
    for refusal in refused:
        print(refusal, file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
