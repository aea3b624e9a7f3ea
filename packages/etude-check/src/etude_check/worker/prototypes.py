"""Holds the kernels of a C source against their function types in etude.h, before any of them runs.

C calls a kernel through a pointer, and nothing notices parameters of another type: ``int`` for
``int64_t`` passes many a case, ``double *`` for ``float *`` crashes. So the source is read by the
compiler once more, with a declaration of each kernel behind it.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from etude import TABLE
from etude.backends.native.header import SUFFIXES
from etude.backends.native.signature import has_signature, signature
from etude.core.table import Op
from etude_check.errors import CheckError


def check_prototypes(path: Path, library: Path, compiler: Sequence[str]) -> None:
    """CheckError for a kernel of the source ``path`` that is not of its type. ``compiler`` is the
    command, with its flags, that made ``library`` of it. A source without etude.h has no types.
    """
    kernels = _kernels(library)
    declared = [_declaration(op, suffix) for op, suffix in kernels]
    if not _refused(path, library, compiler, declared) or _refused(path, library, compiler, []):
        return
    for (op, suffix), declaration in zip(kernels, declared, strict=True):
        if said := _refused(path, library, compiler, [declaration]):
            raise _mismatch(path, op, suffix, said)


def conflict(path: Path, said: str) -> CheckError | None:
    """The error for what g++ said of a CUDA source, if it is about a kernel that is not of its
    type: there the declarations stand behind the source when it is compiled.
    """
    found = re.search(r"conflicting declaration of C function '[^']*?\betude_(\w+)_("
                      + "|".join(SUFFIXES) + r")\(", said)
    if found is None or found[1] not in TABLE:
        return None
    return _mismatch(path, TABLE[found[1]], found[2], said)


def _mismatch(path: Path, op: Op, suffix: str, said: str) -> CheckError:
    kernel = f"etude_{op.name}_{suffix}"
    line = _declaration(op, suffix)
    line = f'extern "C" {line}' if path.suffix == ".cu" else line
    return CheckError(
        f"{_place(path, kernel)} is not of its type in etude.h. Its prototype is\n\n"
        f"{signature(op, suffix)}\n\nand the line\n\n{line}\n\nunder the includes lets the "
        f"compiler say so whenever it is compiled. It said now:\n\n{said}")


def _kernels(library: Path) -> list[tuple[Op, str]]:
    """What the library exports, found in its table of names: nothing is loaded here."""
    names = {n.decode() for n in re.findall(rb"etude_\w+", library.read_bytes())}
    return [(op, s) for op in TABLE.values() if has_signature(op) for s in SUFFIXES
            if f"etude_{op.name}_{s}" in names]


def _declaration(op: Op, suffix: str) -> str:
    return f"etude_{op.cls}_fn_{suffix} etude_{op.name}_{suffix};"


def _refused(path: Path, library: Path, compiler: Sequence[str], declared: Sequence[str]) -> str:
    """What the compiler has against the source with the declarations behind it; "" for nothing."""
    behind = library.with_name(f"{library.stem}-types{path.suffix}")
    lines = declared if path.suffix == ".c" else ['extern "C" {', *declared, "}"]
    behind.write_text("\n".join(["#ifdef ETUDE_H", *lines, "#endif", ""]), encoding="ascii")
    done = subprocess.run([*compiler, "-fsyntax-only", "-w", "-include", str(path), str(behind)],
                          capture_output=True, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, timeout=300, check=False)
    return (done.stderr or done.stdout).strip() if done.returncode else ""


def _place(path: Path, kernel: str) -> str:
    """The kernel, and the line where it is defined if that is written out."""
    text = path.read_text(encoding="utf-8", errors="replace")
    found = re.search(rf"\b{kernel}\s*\(", text)
    line = f", line {text.count(chr(10), 0, found.start()) + 1}" if found else ""
    return f"{path.name}{line}: {kernel}"
