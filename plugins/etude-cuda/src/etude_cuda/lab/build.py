"""Builds programs and libraries that run in the lab: the source pass, then g++.

    built = build_program([Path("prog.cu")], "inspect")
    built.executable, built.table.kernels

The lab itself (c_src/lab) is compiled once for each mode, a program once for each text and flags;
both are kept in the user's cache. What g++ has to say is shown with the reader's own files and
lines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import etude
from etude.core.errors import BackendError
from etude.data.files import user_cache
from etude_cuda import places
from etude_cuda.lab.files import Table, pass_file
from etude_cuda.lab.source import Refusal

MODES = ("fast", "inspect")
PASSED = (".cu", ".cuh")  # sources that need the pass; others are compiled as they are
KEPT = 14 * 24 * 3600.0  # seconds after which what nobody used is removed
ERRORS = 8  # shown at most

#: CUDA's language, and program counters that addr2line understands. No FMA: a card contracts
#: a * b + c as it likes, and the lab never does.
COMMON = ("-std=gnu++17", "-ffp-contract=off", "-fno-strict-aliasing", "-g", "-pthread", "-w")
#: The compiler makes every load and store call the lab, and every basic block.
WATCHED = ("-fsanitize=thread", "--param", "tsan-distinguish-volatile=1",
           "--param", "tsan-instrument-func-entry-exit=0")
PROGRAM = {
    "fast": ("-O2",),
    "inspect": ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", *WATCHED,
                "--param", "tsan-instrument-func-entry-exit=1",  # for call stacks
                *(f"-fno-builtin-{f}" for f in ("memcpy", "memmove", "memset")),  # watched.h
                "-fno-tree-sra", "-fno-ipa-sra",  # a float4 is loaded as a whole, as on a card
                "-fsanitize=bounds", "-fsanitize-coverage=trace-pc", "-DLAB_INSPECT"),
}
RUNTIME = {"fast": ("-O2",), "inspect": ("-O2", "-fno-omit-frame-pointer", "-DLAB_INSPECT")}
PROGRAM_ONLY = ("-no-pie", "-fno-pie")
LIBRARY_ONLY = ("-fPIC", "-shared")


class LabError(BackendError):
    """A program that cannot be built or run in the lab. The message quotes the line."""


@dataclass(frozen=True)
class Built:
    """A program or library, and what the pass has found in its sources."""

    executable: Path
    table: Table


@dataclass(frozen=True)
class Options:
    """What people hand to the compiler: ``-I``, ``-D`` and ``-l`` of the command line."""

    folders: tuple[Path, ...] = ()
    defines: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()

    def flags(self) -> list[str]:
        """As g++ takes them."""
        return [*(f"-I{f}" for f in self.folders), *(f"-D{d}" for d in self.defines)]

    def defined(self) -> str:
        """The macros as text. It comes after the lab's own headers, which may use the names."""
        pairs = (d.partition("=") for d in self.defines)
        return "".join(f"#define {n} {v if equals else 1}\n" for n, equals, v in pairs)


# ------------------------------------------------------------------ what there is


@cache
def compiler() -> str:
    """The path of g++, or of what CXX names. LabError if it is not there or is no GCC."""
    wanted = os.environ.get("CXX") or "g++"
    path = shutil.which(wanted)
    if path is None:
        raise LabError(
            f"The lab compiles programs with g++, and {wanted!r} was not found.\n"
            "  Debian, Ubuntu:  sudo apt install g++\n"
            "  Fedora:          sudo dnf install gcc-c++\n"
            "Or name another one in the environment variable CXX.")
    if "clang" in _version(path):
        raise LabError(f"The lab needs GCC's g++, and {wanted!r} is clang. Name a g++ in the "
                       "environment variable CXX.")
    return path


@cache
def home() -> Path:
    """The folder c_src/lab: in the installed package, or in a clone."""
    try:
        return places.sources() / "lab"
    except FileNotFoundError as error:
        raise LabError(f"The lab cannot compile programs: {error}. Install it again.") from None


def looked_at(file: Path) -> Path:
    """The file, if it can be read. LabError for a folder, and for what is not there."""
    if file.is_dir():
        raise LabError(f"{file} is a folder, and a source file is wanted, such as "
                       f"{file / 'kernel.cu'}.")
    if not file.is_file():
        raise LabError(f"{file}: there is no such file.")
    return file


def no_kernel(file: Path) -> str:
    """A sentence about a file in which no kernel is defined."""
    if file.is_file() and not file.read_bytes().strip():
        return f"{file} is empty: it defines no kernel."
    return (f"{file} defines no kernel: no function in it is marked __global__, as in\n"
            "    __global__ void scale(float *x, float a, int n) { ... }")


