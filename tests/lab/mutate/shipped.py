"""Mistakes in the shipped kernels, and what would notice them: the programs of tests/cuda/clean,
which walk the roads of each file of kernels, at shapes that fit and at shapes that do not.

A mistake in a header is tried with every file that includes it, the shortest first. The programs
write down all their arrays after each call (CLEAN_RESULTS), so results are compared as well. That
the kernels as they are give the reference's results is the matter of ``etude check gpu-lab``.
"""

import re
import sys
from pathlib import Path

from etude.commands.config import INCLUDE
from etude_cuda.lab.build import Options

sys.path.insert(0, str(Path(__file__).parents[2] / "cuda/clean"))

from dtypes import dtypes
from tried import Run, Trials

ROOT = Path(__file__).parents[3]
CLEAN = ROOT / "tests/cuda/clean"
INCLUDED = re.compile(r'^\s*#\s*include\s*"(\w+\.cuh)"', re.M)


class Kernels(Trials):
    """Trials of the shipped kernels."""

    home = ROOT / "c_src/cuda"

    def texts(self):
        """The files that are mutated, headers included: name -> text."""
        return {p.name: p.read_text() for p in sorted(self.home.glob("*.cu*"))}

    def runs(self, file, tree):
        """The programs of all files that ``file`` is part of, in both shapes."""
        return [Run((CLEAN / user, tree / user),
                    Options(folders=(tree, INCLUDE), defines=(dtype,)), arguments)
                for user in users(file, self.texts()) for dtype in dtypes(user)
                for arguments in ((), ("odd",))]


def users(name, texts):
    """The .cu files that a file is part of, the shortest first."""
    def includes(file, seen):
        for other in INCLUDED.findall(texts.get(file, "")):
            if other not in seen:
                seen.add(other)
                includes(other, seen)
        return seen

    found = [f for f in texts if f.endswith(".cu") and (f == name or name in includes(f, set()))]
    return sorted(found, key=lambda f: len(texts[f]))
