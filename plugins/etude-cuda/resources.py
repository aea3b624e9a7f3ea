"""What the compiler gives each CUDA kernel: ``resources.py [--write] [--machine] [FILE ...]``.

Compiles every kernel of c_src/cuda for every architecture that nvcc can build for and that the
plugin ships, and reads the resource report of ptxas: registers, shared memory, spills. Ends with 1
where a kernel does not compile without a warning, or spills. ``--write`` keeps the table as
docs/cuda-resources.md. ``--machine`` looks at the machine code instead, with NVIDIA's cuobjdump
(in the toolkit, or nvidia-cuda-cuobjdump of PyPI): 16-byte loads, local memory, barriers. FILE is
a name such as ``matmul`` or ``plain/matmul``, and the rows of other files stay; without one, all.
That takes minutes.

Without nvcc it says NOT RUN and ends with 0.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CUDA = ROOT / "c_src" / "cuda"
INCLUDE = ROOT / "packages" / "etude" / "src" / "etude" / "include"
PAGE = ROOT / "docs" / "cuda-resources.md"
ARCHITECTURES = (75, 80, 86, 89, 90)
DTYPES = {"f32": "-DETUDE_REAL=32", "f64": "-DETUDE_REAL=64", "i64": "-DETUDE_INT=64",
          "b8": "-DETUDE_INT=8"}
WARNINGS = ("-Xcompiler", "-Wall,-Wextra")

ENTRY = re.compile(r"Compiling entry function '(\S+)' for 'sm_(\d+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
WARNING = re.compile(r"warning|error", re.I)


@dataclass
class Kernel:
    """One kernel, all its instances and architectures together."""

    instances: set[str] = field(default_factory=set)
    registers: dict[int, int] = field(default_factory=dict)  # the most, by architecture
    shared: int = 0
    frame: int = 0  # bytes of local memory that ptxas set apart
    spills: int = 0  # bytes stored and loaded


@dataclass
class Report:
    """What compiling one file said."""

    kernels: dict[str, Kernel]
    complaints: list[str]


def dtypes_of(text: str) -> list[str]:
    """What a file is compiled for, by the rule of CMakeLists.txt."""
    found = ["f32"]
    if "ETUDE_REAL" in text:
        found.append("f64")
    if "ETUDE_INT" in text:
        found += ["i64", "b8"]
    return found


def short_name(symbol: str) -> str:
    """The kernel's own name in a mangled one: ``_Z12matmul_tilesILi2E...`` is matmul_tiles. Behind
    _Z stands a name with its length, or for one in a namespace N and several of them.
    """
    nested = symbol.startswith("_ZN")
    rest = symbol.removeprefix("_Z").removeprefix("N")
    own = symbol
    while number := re.match(r"\d+", rest):
        end = number.end() + int(number[0])
        own, rest = rest[number.end() : end], rest[end:]
        if not nested:
            break
    return own


def read_report(text: str) -> Report:
    """Reads what ``nvcc -Xptxas -v`` says. Lines of ptxas describe the entry named before them."""
    kernels: dict[str, Kernel] = defaultdict(Kernel)
    complaints = []
    kernel, arch = Kernel(), 0
    for line in text.splitlines():
        if entry := ENTRY.search(line):
            kernel, arch = kernels[short_name(entry[1])], int(entry[2])
            kernel.instances.add(entry[1])
        elif frame := FRAME.search(line):
            stack, stores, loads = map(int, frame.groups())
            kernel.frame = max(kernel.frame, stack)
            kernel.spills += stores + loads
        elif used := USED.search(line):
            kernel.registers[arch] = max(kernel.registers.get(arch, 0), int(used[1]))
            if shared := SHARED.search(line):
                kernel.shared = max(kernel.shared, int(shared[1]))
        elif WARNING.search(line) and not line.startswith("ptxas info"):
            complaints.append(line)
    return Report(dict(kernels), complaints)


def compile_file(nvcc: str, source: Path, dtype: str, architectures: tuple[int, ...],
                 output: str = "/dev/null") -> Report:
    """Compiles one file for one dtype, for all architectures in one run."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]
    done = subprocess.run(
        [nvcc, "-std=c++17", "-O3", *targets, *WARNINGS, "-Xptxas", "-v", DTYPES[dtype],
         f"-I{CUDA}", f"-I{INCLUDE}", "-c", str(source), "-o", output],
        capture_output=True, text=True, check=False)
    report = read_report(done.stderr + done.stdout)
    if done.returncode and not report.complaints:
        report.complaints.append(done.stderr.strip() or f"nvcc ended with {done.returncode}")
    return report


# ------------------------------------------------------------------ machine code


INSTRUCTIONS = {  # what is counted, and how SASS spells it
    "16-byte loads from global memory": re.compile(r"\bLDG\.\S*128"),
    "16-byte stores to global memory": re.compile(r"\bSTG\.\S*128"),
    "16-byte loads from shared memory": re.compile(r"\bLDS\.\S*128"),
    "barriers": re.compile(r"\bBAR\.\S+"),
    "local memory": re.compile(r"\b(?:LDL|STL)\b"),
}