# ------------------------------------------------------------------ building


def build_program(sources: Sequence[Path], mode: str, options: Options | None = None, *,
                  shown: Path | None = None) -> Built:
    """The executable of a whole program. ``shown`` is what messages call it.

    LabError if a file cannot be read, holds what the lab does not have, or does not compile.
    """
    return _build(sources, mode, options or Options(), library=False, shown=shown)


def build_library(sources: Sequence[Path], mode: str, options: Options | None = None, *,
                  runtime: Path | None = None, behind: str = "") -> Built:
    """A shared library: with the lab inside, or linked to the ``runtime`` that a process has.
    ``behind`` is text of C++ that is compiled behind each source.
    """
    return _build(sources, mode, options or Options(), library=True, runtime=runtime, behind=behind)


def include_options() -> Options:
    """The folders of etude.h and of the shipped kernels' headers."""
    include = Path(etude.__file__).parent / "include"
    return Options(folders=(include, places.sources() / "cuda"))


def compile_source(source: Path, device: str) -> Path:
    """The library of a file that exports kernels of etude.h: of g++ and the lab for "gpu-lab", of
    nvcc for "cuda".
    """
    options = include_options()
    if device == "gpu-lab":
        runtime = places.compiled("libetude_gpu_lab.so")
        return build_library([source], "fast", options, runtime=runtime,
                             behind=declared(source)).executable
    return _by_nvcc(source, options)


def declared(source: Path) -> str:
    """A declaration of each kernel that is written out in a file, of its type in etude.h: one with
    other parameters then does not compile, instead of reading what is not there.
    """
    from etude.backends.native.header import SUFFIXES, read_header
    from etude.core.table import TABLE

    types = read_header().types
    text = looked_at(source).read_text(encoding="utf-8", errors="replace")
    names = re.findall(rf"\betude_(\w+)_({'|'.join(SUFFIXES)})\s*\(", text)
    lines = [f"etude_{TABLE[op].cls}_fn_{suffix} etude_{op}_{suffix};"
             for op, suffix in dict.fromkeys(names) if op in TABLE and TABLE[op].cls in types]
    return "\n".join(["", "#ifdef ETUDE_H", 'extern "C" {', *lines, "}", "#endif", ""])


def _by_nvcc(source: Path, options: Options) -> Path:
    return by_nvcc(source, ["-O3", "-arch=native", "-shared", "-Xcompiler", "-fPIC"], options)


def by_nvcc(source: Path, flags: Sequence[str], options: Options,
            reads: Sequence[Path] = ()) -> Path:
    """What nvcc makes of a file with these flags, kept until the file or one of ``reads`` changes.
    LabError without nvcc, and for a file that does not compile.
    """
    nvcc = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    if nvcc is None:
        raise LabError(f"{source}: nvcc compiles it for a card, and was not found. Put it on the "
                       "PATH, or check it in the lab, on the device gpu-lab.")
    flags = ["-std=c++17", *flags, *options.flags()]
    kept = user_cache() / "lab" / "programs" / (
        f"{source.stem}-{_digest(nvcc, flags, [source, *reads], source.parent)}.so")
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="etude-lab-") as folder:
            made = Path(folder) / "made"
            done = _gxx([nvcc, *flags, str(source), "-o", str(made)])
            if done.returncode:
                raise LabError(f"{source} does not compile with nvcc:\n{done.stderr[-2000:]}")
            _keep(made, kept)
    return kept


