"""What compilers make of each CUDA kernel: ``resources.py [--write|--machine|--clang] [FILE ...]``.

Compiles every kernel of c_src/cuda for every architecture that nvcc can build for and that the
plugin ships, and reads the resource report of ptxas: registers, shared memory, spills. Ends with 1
where a kernel does not compile without a warning, or spills. ``--write`` keeps the table as
docs/cuda-resources.md. The machine code for sm_80 is looked at as well, with NVIDIA's cuobjdump (in
the toolkit, or nvidia-cuda-cuobjdump of PyPI): it is wrong where a file whose plan speaks of 16
bytes has no load of 16, where the source has barriers and the code has none, and where a kernel
keeps something in local memory that LOCAL does not explain. ``--machine`` does only that, kernel
by kernel. ``--clang`` asks clang for a second opinion, on the course programs of tests/lab too.
FILE is a name such as ``matmul`` or ``plain/matmul``, and the rows of other files stay; without
one, all. That takes minutes.

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
from itertools import takewhile
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


#: Kernels that keep something in local memory, by file and dtype, and why that is as it should be.
LOCAL = {
    ("map", "f64"): "sine and cosine of CUDA's own library reduce large arguments through a table",
    ("attention", "f64"): "numbers that a loop which is not unrolled reaches by their index",
}


@dataclass
class Code:
    """What the machine code of one file has, for one dtype: all its kernels together."""

    file: str
    dtype: str
    kernels: dict[str, dict[str, int]]

    def total(self, what: str) -> int:
        return sum(found[what] for found in self.kernels.values())

    def row(self) -> str:
        cells = [self.file, self.dtype, str(len(self.kernels)),
                 *(str(self.total(what)) for what in INSTRUCTIONS)]
        return "| " + " | ".join(cells) + " |"

    def wrong(self, text: str) -> list[str]:
        """Where the code is not what the source says, as sentences."""
        if not self.kernels:  # the file has none for this dtype
            return []
        said = []
        plan, _, source = text.partition("*/")
        loads = self.total("16-byte loads from global memory")
        if re.search(r"\b16[ -]byte", " ".join(plan.split())) and not loads:
            said.append("its plan speaks of 16 bytes, and no load is of 16")
        if "__syncthreads" in source and not self.total("barriers"):
            said.append("the source has barriers, and the machine code none")
        if self.total("local memory") and (self.file, self.dtype) not in LOCAL:
            held = [short_name(s) for s, found in self.kernels.items() if found["local memory"]]
            said.append(f"{', '.join(sorted(set(held)))} keeps something in local memory")
        return [f"{self.file} {self.dtype}: {words}" for words in said]


def look_at_machine_code(nvcc: str, source: Path) -> tuple[list[str], list[str]]:
    """The rows of a file and what is wrong with it. None and nothing without cuobjdump."""
    cuobjdump = disassembler()
    if cuobjdump is None:
        return [], []
    text = source.read_text()
    found = [Code(name_of(source), dtype, machine_code(nvcc, cuobjdump, source, dtype))
             for dtype in dtypes_of(text)]
    rows = [code.row() for code in found if code.kernels]
    return rows, [w for code in found for w in code.wrong(text)]


# ------------------------------------------------------------------ a second opinion


CLANG = "clang++-22"  # 19 asks for headers that CUDA 13 no longer has
PROGRAMS = ROOT / "tests" / "lab" / "programs"


def by_clang(clang: str, nvcc: str, source: Path) -> list[str]:
    """What clang says of a file, both for the host and for sm_80."""
    toolkit = toolkit_of(nvcc)
    with tempfile.TemporaryDirectory() as folder:
        # Clang includes it whether it is needed or not; it comes with cuRAND, which is not.
        (Path(folder) / "curand_mtgp32_kernel.h").touch()
        done = subprocess.run(
            [clang, "-x", "cuda", "-std=c++17", "-fsyntax-only", "--cuda-gpu-arch=sm_80",
             f"--cuda-path={toolkit}", "-isystem", f"{toolkit}/include/cccl", "-Wall",
             "-Wextra", "-Wno-sign-compare",  # int beside blockDim.x: course programs do that
             "-Wno-unknown-cuda-version", "-DETUDE_REAL=32", f"-I{folder}",
             f"-I{CUDA}", f"-I{INCLUDE}", str(source)],
            capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if WARNING.search(line)]
    return said or ([f"clang ended with {done.returncode}"] if done.returncode else [])


def toolkit_of(nvcc: str) -> Path:
    """The folder that nvcc says it is in; what is on the PATH may be a script that calls it."""
    said = subprocess.run([nvcc, "-dryrun", "-E", "-x", "cu", "/dev/null"], capture_output=True,
                          text=True, check=False).stderr
    top = re.search(r"^#\$ TOP=(.+)$", said, re.M)
    return Path(top[1]).resolve() if top else Path(nvcc).resolve().parents[1]


def print_clang(nvcc: str, files: list[Path]) -> int:
    clang = shutil.which(CLANG)
    if clang is None:
        print(f"NOT RUN: no {CLANG} (apt.llvm.org has it where the system does not)")
        return 0
    wrong = 0
    for source in files:
        said = by_clang(clang, nvcc, source)
        print(f"{source.relative_to(ROOT)}: {'; '.join(said) or 'nothing to say'}", flush=True)
        wrong += bool(said)
    return 1 if wrong else 0


# ------------------------------------------------------------------ machine code, printed


def print_machine_code(nvcc: str, files: list[Path]) -> int:
    cuobjdump = disassembler()
    if cuobjdump is None:
        print("NOT RUN: no cuobjdump; pip install nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm")
        return 0
    wrong = []
    for source in files:
        text = source.read_text()
        for dtype in dtypes_of(text):
            code = Code(name_of(source), dtype, machine_code(nvcc, cuobjdump, source, dtype))
            for symbol, found in code.kernels.items():
                words = ", ".join(f"{n} {what}" for what, n in found.items() if n)
                print(f"{code.file} {dtype} {symbol}: {words or 'none of these'}", flush=True)
            wrong += code.wrong(text)
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


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


COLUMNS = ["file", "kernel", "dtype", "instances", *(f"sm_{a}" for a in ARCHITECTURES), "shared",
           "spilled"]
CODE_COLUMNS = ["file", "dtype", "kernels", *INSTRUCTIONS]


def table(columns: list[str], words: int, rows: list[str]) -> list[str]:
    """The lines of a table, whose first columns are words and the others numbers."""
    return ["| " + " | ".join(columns) + " |",
            "|" + " --- |" * words + " ---: |" * (len(columns) - words), *rows, ""]


def page(rows: list[str], code: list[str], release: str) -> str:
    """docs/cuda-resources.md."""
    return "\n".join([
        "# What the compiler gives each CUDA kernel", "",
        f"Made by `python plugins/etude-cuda/resources.py --write` with nvcc {release}; do not "
        "edit it. A row is a kernel of `c_src/cuda` for one dtype, all its template instances "
        "together: the most registers a thread that any of them takes, by architecture, the most "
        "bytes of static shared memory, and bytes spilled to local memory, which are to be 0. A "
        "block of 256 threads shares 65536 registers with the other blocks of its multiprocessor: "
        "up to 128 registers two such blocks fit, up to 64 four.", "",
        *table(COLUMNS, 3, rows),
        "## What the machine code has", "",
        "Instructions in the machine code for sm_80, all kernels of a file together, as NVIDIA's "
        "cuobjdump prints it. The command fails where a file whose plan speaks of 16 bytes has no "
        "load of 16, where the source has barriers and the code none, and where there is local "
        "memory without a reason. "
        + " ".join(f"In {file} ({dtype}): {why}." for (file, dtype), why in LOCAL.items()), "",
        *table(CODE_COLUMNS, 2, code)])


def kept_rows(files: list[Path], columns: list[str]) -> list[str]:
    """The rows about other files of the table that has these columns, in the page as it is."""
    head = "| " + " | ".join(columns) + " |"
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    if head not in lines:
        return []
    rows = list(takewhile(lambda line: line, lines[lines.index(head) + 2 :]))
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
    parser.add_argument("--clang", action="store_true", help=f"ask {CLANG} instead")
    options = parser.parse_args(given)
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        print("NOT RUN: no nvcc")
        return 0
    files = sources(options.files)
    if options.machine:
        return print_machine_code(nvcc, files)
    if options.clang:
        programs = [] if options.files else sorted(PROGRAMS.glob("*.cu"))
        return print_clang(nvcc, [*files, *programs])
    if disassembler() is None:
        print("machine code NOT RUN: no cuobjdump; pip install nvidia-cuda-cuobjdump "
              "nvidia-cuda-nvdisasm")
    rows, code, wrong = [], [], []
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
        found, said = look_at_machine_code(nvcc, source)
        code += found
        wrong += said
        print(*found, sep="\n", end="\n" if found else "", flush=True)
    if options.write:
        looked_at = files if code else []  # without cuobjdump the table stays as it is
        PAGE.write_text(page(sorted(kept_rows(files, COLUMNS) + rows),
                             sorted(kept_rows(looked_at, CODE_COLUMNS) + code), version_of(nvcc)))
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