def disassembler() -> str | None:
    """cuobjdump, of the toolkit or of NVIDIA's wheel, which hides it in site-packages."""
    hidden = Path(sys.prefix).glob("lib/python*/site-packages/nvidia/*/bin/cuobjdump")
    return shutil.which("cuobjdump") or next(map(str, hidden), None)


def read_machine_code(text: str) -> dict[str, dict[str, int]]:
    """How often each of INSTRUCTIONS occurs in each kernel of ``cuobjdump -sass``: the least over
    its instances for what is wanted, the most for local memory.
    """
    counts: dict[str, dict[str, int]] = {}
    symbol = ""
    for line in text.splitlines():
        if line.strip().startswith("Function :"):
            symbol = line.split(":", 1)[1].strip()
            counts[symbol] = dict.fromkeys(INSTRUCTIONS, 0)
        elif symbol:
            for what, spelled in INSTRUCTIONS.items():
                counts[symbol][what] += len(spelled.findall(line))
    return counts


def machine_code(nvcc: str, cuobjdump: str, source: Path, dtype: str) -> dict[str, dict[str, int]]:
    """The same for a file, as nvcc compiles it for sm_80."""
    with tempfile.TemporaryDirectory() as folder:
        output = str(Path(folder) / "kernel.o")
        compile_file(nvcc, source, dtype, (80,), output)
        done = subprocess.run([cuobjdump, "-sass", output], capture_output=True, text=True,
                              check=True)
    return read_machine_code(done.stdout)


def print_machine_code(nvcc: str, files: list[Path]) -> int:
    cuobjdump = disassembler()
    if cuobjdump is None:
        print("NOT RUN: no cuobjdump; pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")
        return 0
    local = 0
    for source in files:
        for dtype in dtypes_of(source.read_text()):
            for symbol, found in machine_code(nvcc, cuobjdump, source, dtype).items():
                words = ", ".join(f"{n} {what}" for what, n in found.items() if n)
                print(f"{source.stem} {dtype} {symbol}: {words or 'none of these'}")
                local += found["local memory"]
    return 1 if local else 0


# ------------------------------------------------------------------ the page


def version_of(nvcc: str) -> str:
    text = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"release ([\d.]+)", text)
    return found[1] if found else "unknown"


def row(file: str, dtype: str, name: str, kernel: Kernel) -> str:
    registers = [str(kernel.registers.get(a, "")) for a in ARCHITECTURES]
    cells = [file, name, dtype, str(len(kernel.instances)), *registers, str(kernel.shared),
             str(kernel.spills)]
    return "| " + " | ".join(cells) + " |"


def page(rows: list[str], release: str) -> str:
    """docs/cuda-resources.md."""
    columns = ["file", "kernel", "dtype", "instances", *(f"sm_{a}" for a in ARCHITECTURES),
               "shared", "spilled"]
    return "\n".join([
        "# What the compiler gives each CUDA kernel", "",
        f"Made by `python plugins/etude-cuda/resources.py --write` with nvcc {release}; do not "
        "edit it. A row is a kernel of `c_src/cuda` for one dtype, all its template instances "
        "together: the most registers a thread that any of them takes, by architecture, the most "
        "bytes of static shared memory, and bytes spilled to local memory, which are to be 0. A "
        "block of 256 threads shares 65536 registers with the other blocks of its multiprocessor: "
        "up to 128 registers two such blocks fit, up to 64 four.", "",
        "| " + " | ".join(columns) + " |",
        "| --- | --- | --- |" + " ---: |" * (len(columns) - 3),
        *rows, ""])


def kept_rows(files: list[Path]) -> list[str]:
    """The rows of the page as it is that are about other files."""
    if not PAGE.exists():
        return []
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][2:]
    asked = {name_of(f) for f in files}
    return [line for line in rows if line.split("|")[1].strip() not in asked]


def name_of(source: Path) -> str:
    return str(source.relative_to(CUDA).with_suffix(""))


def sources(names: list[str]) -> list[Path]:
    if names:
        return [CUDA / f"{name}.cu" for name in names]
    return [*sorted(CUDA.glob("*.cu")), *sorted(CUDA.glob("plain/*.cu"))]


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--write", action="store_true", help=f"keep the table as docs/{PAGE.name}")
    parser.add_argument("--machine", action="store_true", help="count instructions instead")
    options = parser.parse_args(given)
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        print("NOT RUN: no nvcc")
        return 0
    files = sources(options.files)
    if options.machine:
        return print_machine_code(nvcc, files)
    rows, wrong = [], []
    for source in files:
        name = name_of(source)
        for dtype in dtypes_of(source.read_text()):
            report = compile_file(nvcc, source, dtype, ARCHITECTURES)
            wrong += [f"{name} {dtype}: {line}" for line in report.complaints]
            for kernel_name, kernel in sorted(report.kernels.items()):
                rows.append(row(name, dtype, kernel_name, kernel))
                print(rows[-1], flush=True)
                if kernel.spills:
                    wrong.append(f"{name} {dtype}: {kernel_name} spills {kernel.spills} bytes")
    if options.write:
        PAGE.write_text(page(sorted(kept_rows(files) + rows), version_of(nvcc)))
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