def _build(sources: Sequence[Path], mode: str, options: Options, library: bool,
           runtime: Path | None = None, shown: Path | None = None, behind: str = "") -> Built:
    for source in sources:
        looked_at(source)
    gxx = compiler()
    flags = [*COMMON, *PROGRAM[mode], *(LIBRARY_ONLY[:1] if library else PROGRAM_ONLY[1:])]
    with tempfile.TemporaryDirectory(prefix="etude-lab-") as folder:
        table, outputs = _passed(sources, Path(folder), options)
        for output in outputs if behind else ():
            with output.open("a", encoding="utf-8", errors="surrogateescape") as file:
                file.write(behind)
        defines = Path(folder) / "defines.h"
        defines.write_text(options.defined())
        if mode == "fast" and table.volatile:
            flags += WATCHED  # a loop that spins on a volatile must let others run
        lab = [runtime] if runtime else _runtime(gxx, mode, library)
        stamp = _digest(gxx, [*flags, *options.flags(), *options.libraries, str(library),
                              os.getcwd()],  # which the debug information of a program names
                        [*sorted(Path(folder).iterdir()), *lab], Path(folder))
        name = f"{sources[0].stem}-{stamp}{'.so' if library else ''}"
        kept = user_cache() / "lab" / "programs" / name
        if kept.exists():
            os.utime(kept)
            return Built(kept, table)
        objects = []
        for source, output in zip(sources, outputs, strict=True):
            made = output.with_suffix(".o")
            command = [gxx, *flags, "-x", "c++", "-include", "cuda_runtime.h",
                       "-include", str(defines), f"-I{home() / 'include'}",
                       f"-iquote{source.parent}", *(f"-I{f}" for f in options.folders),
                       "-fmax-errors=20", "-fno-diagnostics-show-caret",
                       "-fdiagnostics-color=never", "-c", str(output), "-o", str(made)]
            _compile(command, shown or source, table)
            objects.append(made)
        made = Path(folder) / "program"
        # The lab's objects come first: of a template that both use the linker keeps the first copy,
        # and the lab must not run one that is watched. A library comes after what needs it.
        inputs = [*objects, *lab] if runtime else [*lab, *objects]
        link = [gxx, *(LIBRARY_ONLY if library else PROGRAM_ONLY[:1]), "-pthread", "-g",
                *map(str, inputs), "-o", str(made),
                *([f"-Wl,-rpath,{runtime.parent}"] if runtime else []),
                *(f"-l{name}" for name in options.libraries), "-ldl", "-lm"]
        _link(link, sources, table, options)
        _keep(made, kept)
    return Built(kept, table)


def _passed(sources: Sequence[Path], folder: Path, options: Options) -> tuple[Table, list[Path]]:
    """The passed texts in ``folder``, and one table for all of them. LabError for refusals."""
    whole, outputs = Table(), []
    for number, source in enumerate(sources):
        output = folder / f"{number}.{source.stem}.cpp"
        table = pass_file(source, output, options.folders)
        outputs.append(output)
        whole.kernels += table.kernels
        whole.refusals += table.refusals
        whole.files += table.files
        whole.volatile |= table.volatile
    refuse([r for r in whole.refusals if r.sure])
    return whole, outputs


def refuse(refusals: Sequence[Refusal]) -> None:
    """LabError for what the lab does not have, if there is any: each thing once, where it is first.
    """
    firsts: dict[str, Refusal] = {}
    for refusal in refusals:
        firsts.setdefault(refusal.what.partition(" (")[0], refusal)
    if firsts:
        raise LabError("\n".join(map(str, firsts.values())))


def _runtime(gxx: str, mode: str, library: bool) -> list[Path]:
    """The objects of c_src/lab in one mode, compiled where there are none for these sources."""
    sources = sorted(home().glob("runtime/*.cpp"))
    if not library:
        sources += sorted(home().glob("program/*.cpp"))
    if mode == "inspect":
        sources += sorted(home().glob("inspect/*.cpp"))
    flags = ["-std=gnu++17", "-ffp-contract=off", "-g", "-pthread", *RUNTIME[mode],
             *(LIBRARY_ONLY[:1] if library else PROGRAM_ONLY[1:])]
    headers = sorted(p for p in home().rglob("*") if p.suffix == ".h")
    folder = user_cache() / "lab" / "runtime"
    made = {s: folder / f"{s.stem}-{_digest(gxx, flags, [s, *headers], home())}.o" for s in sources}
    lacking = [s for s in sources if not made[s].exists()]
    if lacking and sys.stderr.isatty():
        print(f"Compiling the lab for mode {mode}; this is done once.", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> None:
        part = made[source].with_suffix(f".{os.getpid()}.part")
        done = _gxx([gxx, *flags, f"-I{home() / 'include'}", "-c", str(source), "-o", str(part)])
        if done.returncode:
            raise LabError(f"The lab itself does not compile with {gxx}: "
                           f"{source.name}\n{done.stderr[:2000]}")
        os.replace(part, made[source])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, lacking))
    _clear(folder)
    return list(made.values())


def _digest(gxx: str, flags: Sequence[str], files: Sequence[Path], root: Path) -> str:
    """Sixteen digits that stand for a compiler, its flags and the files it reads."""
    total = hashlib.sha256()
    total.update(f"{_version(gxx)}\0{flags}\0".encode())
    for file in files:
        name = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
        text = file.read_bytes() if file.suffix != ".o" else b""  # an object's name is its digest
        total.update(name.encode() + b"\0" + text.replace(str(root).encode(), b"") + b"\0")
    return total.hexdigest()[:16]


