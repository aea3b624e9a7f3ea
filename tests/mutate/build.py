"""Builds mutants: one file of the kernels compiled anew, linked with the objects of all others.

CMake is asked once for the commands it would run, for one instruction set, so that a mutant is
compiled exactly as the kernels are.
"""

import json
import re
import shlex
import subprocess
import sys
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "c_src/cpu"
#: Numbers that change speed and nothing else, and the macros of the build itself.
LEFT_OUT = {"tuning.h", "kernel.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*"(\w+\.h)"', re.M)


def sources():
    """The files that are mutated: name -> text."""
    files = sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")])
    return {f.name: f.read_text() for f in files if f.name not in LEFT_OUT}


def users(name):
    """The C files that a file is part of, those with the fewest lines first."""
    texts = {f.name: f.read_text() for f in [*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]}

    def includes(file, seen):
        for other in INCLUDE.findall(texts.get(file, "")):
            if other not in seen:
                seen.add(other)
                includes(other, seen)
        return seen

    found = [f for f in texts if f.endswith(".c") and (f == name or name in includes(f, set()))]
    return sorted(found, key=lambda f: len(texts[f]))


class Build:
    """The unmodified objects, and the commands that made them."""

    def __init__(self, folder):
        self.folder = Path(folder)
        isas = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
        self.isa = "avx2" if "avx2" in isas else "portable"

    def make(self):
        """Configure and build, once; later calls only build what has changed."""
        self._run(["cmake", "-S", str(ROOT / "plugins/etude-cpu"), "-B", str(self.folder),
                   f"-DETUDE_ISAS={self.isa}", "-DCMAKE_BUILD_TYPE=Release",
                   "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", f"-DPython_EXECUTABLE={sys.executable}"])
        self._run(["cmake", "--build", str(self.folder), "-j2", "--target",
                   f"etude_cpu_{self.isa}"])

    @staticmethod
    def _run(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")

    @cached_property
    def objects(self):
        """(C file, dtype) -> (its object, the command without source and output)."""
        found = {}
        for entry in json.loads((self.folder / "compile_commands.json").read_text()):
            words = shlex.split(entry["command"])
            out = words[words.index("-o") + 1]
            target = re.search(rf"{self.isa}_(\w+)\.dir", out)
            if target:
                i = words.index("-o")
                rest = [w for k, w in enumerate(words) if k not in (i, i + 1) and w != "-c"
                        and w != entry["file"]]
                found[Path(entry["file"]).name, target[1]] = (self.folder / out, rest)
        return found

    def dtypes(self, file):
        """The suffixes a file is compiled for, float32 first."""
        order = ["f32", "f64", "i64", "b8"]
        return sorted((d for f, d in self.objects if f == file), key=order.index)

    def compile(self, tree, file, dtype):
        """The object of a file in a mutated tree; None if it does not compile."""
        _, command = self.objects[file, dtype]
        out = Path(tree) / f"{file}.{dtype}.o"
        done = subprocess.run([*command, "-w", "-c", str(Path(tree) / file), "-o", str(out)],
                              capture_output=True, check=False, timeout=300)
        return out if done.returncode == 0 else None

    def same(self, out, file, dtype):
        return out.read_bytes() == self.objects[file, dtype][0].read_bytes()

    def link(self, tree, changed):
        """A library with the changed objects, (file, dtype) -> path, among all the others."""
        library = Path(tree) / "libmutant.so"
        library.unlink(missing_ok=True)
        parts = [str(changed.get(k, o)) for k, (o, _) in self.objects.items()]
        compiler = next(iter(self.objects.values()))[1][0]
        done = subprocess.run([compiler, "-shared", "-o", str(library), *parts, "-lm"],
                              capture_output=True, text=True, check=False)
        return library if done.returncode == 0 else None

    def ops(self, file):
        """The ops whose kernels a C file exports."""
        found = set()
        for dtype in self.dtypes(file):
            command = ["nm", "--defined-only", "-g", str(self.objects[file, dtype][0])]
            listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found |= set(re.findall(rf" T _?etude_(\w+)_{dtype}$", listed, re.M))
        return sorted(found)


def tree(folder, file, text):
    """A copy of the sources by links, with one file changed."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for source in [*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]:
        (folder / source.name).symlink_to(source)
    (folder / file).unlink()
    (folder / file).write_text(text)
    return folder