@cache
def _version(gxx: str) -> str:
    return _gxx([gxx, "--version"]).stdout


def _keep(made: Path, kept: Path) -> None:
    """Put a program into the cache in one step."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    shutil.copy(made, beside)
    os.replace(beside, kept)
    _clear(kept.parent)


def _clear(folder: Path) -> None:
    """Remove what nobody has used for long."""
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # somebody else clears as well
            if time.time() - old.stat().st_mtime > KEPT:
                old.unlink()


# ------------------------------------------------------------------ what g++ says


def _gxx(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a compiler, which is to speak plain ASCII."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False,
                          env=os.environ | {"LC_ALL": "C"})


def _compile(command: list[str], source: Path, table: Table) -> None:
    done = _gxx(command)
    if done.returncode == 0:
        return
    said = errors_of(done.stderr)
    places = {(e.file, e.line) for e in said}
    refuse([r for r in table.refusals if (r.file, r.line) in places])  # behind an #if, but taken
    raise LabError(f"{source} does not compile:\n{worded(said, done.stderr)}")


def _link(command: list[str], sources: Sequence[Path], table: Table, options: Options) -> None:
    done = _gxx(command)
    if done.returncode == 0:
        return
    names = ", ".join(map(str, sources))
    absent = [n for n in options.libraries if re.search(
        rf"(?:cannot find|library not found for|unable to find library) -l{re.escape(n)}\b",
        done.stderr)]
    if absent:
        files = " and ".join(f"-l {n} (lib{n}.so or lib{n}.a)" for n in absent)
        raise LabError(f"The linker finds no {files} on this machine. Install the package that "
                       "has the library with its development files, or leave the option out.")
    missing = sorted(set(re.findall(r"undefined reference to `([^']+)'", done.stderr)))
    if "main" in missing and not table.kernels:
        empty = len(sources) == 1 and not sources[0].read_bytes().strip()
        raise LabError(f"{names} is empty." if empty else f"{names} has no main(), and no kernel "
                       "that could run by itself: there is nothing to run.")
    if "main" in missing:
        raise LabError(f"{names} has no main(), so it is no whole program. Run one of its "
                       f"kernels: etude lab run {sources[0]} --kernel NAME --grid G --block B "
                       f"(etude lab kernels {sources[0]} lists them).")
    if missing:
        raise LabError(f"{names}: nothing defines {', '.join(missing[:ERRORS])}. Name the other "
                       "source files of the program as well.")
    raise LabError(f"{names} cannot be linked:\n{done.stderr[-2000:]}")


@dataclass(frozen=True)
class Error:
    """One error of g++."""

    file: str
    line: int
    text: str


#: Of the compiler, and with a capital of the assembler.
_ERROR = re.compile(r"^(.+?):(\d+):(?:\d+:)? (?:fatal )?[Ee]rror: (.*)$", re.MULTILINE)
_FROM = re.compile(r"^(.+?):(\d+):(?:\d+:)?\s+required from", re.MULTILINE)


def errors_of(said: str) -> list[Error]:
    """The errors in what g++ printed. One in a header of the lab or the system is told at the
    reader's line that led there.
    """
    found = []
    at = 0
    for one in _ERROR.finditer(said):
        file, line = one[1], int(one[2])
        if not _is_readers(file):
            led = [f for f in _FROM.finditer(said, at, one.start()) if _is_readers(f[1])]
            led += [f for f in _FROM.finditer(said, one.end()) if _is_readers(f[1])][:1]
            if led:
                file, line = led[-1][1], int(led[-1][2])
        error = Error(file, line, re.sub(r" \[-W[\w=-]+\]$", "", one[3]))
        if error not in found:
            found.append(error)
        at = one.end()
    return found


def _is_readers(file: str) -> bool:
    return not file.startswith((str(home()), "/usr/", "/opt/", "<"))


def worded(found: Sequence[Error], otherwise: str) -> str:
    """The errors with the lines that they are about."""
    if not found:
        return otherwise.strip()[-2000:]
    shown = []
    for error in found[:ERRORS]:
        shown.append(f"{error.file}:{error.line}: {error.text}")
        try:
            text = Path(error.file).read_text(errors="replace").splitlines()[error.line - 1]
            shown.append(f"    {error.line} | {text.strip()}")
        except (OSError, IndexError):
            pass
    if len(found) > ERRORS:
        shown.append(f"... and {len(found) - ERRORS} more.")
    return "\n".join(shown)
